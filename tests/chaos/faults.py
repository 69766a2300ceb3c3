"""What goes wrong in a campaign, and when: drawn from its seed, and from nothing else.

The rule: nothing here touches a process, a server or a clock. A seed first draws which kinds of faults there are at all,
since some show only where others are absent.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    KILL = "kill"
    """SIGKILL; another worker takes its place when it is over."""
    FREEZE = "freeze"
    """SIGSTOP, and SIGCONT when it is over."""
    CRASH = "crash"
    """SIGKILL of the server and all its children; it is started again when it is over."""
    DELAY = "delay"
    """What a worker and the server say to each other takes its time."""
    HANG = "hang"
    """It does not arrive, and nobody is told; when it is over it does, however late."""
    RESET = "reset"
    """Its connections are reset, and new ones too."""
    SHIFT = "shift"
    """The clock of its machine is set by an hour, and set right when it is over."""


OF_WORKERS = (Kind.KILL, Kind.FREEZE)
OF_SERVERS = (*OF_WORKERS, Kind.CRASH, Kind.DELAY, Kind.HANG, Kind.RESET, Kind.SHIFT)
EVERYBODY = -1
"""The worker of a fault that hits all."""
LONGEST_DELAY = 0.3
SHORTEST = 0.1
"""Seconds that a fault lasts at least."""


class Fault(NamedTuple):
    at: float
    """Seconds after the beginning."""
    kind: Kind
    worker: int
    lasts: float
    size: float = 0.0
    """Of a delay: seconds for each piece of what is said."""

    @property
    def until(self) -> float:
        return self.at + self.lasts


def draw(seed: int, kinds: Collection[Kind], *, workers: int, seconds: float, lease: float) -> Sequence[Fault]:
    """The faults of a campaign that takes so long, in their order; none of them overlaps another of its worker."""
    dice = random.Random(seed)
    present = [kind for kind in Kind if kind in kinds and dice.random() < 0.7] or [*kinds][:1]
    free = dict.fromkeys((EVERYBODY, *range(workers)), 0.0)
    faults: list[Fault] = []
    at = dice.uniform(0.5, 1.5)
    while at < seconds - SHORTEST:
        kind, worker = dice.choice(present), dice.randrange(workers)
        lasts = _duration(dice, kind, lease)
        worker = EVERYBODY if kind is Kind.CRASH else worker
        if free[worker] <= at:
            size = dice.uniform(0.02, LONGEST_DELAY) if kind is Kind.DELAY else 0.0
            faults.append(Fault(round(at, 3), kind, worker, round(min(lasts, seconds - at), 3), round(size, 3)))
            free[worker] = at + lasts + 0.5
        at += dice.uniform(0.3, 2.0)
    return faults


def _duration(dice: random.Random, kind: Kind, lease: float) -> float:
    """Short, long, or just about a lease, where most goes wrong."""
    match kind:
        case Kind.KILL | Kind.CRASH:
            return dice.uniform(0.3, 2.5)
        case Kind.SHIFT:
            return dice.uniform(2.0, 4.0)
        case _:
            return dice.choice([dice.uniform(0.1, 1.0), dice.uniform(0.9, 1.1) * lease, dice.uniform(1.1, 1.6) * lease])
