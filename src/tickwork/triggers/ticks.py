"""Ticks: fire times as a preview shows them, with those that were left out and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from tickwork.checks import shown
from tickwork.clock import MICROSECOND
from tickwork.errors import TriggerError
from tickwork.triggers.base import Trigger
from tickwork.triggers.searching import take


class Tick(NamedTuple):
    """One fire time of a trigger; or one that its calendars left out, or several of these in a row."""

    at: datetime
    """When it fires, or would have fired."""
    excluded: str | None = None
    """Why it does not fire: 'Chuseok (KR)', 'within 22:00-06:00'."""
    through: datetime | None = None
    """The last one of several that were left out for the same reason; the year 9999 if no other follows."""
    shifted_from: datetime | None = None
    """The fire time that its calendars moved here."""
    why: str | None = None
    """Why it was shifted."""
    jitter: timedelta = timedelta(0)
    """How much of it is jitter."""


def ticks(trigger: Trigger, after: datetime) -> Iterator[Tick]:
    """The ticks of *trigger* after *after*, in order, without end if it has none.

    A trigger that leaves out, shifts or spreads fire times has a method `ticks` that says so.
    """
    tell = getattr(trigger, "ticks", None)
    if tell is not None:
        yield from tell(after)
        return
    yield from map(Tick, fire_times(trigger, after))


def not_kept(trigger: Trigger, since: datetime, until: datetime) -> Tick | None:
    """What becomes of the first fire time from *since* until before *until* that *trigger* does not keep.

    It is left out (`excluded`), or moved to `at` by calendars (`shifted_from`) or by `jitter`. None: there is none. A
    trigger that does so has a method `not_kept`.
    """
    tell = getattr(trigger, "not_kept", None)
    found: Tick | None = None if tell is None else tell(since, until)
    return found


def named_within(trigger: Trigger, since: datetime, until: datetime) -> datetime | None:
    """The first fire time of *trigger* from *since* until before *until*."""
    named = trigger.next_after(since - MICROSECOND)
    return named if named is not None and named < until else None


def fire_times(trigger: Trigger, after: datetime) -> Iterator[datetime]:
    """The fire times of *trigger* after *after*, in order, without end if it has none."""
    fire_time = trigger.next_after(after)
    while fire_time is not None:
        yield fire_time
        fire_time = trigger.next_after(fire_time)


def latest_fire_time(trigger: Trigger, first: datetime, until: datetime) -> tuple[datetime, datetime | None]:
    """The last fire time that is not after *until* (or *first*, if that is), and the one that follows it.

    Found by bisection on `next_after`: some forty questions for a year of missed seconds.
    """
    latest, bound = first, until
    while True:
        following = trigger.next_after(latest)
        if following is None or following > until:
            return latest, following
        if following <= latest:
            raise TriggerError(f"expected a fire time after {latest}, got {following} from {shown(trigger)}")
        take(2)
        latest = following
        middle = latest + (bound - latest) / 2
        probe = trigger.next_after(middle) if middle > latest else None
        if probe is not None and probe <= until:
            latest = probe
        else:
            bound = middle


def first_of_latest(trigger: Trigger, first: datetime, last: datetime, count: int) -> datetime:
    """The earliest of the latest *count* fire times from *first* through *last*, which are fire times both."""
    earliest = last
    for _ in range(count - 1):
        if earliest <= first:
            break
        earliest = _fire_time_before(trigger, earliest, first)
    return earliest


def _fire_time_before(trigger: Trigger, later: datetime, first: datetime) -> datetime:
    """The last fire time before *later*, found by looking back twice as far each time; at the earliest *first*."""
    reach = timedelta(seconds=1)
    while (since := later - reach) > first:
        found = trigger.next_after(since)
        if found is not None and found < later:
            return latest_fire_time(trigger, found, later - MICROSECOND)[0]
        reach *= 2
    return latest_fire_time(trigger, first, later - MICROSECOND)[0]
