"""The seconds of a wall clock that a cron matches.

The rule: every set of numbers is one integer, whose bit n says whether n matches. To find the next
match is to drop the bits below and to take the lowest one left: in the days of a year, the minutes of
a day, the seconds of a minute. Clock changes are no matter here; a wall has 86,400 seconds a day.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from tickwork.triggers.zones import DAY

NEVER = 1 << 62
"""A wall that no clock will ever show."""

DAY_ZERO = date(1970, 1, 1).toordinal()
LAST_DAY = date.max.toordinal() - DAY_ZERO
EVERY_WEEK = (1 << 54) - 2
EVERY_SEVENTH = sum(1 << 7 * week for week in range(54))


class Pattern:
    """Years, months, days, weeks, weekdays, hours, minutes and seconds, as bits.

    Day d of a month is bit d, week n bit n, Monday bit 0. All must match; with *either_day* it is
    enough that one of day and weekday does, as in a crontab that restricts both.
    """

    __slots__ = (
        "_days",
        "_either_day",
        "_first_of_day",
        "_first_of_minute",
        "_kinds",
        "_minutes",
        "_months",
        "_seconds",
        "_weekdays",
        "_weeks",
        "_year",
        "_years",
    )

    def __init__(
        self,
        *,
        years: int,
        months: int,
        days: int,
        weeks: int,
        weekdays: int,
        hours: int,
        minutes: int,
        seconds: int,
        either_day: bool,
    ) -> None:
        self._years = years
        self._months = months
        self._days = days
        self._weeks = weeks
        self._weekdays = weekdays
        self._either_day = either_day
        self._minutes = sum(minutes << 60 * hour for hour in bits(hours))
        self._seconds = seconds
        self._first_of_minute = lowest(seconds)
        self._first_of_day = lowest(self._minutes) * 60 + self._first_of_minute
        self._kinds: dict[tuple[int, bool, bool], int] = {}  # see _days_of; 21 at most
        self._year = (0, 0, 0)  # the year that answered last: its first day, the next one's, and its matching days

    def first_from(self, wall: int) -> int:
        """The first matching second at or after *wall*, both counted from 1970; NEVER if there is none."""
        day, second = divmod(wall, DAY)
        found = self._day_from(day)
        if found == day:
            at = self._second_from(second)
            if at >= 0:
                return day * DAY + at
            found = self._day_from(day + 1)
        return NEVER if found < 0 else found * DAY + self._first_of_day

    def _second_from(self, second: int) -> int:
        minute, second = divmod(second, 60)
        minutes = self._minutes >> minute
        if minutes & 1:
            seconds = self._seconds >> second
            if seconds:
                return minute * 60 + second + lowest(seconds)
            minutes ^= 1
        return (minute + lowest(minutes)) * 60 + self._first_of_minute if minutes else -1

    def _day_from(self, day: int) -> int:
        since, until, matching = self._year  # read once: another thread may put another in its place
        if since <= day < until:
            days = matching >> day - since
            if days & 1:
                return day
            if days:
                return day + lowest(days)
            day = until
        return self._day_of_later_years(day)

    def _day_of_later_years(self, day: int) -> int:
        if day > LAST_DAY:
            return -1
        year = date.fromordinal(day + DAY_ZERO).year
        while years := self._years >> year:
            year += lowest(years)
            since = date(year, 1, 1).toordinal() - DAY_ZERO
            day = max(day, since)
            matching = self._days_of(year)
            days = matching >> day - since
            if days:
                self._year = since, since + 365 + is_leap(year), matching
                return day + lowest(days)
            year += 1
        return -1

    def _days_of(self, year: int) -> int:
        """The matching days of a year, 1 January as bit 0.

        They follow from the weekday on which the year begins and from leap days, its own and that of
        the year before (which decides whether 1 January lies in a week 52 or 53).
        """
        kind = date(year, 1, 1).weekday(), is_leap(year), is_leap(year - 1)
        if kind not in self._kinds:
            self._kinds[kind] = self._match_days(year)
        return self._kinds[kind]

    def _match_days(self, year: int) -> int:
        in_months = in_days = begin = 0
        for month, length in enumerate(month_lengths(year), start=1):
            if self._months >> month & 1:
                in_months |= ones(length) << begin
                in_days |= (self._days >> 1 & ones(length)) << begin
            begin += length
        in_weekdays = self._weekdays * EVERY_SEVENTH >> date(year, 1, 1).weekday()
        on_days = in_days | in_weekdays if self._either_day else in_days & in_weekdays
        return in_months & on_days & self._match_weeks(year)

    def _match_weeks(self, year: int) -> int:
        if self._weeks == EVERY_WEEK:
            return ones(366)
        weekday = date(year, 1, 1).weekday()
        matching = 0
        for monday in range(-weekday, 365 + is_leap(year), 7):
            week = date.fromordinal(date(year, 1, 1).toordinal() + monday).isocalendar().week
            if self._weeks >> week & 1:
                matching |= ones(7) << weekday + monday  # shifted up, as the first Monday may lie in the year before
        return matching >> weekday


def lowest(mask: int) -> int:
    """The lowest bit set in *mask*, which is not zero."""
    return (mask & -mask).bit_length() - 1


def bits(mask: int) -> Iterator[int]:
    """The bits set in *mask*, from the lowest."""
    while mask:
        yield lowest(mask)
        mask &= mask - 1


def ones(count: int) -> int:
    """The bits from 0 until before *count*."""
    return (1 << count) - 1


def month_lengths(year: int) -> tuple[int, ...]:
    return 31, 28 + is_leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
