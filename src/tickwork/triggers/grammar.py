"""The grammar of one cron field, the same in every dialect.

    field   = part ("," part)*
    part    = "*" | "*/" step | value | value "-" value | value "-" value "/" step | value "/" step
            | "H" | "H/" step | "H(" number "-" number ")" | "H(" number "-" number ")/" step
    value   = number | name

and besides, as a day of the month: `L` (the last), `L-3` (three days before it), `15W` (the working day nearest to
the 15th), `LW`, `L-3W`, `last`, `2nd fri`, `last sun`; as a day of the week: `fri#2` (the second Friday), `friL` or
`5L` (the last). A range may go over the end: `22-3`, `fri-mon`. Nothing is ever ignored: what cannot be read is
refused.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tickwork.errors import did_you_mean
from tickwork.triggers.days import EVERY_DAY, SATURDAY, Days, ones
from tickwork.triggers.dialects import DAY, Field
from tickwork.triggers.hashed import choose

MAX_READ = 4096
"""Texts of fields kept with what they mean: a thousand crons share some dozens of them."""

HASHED = re.compile(r"h(?:\((?P<low>\d+)-(?P<high>\d+)\))?(?:/(?P<step>\d+))?", re.IGNORECASE | re.ASCII)
FROM_LAST = re.compile(r"l(?:-(?P<back>\d+))?(?P<nearest>w)?", re.IGNORECASE | re.ASCII)
NEAREST = re.compile(r"(?P<day>\d+)w", re.IGNORECASE | re.ASCII)
ORDINAL = re.compile(r"(?P<place>\w+)(?P<space>\s+)(?P<weekday>\w+)", re.ASCII)
NTH = re.compile(r"(?P<weekday>\w+)#(?P<place>\w*)", re.ASCII)
LAST_WEEKDAY = re.compile(r"(?P<weekday>\w+)l", re.IGNORECASE | re.ASCII)

PLACES = {"1st": 0, "2nd": 1, "3rd": 2, "4th": 3, "5th": 4, "last": 5}
LAST_PLACE = 5
SAFE_DAY = 28
"""The last day that every month has: `H` as a day of the month goes no further."""


class UnreadableError(Exception):
    """Why a field cannot be read, and at which of its characters (from 0)."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.at = at


@lru_cache(MAX_READ)
def read_numbers(field: Field, text: str, seed: str) -> int:
    """The numbers that *text* means, as bits; or an UnreadableError."""
    if text == "*":
        return field.every
    if text.isdigit() and text.isascii():
        return 1 << _read_number(field, text, 0)
    numbers = at = 0
    for part in text.split(","):
        stripped = part.strip()
        numbers |= _read_part(field, stripped, at + part.find(stripped), seed)
        at += len(part) + 1
    return numbers


@lru_cache(MAX_READ)
def read_days(field: Field, text: str, seed: str, weekdays: Field, last_is_saturday: bool = False) -> Days:
    """The days that *text* means in a field of days, of the month or of the week; *weekdays* is the latter."""
    if text == "*":
        return EVERY_DAY
    days = Days()
    at = 0
    for part in text.split(","):
        stripped = part.strip()
        place = at + part.find(stripped)
        if field is DAY:
            found = _read_day_word(stripped, place, weekdays)
        else:
            found = _read_weekday_word(field, stripped, place, last_is_saturday=last_is_saturday)
        if found is None:
            numbers = _read_part(field, stripped, place, seed)
            found = Days(numbers=numbers) if field is DAY else Days(weekdays=field.from_monday(numbers))
        days = days.joined(found) if at or len(part) < len(text) else found
        at += len(part) + 1
    return days


def _read_day_word(part: str, at: int, weekdays: Field) -> Days | None:
    """`L`, `L-3`, `LW`, `15W`, `last`, `2nd fri`; None if it is none of them."""
    if part.isdigit():
        return None
    if part.lower() == "last":
        return Days(before_last=1)
    if match := FROM_LAST.fullmatch(part):
        back = int(match["back"] or 0)
        if back >= DAY.highest:
            raise UnreadableError(f"{back} is not in 0-{DAY.highest - 1}", at + match.start("back"))
        return Days(nearest_before_last=1 << back) if match["nearest"] else Days(before_last=1 << back)
    if match := NEAREST.fullmatch(part):
        return Days(nearest=1 << _read_number(DAY, match["day"], at))
    if match := ORDINAL.fullmatch(part):
        place = PLACES.get(match["place"].lower())
        if place is None:
            hint = did_you_mean(match["place"].lower(), PLACES)
            raise UnreadableError(f"expected a place such as '2nd' or 'last', got {match['place']!r}{hint}", at)
        return Days(nth=_weekday_bits(weekdays, match["weekday"], at + match.start("weekday")) << 7 * place)
    return None


