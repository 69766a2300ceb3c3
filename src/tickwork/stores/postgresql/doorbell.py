"""How nodes wake each other: NOTIFY in the transaction that gives the reason, LISTEN on a connection apart.

A ring is a hint that something may be due earlier than thought. A lost one costs a poll and nothing else, so every
failure here is quiet: the connection is tried again, and meanwhile polling does it all.

The same session holds this process's lifeline, an advisory lock: the server lets go of it within milliseconds of the
process's death, and keeps it while the process stands still.
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
from tickwork.stores.postgresql import statements as sql

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
"""Seconds before a lost connection is tried again, after the first time, which comes at once."""
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
        self._woken, self._waker = socket.socketpair()
        self._closing = False
        self._lock = ""
        """The name of the lock that is to be held. Empty: none."""
        self._lifeline = ""
        self._connection: psycopg.Connection | None = None
        self._try_to_listen()
        self._thread = threading.Thread(target=self._answer, name="tickwork-doorbell", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and let go of the lifeline."""
        self._closing = True
        self._waker.send(b"!")
        self._thread.join()
        for end in (self._woken, self._waker):
            end.close()

    def hold(self, lock: str) -> str:
        """Hold the lock of that name from soon on, with a ring when it is had or lost; the lifeline, or empty."""
        if self._lock != lock:
            self._lock = lock
            self._waker.send(b"?")
        return self._lifeline

    def _answer(self) -> None:
        pause = 0.0
        while not self._closing:
            if self._connection is None:
                self._wait(pause)
                pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)
                if not self._closing and self._try_to_listen():
                    self._ring()  # for what was not heard meanwhile
                continue
            pause = 0.0
            try:
                self._take_hold(self._connection)
                self._wait(FIRST_PAUSE if self._lock and not self._lifeline else None, self._connection.fileno())
                if self._hear(self._connection):
                    self._ring()
            except (psycopg.Error, OSError):
                self._hang_up()
                self._ring()  # so that the others are told soon that there is no lifeline
        self._hang_up()

    def _wait(self, seconds: float | None, *files: int) -> None:
        """Wait until the time is over, there is something to read, or somebody wants something of this thread."""
        with selectors.DefaultSelector() as selector:
            for file in (self._woken.fileno(), *files):
                selector.register(file, selectors.EVENT_READ)
            if any(key.fd == self._woken.fileno() for key, _ in selector.select(seconds)):
                self._woken.recv(100)

    def _take_hold(self, connection: psycopg.Connection) -> None:
        """Take the lock that is wanted, unless it is held; an earlier session of ours may hold it still for a while."""
        if self._lock and not self._lifeline:
            ((held,),) = psycopg.RawCursor(connection).execute(sql.HOLD_LIFELINE.encode(), (self._lock,)).fetchall()
            self._lifeline = held or ""
            if self._lifeline:
                self._ring()

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
        self._lifeline = ""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def channel_of(schema: str) -> str:
    """The channel of one schema of a database, to which PostgreSQL's channels belong."""
    return f"tickwork_{crc32(schema.encode()):08x}"


def may_be_due_soon(job: Job, now: datetime) -> bool:
    """Whether other nodes may have to look before their next poll."""
    return job.next_fire_time is not None and not job.paused and job.next_fire_time - now < LONGEST_POLL
