"""The grammar of cron: fields as text, and the numbers that each one matches.

    field   = part ("," part)*
    part    = "*" | "*/" step | value | value "-" value | value "-" value "/" step | value "/" step
    value   = number | name

There are two dialects. Named fields (`hour=3`) are all of them conditions, and Monday is 0. A crontab
("0 3 * * mon-fri") has five fields and Debian's rules: Sunday is 0 and 7, and if day of month and day
of week are both restricted, either one will do. Nothing is ever ignored: what cannot be read is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from tickwork.errors import TriggerError, did_you_mean
from tickwork.triggers.pattern import Pattern, ones

MAX_LENGTH = 1000  # characters in one cron; every minute of an hour, written out, is 169
MAX_PARSED = 4096

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Field(NamedTuple):
    """One field of a cron: its range, and the names that stand for numbers in it."""

    name: str
    lowest: int
    highest: int
    names: Mapping[str, int] = MappingProxyType({})


YEAR = Field("year", 1970, 9999)
MONTH = Field("month", 1, 12, {name: number for number, name in enumerate(MONTHS, start=1)})
DAY = Field("day", 1, 31)
WEEK = Field("week", 1, 53)
DAY_OF_WEEK = Field("day_of_week", 0, 6, {name: number for number, name in enumerate(WEEKDAYS)})
HOUR = Field("hour", 0, 23)
MINUTE = Field("minute", 0, 59)
SECOND = Field("second", 0, 59)

NAMED_FIELDS = (YEAR, MONTH, DAY, WEEK, DAY_OF_WEEK, HOUR, MINUTE, SECOND)

CRONTAB_DAY_OF_WEEK = Field("day_of_week", 0, 7, {name: number % 7 for number, name in enumerate(WEEKDAYS, start=1)})
CRONTAB_FIELDS = (MINUTE, HOUR, DAY, MONTH, CRONTAB_DAY_OF_WEEK)


@dataclass(frozen=True, slots=True)
class CronFields:
    """What a cron matches. Equal if written the same, apart from case, spaces and defaults."""

    written: tuple[tuple[str, str], ...]
    """The options that make it: (("crontab", "0 3 * * mon-fri"),) or (("hour", "3"), ("minute", "0"))."""
    pattern: Pattern = field(compare=False, repr=False)
    fixed: bool = field(compare=False, repr=False)
    """Whether it names times (hour and minute do not begin with a star), or follows the clock as it elapses."""

    def __str__(self) -> str:
        if self.written[0][0] == "crontab":
            return self.written[0][1]
        return " ".join(f"{name}={text}" for name, text in self.written)


@lru_cache(maxsize=MAX_PARSED)
def read_crontab(crontab: str) -> CronFields:
    """The fields of a crontab's expression: minute, hour, day of month, month, day of week."""
    expression = f'"{crontab}"'
    _check_length(crontab)
    texts = crontab.split()
    if len(texts) != len(CRONTAB_FIELDS):
        raise TriggerError(_not_five_fields(texts, expression))
    minute, hour, day, _, day_of_week = texts
    minutes, hours, days, months, weekdays = (
        _read_numbers(known, text, expression) for known, text in zip(CRONTAB_FIELDS, texts, strict=True)
    )
    return CronFields(
        written=(("crontab", " ".join(texts).lower()),),
        pattern=Pattern(
            years=_every(YEAR),
            months=months,
            days=days,
            weeks=_every(WEEK),
            weekdays=_from_monday(weekdays),
            hours=hours,
            minutes=minutes,
            seconds=ones(1),
            either_day=not day.startswith("*") and not day_of_week.startswith("*"),
        ),
        fixed=not minute.startswith("*") and not hour.startswith("*"),
    )


def read_named_fields(given: Mapping[str, int | str]) -> CronFields:
    """The named fields. What is above the least one given is `*`, what is below is at its minimum."""
    expression = ", ".join(f"{name}={value}" for name, value in given.items())
    _check_length(expression)
    texts = {name: _as_text(name, value, expression) for name, value in given.items()}
    return _read_texts(_with_defaults(texts), expression)


@lru_cache(maxsize=MAX_PARSED)
def _read_texts(texts: tuple[str, ...], expression: str) -> CronFields:
    years, months, days, weeks, weekdays, hours, minutes, seconds = (
        _read_numbers(known, text, expression) for known, text in zip(NAMED_FIELDS, texts, strict=True)
    )
    hour, minute, _ = texts[-3:]
    return CronFields(
        written=_without_defaults(texts),
        pattern=Pattern(
            years=years,
            months=months,
            days=days,
            weeks=weeks,
            weekdays=weekdays,
            hours=hours,
            minutes=minutes,
            seconds=seconds,
            either_day=False,
        ),
        fixed=not minute.startswith("*") and not hour.startswith("*"),
    )


