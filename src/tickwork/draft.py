"""What a round writes: true for its node once the commit is done, and forgotten if that fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from tickwork.events import Event
from tickwork.executors.call import Call
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.run import Outcome, Run

Report: TypeAlias = tuple[Call, Outcome, datetime]
"""A call that has ended, how, and when."""


@dataclass(slots=True)
class Draft:
    """What one round has written so far."""

    settled: int = 0
    """How many of the reports, from the first on, have become endings, or are undecided."""
    undecided: list[Report] = field(default_factory=list)
    """The reports of calls that were left behind by the thread that is about to commit their success, or not."""
    ended: list[Call] = field(default_factory=list)
    taken: dict[str, list[Call]] = field(default_factory=dict)
    """The calls that were fired or claimed, by executor."""
    events: list[Event] = field(default_factory=list)
    renewed: list[tuple[Call, Run]] = field(default_factory=list)
    renew_at: datetime | None = None
    """When leases are to be renewed next. None: they were not, in this round."""
    overdue: list[Expectation] = field(default_factory=list)
    """What was found to be overdue, and is to be told."""
    overdue_count: int | None = None
    """How many jobs are overdue. None: nobody looked, in this round."""
    failing: list[Job] = field(default_factory=list)
    """The jobs that failed too often, and were just being changed by somebody else."""
    closing: dict[str, Run] = field(default_factory=dict)
    """What it closes that no call of this node reports, as it is then."""

    def close(self, runs: Sequence[Run]) -> None:
        """These are about to be closed: if the store does not answer, nobody knows whether they are."""
        self.closing |= {run.id: run for run in runs}

    def close_only(self, runs: Sequence[Run], won: Sequence[Run]) -> None:
        """Of these *runs* only those *won* are closed by this node; the others are others' to tell of."""
        ours = {run.id for run in won}
        for run in runs:
            if run.id not in ours:
                self.closing.pop(run.id, None)
