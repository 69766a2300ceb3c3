"""An oracle for cron triggers: it walks a clock minute by minute and applies the documented rule.

It shares nothing with the engine: it reads expressions by itself, asks `datetime` and `zoneinfo` alone, and knows
no search. `python -m tests.triggers.oracle` (`make oracle`) asks it about every clock change of every zone.

The rule of a minute M on the wall, in docs/cron.md's words: shown once, it fires then; shown twice, it fires at the
first showing, at the second, or at both; never shown, it fires when the clock first shows something later, or never.
"""

from __future__ import annotations

import argparse
import calendar
import random
import sys
import time
import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from math import gcd
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from tickwork.triggers import CronTrigger

MINUTE = timedelta(minutes=1)
AROUND = timedelta(hours=25)
"""How long before and after a change the clock is walked; more where the clock jumps by half a day or more."""
LONG_JUMP = timedelta(hours=12)
FIRST, LAST = datetime(1970, 1, 4, tzinfo=UTC), datetime(2050, 12, 31, tzinfo=UTC)

RULES = {
    "first": ("after", "first"),
    "second": ("after", "second"),
    "both": ("after", "both"),
    "skip": ("never", "first"),
    "skip second": ("never", "second"),
    "skip both": ("never", "both"),
}
"""What becomes of a minute never shown, and of one shown twice."""


class Change(NamedTuple):
    """A zone's clock is set: the last instant that shows the old time, and the first that shows the new."""

    zone: str
    before: datetime
    after: datetime


class Cron(NamedTuple):
    crontab: str
    rule: str


# ---------------------------------------------------------------------------------------------------- the clock


def changes(zone: str, since: datetime = FIRST, until: datetime = LAST) -> Iterator[Change]:
    """Each change of this zone's clock, found by looking at every second day and then closer."""
    info = ZoneInfo(zone)
    at = since
    while at < until:
        later = at + timedelta(days=2)
        if at.astimezone(info).utcoffset() != later.astimezone(info).utcoffset():
            low, high = at, later
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                if middle.astimezone(info).utcoffset() == at.astimezone(info).utcoffset():
                    low = middle
                else:
                    high = middle
            yield Change(zone, low, high)
        at = later


Seen: TypeAlias = tuple[datetime, int, int, timedelta]


def seen(change: Change) -> Seen:
    """All that a walk depends on: the wall right before the change, both offsets' odd seconds, and the jump.

    Changes that are seen alike have the same answer of the oracle, counted from the change.
    """
    info = ZoneInfo(change.zone)
    old, new = change.before.astimezone(info).utcoffset(), change.after.astimezone(info).utcoffset()
    assert old is not None
    assert new is not None
    return change.after.replace(tzinfo=None) + old, old.seconds % 60, new.seconds % 60, new - old


class Clock(NamedTuple):
    """What a clock shows around a change."""

    first: timedelta
    last: timedelta
    """The first and the last tick, counted from the change."""
    minutes: dict[date, dict[int, list[timedelta]]]
    """On each day on the wall: when each of its minutes is shown, if it is."""
    left_out: list[tuple[datetime, timedelta]]
    """The minutes never shown, and when the clock first shows something later."""


def walk(wall: datetime, old: int, new: int, jump: timedelta) -> Clock:
    around = AROUND if abs(jump) < LONG_JUMP else AROUND + abs(jump)
    step = timedelta(seconds=gcd(60, old, new, wall.second))
    count = int(around / step)
    minutes: dict[date, dict[int, list[timedelta]]] = {}
    left_out: list[tuple[datetime, timedelta]] = []
    before = wall - step * (count + 1)
    for n in range(-count, count):
        shown = wall + step * n + (jump if n >= 0 else timedelta(0))
        if shown.second == 0:
            of_day = minutes.setdefault(shown.date(), {})
            of_day.setdefault(shown.hour * 60 + shown.minute, []).append(step * n)
        between = before.replace(second=0) + MINUTE
        while between < shown:
            left_out.append((between, step * n))
            between += MINUTE
        before = shown
    return Clock(-count * step, (count - 1) * step, minutes, left_out)


# ---------------------------------------------------------------------------------------------------- the expressions


def numbers(text: str, low: int, high: int, names: Sequence[str] = ()) -> set[int]:
    """The numbers of a field without special days; a range that goes down goes over the end."""
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        if span == "*":
            span = f"{low}-{high}"
        first, dash, last = span.partition("-")
        ends = [names.index(end) + low if end in names else int(end) for end in (first, last) if end]
        if step and not dash:
            ends.append(high)
        row = list(range(low, high + 1))
        place = ends[0] - low
        length = 1 if len(ends) == 1 else (ends[1] - ends[0]) % len(row) + 1
        found |= {row[(place + n) % len(row)] for n in range(0, length, int(step or 1))}
    return found


WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def sunday_is_0(text: str) -> str:
    """A field of weekdays in which no 7 is left, without changing what it means."""
    parts = []
    for part in text.split(","):
        span, slash, step = part.partition("/")
        if span in ("0-7", "*"):
            span = "0-6" if span == "0-7" else span
        else:
            span = "-".join("0" if end == "7" else end for end in span.split("-"))
        parts.append(span + slash + step)
    return ",".join(parts)


def last_day(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def is_day(text: str, day: date) -> bool:
    """Whether *day* is one of a field of days of the month."""
    return any(_is_day(part.upper(), day) for part in text.split(","))


def _is_day(part: str, day: date) -> bool:
    length = last_day(day)
    if part.endswith("W"):
        target = length if part == "LW" else int(part[:-1])
        if target > length:
            return False
        working = [number for number in range(1, length + 1) if day.replace(day=number).weekday() < 5]
        # The nearest; where two are equally near (never: Saturday is nearer to Friday, Sunday to Monday) the first.
        return day.day == min(working, key=lambda number: abs(number - target))
    if part.startswith("L"):
        return day.day == length - int(part[2:] or 0)
    return day.day in numbers(part, 1, 31)


def is_weekday(text: str, day: date) -> bool:
    """Whether *day* is one of a field of days of the week."""
    weekday = day.isoweekday() % 7
    for part in text.lower().split(","):
        if "#" in part:
            name, _, place = part.partition("#")
            if weekday in numbers(sunday_is_0(name), 0, 6, WEEKDAYS) and (day.day - 1) // 7 + 1 == int(place):
                return True
        elif part.endswith("l"):
            if weekday in numbers(sunday_is_0(part[:-1]), 0, 6, WEEKDAYS) and day.day + 7 > last_day(day):
                return True
        elif weekday in numbers(sunday_is_0(part), 0, 6, WEEKDAYS):
            return True
    return False


class Reading:
    """What a crontab means: minute by minute."""

    def __init__(self, crontab: str) -> None:
        self.minute, self.hour, self.day, self.month, self.weekday = crontab.split()
        self.minutes = numbers(self.minute, 0, 59)
        self.hours = numbers(self.hour, 0, 23)
        self.months = numbers(self.month, 1, 12, MONTHS)
        self.fixed = not self.minute.startswith("*") and not self.hour.startswith("*")
        self.either = not self.day.startswith("*") and not self.weekday.startswith("*")
        self.in_minutes = {hour * 60 + minute for hour in self.hours for minute in self.minutes}
        self.known: dict[date, bool] = {}

    def on_day(self, day: date) -> bool:
        if day not in self.known:
            both = is_day(self.day, day), is_weekday(self.weekday, day)
            self.known[day] = day.month in self.months and (any(both) if self.either else all(both))
        return self.known[day]


def expected(reading: Reading, rule: str, clock: Clock) -> list[timedelta]:
    """The fire times on this walk, by the rule."""
    if rule == "debian":
        rule = "first" if reading.fixed else "skip both"
    never_shown, shown_twice = RULES[rule]
    fired: set[timedelta] = set()
    for day, minutes in clock.minutes.items():
        if reading.on_day(day):
            for minute in reading.in_minutes:
                showings = minutes.get(minute, [])
                fired.update({"first": showings[:1], "second": showings[-1:], "both": showings}[shown_twice])
    if never_shown == "after":
        for wall, at in clock.left_out:
            if wall.hour * 60 + wall.minute in reading.in_minutes and reading.on_day(wall.date()):
                fired.add(at)
    return sorted(fired)


# ---------------------------------------------------------------------------------------------------- the comparison


def crons() -> list[Cron]:
    """Some 200 expressions that often meet the hours of a change, all with Debian's rule and half of them with another too."""
    dice = random.Random(20111230)
    minutes = ["0", "0", "0", "30", "15,45", "*", "*/20", "45", "10-50/20", "0,59", "7", "55-5", "*/7", "58-2/2"]
    hours = ["*", "2", "0", "23", "1-3", "*/2", "0,2", "3", "0-23", "22-3", "*/1", "1", "23-1", "0-4/2"]
    days = ["*"] * 4 + ["1,15,29,30", "*/2", "25-31", "5", "L", "L-3", "LW", "15W", "1W", "28-3", "30W,31"]
    months = ["*"] * 4 + ["3-5,8-12", "*/2", "oct-mar", "mar,apr,sep,oct,nov"]
    weekdays = ["*"] * 4 + [
        "sun",
        "7",
        "mon-fri",
        "6,0",
        "*/3",
        "sat-sun",
        "fri-mon",
        "sun#2",
        "7L",
        "sunL",
        "5-7",
        "sat#1,sun#1,sun#5",
    ]
    crontabs: dict[str, None] = {}
    for crontab in ("* * * * *", "0 0 * * *", "30 2 * * *", "0 3 * * *", "*/5 2 * * *", "0 * * * *", "0 0-23 * * *"):
        crontabs[crontab] = None
    while len(crontabs) < 210:
        crontabs[" ".join(map(dice.choice, (minutes, hours, days, months, weekdays)))] = None
    others = list(RULES)
    chosen = [Cron(crontab, "debian") for crontab in crontabs]
    return chosen + [Cron(crontab, others[place % len(others)]) for place, crontab in enumerate(list(crontabs)[::2])]


def found(trigger: CronTrigger, change: Change, clock: Clock) -> list[timedelta]:
    """The fire times that the engine names on the same walk."""
    first, last = change.after + clock.first, change.after + clock.last

    def each() -> Iterator[datetime]:
        at: datetime | None = first - timedelta(seconds=1)
        while at is not None and (at := trigger.next_after(at)) is not None:
            yield at

    return [at - change.after for at in takewhile(last.__ge__, each())]


class Figures(NamedTuple):
    changes: int
    comparisons: int
    fire_times: int
    differences: list[str]


Answers: TypeAlias = dict[Seen, tuple[Clock, list[list[timedelta]]]]


def compare(some_changes: Iterable[Change], some_crons: Sequence[Cron], answers: Answers) -> Figures:
    """The engine beside the oracle, at these changes with these crons. *answers* are kept for changes seen alike."""
    readings = [Reading(cron.crontab) for cron in some_crons]
    triggers: dict[str, list[CronTrigger]] = {}
    count = comparisons = fire_times = 0
    differences = []
    for change in some_changes:
        count += 1
        alike = seen(change)
        if alike not in answers:
            clock = walk(*alike)
            answers[alike] = (
                clock,
                [expected(reading, cron.rule, clock) for reading, cron in zip(readings, some_crons, strict=True)],
            )
        clock, answers_here = answers[alike]
        if change.zone not in triggers:
            triggers = {
                change.zone: [
                    CronTrigger(cron.crontab, timezone=change.zone, clock_changes=cron.rule) for cron in some_crons
                ]
            }
        for cron, trigger, answer in zip(some_crons, triggers[change.zone], answers_here, strict=True):
            comparisons += 1
            fire_times += len(answer)
            if found(trigger, change, clock) != answer:
                differences.append(f"{cron} in {change.zone} at {change.after}")
    return Figures(count, comparisons, fire_times, differences)


def distinct_zones() -> dict[tuple[tuple[datetime, timedelta | None], ...], list[str]]:
    """Zones by their history: those that agree on every change are walked once."""
    histories: dict[tuple[tuple[datetime, timedelta | None], ...], list[str]] = {}
    for zone in sorted(zoneinfo.available_timezones()):
        info = ZoneInfo(zone)
        history = [(FIRST, FIRST.astimezone(info).utcoffset())]
        history += [(change.after, change.after.astimezone(info).utcoffset()) for change in changes(zone)]
        histories.setdefault(tuple(history), []).append(zone)
    return histories


def main() -> None:
    parser = argparse.ArgumentParser(prog="make oracle", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="ask about this share of the changes, by chance")
    options = parser.parse_args()
    began = time.monotonic()
    histories = distinct_zones()
    zones = [min(names) for names in histories.values()]
    some_changes = [change for zone in zones for change in changes(zone)]
    if options.share < 1:
        dice = random.Random(1)
        some_changes = [change for change in some_changes if dice.random() < options.share]
    some_crons = crons()
    every = sum(map(len, histories.values()))
    print(f"{every} zones, {len(zones)} histories, {len(some_changes)} changes from 1970 to 2050", flush=True)
    print(f"{len({cron.crontab for cron in some_crons})} expressions, {len(some_crons)} with their rules", flush=True)
    answers: Answers = {}
    total = Figures(0, 0, 0, [])
    for start in range(0, len(some_changes), 500):
        part = compare(some_changes[start : start + 500], some_crons, answers)
        total = Figures(*(a + b for a, b in zip(total, part, strict=True)))  # type: ignore[arg-type]
        took = time.monotonic() - began
        print(
            f"{total.changes:>7} changes {total.comparisons:>10} comparisons {total.fire_times:>12} fire times "
            f"{len(total.differences):>4} differences {took:>6.0f} s",
            flush=True,
        )
    for difference in total.differences[:50]:
        print(difference)
    sys.exit(bool(total.differences))


if __name__ == "__main__":
    main()
