"""The difference between two triggers over a period: what only one of them fires, and what moved."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from itertools import islice, takewhile
from typing import NamedTuple

from tickwork.errors import TriggerError
from tickwork.triggers.base import Trigger, zone_of
from tickwork.triggers.instants import say_instant
from tickwork.triggers.preview import local_day
from tickwork.triggers.ticks import fire_times

MAX_COMPARED = 100_000
"""How many fire times of each are compared."""


class Difference(NamedTuple):
    """How the fire times of one trigger differ from those of another."""

    only_first: tuple[datetime, ...]
    only_second: tuple[datetime, ...]
    moved: tuple[tuple[datetime, datetime], ...]
    """A fire time of the first, and the one of the second that stands for it on the same day."""
    same: int
    """How many fire times both have."""

    def __bool__(self) -> bool:
        return bool(self.only_first or self.only_second or self.moved)


def compare(
    first: Trigger, second: Trigger, *, after: datetime, until: datetime, timezone: str | None = None
) -> Difference:
    """How the fire times after *after* up to *until* differ.

    What only one of them has is paired as moved: in order, day by day in *timezone* (that of the first, or else UTC).
    """
    zone = timezone or zone_of(first) or zone_of(second) or "UTC"
    ours, theirs = _between(first, after, until), _between(second, after, until)
    only_ours, only_theirs = _by_day(ours - theirs, zone), _by_day(theirs - ours, zone)
    moved, left, added = [], [], []
    for day in sorted(only_ours.keys() | only_theirs.keys()):
        one, other = only_ours[day], only_theirs[day]
        pairs = list(zip(one, other, strict=False))
        moved += pairs
        left += one[len(pairs) :]
        added += other[len(pairs) :]
    return Difference(tuple(left), tuple(added), tuple(moved), len(ours & theirs))


def _between(trigger: Trigger, after: datetime, until: datetime) -> set[datetime]:
    times = set(islice(takewhile(lambda at: at <= until, fire_times(trigger, after)), MAX_COMPARED + 1))
    if len(times) > MAX_COMPARED:
        raise TriggerError(
            f"compare: expected at most {MAX_COMPARED} fire times until {say_instant(until)}, got more from {trigger}: "
            "choose a shorter period"
        )
    return times


def _by_day(times: set[datetime], timezone: str) -> defaultdict[date, list[datetime]]:
    days: defaultdict[date, list[datetime]] = defaultdict(list)
    for at in sorted(times):
        days[local_day(at, timezone)].append(at)
    return days
