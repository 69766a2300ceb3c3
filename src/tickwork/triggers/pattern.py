"""The seconds of a wall clock that a cron matches.

The rule: days are the bits of an integer, and hours, minutes and seconds are tables: entry n is the first
match at or after n. Clock changes are no matter here; a wall has 86,400 seconds a day.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from tickwork.triggers.days import (
    DAYS_OF_EVERY_MONTH,
    EVERY_WEEK,
    EVERY_YEAR,
    Calendar,
    is_every_day,
    kind_of,
    lowest,
    matching_days,
    ones,
)
from tickwork.triggers.zones import DAY

NEVER = 1 << 40
"""A day that no clock will ever show."""

NONE = 255
"""In a table: no match is left."""
IN_ORDER = bytes(range(60))
MAX_UPCOMING = 4096

DAY_ZERO = date(1970, 1, 1).toordinal()
FIRST_DAY, LAST_DAY = date.min.toordinal() - DAY_ZERO, date.max.toordinal() - DAY_ZERO
BLOCK_BITS = 10
BLOCK = 1 << BLOCK_BITS  # days
WITHIN_BLOCK = BLOCK - 1
LAST_BLOCK = LAST_DAY // BLOCK
MAX_BLOCKS = 64  # of one pattern: 180 years, at 200 bytes a block


class Pattern:
    """Years, a calendar, hours, minutes and seconds, which must all match."""

    __slots__ = (
        "_blocks",
        "_calendar",
        "_daily",
        "_first_of_day",
        "_first_of_hour",
        "_hours",
        "_minutes",
        "_seconds",
        "_years",
    )

    def __init__(self, years: int, calendar: Calendar, hours: int, minutes: int, seconds: int) -> None:
        self._years = years
        self._calendar = calendar
        self._daily = years is EVERY_YEAR and is_every_day(calendar)
        self._hours = upcoming(hours, 24)
        self._minutes = upcoming(minutes, 60)
        self._seconds = upcoming(seconds, 60)
        self._first_of_hour = self._minutes[0] * 60 + self._seconds[0]
        self._first_of_day = self._hours[0] * 3600 + self._first_of_hour
        self._blocks: dict[int, int] = {}  # the matching days of each BLOCK of days, as bits

    @property
    def last_year(self) -> int | None:
        """The last one that it names; None if it goes on."""
        last = self._years.bit_length() - 1
        return None if last >= date.max.year else last

    def surely_comes(self) -> bool:
        """Whether a match is sure without a search: some day of 1 to 28 counts, in every year and every week."""
        _, weeks, days, weekdays, _ = self._calendar
        if self._years is not EVERY_YEAR or weeks != EVERY_WEEK:
            return False
        return bool(days.numbers & DAYS_OF_EVERY_MONTH and weekdays.weekdays)

    def first_from(self, day: int, second: int) -> tuple[int, int]:
        """The first match at or after this second of this day (or of one before or after it): its day from 1970, and
        its second of that day. On the day NEVER if there is none."""
        if not 0 <= second < DAY:
            day += second // DAY
            second %= DAY
        if not self._daily:
            days = self._blocks.get(day >> BLOCK_BITS, 0) >> (day & WITHIN_BLOCK)
            if not days & 1:
                found = day + (days & -days).bit_length() - 1 if days else self._day_from(day)
                if found != day:
                    return found, self._first_of_day

        hours, minutes = self._hours, self._minutes
        minute = second // 60
        hour = minute // 60
        if hours[hour] == hour:
            minute %= 60
            if minutes[minute] == minute:
                found = self._seconds[second % 60]
                if found != NONE:
                    return day, second - second % 60 + found
                minute += 1
            found = minutes[minute]
            if found != NONE:
                return day, hour * 3600 + found * 60 + self._seconds[0]
            hour += 1
        found = hours[hour]
        if found != NONE:
            return day, found * 3600 + self._first_of_hour
        return self._day_from(day + 1), self._first_of_day

    def _day_from(self, day: int) -> int:
        """The first matching day at or after *day*, or NEVER."""
        block, within = divmod(day, BLOCK)
        while block <= LAST_BLOCK:
            days = self._blocks.get(block)
            if days is None:
                days = self._fill(block)
            days >>= within
            if days:
                return block * BLOCK + within + lowest(days)
            block, within = block + 1, 0
            if self._years is not EVERY_YEAR:
                year = _year_of(block * BLOCK)
                years = self._years >> year
                if not years:
                    return NEVER
                block = max(block, _first_block_of(year + lowest(years)))
        return NEVER

    def _fill(self, block: int) -> int:
        """The matching days of that block, put together from those of its years."""
        begin = block * BLOCK
        days = 0
        for year in range(_year_of(begin), _year_of(begin + BLOCK - 1) + 1):
            if self._years >> year & 1:
                of_year = matching_days(self._calendar, *kind_of(year))
                shift = date(year, 1, 1).toordinal() - DAY_ZERO - begin
                days |= of_year << shift if shift >= 0 else of_year >> -shift
        days &= ones(BLOCK)
        if len(self._blocks) >= MAX_BLOCKS:
            self._blocks.clear()
        self._blocks[block] = days
        return days


def _year_of(day: int) -> int:
    return date.fromordinal(min(max(day, FIRST_DAY), LAST_DAY) + DAY_ZERO).year


def _first_block_of(year: int) -> int:
    return (date(year, 1, 1).toordinal() - DAY_ZERO) // BLOCK


@lru_cache(MAX_UPCOMING)
def upcoming(numbers: int, count: int) -> bytes:
    """Entry n, for n from 0 to *count*: the first of the *numbers* (bits) at or after n, or NONE."""
    table = b""
    while numbers:
        first = lowest(numbers)
        run = numbers >> first
        length = lowest(run + 1)
        table += bytes((first,)) * (first - len(table)) + IN_ORDER[first : first + length]
        numbers = run >> length << first + length
    return table.ljust(count + 1, bytes((NONE,)))
