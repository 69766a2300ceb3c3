"""The fire times of simulated jobs, found by brute force: the oracle asks no trigger of tickwork's.

Each is a plain list of every instant that could matter, made by counting up.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tickwork.triggers import CronTrigger, DateTrigger, IntervalTrigger, Trigger

SECOND = timedelta(seconds=1)
BEFORE, AFTER = 240 * SECOND, 420 * SECOND
"""How far the list goes back and ahead of the beginning of a simulation."""
ZONE = "Europe/Berlin"


class Schedule(NamedTuple):
    """A trigger, and all its fire times."""

    says: str
    trigger: Trigger
    times: Sequence[datetime]

    def within(self, after: datetime, through: datetime) -> Sequence[datetime]:
        """Those after *after*, and not after *through*."""
        return self.times[bisect_right(self.times, after) : bisect_right(self.times, through)]

    def next_after(self, instant: datetime) -> datetime | None:
        place = bisect_right(self.times, instant)
        return self.times[place] if place < len(self.times) else None

    def __contains__(self, instant: object) -> bool:
        assert isinstance(instant, datetime)
        place = bisect_left(self.times, instant)
        return place < len(self.times) and self.times[place] == instant


def draw_schedule(rng: Random, begin: datetime, now: datetime) -> Schedule:
    """A schedule of a simulation that began at *begin*, for a job that is added or changed *now*."""
    kind = rng.random()
    if kind < 0.65:
        every = timedelta(milliseconds=rng.choice([900, 1000, 1700, 2000, 3000, 5000, 8000]))
        offset = timedelta(milliseconds=rng.randrange(0, 2000, 10))
        return every_so_often(every, now.replace(microsecond=0) + offset, begin)
    if kind < 0.95:
        seconds = sorted(rng.sample(range(60), rng.choice([6, 12, 20, 60 // 2])))
        return at_these_seconds(seconds, begin)
    at = now + timedelta(seconds=rng.randrange(1, 12))
    return Schedule(f"once at {at:%H:%M:%S}", DateTrigger(at), (at,))


def every_so_often(every: timedelta, start: datetime, begin: datetime) -> Schedule:
    times = []
    at = start
    while at <= begin + AFTER:
        times.append(at)
        at += every
    return Schedule(f"every {every.total_seconds()} s", IntervalTrigger.of(every, start, None), times)


def at_these_seconds(seconds: Sequence[int], begin: datetime) -> Schedule:
    """At these seconds of each minute, by a clock in Berlin."""
    zone, times = ZoneInfo(ZONE), []
    at = begin.replace(microsecond=0) - BEFORE
    while at <= begin + AFTER:
        if at.astimezone(zone).second in seconds:
            times.append(at)
        at += SECOND
    text = ",".join(map(str, seconds))
    return Schedule(f"at seconds {text}", CronTrigger(second=text, timezone=ZONE), times)
