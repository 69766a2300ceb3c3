"""`python -m benchmarks.agreement`: do cronsim and croniter name the same fire times? If not, why.

Random expressions of the grammar that all three read, in zones and at times that meet clock changes. What another
library means by an expression is written out for tickwork (`7-7` as `0-59`); only if that gives the very times of the
other library is it the cause. What remains is laid on a clock change only if both name the same times where no clock
is set, one is set before they differ, and the oracle of the tests (`tests/triggers/oracle.py`) has tickwork's
times. A disagreement with no such cause is printed, and the exit status is 1. docs/cron.md lists the causes.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim, CronSimError
from tests.triggers.oracle import Change, Reading, changes, expected, found, seen, walk

from tickwork import CronTrigger

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut")
STARTS = [datetime(2026, month, day, tzinfo=UTC) for month, day in ((1, 1), (3, 7), (3, 28), (4, 4), (9, 5), (10, 24))]
ASKED = 12
FIELDS = ("0-59", "0-23", "1-31", "1-12", "0-6")
ONE_TO_ONE = re.compile(r"\b(\d+)-\1\b")
ONE_TO_ONE_STEP = re.compile(r"\b(\d+)-\1/")
LAST_WEEKDAY = re.compile(r"\b(\d)L")
REFUSED = "refuses"

Times: TypeAlias = list[datetime] | str
"""Fire times in UTC, or that an expression is refused."""


class Question(NamedTuple):
    """The fire times of *crontab* in a zone after *start*. The *dialect* is tickwork's alone."""

    crontab: str
    zone: str
    start: datetime
    dialect: str = "debian"

    def without_clock_changes(self) -> Question:
        """The same walls, where no clock is set."""
        return self._replace(zone="UTC", start=self.start.astimezone(ZoneInfo(self.zone)).replace(tzinfo=UTC))


class Cause(NamedTuple):
    """What another library means otherwise, or does not read."""

    said: str
    theirs: Callable[[Question], Question] = lambda question: question
    """What it has to be asked, where it does not read the expression."""
    ours: Callable[[Question], Question] = lambda question: question
    """What tickwork has to be asked, to be asked what the other library understands."""


def _each_field(rewrite: Callable[[str, int], str]) -> Callable[[Question], Question]:
    def rewritten(question: Question) -> Question:
        fields = [rewrite(text, place) for place, text in enumerate(question.crontab.split())]
        return question._replace(crontab=" ".join(fields))

    return rewritten


def _weekday_alone(question: Question) -> Question:
    minute, hour, day, month, weekday = question.crontab.split()
    alone = "#" in weekday or "L" in weekday
    return question._replace(crontab=f"{minute} {hour} * {month} {weekday}") if alone and day != "*" else question


def _alternatives(question: Question) -> Question:
    minute, hour, day, month, weekday = question.crontab.split()
    if "*" in (day, weekday):
        return question
    day, weekday = day.replace("*/", "1-31/"), weekday.replace("*/", "0-6/")
    return question._replace(crontab=f"{minute} {hour} {day} {month} {weekday}")


CAUSES = {
    "cronsim": [
        Cause(
            "a range of one number with a step, 7-7/2, goes on to the field's end",
            ours=_each_field(lambda text, _: ONE_TO_ONE_STEP.sub(r"\1/", text)),
        ),
    ],
    "croniter": [
        Cause("refuses 5L, and wants L5", theirs=_each_field(lambda text, _: LAST_WEEKDAY.sub(r"L\1", text))),
        Cause(
            "a range of one number, 7-7, is the whole field",
            ours=_each_field(lambda text, place: ONE_TO_ONE.sub(FIELDS[place], text)),
        ),
        Cause("a step of a star restricts, so the day fields are alternatives", ours=_alternatives),
        Cause("beside fri#2 or 5L the day of the month does not count", ours=_weekday_alone),
    ],
}  # fmt: skip


