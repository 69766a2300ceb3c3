"""Dialects: what the same five fields mean to another tool.

The rule: a dialect is a table of facts. Which fields stand in which order, what number a Monday has, and
how day of month and day of week go together; the grammar of one field (`grammar.py`) is the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from tickwork.checks import shown
from tickwork.errors import TriggerError, did_you_mean
from tickwork.triggers.days import EVERY_YEAR, ones

DayRule: TypeAlias = Literal["and", "or", "one"]
"""How day of month and day of week go together: both must match; either will do if neither begins with a
star; or exactly one of them is a `?`."""

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NICKNAMES = {
    "@yearly": "0 0 1 jan *",
    "@annually": "0 0 1 jan *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * sun",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field of a cron: its range, and the names that stand for numbers in it. There is one of each."""

    name: str
    lowest: int
    highest: int
    names: Mapping[str, int]
    cycle: int
    """After how many numbers the field begins anew, so that a range may go over its end. 0: it never does."""
    monday: int | None = None
    """The number of Monday, in a field of weekdays."""
    every: int = 0
    """All its numbers, as bits."""

    def from_monday(self, numbers: int) -> int:
        """Weekdays in this field's numbers, as bits with Monday at 0."""
        assert self.monday is not None
        return (numbers >> self.monday | numbers << 7 - self.monday) & ones(7)


def _field(name: str, lowest: int, highest: int, cycle: int, names: Mapping[str, int] | None = None) -> Field:
    return Field(name, lowest, highest, names or {}, cycle, every=ones(highest + 1) ^ ones(lowest))


def _weekday_field(lowest: int, highest: int, monday: int) -> Field:
    names = {name: lowest + (place + monday - lowest) % 7 for place, name in enumerate(WEEKDAYS)}
    return replace(_field("day_of_week", lowest, highest, 7, names), monday=monday)


YEAR = replace(_field("year", 1970, 9999, 0), every=EVERY_YEAR)
MONTH = _field("month", 1, 12, 12, {name: number for number, name in enumerate(MONTHS, start=1)})
DAY = _field("day", 1, 31, 31)
WEEK = _field("week", 1, 53, 53)
HOUR = _field("hour", 0, 23, 24)
MINUTE = _field("minute", 0, 59, 60)
SECOND = _field("second", 0, 59, 60)
FROM_MONDAY_0 = _weekday_field(0, 6, monday=0)
FROM_SUNDAY_0 = _weekday_field(0, 6, monday=1)
FROM_SUNDAY_0_TO_7 = _weekday_field(0, 7, monday=1)
FROM_SUNDAY_1 = _weekday_field(1, 7, monday=2)

NAMED_FIELDS = (YEAR, MONTH, DAY, WEEK, FROM_MONDAY_0, HOUR, MINUTE, SECOND)
"""The fields that are options of their own (`hour=3`), from the greatest to the least."""


class Dialect(NamedTuple):
    """How one tool reads a cron string."""

    name: str
    fields: tuple[Field, ...]
    day_rule: DayRule
    weekday_field: Field
    optional: int = 0
    """How many fields at the end may be left out."""
    last_is_saturday: bool = False
    """Whether a bare `L` is a day of the week, Saturday."""


def _five(name: str, weekdays: Field, day_rule: DayRule) -> Dialect:
    return Dialect(name, (MINUTE, HOUR, DAY, MONTH, weekdays), day_rule, weekdays)


NAMED = Dialect("fields", NAMED_FIELDS, "and", FROM_MONDAY_0)
"""The fields as options: no dialect of a string, but read in the same way."""
DEBIAN = _five("debian", FROM_SUNDAY_0_TO_7, "or")
DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        DEBIAN,
        _five("apscheduler", FROM_MONDAY_0, "and"),
        _five("celery", FROM_SUNDAY_0, "and"),
        Dialect(
            "quartz",
            (SECOND, MINUTE, HOUR, DAY, MONTH, FROM_SUNDAY_1, YEAR),
            "one",
            FROM_SUNDAY_1,
            optional=1,
            last_is_saturday=True,
        ),
    )
}

SECONDS = ("first", "last")


@lru_cache
def find_dialect(name: str | None, seconds: str | None) -> Dialect:
    """The dialect of that name (Debian's without one), with seconds at that end, or a TriggerError."""
    dialect = DEBIAN if name is None else DIALECTS.get(name)
    if dialect is None:
        raise TriggerError(f"dialect: expected the name of one, got {shown(name)}{did_you_mean(name, DIALECTS)}")
    if seconds is None:
        return dialect
    if seconds not in SECONDS:
        raise TriggerError(f"seconds: expected 'first' or 'last', got {shown(seconds)}")
    if SECOND in dialect.fields:
        raise TriggerError(
            f"seconds: expected none for {dialect.name}, which has its own, got {shown(seconds)}: leave it out"
        )
    fields = (SECOND, *dialect.fields) if seconds == "first" else (*dialect.fields, SECOND)
    return dialect._replace(fields=fields)
