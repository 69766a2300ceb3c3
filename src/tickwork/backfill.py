"""A backfill: the fire times of a job within a range of the past that are to be run after all, a few at a time.

The rule: its cursor only moves on, and never without the runs of the fire times it passes being born in the same
transaction. What was begun on one node goes on, on any, where the cursor stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tickwork.clock import MICROSECOND
from tickwork.errors import InvalidJobError
from tickwork.run import Given
from tickwork.triggers import Trigger
from tickwork.triggers.ticks import first_of_latest, latest_fire_time

MAX_BACKFILL_INSTANCES = 100
MAX_OPEN_BACKFILLS = 100
"""How many backfills one store works on at once."""
STRETCH = 50
"""How many fire times one round looks at, at most."""
NEWEST_STRETCH = 10
"""The same backwards, where each must be searched for."""


class Backfill(NamedTuple):
    """What is to be run after all, and how far it has come."""

    id: str
    job_id: str
    job_uid: int
    trigger: Trigger
    """The job's, as it was when someone asked: a later change of it changes nothing here."""
    start: datetime
    end: datetime
    """The last instant that counts; *start* counts, too."""
    cursor: datetime | None
    """The fire time to look at next. None: all were looked at."""
    asked_at: datetime
    max_instances: int = 1
    """How many of its runs may be active at once, on all nodes together, beside those of the schedule."""
    everything: bool = False
    """Whether fire times that ran are run again."""
    newest_first: bool = False
    given: Given | None = None
    """The arguments of its runs. None: those of the job."""
    asked_by: str | None = None
    born: int = 0
    """How many fire times were given a run."""
    passed_over: int = 0
    """How many were not, since they had one."""
    version: int = 1
    ended_at: datetime | None = None
    """When its last run had ended, or it was cancelled. None: it goes on."""
    reason: str | None = None
    """Why it ended before its time. None: it did not."""

    def __hash__(self) -> int:
        return hash((self.id, self.version))

    @property
    def ended(self) -> bool:
        return self.ended_at is not None

    def next_fire_times(self) -> Sequence[datetime]:
        """The fire times to look at next, in their order: so many as one round looks at."""
        if self.cursor is None:
            return ()
        if self.newest_first:
            return self._between(first_of_latest(self.trigger, self._first, self.cursor, NEWEST_STRETCH), self.cursor)[
                ::-1
            ]
        return self._between(self.cursor, self.end)

    def fire_time_after(self, fire_time: datetime) -> datetime | None:
        """The one to look at after *fire_time*; None: it is the last."""
        if self.newest_first:
            first = self._first
            return None if fire_time <= first else latest_fire_time(self.trigger, first, fire_time - MICROSECOND)[0]
        following = self.trigger.next_after(fire_time)
        return None if following is None or following > self.end else following

    @property
    def _first(self) -> datetime:
        first = self.trigger.next_after(self.start - MICROSECOND)
        assert first is not None, f"backfill {self.id} has no fire time"
        return first

    def _between(self, first: datetime, last: datetime) -> Sequence[datetime]:
        fire_times = [first]
        while len(fire_times) < STRETCH:
            following = self.trigger.next_after(fire_times[-1])
            if following is None or following > last:
                break
            fire_times.append(following)
        return fire_times


class Answered(NamedTuple):
    """What the ledger has of one fire time, runs that someone asked for by hand aside."""

    ran: bool
    """Whether a run of it began, or waits to begin: what was missed or skipped does not count."""
    open: bool
    """Whether one waits or runs just now."""
    backfilled: int
    """How many attempts backfills have made."""


UNANSWERED = Answered(ran=False, open=False, backfilled=0)


def one_too_many() -> InvalidJobError:
    """What is wrong with one more than a store works on at once."""
    return InvalidJobError(
        f"backfill_job: expected fewer than {MAX_OPEN_BACKFILLS} backfills that go on, got so many: "
        f"wait for some of them to end, or cancel them"
    )
