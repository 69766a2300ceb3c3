"""What kind of day a seed has: how many nodes, which faults, how often, and which jobs. Drawn before anything happens.

Each seed has some of the faults and not the others: what all of them together would hide, a few bring to light.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

FAULTS = (
    "crash", "stall", "partition", "outage", "lost reply", "lost request", "clock", "wrong clock", "deploy",
    "full", "stuck", "failing", "hanging", "slow", "verbs", "slow store",
)  # fmt: skip
ORDINARY_DAY = datetime(2026, 1, 1, 12, tzinfo=UTC)
SPRING_FORWARD = datetime(2026, 3, 29, 0, 59, 45, tzinfo=UTC)
"""Shortly before the clocks of Berlin are put forward."""
FALL_BACK = datetime(2026, 10, 25, 0, 59, 45, tzinfo=UTC)
SQLITE_EVERY = 16
"""One of so many seeds has its store in an SQLite file, which takes several times as long."""


@dataclass(frozen=True)
class Weather:
    seed: int
    store: str
    begin: datetime
    nodes: int
    jobs: int
    faults: frozenset[str]
    chaos: float
    """Seconds until all is well again."""
    lease: timedelta
    poll: timedelta
    restless: float
    """How likely another thread goes on where one parks."""
    drift: float
    """How likely time goes on where a thread parks."""
    hints: float
    """How likely a node hears of what others have written."""
    every: float
    """Seconds between two faults of a kind, on average."""

    def has(self, fault: str) -> bool:
        return fault in self.faults

    def __str__(self) -> str:
        faults = ", ".join(sorted(self.faults)) or "none"
        return (
            f"seed {self.seed}: {self.nodes} nodes and {self.jobs} jobs on {self.store} from {self.begin:%Y-%m-%d %H:%M:%S}, "
            f"lease {self.lease}, poll {self.poll}, restless {self.restless}, drift {self.drift}, hints {self.hints}, "
            f"until {self.chaos} s each {self.every} s: {faults}"
        )


def draw_weather(seed: int, rng: Random, store: str | None = None) -> Weather:
    share = rng.choice([0.15, 0.3, 0.5])
    drawn_store = "sqlite" if seed % SQLITE_EVERY == 7 else "memory"
    return Weather(
        seed=seed,
        store=store or drawn_store,
        begin=rng.choice([ORDINARY_DAY, ORDINARY_DAY, SPRING_FORWARD, FALL_BACK]),
        nodes=rng.choice([2, 2, 3, 3, 4, 5]),
        jobs=rng.choice([1, 2, 3, 4]),
        faults=frozenset(fault for fault in FAULTS if rng.random() < share),
        chaos=rng.choice([6.0, 10.0, 16.0]),
        lease=timedelta(seconds=rng.choice([3, 5, 8])),
        poll=timedelta(seconds=rng.choice([1, 2])),
        restless=rng.choice([0.05, 0.3, 0.8]),
        drift=rng.choice([0.02, 0.1, 0.3]),
        hints=rng.choice([0.0, 0.5, 1.0]),
        every=rng.choice([2.0, 4.0, 8.0]),
    )
