"""Many seeds on all cores: how many were lived through, how fast, and which of them went wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import NamedTuple

from tests.simulation.bugs import BUGS
from tests.simulation.world import a_world

BATCH = 20
"""How many seeds a process lives through before it says so."""


class Finding(NamedTuple):
    """A seed that went wrong."""

    seed: int
    bug: str | None
    faults: list[str]

    def __str__(self) -> str:
        planted = "" if self.bug is None else f" --bug {self.bug!r}"
        shown = "\n  ".join(self.faults[:5])
        return f"seed {self.seed}:\n  {shown}\nreplay it with: python -m tests.simulation --seed {self.seed}{planted}"


class Tally:
    """What has been lived through so far."""

    def __init__(self) -> None:
        self.seeds = 0
        self.findings: list[Finding] = []
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def __str__(self) -> str:
        rate = self.seeds / self.seconds * 60
        return f"{self.seeds} seeds in {self.seconds:.0f} s, {rate:.0f} a minute: {len(self.findings)} went wrong"


def live_through(seed: int, bug: str | None = None) -> list[str]:
    """What went wrong at this seed, with a planted bug or without."""
    if bug is None:
        with a_world(seed) as world:
            return world.live()
    with BUGS[bug].planted(), a_world(seed, BUGS[bug].store) as world:
        return world.live()


def live_through_many(seeds: Iterable[int], *, seconds: float | None = None) -> Iterator[Tally]:
    """The tally after each batch; no more is begun after so many *seconds*."""
    tally = Tally()
    remaining = iter(seeds)
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = [pool.submit(_batch, batch) for _ in range(2 * workers) if (batch := [*islice(remaining, BATCH)])]
        while pending:
            done = pending.pop(0)
            count, findings = done.result()
            tally.seeds += count
            tally.findings += findings
            is_over = seconds is not None and tally.seconds > seconds
            if not is_over and (batch := [*islice(remaining, BATCH)]):
                pending.append(pool.submit(_batch, batch))
            yield tally


def _batch(seeds: list[int]) -> tuple[int, list[Finding]]:
    return len(seeds), [Finding(seed, None, faults) for seed in seeds if (faults := live_through(seed))]


def find_first(bug: str, seeds: Iterable[int] = range(1000)) -> tuple[int | None, list[str]]:
    """The first of *seeds* at which the planted bug is seen, and as what. None: at none of them."""
    for seed in seeds:
        if faults := live_through(seed, bug):
            return seed, faults
    return None, []
