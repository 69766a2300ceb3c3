"""Days: which of a month, or of a year, a cron's two day fields mean.

The rule: a set of days is an integer, whose bit n says whether the nth day (from 0) is one of them.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from operator import or_
from typing import NamedTuple

MAX_YEARS = 1 << 14
"""Years kept, of all crons together: 150 bytes each."""

EVERY_MONTH = (1 << 13) - 2
EVERY_WEEK = (1 << 54) - 2
EVERY_YEAR = (1 << 10_000) - (1 << 1970)
EVERY_SEVENTH = sum(1 << 7 * week for week in range(54))
SATURDAY, SUNDAY = 5, 6
DAYS_OF_EVERY_MONTH = (1 << 29) - 2
MONTH_LENGTHS = tuple(enumerate((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), start=1))
"""In a leap year."""


class Days(NamedTuple):
    """What one day field means: the union of these."""

    numbers: int = 0
    """Bit d: day d of the month."""
    weekdays: int = 0
    """Bit w: every such weekday, Monday 0."""
    nth: int = 0
    """Bit 7 * n + w: the first (n = 0) to fifth such weekday of the month, and the last (n = 5)."""
    before_last: int = 0
    """Bit n: n days before the month's last day."""
    nearest: int = 0
    """Bit d: the working day (Monday to Friday) nearest to day d, in the same month."""
    nearest_before_last: int = 0
    """Bit n: the working day nearest to n days before the last."""

    def joined(self, other: Days) -> Days:
        return Days(*map(or_, self, other))

    def never_in(self, months: int) -> bool:
        """Whether all it means are days, such as the 30th, that none of the *months* (bits) has."""
        if not self.numbers or self.numbers & DAYS_OF_EVERY_MONTH or any(self[1:]):
            return False
        return not any(self.numbers & ones(length + 1) for month, length in MONTH_LENGTHS if months >> month & 1)

    def in_month(self, first: int, length: int) -> int:
        """Its days in a month of that length that begins with the weekday *first*, as bits from 0."""
        month = ones(length)
        days = self.numbers >> 1 & month
        if self.weekdays:
            days |= self.weekdays * EVERY_SEVENTH >> first & month
        if self.nth or self.before_last or self.nearest or self.nearest_before_last:
            days |= self._special_days(first, length)
        return days

    def _special_days(self, first: int, length: int) -> int:
        days = 0
        for place in bits(self.nth):
            week, weekday = divmod(place, 7)
            day = (weekday - first) % 7 + 7 * week
            if week == 5:
                day -= 7 * ((day - length) // 7 + 1)
            if day < length:
                days |= 1 << day
        for back in bits(self.before_last):
            if back < length:
                days |= 1 << length - 1 - back
        for number in bits(self.nearest):
            if number <= length:
                days |= 1 << _nearest_working_day(number - 1, first, length)
        for back in bits(self.nearest_before_last):
            if back < length:
                days |= 1 << _nearest_working_day(length - 1 - back, first, length)
        return days


EVERY_DAY = Days(numbers=(1 << 32) - 2, weekdays=(1 << 7) - 1)


class Calendar(NamedTuple):
    """All that decides about days: the fields above the hour, but the year."""

    months: int
    weeks: int
    days: Days
    weekdays: Days
    either_day: bool
    """Whether one of `days` and `weekdays` is enough."""


def is_every_day(calendar: Calendar) -> bool:
    """Whether it leaves out no day, as that of nearly every cron of an hour or less."""
    months, weeks, days, weekdays, _ = calendar
    return days is EVERY_DAY and weekdays is EVERY_DAY and months == EVERY_MONTH and weeks == EVERY_WEEK


@lru_cache(MAX_YEARS)
def matching_days(calendar: Calendar, first: int, leap: bool, leap_before: bool) -> int:
    """The matching days of a year of that kind (see `kind_of`), 1 January as bit 0."""
    months, weeks, days, weekdays, either_day = calendar
    matching = begin = 0
    for month, length in enumerate((31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), start=1):
        if months >> month & 1:
            weekday = (first + begin) % 7
            in_days, in_weekdays = days.in_month(weekday, length), weekdays.in_month(weekday, length)
            matching |= (in_days | in_weekdays if either_day else in_days & in_weekdays) << begin
        begin += length
    return matching if weeks == EVERY_WEEK else matching & _match_weeks(weeks, first, leap, leap_before)


def _match_weeks(weeks: int, first: int, leap: bool, leap_before: bool) -> int:
    """The days of a year that lie in ISO weeks of these numbers."""
    year = next(year for year in range(2000, 2400) if kind_of(year) == (first, leap, leap_before))
    begin = date(year, 1, 1).toordinal()
    return sum(1 << day for day in range(365 + leap) if weeks >> date.fromordinal(begin + day).isocalendar().week & 1)


def _nearest_working_day(day: int, first: int, length: int) -> int:
    weekday = (first + day) % 7
    if weekday == SATURDAY:
        return day - 1 if day > 0 else day + 2
    if weekday == SUNDAY:
        return day + 1 if day < length - 1 else day - 2
    return day


def kind_of(year: int) -> tuple[int, bool, bool]:
    """All that matters of a year: its first weekday and leap days, its own and that of the year before (which
    decides whether 1 January lies in a week 52 or 53)."""
    return date(year, 1, 1).weekday(), is_leap(year), is_leap(year - 1)


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def lowest(mask: int) -> int:
    """The lowest bit set in *mask*, which is not zero."""
    return (mask & -mask).bit_length() - 1


def bits(mask: int) -> list[int]:
    """The bits set in *mask*, from the lowest."""
    found = []
    while mask:
        found.append(lowest(mask))
        mask &= mask - 1
    return found


def ones(count: int) -> int:
    """The bits from 0 until before *count*."""
    return (1 << count) - 1
