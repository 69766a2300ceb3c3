"""What a cron says, taken apart for a sentence in any language: the times, the days, the months.

The rule: what cannot be said rightly is not said. UnsaidError means that the expression itself is the better sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tickwork.triggers.dialects import MONTHS, NICKNAMES, WEEKDAYS

MAX_TIMES = 6
"""More times of the day than these are no sentence."""
FIELDS = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
FIVE = ("minute", "hour", "day", "month", "day_of_week")
QUARTZ = ("second", *FIVE, "year")
MONDAYS = {"debian": 1, "celery": 1, "apscheduler": 0, "quartz": 2}
"""What number each dialect gives to Monday."""
LAST = -1
NTH = re.compile(r"(?:(\d)(?:st|nd|rd|th)|(last))\s+(\w{3})")
NAMES = {
    **{name: number for number, name in enumerate(MONTHS, start=1)},
    **{name: n for n, name in enumerate(WEEKDAYS)},
}


class UnsaidError(Exception):
    """There is no plain sentence for this cron."""


class At(NamedTuple):
    """At these times of the day: '09:00', '09:00:30'."""

    times: tuple[str, ...]


class Each(NamedTuple):
    """Every *number* seconds, minutes or hours, an hour at its *minutes*; perhaps only from one time to another."""

    number: int
    unit: str
    minutes: tuple[int, ...] = ()
    window: tuple[str, str] | None = None


class Spread(NamedTuple):
    """Once in the *window*, or in every hour, at a time that the job's id decides."""

    window: tuple[str, str] | None


class MonthDay(NamedTuple):
    """The day of that number, or the last one."""

    number: int


class NearestWeekday(NamedTuple):
    """The weekday nearest to the day of that number, or the last weekday."""

    number: int


class NthWeekday(NamedTuple):
    """The first to fifth, or last, of that weekday in a month; Monday is 0."""

    number: int
    weekday: int


Times: TypeAlias = At | Each | Spread
DayOfMonth: TypeAlias = MonthDay | NearestWeekday | NthWeekday


@dataclass(frozen=True)
class Said:
    """A cron, taken apart. Days and weekdays that are empty are all of them."""

    times: Times
    days: tuple[DayOfMonth, ...]
    weekdays: tuple[int, ...]
    either: bool
    """Whether a day or a weekday will do, where there are both."""
    months: tuple[int, ...]
    weeks: str
    years: str


def read_said(written: Mapping[str, str]) -> Said:
    """The parts of a cron that is written so (`CronFields.written`), or an UnsaidError."""
    options = {name: text.lower() for name, text in written.items()}
    dialect = options.pop("dialect", "debian")
    monday = MONDAYS.get(dialect) if "crontab" in options else 0
    if monday is None:
        raise UnsaidError
    texts = _texts_of_string(options, dialect) if "crontab" in options else _texts_of_fields(options)
    days, nth = _read_days(texts["day"])
    weekdays, nth_of_week = _read_weekdays(texts["day_of_week"], monday)
    either = "crontab" in options and dialect == "debian" and "*" not in (texts["day"][0], texts["day_of_week"][0])
    if nth_of_week and (days or nth) and not either:
        raise UnsaidError
    return Said(
        times=_read_times(texts["hour"], texts["minute"], texts["second"]),
        days=(*days, *nth, *nth_of_week),
        weekdays=weekdays,
        either=either,
        months=() if texts["month"] == "*" else tuple(sorted(_numbers(texts["month"], 1, 12))),
        weeks=_plain(texts["week"]),
        years=_plain(texts["year"]),
    )


def _texts_of_string(options: Mapping[str, str], dialect: str) -> dict[str, str]:
    """The text of each field of a cron string."""
    seconds = options.get("seconds")
    if not options.keys() <= {"crontab", "seconds"}:
        raise UnsaidError
    texts = {**dict.fromkeys(FIELDS, "*"), "second": "0"}
    if options["crontab"] in NICKNAMES:
        return texts | dict(zip(FIVE, NICKNAMES[options["crontab"]].split(), strict=True))
    names: tuple[str, ...] = QUARTZ if dialect == "quartz" else FIVE
    if seconds is not None:
        names = ("second", *FIVE) if seconds == "first" else (*FIVE, "second")
    words = options["crontab"].split()
    if len(words) != len(names) and not (dialect == "quartz" and len(words) == len(names) - 1):
        raise UnsaidError
    return texts | dict(zip(names, words, strict=False))


def _texts_of_fields(options: Mapping[str, str]) -> dict[str, str]:
    """The text of each named field, with defaults."""
    if not options or not options.keys() <= set(FIELDS):
        raise UnsaidError
    least = max(FIELDS.index(name) for name in options)
    lowest = {"month": "1", "day": "1", "hour": "0", "minute": "0", "second": "0"}
    return {
        name: options.get(name, "*" if place <= least else lowest.get(name, "*")) for place, name in enumerate(FIELDS)
    }