def _read_numbers(known: Field, text: str, expression: str) -> int:
    """The numbers that *text* matches, as bits; or the error that names field, value, range and expression."""
    numbers = 0
    try:
        for part in text.split(","):
            numbers |= _read_part(known, part)
    except _UnreadableError as error:
        raise TriggerError(f"cron field {known.name!r}: {error} (in {expression})") from None
    return numbers


class _UnreadableError(Exception):
    """Why a field cannot be read."""


def _read_part(known: Field, part: str) -> int:
    if part == "*":
        return _every(known)
    span, slash, step = part.partition("/")
    first, dash, last = span.partition("-")
    if span == "*":
        low, high = known.lowest, known.highest
    else:
        low = _read_value(known, first)
        high = _read_value(known, last) if dash else known.highest if slash else low
        if last.lower() == "sun" and known is CRONTAB_DAY_OF_WEEK and low > 0:
            high = 7  # fri-sun: the Sunday that ends the week, not the one that begins it
    if low > high:
        raise _UnreadableError(
            f"expected a range from low to high, got {span!r}: write {low}-{known.highest},{known.lowest}-{high}"
        )
    every = _read_step(known, part, step) if slash else 1
    return sum(1 << number for number in range(low, high + 1, every))


def _read_value(known: Field, text: str) -> int:
    if text.lower() in known.names:
        return known.names[text.lower()]
    if not (text.isascii() and text.isdigit()):
        raise _UnreadableError(f"expected {_say_values(known)}, got {text!r}{_hint(known, text.lower())}")
    number = int(text)
    if not known.lowest <= number <= known.highest:
        raise _UnreadableError(f"{number} is not in {known.lowest}-{known.highest}")
    return number


def _read_step(known: Field, part: str, step: str) -> int:
    if not (step.isascii() and step.isdigit()) or int(step) == 0:
        raise _UnreadableError(f"expected a step of 1 or more after '/', got {part!r}")
    if int(step) > known.highest - known.lowest + 1:
        raise _UnreadableError(f"expected a step that fits into {known.lowest}-{known.highest}, got {part!r}")
    return int(step)


def _say_values(known: Field) -> str:
    names = list(known.names)
    return f"a number in {known.lowest}-{known.highest}" + (f" or a name {names[0]}-{names[-1]}" if names else "")


def _hint(known: Field, text: str) -> str:
    if text.endswith(("l", "w", "?")) or "#" in text:
        return " (L, W, # and ? are not understood)"
    return did_you_mean(text, known.names) if text else ""


def _every(known: Field) -> int:
    return ones(known.highest + 1) ^ ones(known.lowest)


def _from_monday(weekdays: int) -> int:
    """Bits with Sunday at 0 and 7, as bits with Monday at 0."""
    return weekdays >> 1 & ones(7) | (weekdays & 1) << 6


def _as_text(name: str, value: int | str, expression: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TriggerError(f"cron field {name!r}: expected an integer or a string, got {value!r} (in {expression})")
    return ",".join(part.strip() for part in str(value).split(","))


def _with_defaults(texts: Mapping[str, str]) -> tuple[str, ...]:
    filled: list[str] = []
    default = None
    for known in reversed(NAMED_FIELDS):
        if known.name in texts:
            default = "*"
        minimum = "*" if known in (WEEK, DAY_OF_WEEK) else str(known.lowest)
        filled.append(texts.get(known.name, default or minimum))
    return tuple(reversed(filled))


def _without_defaults(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """One way to write what `_with_defaults` made: no stars, and no second 0, but always a least field."""
    written = {known.name: text.lower() for known, text in zip(NAMED_FIELDS, texts, strict=True)}
    if written["second"] == "0":
        del written["second"]
    least = "second" if "second" in written else "minute"
    return tuple((name, text) for name, text in written.items() if text != "*" or name == least)


def _check_length(expression: str) -> None:
    if len(expression) > MAX_LENGTH:
        raise TriggerError(
            f"cron: expected {MAX_LENGTH} characters at most, got {len(expression)}: write ranges instead of lists"
        )


def _not_five_fields(texts: list[str], expression: str) -> str:
    if len(texts) == 1 and texts[0] in NICKNAMES:
        return f'cron: expected five fields, got the nickname {expression}: write "{NICKNAMES[texts[0]]}"'
    expected = f"cron: expected the five fields minute hour day month day_of_week, got {len(texts)} in {expression}"
    if len(texts) == 6:
        return f"{expected}: give seconds or years as named fields, second= or year="
    return expected
