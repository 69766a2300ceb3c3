"""Clock changes that touch a trigger: which times do not exist or come twice, and what becomes of them.

The rule: nothing is assumed of a trigger's rule at clock changes. The same trigger in UTC, where no clock
ever changes, says which times of the wall it means; the trigger itself says what it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from tickwork.clock import EPOCH
from tickwork.triggers.base import Trigger, first_from, parts
from tickwork.triggers.calendar_interval import CalendarIntervalTrigger
from tickwork.triggers.combining import AllOf
from tickwork.triggers.cron import CronTrigger
from tickwork.triggers.filtered import FilteredTrigger
from tickwork.triggers.instants import NAIVE_EPOCH, SECOND, floor_second, in_utc
from tickwork.triggers.ticks import named_within
from tickwork.triggers.zones import LAST_SECOND, find_zone

Outcome: TypeAlias = Literal["moved", "left out", "first", "second", "both"]

DAYS_AHEAD = 400
HOUR = 3600
SECONDS_IN_A_DAY = 86_400
NEAR = timedelta(hours=3)
"""From a change, there the times lie that it touches."""


class ClockChange(NamedTuple):
    """A change of a zone's clock that touches a fire time."""

    at: datetime
    timezone: str
    before: datetime
    """What the wall shows when the clock changes, without a zone,"""
    after: datetime
    """and what it shows right after."""
    time: datetime
    """The first time on the wall that is touched: it does not exist, or comes twice."""
    outcome: Outcome
    """It fires right after the gap, or not at all; the first time, the second time, or both."""

    @property
    def repeats(self) -> bool:
        return self.after < self.before


def clock_changes(trigger: Trigger, after: datetime, days: int = DAYS_AHEAD) -> list[ClockChange]:
    """The clock changes of the next *days* that touch a fire time of *trigger*, in order.

    Times of every hour ("*/10 * * * *") simply follow the clock, and intervals know none: nothing is said of them.
    """
    after = in_utc(after)
    match trigger:
        case CronTrigger() | CalendarIntervalTrigger():
            return list(_touching(trigger, floor_second(after), days))
        case FilteredTrigger():
            found = [change for change in clock_changes(trigger.trigger, after, days) if _is_kept(trigger, change)]
            return sorted({*found, *_touching_shifted(trigger, floor_second(after), days)})
        case AllOf():
            found = [change for part in trigger.triggers for change in clock_changes(part, after, days)]
            return sorted({change for change in found if _fires_near(trigger, change.at)})
        case _:
            found = [change for part in parts(trigger) for change in clock_changes(part, after, days)]
            return sorted(set(found))


def _is_kept(trigger: FilteredTrigger, change: ClockChange) -> bool:
    """Whether its calendars keep the time that is touched."""
    if change.timezone != trigger.timezone:
        return trigger.excludes(change.at) is None
    wall = change.time if change.repeats else change.after
    return trigger.rules.judge((wall - NAIVE_EPOCH) // SECOND)[0] is None


def _fires_near(trigger: Trigger, at: datetime) -> bool:
    return named_within(trigger, at - NEAR, at + NEAR) is not None


def _touching(trigger: CronTrigger | CalendarIntervalTrigger, at: int, days: int) -> Iterator[ClockChange]:
    meant = _in_utc(trigger)
    for begin, before, offset in _changes(trigger.timezone, at, days):
        change = _touched(trigger, meant, begin, before, offset)
        if change is not None:
            yield change


def _touching_shifted(trigger: FilteredTrigger, at: int, days: int) -> Iterator[ClockChange]:
    """Those that touch a time which was shifted there."""
    if trigger.shift is None:
        return
    for begin, before, after in _changes(trigger.timezone, at, days):
        first = trigger.first_shifted_to(begin + min(before, after), begin + max(before, after))
        if first is None:
            continue
        if after < before:
            outcome = _in_both(trigger, first - before, first - after)
        else:
            outcome = "moved" if _fires(trigger, begin) else "left out"
        if outcome != "left out":  # else its calendars leave it out, and not the clock
            yield _change(trigger.timezone, begin, before, after, first, outcome)


def _changes(timezone: str, at: int, days: int) -> Iterator[tuple[int, int, int]]:
    """When the clock of a zone changes, and its offsets before and after that."""
    zone = find_zone(timezone)
    end = min(at + days * SECONDS_IN_A_DAY, LAST_SECOND)
    segment = zone.segment(at)
    while segment.end < end:
        before, segment = segment, zone.segment(segment.end)
        if before.offset != segment.offset:  # and not only where one table of the zone ends
            yield segment.begin, before.offset, segment.offset


def _touched(
    trigger: CronTrigger | CalendarIntervalTrigger, meant: Trigger, at: int, before: int, after: int
) -> ClockChange | None:
    low, high = at + min(before, after), at + max(before, after)
    first = _second(first_from(meant, low))
    if first is None or first >= high:
        return None
    outcome = _in_gap(trigger, meant, at, after) if after > before else _in_both(trigger, first - before, first - after)
    if outcome in ("left out", "both") and _follows(trigger, meant, low, high):
        return None
    if not _active(trigger, at):
        return None
    return _change(trigger.timezone, at, before, after, first, outcome)


def _change(timezone: str, at: int, before: int, after: int, first: int, outcome: Outcome) -> ClockChange:
    return ClockChange(
        EPOCH + timedelta(seconds=at), timezone, _wall(at + before), _wall(at + after), _wall(first), outcome
    )


def _in_gap(trigger: Trigger, meant: Trigger, at: int, offset: int) -> Outcome:
    """What becomes of a time that does not exist; a fire time that is right after the gap anyway is no other one."""
    return "moved" if _fires(trigger, at) and not _fires(meant, at + offset) else "left out"


def _in_both(trigger: Trigger, first: int, second: int) -> Outcome:
    match _fires(trigger, first), _fires(trigger, second):
        case True, True:
            return "both"
        case True, False:
            return "first"
        case False, True:
            return "second"
        case _:
            return "left out"


def _follows(trigger: CronTrigger | CalendarIntervalTrigger, meant: Trigger, low: int, high: int) -> bool:
    """Whether it fires in every hour around: a time that is left out or repeated is as it should be."""
    if not isinstance(trigger, CronTrigger) or trigger.fields.fixed:
        return False
    before, after = _second(first_from(meant, low - HOUR)), _second(first_from(meant, high))
    return before is not None and before < low and after is not None and after < high + HOUR


def _in_utc(trigger: CronTrigger | CalendarIntervalTrigger) -> Trigger:
    """The trigger whose fire times are the walls that *trigger* means."""
    options = {**trigger.to_json(), "timezone": "UTC"}
    options.pop("start_date", None)
    options.pop("end_date", None)
    if isinstance(trigger, CalendarIntervalTrigger):
        options["start_date"] = str(trigger.first_day)
    return type(trigger).from_json(options)


def _active(trigger: CronTrigger | CalendarIntervalTrigger, at: int) -> bool:
    """Whether the instant lies between its ends."""
    instant = EPOCH + timedelta(seconds=at)
    start, end = trigger.start_date, trigger.end_date
    return (start is None or start <= instant) and (end is None or instant <= end)


def _fires(trigger: Trigger, at: int) -> bool:
    return _second(first_from(trigger, at)) == at


def _second(fire_time: datetime | None) -> int | None:
    return None if fire_time is None else floor_second(fire_time)


def _wall(second: int) -> datetime:
    return NAIVE_EPOCH + timedelta(seconds=second)