def _read_times(hour: str, minute: str, second: str) -> Times:
    if "h" in hour or "h" in minute:
        if second != "0":
            raise UnsaidError
        return _read_spread(hour, minute)
    if second != "0" and not second.isdigit():
        if minute == hour == "*" and (step := _step(second, 60)):
            return Each(step, "second")
        raise UnsaidError
    at = int(second)
    if minute == "*" or minute.startswith("*/"):
        step = 1 if minute == "*" else _step(minute, 60)
        if not step or at:
            raise UnsaidError
        return Each(step, "minute", window=_window(hour))
    minutes = sorted(_numbers(minute, 0, 59))
    if at == 0 and len(minutes) <= MAX_TIMES and _step(hour, 24):
        return Each(_step(hour, 24), "hour", tuple(minutes) if minutes != [0] else ())
    if len(minutes) == 1 and at == 0 and re.fullmatch(r"\d+-\d+", hour):
        first, last = _ends(hour)
        return Each(1, "hour", window=(f"{first:02}:{minutes[0]:02}", f"{last:02}:{minutes[0]:02}"))
    if hour == "*":
        raise UnsaidError
    hours = sorted(_numbers(hour, 0, 23))
    if len(hours) * len(minutes) > MAX_TIMES:
        raise UnsaidError
    return At(tuple(f"{h:02}:{m:02}" + (f":{at:02}" if at else "") for h in hours for m in minutes))


def _read_spread(hour: str, minute: str) -> Spread:
    if minute == "h" and hour == "*":
        return Spread(None)
    if minute == "h" and hour.isdigit():
        return Spread((f"{int(hour):02}:00", f"{int(hour):02}:59"))
    if minute in ("h", "0") and hour == "h":
        return Spread(("00:00", "23:59" if minute == "h" else "23:00"))
    raise UnsaidError


def _read_days(text: str) -> tuple[list[DayOfMonth], list[DayOfMonth]]:
    """Those of a number, and the others."""
    if text in ("*", "?"):
        return [], []
    numbers: set[int] = set()
    others: list[DayOfMonth] = []
    for part in text.split(","):
        if part in ("l", "last"):
            others.append(MonthDay(LAST))
        elif part == "lw":
            others.append(NearestWeekday(LAST))
        elif part[-1:] == "w" and part[:-1].isdigit():
            others.append(NearestWeekday(int(part[:-1])))
        elif nth := NTH.fullmatch(part):
            others.append(NthWeekday(LAST if nth[2] else int(nth[1]), _weekday(nth[3], 0)))
        else:
            numbers |= _numbers(part, 1, 31)
    return [MonthDay(number) for number in sorted(numbers)], others


def _read_weekdays(text: str, monday: int) -> tuple[tuple[int, ...], list[DayOfMonth]]:
    if text in ("*", "?"):
        return (), []
    weekdays: set[int] = set()
    nth: list[DayOfMonth] = []
    for part in text.split(","):
        name, mark, number = part.partition("#")
        if mark and number.isdigit():
            nth.append(NthWeekday(int(number), _weekday(name, monday)))
        elif len(part) > 1 and part.endswith("l") and "-" not in part:
            nth.append(NthWeekday(LAST, _weekday(part[:-1], monday)))
        else:
            weekdays |= _weekday_span(part, monday)
    if weekdays and nth:
        raise UnsaidError
    return tuple(sorted(weekdays)), nth


def _weekday_span(part: str, monday: int) -> set[int]:
    if "/" in part or part == "*":
        raise UnsaidError
    first, dash, last = part.partition("-")
    low = _weekday(first, monday)
    high = _weekday(last, monday) if dash else low
    if monday == 1 and (first == "sun" or first.strip("0") == "") and last.lstrip("0") == "7":  # from Sunday to Sunday
        return set(range(7))
    return {(low + day) % 7 for day in range((high - low) % 7 + 1)}


def _weekday(text: str, monday: int) -> int:
    """Monday is 0."""
    if text in WEEKDAYS:
        return WEEKDAYS.index(text)
    if not text.isdigit():
        raise UnsaidError
    return (int(text) - monday) % 7


def _numbers(text: str, lowest: int, highest: int) -> set[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        if slash and not step.isdigit():
            raise UnsaidError
        first, last = (lowest, highest) if span == "*" else _ends(span)
        if slash and "-" not in span and span != "*":
            last = highest
        if last < first:  # over the end
            last += highest - lowest + 1
        every = int(step) if slash else 1
        numbers |= {lowest + (number - lowest) % (highest - lowest + 1) for number in range(first, last + 1, every)}
    return numbers


def _ends(span: str) -> tuple[int, int]:
    first, dash, last = span.partition("-")
    low = NAMES.get(first, int(first) if first.isdigit() else None)
    high = NAMES.get(last, int(last) if last.isdigit() else None) if dash else low
    if low is None or high is None:
        raise UnsaidError
    return low, high


def _step(text: str, length: int) -> int:
    """n of `*/n`, if it divides the whole evenly, so that "every n" is true."""
    step = text.removeprefix("*/")
    return (
        int(step) if text.startswith("*/") and step.isdigit() and length % int(step) == 0 else 1 if text == "*" else 0
    )


def _window(hour: str) -> tuple[str, str] | None:
    if hour == "*":
        return None
    if not re.fullmatch(r"\d+(-\d+)?", hour):
        raise UnsaidError
    first, last = _ends(hour)
    return f"{first:02}:00", f"{last:02}:59"


def _plain(text: str) -> str:
    """Weeks and years as they are written; nothing for all of them."""
    if text != "*" and not re.fullmatch(r"[\d,-]+", text):
        raise UnsaidError
    return "" if text == "*" else text
