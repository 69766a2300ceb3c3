"""The calendar interval trigger: the same time on the wall every so many years, months, weeks or days.

The rule: its days are reckoned from the day of its start, and never from the last fire time. Number n is
n times the years and months after it, and then n times the weeks and days.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Literal, Self, TypeAlias

from tickwork.checks import shown
from tickwork.clock import EPOCH
from tickwork.errors import TriggerError
from tickwork.triggers.base import first_from
from tickwork.triggers.instants import (
    floor_second,
    in_utc,
    naive_instant,
    read_bounds,
    say_bounds,
    say_instant,
    write_bounds,
)
from tickwork.triggers.pattern import DAY_ZERO
from tickwork.triggers.zones import DAY, Zone, find_zone

ShortMonth: TypeAlias = Literal["skip", "last"]

MAX_UNITS = 10_000
LAST_YEAR = 9999
DAYS_IN_400_YEARS = 146_097
MONTHS_IN_400_YEARS = 4_800
LIMITS = {"hour": 23, "minute": 59, "second": 59}


@dataclass(frozen=True, slots=True, init=False, repr=False)
class CalendarIntervalTrigger:
    """Fires at *hour*, *minute* and *second* of the wall clock, on a day every so many years, months, weeks and days.

        CalendarIntervalTrigger(months=1, hour=9, start_date="2026-01-31", timezone="Asia/Seoul")

    The day of *start_date* is the first. A day that a month does not have, as the 31st of April, is left
    out; with short_month="last" its last day stands for it. A time that a clock change leaves out fires
    once, right after the gap; one that it repeats fires the first time only.

    Without *start_date* it is open: a job anchors it at the moment it is added, and that day is the first.
    Until then `next_after` previews it from 1970. *end_date* is inclusive. The zone is UTC if none is given.
    """

    kind: ClassVar[str] = "calendarinterval"

    months: int
    """Years included."""
    days: int
    """Weeks included."""
    hour: int
    minute: int
    second: int
    short_month: ShortMonth
    timezone: str
    start_date: datetime | None
    end_date: datetime | None
    _zone: Zone = field(compare=False)
    first_day: date = field(compare=False)
    """The first day of the grid, on the wall."""

    def __init__(
        self,
        *,
        years: int = 0,
        months: int = 0,
        weeks: int = 0,
        days: int = 0,
        hour: int = 0,
        minute: int = 0,
        second: int = 0,
        short_month: ShortMonth = "skip",
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        timezone: str | tzinfo | None = None,
    ) -> None:
        _check_units({"years": years, "months": months, "weeks": weeks, "days": days})
        _check_time({"hour": hour, "minute": minute, "second": second})
        if not isinstance(short_month, str) or short_month not in ("skip", "last"):
            raise TriggerError(f"short_month: expected 'skip' or 'last', got {shown(short_month)}")
        zone = find_zone("UTC" if timezone is None else timezone)
        start, end = read_bounds(start_date, end_date, zone.key)
        keep = object.__setattr__
        keep(self, "months", 12 * years + months)
        keep(self, "days", 7 * weeks + days)
        keep(self, "hour", hour)
        keep(self, "minute", minute)
        keep(self, "second", second)
        keep(self, "short_month", short_month)
        keep(self, "timezone", zone.key)
        keep(self, "start_date", start)
        keep(self, "end_date", end)
        keep(self, "_zone", zone)
        keep(self, "first_day", _day_shown(zone, start))
        if start is not None and first_from(self, floor_second(start)) is None:
            raise TriggerError(
                f"calendarinterval: expected a trigger that fires, got one that ends before it does, {str(self)!r}: "
                "choose an earlier start_date, or a later end_date"
            )

    def next_after(self, instant: datetime) -> datetime | None:
        if instant.tzinfo is None:
            raise naive_instant(instant)
        start, end = self.start_date or EPOCH, self.end_date
        at = floor_second(instant)
        for day in self._days_from((at + self._zone.segment(at).offset) // DAY - 1):
            fire_time = EPOCH + timedelta(0, self._zone.first_showing(day * DAY + self._of_day))
            if fire_time > instant and fire_time >= start:
                return fire_time if end is None or fire_time <= end else None
        return None

    def named_walls(self, at: int) -> frozenset[int]:
        """See `base.named_walls`."""
        wall = at + self._zone.segment(at).offset
        return frozenset((wall - wall % DAY + self._of_day,))

    def anchored(self, at: datetime, seed: str = "") -> Self:
        if self.start_date is not None:
            return self
        return type(self)(**{**self._options(), "start_date": in_utc(at)})

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **self._options()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{name: option for name, option in value.items() if name != "kind"})

    def _days_from(self, day: int) -> Iterator[int]:
        """The days of the grid from about *day* on, counted from 1970, in order."""
        first = self.first_day
        since = day - (first.toordinal() - DAY_ZERO)
        length = self.days + self.months * DAYS_IN_400_YEARS / MONTHS_IN_400_YEARS
        number = max(0, int(since / length) - 1)  # months of 31 and 28 days are no more than one step off
        while True:
            month = first.year * 12 + first.month - 1 + number * self.months
            year, month = month // 12, month % 12
            if year > LAST_YEAR:
                return
            _, last = monthrange(year, month + 1)
            if first.day <= last or self.short_month == "last":
                found = date(year, month + 1, min(first.day, last)).toordinal() + number * self.days
                if found >= date.max.toordinal():
                    return
                yield found - DAY_ZERO
            number += 1

    @property
    def _of_day(self) -> int:
        return self.hour * 3600 + self.minute * 60 + self.second

    @property
    def units(self) -> tuple[tuple[int, str], ...]:
        """How often, in the units that users write: (1, 'year'), (6, 'month')."""
        years, months = divmod(self.months, 12)
        weeks, days = divmod(self.days, 7) if self.days % 7 == 0 else (0, self.days)
        named = ((years, "year"), (months, "month"), (weeks, "week"), (days, "day"))
        return tuple((number, unit) for number, unit in named if number)

    @property
    def time(self) -> str:
        """'09:00', with seconds where there are any."""
        return f"{self.hour:02}:{self.minute:02}" + (f":{self.second:02}" if self.second else "")

    def _options(self) -> dict[str, Any]:
        time = {"hour": self.hour, "minute": self.minute, "second": self.second}
        return {
            **{f"{unit}s": number for number, unit in self.units},
            **{name: number for name, number in time.items() if number},
            **({} if self.short_month == "skip" else {"short_month": self.short_month}),
            "timezone": self.timezone,
            **write_bounds(self.start_date, self.end_date),
        }

    def __str__(self) -> str:
        said = " ".join(f"{number} {unit}{'s' if number > 1 else ''}" for number, unit in self.units)
        every = said.removeprefix("1 ") if len(self.units) == 1 else said
        return f"every {every} at {self.time}, {self.timezone}{say_bounds(self.start_date, self.end_date)}"

    def __repr__(self) -> str:
        return f"CalendarIntervalTrigger({', '.join(f'{name}={option!r}' for name, option in self._options().items())})"


def _day_shown(zone: Zone, start: datetime | None) -> date:
    if start is None:
        return EPOCH.date()
    at = floor_second(start)
    ordinal = (at + zone.segment(at).offset) // DAY + DAY_ZERO
    if not 1 <= ordinal <= date.max.toordinal():
        raise TriggerError(
            f"start_date: expected a time between the years 1 and 9999 in {zone.key}, got {say_instant(start)}: "
            "choose a nearer one"
        )
    return date.fromordinal(ordinal)


def _check_units(units: Mapping[str, object]) -> None:
    given = (
        ", ".join(
            f"{name}={shown(number)}"
            for name, number in units.items()
            if not (isinstance(number, int | float) and number == 0)
        )
        or "nothing"
    )
    for number in units.values():
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MAX_UNITS:
            raise TriggerError(f"calendarinterval: expected whole numbers from 0 to {MAX_UNITS}, got {given}")
    if not any(units.values()):
        raise TriggerError("calendarinterval: expected years, months, weeks or days, got nothing: write months=1")


def _check_time(time: Mapping[str, object]) -> None:
    for name, number in time.items():
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= LIMITS[name]:
            raise TriggerError(f"calendarinterval: expected {name} from 0 to {LIMITS[name]}, got {shown(number)}")
