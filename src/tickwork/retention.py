"""Retention: how long the ledger keeps what is closed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tickwork.checks import check_whole
from tickwork.durations import read_duration

MAX_COUNT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Retention:
    """The rows of a job that the ledger keeps; whichever limit is reached first lets a closed row go.

    What is open is always kept. Pruning goes round every ten minutes or so, hence a little more is kept
    than these limits say.
    """

    age: timedelta | None = timedelta(days=30)
    """How long after its fire time and its end a row is kept; also written as seconds or "30d". None: for ever."""
    count: int | None = 10_000
    """How many rows of a job are kept, counted from the latest fire time. None: all."""

    def __post_init__(self) -> None:
        if self.age is not None:
            object.__setattr__(self, "age", read_duration("Retention age", self.age))
        if self.count is not None:
            check_whole("Retention count", self.count, most=MAX_COUNT)

    def cutoff(self, now: datetime) -> datetime | None:
        """What is older than this has reached its age. None: nothing has."""
        return None if self.age is None else now - self.age


FOREVER = Retention(age=None, count=None)
"""All rows are kept."""
