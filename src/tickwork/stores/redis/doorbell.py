"""How nodes wake each other: PUBLISH in the script that gives the reason, SUBSCRIBE on a connection apart.

A ring is a hint that something may be due earlier than thought. A lost one costs a poll and nothing else, so every
failure here is quiet: the connection is tried again, and meanwhile polling does it all.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tickwork.job import Job

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a lost connection is tried again."""
LISTEN = 1.0
"""Seconds within which it is noticed that it is to stop, should the farewell get lost."""
LONGEST_POLL = timedelta(hours=1)
"""Whatever is due later than that is seen by every node without a ring."""

log = logging.getLogger("tickwork.store")


class Doorbell:
    """Listens on *channel*, through connections that *connect* makes, and calls *ring* for what others say there.

    *name* is our own: what is said under it came from ourselves.
    """

    def __init__(self, connect: Callable[[], Any], channel: str, name: str, ring: Callable[[], None]) -> None:
        self._connect = connect
        self._channel = channel
        self._name = name.encode()
        self._ring = ring
        self.farewell = f"{name} {secrets.token_hex(8)}"
        """What ends the waiting when it is said on the channel, once it is to stop."""
        self._stop = threading.Event()
        self._connection: Any = None
        self._try_to_listen()
        self._thread = threading.Thread(target=self._answer, name="tickwork-doorbell", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, soon."""
        self._stop.set()

    def wait_stopped(self) -> None:
        self._thread.join()

    def _answer(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            if self._connection is None:
                self._stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                if not self._stop.is_set() and self._try_to_listen():
                    self._ring()  # for what was not heard meanwhile
                continue
            pause = FIRST_PAUSE
            try:
                if self._connection.can_read(timeout=LISTEN) and self._hear(self._connection.read_response()):
                    self._ring()
            except Exception as error:  # noqa: BLE001  whatever it is, polling goes on without
                log.debug("nobody can ring us at present: %s", error)
                self._hang_up()
        self._hang_up()

    def _hear(self, said: list[Any]) -> bool:
        """Whether another node has rung."""
        kind, _, name = said
        return kind == b"message" and not name.startswith(self._name) and not self._stop.is_set()

    def _try_to_listen(self) -> bool:
        try:
            self._connection = self._connect()
            self._connection.send_command("SUBSCRIBE", self._channel)
            self._connection.read_response()
        except Exception as error:  # noqa: BLE001
            log.debug("nobody can ring us at present: %s", error)
            self._hang_up()
            return False
        return True

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


def may_be_due_soon(job: Job, now: datetime) -> bool:
    """Whether other nodes may have to look before their next poll."""
    return job.next_fire_time is not None and not job.paused and job.next_fire_time - now < LONGEST_POLL
