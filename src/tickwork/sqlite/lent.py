"""A connection that is lent to a job: it may read and write everything, and not end the transaction that it is in."""

from __future__ import annotations

import sqlite3
from typing import NoReturn, Self

from tickwork.errors import SchedulerError

TRANSACTION = 22
"""SQLite's number for `begin`, `commit` and `rollback`, which Python gives no name; savepoints have another."""


class LentConnection(sqlite3.Connection):
    """Refuses what would end its transaction, by method and by statement (which SQLite calls "not authorized")."""

    _lent = False

    def lend(self) -> None:
        self._lent = True
        self.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == TRANSACTION else sqlite3.SQLITE_OK)

    def take_back(self) -> None:
        self._lent = False
        self.set_authorizer(None)

    def commit(self) -> NoReturn:
        raise _refused("commit()")

    def rollback(self) -> NoReturn:
        raise _refused("rollback()")

    def executescript(self, script: str, /) -> NoReturn:
        raise _refused("executescript(), which commits first")

    def close(self) -> None:
        if self._lent:
            raise _refused("close()")
        super().close()

    def __enter__(self) -> Self:
        raise _refused("`with connection:`, which commits at its end")


def _refused(got: str) -> SchedulerError:
    return SchedulerError(
        f"run.transaction(): expected its connection to be left as it is, got {got}: "
        f"leave the block to commit, raise something to roll back, and use savepoints in between"
    )