def field(dice: random.Random, low: int, high: int) -> str:
    first, last = sorted((dice.randint(low, high), dice.randint(low, high)))
    step = dice.randint(2, max(2, (high - low) // 2))
    return dice.choice(
        ["*", "*", f"{first}", f"{first}-{last}", f"*/{step}", f"{first}-{last}/{step}", f"{first},{last}"]
    )


def expression(dice: random.Random) -> str:
    day = dice.choice([field(dice, 1, 31)] * 4 + ["*"] * 4 + ["L"])
    weekday = dice.choice(
        [field(dice, 0, 6)] * 2 + ["*"] * 4 + ["7", "mon-fri", "fri#2", "sun", "sat,sun", "5L", "5-7"]
    )
    return " ".join([field(dice, 0, 59), field(dice, 0, 23), day, field(dice, 1, 12), weekday])


def times_of(library: str, question: Question) -> Times:
    """The next fire times in UTC, or that the library refuses the expression."""
    clock = ZoneInfo(question.zone)
    begin = question.start.astimezone(clock)
    try:
        if library == "tickwork":
            return tickwork_times(question)
        walk_of: Any = (
            CronSim(question.crontab, begin)
            if library == "cronsim"
            else croniter(question.crontab, begin, ret_type=datetime)
        )
        return [next(walk_of).astimezone(UTC) for _ in range(ASKED)]
    except (ValueError, KeyError, StopIteration, CronSimError) as error:
        return f"{REFUSED} ({type(error).__name__})"


def tickwork_times(question: Question) -> list[datetime]:
    trigger = CronTrigger(question.crontab, timezone=question.zone, dialect=question.dialect)
    times, at = [], question.start
    while len(times) < ASKED and (following := trigger.next_after(at)) is not None:
        times.append(at := following)
    return times


def explain(library: str, question: Question) -> str:
    """Why they disagree; "unexplained" if no experiment shows it."""
    if isinstance(times_of("tickwork", question), str):
        return "unexplained"
    for causes, asked, understood in readings(library, question):
        theirs = times_of(library, asked)
        if theirs == times_of("tickwork", understood):
            return f"{library}: {'; '.join(cause.said for cause in causes)}"
    for causes, asked, understood in readings(library, question):
        at_change = explain_change(library, asked, understood)
        if at_change is not None:
            return f"{library}: {'; '.join([*(cause.said for cause in causes), at_change])}"
    for causes, asked, understood in readings(library, question):
        both_must_match = times_of("tickwork", understood._replace(dialect="celery"))
        if times_of(library, asked) == f"{REFUSED} (CroniterBadDateError)" and isinstance(both_must_match, str):
            refuses = "refuses fri#2 or 5L beside a day of the month that it never is"
            return f"{library}: {'; '.join([*(cause.said for cause in causes), refuses])}"
    return "unexplained"


def readings(library: str, question: Question) -> Iterator[tuple[Sequence[Cause], Question, Question]]:
    """The causes that may come together, from none of them on; what they are asked then, and what they understand."""
    for count in range(len(CAUSES[library]) + 1):
        for causes in combinations(CAUSES[library], count):
            asked = understood = question
            for cause in causes:
                asked, understood = cause.theirs(asked), cause.ours(understood)
            yield causes, asked, understood


def explain_change(library: str, asked: Question, understood: Question) -> str | None:
    """What the other library does at a clock change, if that is all in which they differ."""
    ours, theirs = times_of("tickwork", understood), times_of(library, asked)
    if isinstance(ours, str) or isinstance(theirs, str):
        return None
    still = times_of("tickwork", understood.without_clock_changes())
    if still != times_of(library, asked.without_clock_changes()):
        return None
    first = min(set(ours) ^ set(theirs), default=None)
    if first is None:
        return None
    before = list(changes(asked.zone, asked.start - timedelta(days=2), first + timedelta(days=2)))
    if not before or not all(is_by_the_table(understood, change) for change in before):
        return None
    shown = first.astimezone(ZoneInfo(asked.zone))
    return what_differs(
        is_ours=first in ours,
        after_gap=any(change.after == first for change in before),
        meant=is_meant(understood, shown.replace(tzinfo=UTC)),
        twice=shown.replace(fold=0).utcoffset() != shown.replace(fold=1).utcoffset(),
    )


def what_differs(*, is_ours: bool, after_gap: bool, meant: bool, twice: bool) -> str:
    """The first time that only one of them names, in words."""
    if is_ours:
        if after_gap and not meant:
            return "at a clock change: does not fire right after a gap for what it left out"
        return f"at a clock change: misses a fire time{' that is shown twice' if twice else ''}"
    if not meant:
        if after_gap:
            return "at a clock change: fires right after a gap for what a wildcard left out"
        return "at a clock change: names a time that the clock does not show then"
    return "at a clock change: fires again what is shown twice" if twice else "at a clock change: repeats a fire time"


def is_meant(question: Question, wall: datetime) -> bool:
    """Whether the expression means this time on the wall."""
    still = CronTrigger(question.crontab, dialect=question.dialect)
    return still.next_after(wall - timedelta(seconds=1)) == wall


def is_by_the_table(question: Question, change: Change) -> bool:
    """Whether tickwork fires around this change as the oracle says, which is all of docs/cron.md's table."""
    if question.dialect != "debian":
        return False
    clock = walk(*seen(change))
    trigger = CronTrigger(question.crontab, timezone=question.zone)
    return found(trigger, change, clock) == expected(Reading(question.crontab), "debian", clock)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=2, help="how many of each cause to print")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    causes: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for _ in range(options.count):
        question = Question(expression(dice), dice.choice(ZONES), dice.choice(STARTS))
        ours = times_of("tickwork", question)
        for library in CAUSES:
            theirs = times_of(library, question)
            same = ours == theirs or (isinstance(ours, str) and isinstance(theirs, str))
            reason = f"{library}: the same" if same else explain(library, question)
            causes[reason] += 1
            if not same:
                examples.setdefault(reason, []).append(
                    f"{question.crontab!r} in {question.zone} from {question.start:%Y-%m-%d}: {differing(ours, theirs)}"
                )
    for reason, count in causes.most_common():
        print(f"{count:>7}  {reason}")
        for example in examples.get(reason, [])[: 50 if reason == "unexplained" else options.examples]:
            print(f"           {example}")
    sys.exit(bool(causes["unexplained"]))


def differing(ours: Times, theirs: Times) -> str:
    if isinstance(ours, str) or isinstance(theirs, str):
        said = [times if isinstance(times, str) else "fires" for times in (ours, theirs)]
        return f"ours {said[0]}, theirs {said[1]}"
    place = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), 0)
    return f"ours {ours[place]:%Y-%m-%d %H:%M}Z, theirs {theirs[place]:%Y-%m-%d %H:%M}Z"


if __name__ == "__main__":
    main()
