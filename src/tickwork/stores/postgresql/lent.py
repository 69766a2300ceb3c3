"""A connection that is lent to a job: it may read and write everything, and not end the transaction that it is in."""

from __future__ import annotations

from typing import Any, NoReturn, Self

import psycopg

from tickwork.errors import SchedulerError


class LentConnection(psycopg.Connection[Any]):
    """Refuses what would end its transaction. A statement that does is noticed behind it (`Server.lend`)."""

    _lent = False

    def lend(self) -> None:
        self._lent = True

    def take_back(self) -> None:
        self._lent = False

    def commit(self) -> NoReturn:
        raise refused("commit()")

    def rollback(self) -> NoReturn:
        raise refused("rollback()")

    def close(self) -> None:
        if self._lent:
            raise refused("close()")
        super().close()

    def __enter__(self) -> Self:
        raise refused("`with connection:`, which commits at its end")


def refused(got: str) -> SchedulerError:
    return SchedulerError(
        f"run.transaction(): expected its connection to be left as it is, got {got}: "
        f"leave the block to commit, raise something to roll back, and use connection.transaction() in between"
    )