def _read_weekday_word(field: Field, part: str, at: int, *, last_is_saturday: bool) -> Days | None:
    """`fri#2`, `friL`, `5L`; None if it is none of them."""
    if part.isdigit():
        return None
    if last_is_saturday and part.lower() == "l":
        return Days(weekdays=1 << SATURDAY)
    if match := NTH.fullmatch(part):
        if match["place"] not in ("1", "2", "3", "4", "5"):
            raise UnreadableError(f"expected a place from 1 to 5 after '#', got {part!r}", at + match.start("place"))
        return Days(nth=_weekday_bits(field, match["weekday"], at) << 7 * (int(match["place"]) - 1))
    if match := LAST_WEEKDAY.fullmatch(part):
        return Days(nth=_weekday_bits(field, match["weekday"], at) << 7 * LAST_PLACE)
    return None


def _weekday_bits(field: Field, text: str, at: int) -> int:
    return field.from_monday(1 << _read_value(field, text, at))


def _read_part(field: Field, part: str, at: int, seed: str) -> int:
    if part == "*":
        return field.every
    if part[:1] in ("h", "H"):
        return _read_hashed(field, part, at, seed)
    span, slash, step = part.partition("/")
    first, dash, last = span.partition("-")
    if span == "*":
        low, high = field.lowest, field.highest
    elif dash and not (first and last):
        raise UnreadableError(f"expected {_say_values(field)}, got {span!r}", at)
    else:
        low = _read_value(field, first, at)
        high = _read_value(field, last, at + len(first) + 1) if dash else field.highest if slash else low
    if low > high and not field.cycle:
        raise UnreadableError(f"expected a range from low to high, got {span!r}: write {high}-{low}", at)
    every = _read_step(field, part, step, at + len(span) + 1) if slash else 1
    if low <= high and every == 1:
        return ones(high + 1) ^ ones(low)
    if low <= high:
        return sum([1 << number for number in range(low, high + 1, every)])
    after_last = field.lowest + field.cycle  # the range goes over the field's end: 22-3, fri-mon
    return sum(
        1 << (number - field.cycle if number >= after_last else number)
        for number in range(low, high + field.cycle + 1, every)
    )


def _read_hashed(field: Field, part: str, at: int, seed: str) -> int:
    match = HASHED.fullmatch(part)
    if match is None:
        raise UnreadableError(f"expected H, H/15, H(0-7) or H(0-30)/10, got {part!r}", at)
    if not field.cycle:
        raise UnreadableError(f"expected a {field.name} that is no choice of a hash, got {part!r}", at)
    low, high = field.lowest, min(field.lowest + field.cycle - 1, field.highest)
    if field is DAY:
        high = SAFE_DAY
    if match["low"] is not None:
        low = _read_number(field, match["low"], at + match.start("low"))
        high = _read_number(field, match["high"], at + match.start("high"))
        if low > high:
            raise UnreadableError(f"expected a range from low to high, got {part!r}", at + match.start("low"))
    if match["step"] is None:
        return 1 << low + choose(high - low + 1, field=field.name, seed=seed)
    step = _read_step(field, part, match["step"], at + match.start("step"))
    return sum(
        1 << n for n in range(low + choose(min(step, high - low + 1), field=field.name, seed=seed), high + 1, step)
    )


def _read_value(field: Field, text: str, at: int) -> int:
    if text.isdigit() and text.isascii():
        return _read_number(field, text, at)
    number = field.names.get(text.lower())
    if number is None:
        raise UnreadableError(f"expected {_say_values(field)}, got {text!r}{_hint(field, text.lower())}", at)
    return number


def _read_number(field: Field, text: str, at: int) -> int:
    number = int(text)
    if not field.lowest <= number <= field.highest:
        raise UnreadableError(f"{number} is not in {field.lowest}-{field.highest}", at)
    return number


def _read_step(field: Field, part: str, step: str, at: int) -> int:
    if not (step.isascii() and step.isdigit()) or int(step) == 0:
        raise UnreadableError(f"expected a step of 1 or more after '/', got {part!r}", at)
    if int(step) > field.highest - field.lowest + 1:
        raise UnreadableError(f"expected a step that fits into {field.lowest}-{field.highest}, got {part!r}", at)
    return int(step)


def _say_values(field: Field) -> str:
    names = list(field.names)
    return f"a number in {field.lowest}-{field.highest}" + (f" or a name {names[0]}-{names[-1]}" if names else "")


def _hint(field: Field, text: str) -> str:
    if text == "?":
        return ": write *, or give the dialect, as in dialect='quartz'"
    if text == "l" and field.monday is not None:
        return f": write {field.lowest + 5}L for the last one of a weekday"
    if text.endswith("w") and field is not DAY:
        return ": L and W are days of the month"
    if "#" in text:
        return ": # is for days of the week"
    return did_you_mean(text, field.names) if text else ""
