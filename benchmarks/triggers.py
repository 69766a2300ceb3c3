"""Cron triggers beside every library that names a cron's next time: fifty expressions, three questions, three zones.

All are asked in turns in one process, since what is compared are microseconds: tickwork, then each peer, then again.
Each is asked in the way that costs it least: tickwork with instants in UTC, as its scheduler does, the others in
the zone that they reckon in. Weekdays are named and the two day fields never both restricted, because there the
libraries mean different things. The first turn is not counted: it fills everybody's tables.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from benchmarks.tables import Case, Metric, Result, Size, Table

ZONES = ("UTC", "Europe/Berlin", "America/New_York")
ASKED = {"full": 30, "quick": 30, "tiny": 2}
TURNS = {"full": 7, "quick": 3, "tiny": 1}
PARSED = {"full": 2000, "quick": 1000, "tiny": 20}
START = datetime(2026, 1, 1, tzinfo=UTC)

EXPRESSIONS = """\
* * * * *; */2 * * * *; */5 * * * *; */10 * * * *; */15 * * * *; */20 * * * *; */30 * * * *; 0 * * * *; 15 * * * *
5,35 * * * *; 7-59/10 * * * *; 0 */2 * * *; 0 */3 * * *; 0 */4 * * *; 30 */6 * * *; 0 */12 * * *; 0 0 * * *
30 2 * * *; 15 1 * * *; 45 23 * * *; 0 9 * * *; 0 6,18 * * *; 0 8,12,16 * * *; 0 9-17 * * *; */15 9-17 * * *
*/5 8-18 * * mon-fri; 0 9 * * mon-fri; 30 8 * * mon-fri; 0 18 * * fri; 0 0 * * sun; 0 3 * * sun; 0 7 * * mon
0 22 * * sat,sun; */10 * * * sat,sun; 0 12 * * mon,wed,fri; 0 0 1 * *; 0 6 1 * *; 30 2 15 * *; 0 0 1,15 * *
0 4 28 * *; 0 0 31 * *; 0 5 10-20 * *; 0 0 1 1 *; 0 0 1 */3 *; 0 8 1 jan,apr,jul,oct *; 0 0 25 12 *; */30 * * 6-8 *
0 10 * 5 mon; 0 0 29 2 *; 59 23 31 12 *""".replace("\n", "; ").split("; ")

Ask: TypeAlias = Callable[[datetime], object]
"""Names the first fire time after an instant."""
Library: TypeAlias = Callable[[str, tzinfo], Ask]
"""Makes that of an expression, parsed once if the library can."""


def tables(size: Size) -> Sequence[Table]:
    metrics = [Metric(name, f"{name}: us a call (less is better)") for name in LIBRARIES]
    ratios = [Metric(f"x {name}", f"{name}: times what tickwork takes") for name in LIBRARIES if name != "tickwork"]
    options = {"size": size}
    return [
        Table(
            "triggers: the next fire time of 50 crons, and parsing",
            {
                **{f"sequential, {zone}": Case(sequential, {"zone": zone, **options}) for zone in ZONES},
                **{f"arbitrary, {zone}": Case(arbitrary, {"zone": zone, **options}) for zone in ZONES},
                "parse distinct": Case(parse, options),
            },
            [*metrics, *ratios],
            most_rounds=3,
        )
    ]


def sequential(folder: Path, zone: str, size: Size) -> Result:
    """Each fire time from the one before."""
    clock = ZoneInfo(zone) if zone != "UTC" else UTC

    def walk(name: str) -> float:
        asks = [CHAINS[name](crontab, clock) for crontab in EXPRESSIONS]
        began = time.perf_counter()
        for ask in asks:
            for _ in range(ASKED[size]):
                ask()
        return (time.perf_counter() - began) / len(EXPRESSIONS) / ASKED[size]

    return in_turns(walk, size)


def arbitrary(folder: Path, zone: str, size: Size) -> Result:
    """The fire time after instants of two years, in no order: as a scheduler asks after a restart or a change."""
    clock = ZoneInfo(zone) if zone != "UTC" else UTC
    dice = random.Random(7)
    instants = [START + timedelta(seconds=dice.randrange(2 * 365 * 86_400)) for _ in range(ASKED[size])]
    on_the_wall = [instant.astimezone(clock) for instant in instants]
    asks = {name: [make(crontab, clock) for crontab in EXPRESSIONS] for name, make in LIBRARIES.items()}

    def walk(name: str) -> float:
        began = time.perf_counter()
        for ask in asks[name]:
            for instant in instants if name == "tickwork" else on_the_wall:
                ask(instant)
        return (time.perf_counter() - began) / len(EXPRESSIONS) / len(instants)

    return in_turns(walk, size)


def parse(folder: Path, size: Size) -> Result:
    """Expressions that no library has seen before: another set each turn."""
    dice = random.Random(5)
    fresh = distinct_expressions(dice)

    def walk(name: str) -> float:
        crontabs = sets[name].pop()
        make = PARSERS[name]
        began = time.perf_counter()
        for crontab in crontabs:
            make(crontab)
        return (time.perf_counter() - began) / len(crontabs)

    turns = [[next(fresh) for _ in range(PARSED[size])] for _ in range(TURNS[size] + 1)]
    sets = {name: list(turns) for name in LIBRARIES}
    return in_turns(walk, size)


def in_turns(walk: Callable[[str], float], size: Size) -> Result:
    """Microseconds of each library, and how many times tickwork's they are: medians over the turns."""
    took: dict[str, list[float]] = {name: [] for name in LIBRARIES}
    for turn in range(TURNS[size] + 1):
        for name in LIBRARIES:
            seconds = walk(name)
            if turn > 0:
                took[name].append(1e6 * seconds)
    medians = {name: median(times) for name, times in took.items()}
    return {**medians, **{f"x {name}": us / medians["tickwork"] for name, us in medians.items() if name != "tickwork"}}


