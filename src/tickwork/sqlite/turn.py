"""Turns at writing one file, so that no process starves.

SQLite's own waiting is a sleep of growing length: of four busy processes one or two get nearly all
the writes. A lock file beside the database is cheaper to ask, so it can be asked often.

Holding it is a courtesy and not a safeguard: SQLite's own lock keeps the file whole. So a process that
waited in vain (the holder may be frozen) goes on without, and SQLite tells it what is wrong.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock: SQLite's own waiting has to do
    fcntl = None  # type: ignore[assignment]

PATIENCE = 2.0
"""Seconds to wait for a turn, and again for SQLite's lock."""
SHORTEST_NAP, LONGEST_NAP = 0.0002, 0.001


class Turn:
    """A lock file that processes hold while they write. One thread at a time may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> None:
        """Wait for the turn, but not for ever."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660)
        until = time.monotonic() + PATIENCE
        while not self._try() and time.monotonic() < until:
            time.sleep(random.uniform(SHORTEST_NAP, LONGEST_NAP))  # noqa: S311  no secret, only a scatter

    def give_back(self) -> None:
        if self._file is not None and fcntl is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _try(self) -> bool:
        """Whether it is our turn now."""
        assert self._file is not None
        if fcntl is None:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
