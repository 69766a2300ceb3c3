"""Triggers in plain English: 'every weekday at 09:00, Asia/Seoul'."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import assert_never

from tickwork.triggers.calendars import FULL_NAMES
from tickwork.triggers.instants import plain
from tickwork.triggers.said import LAST, At, DayOfMonth, Each, MonthDay, NearestWeekday, NthWeekday, Said, Spread

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", LAST: "last"}
WEEK = (0, 1, 2, 3, 4)
WEEKEND = (5, 6)
ALL_DAYS = (0, 1, 2, 3, 4, 5, 6)


def cron(said: Said) -> str:
    """'every weekday at 09:00', 'every 10 minutes on Fridays in June'."""
    match said.times:
        case At(times):
            sentence = f"{_days(said)} at {_listed(times)}"
        case Each():
            sentence = " ".join(filter(None, (_each(said.times), _on_days(said))))
        case Spread():
            sentence = _spread(said, said.times)
        case _:
            assert_never(said.times)
    weeks = f" in ISO weeks {said.weeks}" if said.weeks else ""
    return sentence + weeks + (f" in {said.years}" if said.years else "")


def interval(every: timedelta) -> str:
    units = _units(every)
    if [number for number, _ in units] == [1]:
        return f"every {units[0][1]}"
    return "every " + " ".join(f"{plain(number)} {unit}{'' if number == 1 else 's'}" for number, unit in units)


def calendar_interval(units: Sequence[tuple[int, str]], time: str, first: str, *, short: str | None) -> str:
    if [number for number, _ in units] == [1]:
        every = f"every {units[0][1]}"
    else:
        every = "every " + " ".join(f"{number} {unit}{'' if number == 1 else 's'}" for number, unit in units)
    months = {"skip": ", months without that day left out", "last": ", or on the last day of a shorter month"}
    since = f", counted from {first}" if first else ""
    return f"{every} at {time}{since}{months[short] if short else ''}"


def once(at: str | None) -> str:
    return "once, when it is added" if at is None else f"once at {at}"


def bounds(start: str | None, end: str | None) -> str:
    return (f", from {start}" if start else "") + (f", until {end}" if end else "")


def any_of(sentences: Sequence[str]) -> str:
    return "; or ".join(sentences)


def all_of(sentences: Sequence[str]) -> str:
    return f"when these agree: {'; and '.join(sentences)}"


def filtered(sentence: str, rules: dict[str, list[str]], shift: str | None) -> str:
    exclude, only, include = (
        _listed([calendar(text) for text in rules[name]]) for name in ("exclude", "only", "include")
    )
    parts = [
        sentence,
        only and f"only on {only}",
        exclude and f"except on {exclude}",
        include and f"but in any case on {include}",
        shift and f"moved to the {shift} day that counts",
    ]
    return ", ".join(filter(None, parts)).replace("on within", "within")


def jittered(sentence: str, seconds: float) -> str:
    return f"{sentence}, up to {plain(seconds)} seconds later"


def reason(text: str) -> str:
    """As calendars say it."""
    return text


def calendar(text: str) -> str:
    """'sat-sun' -> 'weekends', '22:00-06:00' -> 'within 22:00-06:00'; others are English as they are."""
    words = {"sat-sun": "weekends", "mon-fri": "weekdays"}
    if text in words:
        return words[text]
    return f"within {text}" if text[2:3] == ":" else text.replace("-", " to ") if text[:1].isalpha() else text


def _days(said: Said) -> str:
    """'every weekday', 'on the 25th of every month', 'on 25 December'."""
    if not said.days and said.weekdays in ((), ALL_DAYS):
        return "every day" + _in_months(said)
    if not said.days:
        if said.weekdays == WEEK:
            return "every weekday" + _in_months(said)
        if said.weekdays == WEEKEND:
            return "every Saturday and Sunday" + _in_months(said)
        return f"every {_listed([FULL_NAMES[day] for day in said.weekdays])}{_in_months(said)}"
    return _on_days(said)


def _on_days(said: Said) -> str:
    """'on weekdays', 'on the 25th of every month'; nothing for every day."""
    if not said.days and said.weekdays in ((), ALL_DAYS):
        return _in_months(said).strip()
    weekdays = f"on {_weekdays(said.weekdays)}"
    if not said.days:
        return weekdays + _in_months(said)
    days = f"on {_listed([_day(day) for day in said.days])}"
    days += f" of {_listed([MONTHS[month - 1] for month in said.months])}" if said.months else " of every month"
    if not said.weekdays:
        return days
    return (
        f"{days} or {weekdays}{_in_months(said)}"
        if said.either
        else f"{days} if it is a {' or '.join(FULL_NAMES[day] for day in said.weekdays)}"
    )


def _in_months(said: Said) -> str:
    return f" in {_listed([MONTHS[month - 1] for month in said.months])}" if said.months else ""


def _weekdays(weekdays: Sequence[int]) -> str:
    if weekdays == WEEK:
        return "weekdays"
    return "weekends" if weekdays == WEEKEND else _listed([f"{FULL_NAMES[day]}s" for day in weekdays])


def _day(day: DayOfMonth) -> str:
    match day:
        case MonthDay(number):
            return "the last day" if number == LAST else f"the {_ordinal(number)}"
        case NearestWeekday(number):
            return "the last weekday" if number == LAST else f"the weekday nearest the {_ordinal(number)}"
        case NthWeekday(number, weekday):
            return f"the {ORDINALS[number]} {FULL_NAMES[weekday]}"
        case _:
            assert_never(day)


def _each(each: Each) -> str:
    number, unit, minutes, window = each
    said = f"every {unit}" if number == 1 else f"every {number} {unit}s"
    if window is not None:
        return f"{said} from {window[0]} to {window[1]}"
    return f"{said} at minute{'s' if len(minutes) > 1 else ''} {_listed([*map(str, minutes)])}" if minutes else said


def _spread(said: Said, spread: Spread) -> str:
    if spread.window is None:
        return " ".join(filter(None, ("every hour at a minute that the job's id decides", _on_days(said))))
    return f"{_days(said)} at a time from {spread.window[0]} to {spread.window[1]} that the job's id decides"


def _ordinal(number: int) -> str:
    suffix = "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def _units(every: timedelta) -> list[tuple[float, str]]:
    weeks, days = (
        divmod(every.days, 7) if every == timedelta(days=every.days) and every.days % 7 == 0 else (0, every.days)
    )
    hours, below = divmod(every.seconds, 3600)
    minutes, seconds = divmod(below, 60)
    exact = seconds + every.microseconds / 1e6
    named = ((weeks, "week"), (days, "day"), (hours, "hour"), (minutes, "minute"), (exact, "second"))
    return [(number, unit) for number, unit in named if number]