def distinct_expressions(dice: random.Random) -> Any:
    seen = set()

    def field(low: int, high: int) -> str:
        first, last = sorted((dice.randint(low, high), dice.randint(low, high)))
        step = dice.randint(2, (high - low) // 2)
        return dice.choice(["*", f"{first}", f"{first}-{last}", f"*/{step}", f"{first},{last}"])

    while True:
        weekday = dice.choice(["*", "*", "mon-fri", "sat", "1-5"])
        crontab = f"{field(0, 59)} {field(0, 23)} {field(1, 28)} {field(1, 12)} {weekday}"
        if crontab not in seen:
            seen.add(crontab)
            yield crontab


def _tickwork(crontab: str, clock: tzinfo) -> Ask:
    from tickwork import CronTrigger

    return CronTrigger(crontab, timezone=clock).next_after


def _apscheduler(crontab: str, clock: tzinfo) -> Ask:
    from apscheduler.triggers.cron import CronTrigger

    trigger = CronTrigger.from_crontab(crontab, timezone=clock)
    return lambda instant: trigger.get_next_fire_time(None, instant)


def _croniter(crontab: str, clock: tzinfo) -> Ask:
    from croniter import croniter

    times = croniter(crontab, START.astimezone(clock))
    return lambda instant: times.get_next(datetime, start_time=instant)


def _cronsim(crontab: str, clock: tzinfo) -> Ask:
    from cronsim import CronSim

    return lambda instant: next(CronSim(crontab, instant))


def _cron_converter(crontab: str, clock: tzinfo) -> Ask:
    from cron_converter import Cron

    cron = Cron(crontab)
    return lambda instant: cron.schedule(instant).next()


LIBRARIES: Mapping[str, Library] = {
    "tickwork": _tickwork,
    "APScheduler": _apscheduler,
    "croniter": _croniter,
    "cronsim": _cronsim,
    "cron-converter": _cron_converter,
}


def _from_each(ask: Ask, clock: tzinfo) -> Callable[[], object]:
    at: Any = START.astimezone(clock)

    def following() -> object:
        nonlocal at
        at = ask(at)
        return at

    return following


def _apscheduler_chain(crontab: str, clock: tzinfo) -> Callable[[], object]:
    from apscheduler.triggers.cron import CronTrigger

    trigger = CronTrigger.from_crontab(crontab, timezone=clock)
    at = START.astimezone(clock)

    def following() -> object:
        nonlocal at
        at = trigger.get_next_fire_time(at, at)
        return at

    return following


def _croniter_chain(crontab: str, clock: tzinfo) -> Callable[[], object]:
    from croniter import croniter

    times = croniter(crontab, START.astimezone(clock))
    return lambda: times.get_next(datetime)


def _cronsim_chain(crontab: str, clock: tzinfo) -> Callable[[], object]:
    from cronsim import CronSim

    times = CronSim(crontab, START.astimezone(clock))
    return lambda: next(times)


def _cron_converter_chain(crontab: str, clock: tzinfo) -> Callable[[], object]:
    from cron_converter import Cron

    return Cron(crontab).schedule(START.astimezone(clock)).next


CHAINS: Mapping[str, Callable[[str, tzinfo], Callable[[], object]]] = {
    "tickwork": lambda crontab, clock: _from_each(_tickwork(crontab, clock), clock),
    "APScheduler": _apscheduler_chain,
    "croniter": _croniter_chain,
    "cronsim": _cronsim_chain,
    "cron-converter": _cron_converter_chain,
}


def _parse_tickwork(crontab: str) -> object:
    from tickwork.triggers.cron import CronTrigger

    return CronTrigger(crontab)


def _parse_cronsim(crontab: str) -> object:
    from cronsim.cronsim import CronSim

    return CronSim(crontab, START)


def _parse_cron_converter(crontab: str) -> object:
    from cron_converter import Cron

    return Cron(crontab)


PARSERS: Mapping[str, Callable[[str], object]] = {
    "tickwork": _parse_tickwork,
    "APScheduler": lambda crontab: _apscheduler(crontab, UTC),
    "croniter": lambda crontab: _croniter(crontab, UTC),
    "cronsim": _parse_cronsim,
    "cron-converter": _parse_cron_converter,
}
