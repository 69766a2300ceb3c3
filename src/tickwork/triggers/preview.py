"""Previews: what a trigger will do, before it does it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from tickwork.clock import EPOCH
from tickwork.triggers.base import Trigger, zone_of
from tickwork.triggers.instants import floor_second, in_utc
from tickwork.triggers.pattern import DAY_ZERO
from tickwork.triggers.ticks import Tick, ticks
from tickwork.triggers.zones import DAY, find_zone

MAX_TICKS = 100_000
"""How many ticks one preview shows: a day of seconds, and what is left out."""


def preview(trigger: Trigger, after: datetime, count: int) -> list[Tick]:
    """The next *count* fire times after *after*, and what is left out between them, each with its reason."""
    shown: list[Tick] = []
    for tick in _some(trigger, after):
        if count == 0:
            break
        shown.append(tick)
        count -= tick.excluded is None
    return shown


def preview_day(trigger: Trigger, day: date, timezone: str | None = None) -> list[Tick]:
    """The ticks of one day, as the clock of *timezone* shows it; by default that of the trigger, or else UTC."""
    begin, end = day_in(day, timezone or zone_of(trigger) or "UTC")
    shown: list[Tick] = []
    for tick in _some(trigger, begin - timedelta(microseconds=1)):
        if tick.at >= end:
            break
        shown.append(tick)
    return shown


def day_in(day: date, timezone: str) -> tuple[datetime, datetime]:
    """The first instant of a day in a zone, and that of the next day."""
    zone = find_zone(timezone)
    midnight = (day.toordinal() - DAY_ZERO) * DAY
    return tuple(EPOCH + timedelta(seconds=zone.first_showing(wall)) for wall in (midnight, midnight + DAY))  # type: ignore[return-value]


def local_day(instant: datetime, timezone: str) -> date:
    """The day that the clock of a zone shows at *instant*."""
    at = floor_second(instant)
    return date.fromordinal((at + find_zone(timezone).segment(at).offset) // DAY + DAY_ZERO)


def _some(trigger: Trigger, after: datetime) -> Iterator[Tick]:
    for _, tick in zip(range(MAX_TICKS), ticks(trigger, in_utc(after)), strict=False):
        yield tick
