"""How nodes wake each other: NOTIFY in the transaction that gives the reason, LISTEN on a connection apart.

A ring is a hint that something may be due earlier than thought. A lost one costs a poll and nothing else, so every
failure here is quiet: the connection is tried again, and meanwhile polling does it all.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from zlib import crc32

import psycopg

from tickwork.job import Job

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a lost connection is tried again."""
LONGEST_POLL = timedelta(hours=1)
"""Whatever is due later than that is seen by every node without a ring."""

log = logging.getLogger("tickwork.store")


class Doorbell:
    """Listens on *channel*, through connections that *connect* makes, and calls *ring* for what others say there.

    *name* is our own: what is said under it came from ourselves.
    """

    def __init__(
        self, connect: Callable[[], psycopg.Connection], channel: str, name: str, ring: Callable[[], None]
    ) -> None:
        self._connect = connect
        self._channel = channel
        self._name = name.encode()
        self._ring = ring
        self._stop, self._stopper = socket.socketpair()
        self._connection: psycopg.Connection | None = None
        self._try_to_listen()
        self._thread = threading.Thread(target=self._answer, name="tickwork-doorbell", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._stopper.send(b"!")
        self._thread.join()
        for end in (self._stop, self._stopper):
            end.close()

    def _answer(self) -> None:
        pause = FIRST_PAUSE
        while True:
            if self._connection is None:
                if self._stops_within(pause):
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
                if self._try_to_listen():
                    self._ring()  # for what was not heard meanwhile
                continue
            pause = FIRST_PAUSE
            try:
                if self._stops_within(None, self._connection.fileno()):
                    self._hang_up()
                    return
                if self._hear(self._connection):
                    self._ring()
            except (psycopg.Error, OSError):
                self._hang_up()

    def _stops_within(self, seconds: float | None, *files: int) -> bool:
        """Wait until it is to stop, the time is over or there is something to read; whether it is to stop."""
        with selectors.DefaultSelector() as selector:
            for file in (self._stop.fileno(), *files):
                selector.register(file, selectors.EVENT_READ)
            return any(key.fd == self._stop.fileno() for key, _ in selector.select(seconds))

    def _hear(self, connection: psycopg.Connection) -> bool:
        """Read what has arrived; whether another node has rung."""
        connection.pgconn.consume_input()
        rung = False
        while (said := connection.pgconn.notifies()) is not None:
            rung |= said.extra != self._name
        return rung

    def _try_to_listen(self) -> bool:
        try:
            self._connection = self._connect()
            self._connection.execute(f'listen "{self._channel}"'.encode())
        except Exception as error:  # noqa: BLE001  whatever it is, polling goes on without
            log.debug("nobody can ring us at present: %s", error)
            self._hang_up()
            return False
        return True

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def channel_of(schema: str) -> str:
    """The channel of one schema of a database, to which PostgreSQL's channels belong."""
    return f"tickwork_{crc32(schema.encode()):08x}"


def may_be_due_soon(job: Job, now: datetime) -> bool:
    """Whether other nodes may have to look before their next poll."""
    return job.next_fire_time is not None and not job.paused and job.next_fire_time - now < LONGEST_POLL
