"""The ledger as the test reads it: with plain SQL, and not through tickwork."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

CLOSED = {"succeeded", "failed", "timed_out", "cancelled", "lost", "missed", "skipped"}


class Row(NamedTuple):
    """A run; instants are microseconds since 1970, as in the file."""

    number: int
    job: str
    fire_time: int
    through: int | None
    attempt: int
    origin: str
    state: str
    version: int
    node: str | None
    started_at: int | None
    ended_at: int | None
    reason: str | None

    @property
    def closed(self) -> bool:
        return self.state in CLOSED

    @property
    def last(self) -> int:
        """The last fire time that this row answers for."""
        return self.fire_time if self.through is None else self.through


class Ledger:
    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, job: str | None = None) -> list[Row]:
        """In the order in which they were born."""
        return [
            row for row in map(Row._make, self._select(
                "select number, job_id, fire_time, through, attempt, origin, state, version, node, started_at, ended_at,"
                " reason from tickwork_runs order by number"
            )) if job in (None, row.job)
        ]  # fmt: skip

    def count(self, state: str) -> int:
        ((number,),) = self._select("select count(*) from tickwork_runs where state = ?", state)
        return number

    def anchored_at(self, job: str) -> int:
        """When the job was added: it fires at the first fire time after that."""
        ((instant,),) = self._select("select anchored_at from tickwork_jobs where id = ?", job)
        return instant

    def next_fire_time(self, job: str) -> int | None:
        ((instant,),) = self._select("select next_fire_time from tickwork_jobs where id = ?", job)
        return instant

    def answered_through(self, job: str, instant: int) -> bool:
        """Whether all of the job's rows up to *instant* are closed, and there is one at or after it."""
        if not self.is_made():
            return False
        rows = self.rows(job)
        return any(row.last >= instant for row in rows) and all(row.closed for row in rows if row.fire_time <= instant)

    def told(self) -> list[tuple[object, ...]]:
        """Which jobs are overdue, and which node told of it."""
        return [*self._select(
            "select id, told_by from tickwork_expectations join tickwork_jobs on uid = job_uid where overdue_at not null"
        )]  # fmt: skip

    def is_made(self) -> bool:
        """Whether there are tables yet: workers are up a moment before the first of them makes these."""
        return bool([*self._select("select 1 from sqlite_master where name = 'tickwork_runs'")])

    def whole(self) -> bool:
        return list(self._select("pragma integrity_check")) == [("ok",)]

    def can_be_written(self, *, within: float) -> bool:
        """Whether nobody sits on the file's write lock for so many seconds."""
        with closing(
            sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True, timeout=within, isolation_level=None)
        ) as file:
            try:
                file.execute("begin immediate")
            except sqlite3.OperationalError:
                return False
            file.execute("rollback")
            return True

    def _select(self, statement: str, *parameters: str) -> Iterator[tuple[object, ...]]:
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True, timeout=10.0)) as file:
            file.execute("pragma query_only = 1")
            return iter(file.execute(statement, parameters).fetchall())
