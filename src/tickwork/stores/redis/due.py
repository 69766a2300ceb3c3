"""Due jobs, as due.lua finds them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tickwork.run import Run
from tickwork.stores.parts import PART
from tickwork.stores.redis.rows import DueRow, read_due, read_runs
from tickwork.stores.redis.server import Session


class Due:
    """What is due, in two parts: the server looks for most of it while the first is decided on.

    *asked* is what the script is given before it is told how many.
    """

    def __init__(self, session: Session, prefix: str, asked: tuple[str | int, ...], limit: int) -> None:
        self.rests: dict[str, str] = {}
        """The ends of the rows of all jobs that were found, by uid."""
        self.in_hand: set[str] = set()
        """Those of them that are not written yet."""
        self.active: dict[int, list[Run]] = {}
        """Their active runs, by uid of the job."""
        most = min(limit, PART)
        self._first, looked_at = self._read(*session.call("due", prefix, *asked, most, 0))
        self._answer: Callable[[], Any] | None = None
        if len(self._first) == most < limit:
            self._answer = session.call_ahead("due", prefix, *asked, limit - most, looked_at)

    def parts(self) -> Iterator[list[DueRow]]:
        yield self._first
        yield self.second()

    def second(self) -> list[DueRow]:
        """The second part, once; to be read before the answer to anything that was asked after it."""
        answer, self._answer = self._answer, None
        if answer is None or (told := answer()) is None:  # the server has just forgotten the script: in the next round
            return []
        return self._read(*told)[0]

    def _read(self, lines: bytes, runs: bytes, looked_at: int) -> tuple[list[DueRow], int]:
        due, active = read_due(lines), json.loads(runs)
        rests = {row[0]: row[5] for row in due}
        if again := rests.keys() & self.rests.keys():  # others came before them meanwhile
            due = [row for row in due if row[0] not in again]
            active = [(id, row) for id, row in active if id.partition("-")[0] not in again]
        self.rests = rests | self.rests
        self.in_hand.update(rests)
        for run in read_runs(active):
            self.active.setdefault(run.job_uid, []).append(run)
        return due, looked_at
