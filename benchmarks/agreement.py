"""`python -m benchmarks.agreement`: do cronsim and croniter name the same fire times? Disagreements by their class.

Random expressions of the grammar that all three read, in zones and at times that meet clock changes. A disagreement
that falls into no class below is printed, and the exit status is 1. docs/cron.md explains the classes.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim, CronSimError

from tickwork import CronTrigger

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut")
STARTS = [datetime(2026, month, day, tzinfo=UTC) for month, day in ((1, 1), (3, 7), (3, 28), (4, 4), (9, 5), (10, 24))]
ASKED = 12
ONE_TO_ONE = re.compile(r"\b(\d+)-\1\b")
ONE_TO_ONE_STEP = re.compile(r"\b(\d+)-\1/")
REFUSED = "refuses"


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


def times_of(library: str, crontab: str, zone: str, start: datetime) -> list[datetime] | str:
    """The next fire times in UTC, or that the library refuses the expression."""
    clock = ZoneInfo(zone)
    try:
        if library == "tickwork":
            trigger = CronTrigger(crontab, timezone=zone)
            times, at = [], start
            while len(times) < ASKED and (following := trigger.next_after(at)) is not None:
                times.append(at := following)
            return times
        walk = (
            CronSim(crontab, start.astimezone(clock))
            if library == "cronsim"
            else croniter(crontab, start.astimezone(clock), ret_type=datetime)
        )
        return [next(walk).astimezone(UTC) for _ in range(ASKED)]
    except (ValueError, KeyError, StopIteration, CronSimError) as error:
        return f"{REFUSED} ({type(error).__name__})"


def near_change(zone: str, times: list[datetime]) -> bool:
    """Whether the clock of this zone was set within a day and a half of one of *times*."""
    clock = ZoneInfo(zone)
    around = timedelta(hours=36)
    return any(
        (at - around).astimezone(clock).utcoffset() != (at + around).astimezone(clock).utcoffset() for at in times
    )


def classify(library: str, crontab: str, zone: str, ours: list[datetime] | str, theirs: list[datetime] | str) -> str:
    """Why they disagree; "unexplained" if no class fits."""
    _, _, day, _, weekday = crontab.split()
    if isinstance(ours, str):
        return "we refuse" if isinstance(theirs, list) else "both refuse"
    if isinstance(theirs, str):
        return f"{library} refuses"
    if library == "croniter" and ONE_TO_ONE.search(crontab):
        return "croniter: a range of one number, 7-7, is the whole field"
    if library == "cronsim" and ONE_TO_ONE_STEP.search(crontab):
        return "cronsim: a range of one number with a step, 7-7/2, goes on to the end of the field"
    if library == "croniter" and "#" in weekday and day[0] != "*":
        return "croniter: with fri#2 the day fields must both match"
    if library == "croniter" and day[0] != weekday[0] and ("*/" in day or "*/" in weekday):
        return "croniter: a step of a star restricts, so the day fields are alternatives"
    if library == "croniter" and "*/" in day and "*/" in weekday:
        return "croniter: a step of a star restricts, so the day fields are alternatives"
    first = min(set(ours) ^ set(theirs), default=None)
    if first is not None and near_change(zone, [first]):
        if library == "croniter":
            return "croniter: another answer at a clock change"
        if zone == "Australia/Lord_Howe":
            return "cronsim: is half an hour off after a change by half an hour"
        if zone in ("America/Santiago", "Asia/Beirut"):
            return "cronsim: another answer where a day begins with a gap"
    return "unexplained"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=2, help="how many of each class to print")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    classes: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for _ in range(options.count):
        crontab, zone, start = expression(dice), dice.choice(ZONES), dice.choice(STARTS)
        ours = times_of("tickwork", crontab, zone, start)
        for library in ("cronsim", "croniter"):
            theirs = times_of(library, crontab, zone, start)
            same = ours == theirs or (isinstance(ours, str) and isinstance(theirs, str))
            reason = f"{library}: the same" if same else classify(library, crontab, zone, ours, theirs)
            classes[reason] += 1
            if not same:
                examples.setdefault(reason, []).append(
                    f"{library}: {crontab!r} in {zone} from {start:%Y-%m-%d}: {differing(ours, theirs)}"
                )
    for reason, count in classes.most_common():
        print(f"{count:>7}  {reason}")
        for example in examples.get(reason, [])[: 50 if reason == "unexplained" else options.examples]:
            print(f"           {example}")
    sys.exit(bool(classes["unexplained"]))


def differing(ours: list[datetime] | str, theirs: list[datetime] | str) -> str:
    if isinstance(ours, str) or isinstance(theirs, str):
        said = [times if isinstance(times, str) else "fires" for times in (ours, theirs)]
        return f"ours {said[0]}, theirs {said[1]}"
    place = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), 0)
    return f"ours {ours[place]:%Y-%m-%d %H:%M}Z, theirs {theirs[place]:%Y-%m-%d %H:%M}Z"


if __name__ == "__main__":
    main()
