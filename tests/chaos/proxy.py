"""A network that fails when it is told to: a TCP proxy between one worker and its server, on a thread of its own.

The rule: what hangs is not lost. It arrives when the line is healed, as TCP would have it, however much has happened since;
also from a client that has hung up meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Inside `with` it passes on what it is told, to the server on *port*; its own is `port`."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._delay = 0.0
        self._refusing = False
        self._streams: set[asyncio.StreamWriter] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._tell(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def delay(self, seconds: float) -> None:
        self._delay = seconds

    def hang(self) -> None:
        self._tell(self._passing.clear)

    def reset(self) -> None:
        """Reset what is there, and what comes, until it is healed."""
        self._refusing = True
        self._tell(self._reset_all)

    def heal(self) -> None:
        self._delay, self._refusing = 0.0, False
        self._tell(self._passing.set)

    def _tell(self, action: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(action)

    async def _listen(self) -> None:
        self._passing = asyncio.Event()
        self._passing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passing.wait()
        if self._refusing:
            return _reset(writer)
        try:
            to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            return _reset(writer)
        self._streams |= {writer, to_server[1]}
        await asyncio.gather(self._pass_on(reader, to_server[1]), self._pass_on(to_server[0], writer))
        self._streams -= {writer, to_server[1]}
        return None

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._passing.wait()
                writer.write(piece)
                await writer.drain()
        await self._passing.wait()
        with suppress(OSError, RuntimeError):
            writer.close()

    def _reset_all(self) -> None:
        for writer in self._streams:
            _reset(writer)

    async def _end(self) -> None:
        self._server.close()
        self._reset_all()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close it with an RST."""
    end: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()
