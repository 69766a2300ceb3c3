"""Much that is written at once, in parts: while a server writes the one, the next is decided on.

And what nearly all of it is, told at one look, since that is written with less work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from tickwork.clock import EPOCH
from tickwork.job import Job
from tickwork.run import RUNNING, SCHEDULE, SUCCEEDED, Run

PART = 125
"""How much a server is given at once: enough to be worth a statement, and a fraction of a batch."""

T = TypeVar("T")

_ORDINARY = slice(Run._fields.index("through"), Run._fields.index("node"))
_SAID = slice(Run._fields.index("reason"), Run._fields.index("asked_by"))
_LATER = slice(Run._fields.index("started_at"), None)
_SPECIAL = slice(Run._fields.index("asked_by"), None)

HELD = None, 1, SCHEDULE, RUNNING, 1
"""What a run that is born running has from `through` to `version`."""
NOTHING_SAID = Run("", 0, EPOCH, EPOCH)[_SAID]
NOTHING_LATER = Run("", 0, EPOCH, EPOCH)[_LATER]
NOTHING_SPECIAL = Run("", 0, EPOCH, EPOCH)[_SPECIAL]


def in_parts(coming: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(coming)
    while part := [*islice(rest, PART)]:
        yield part


def is_held_plainly(job: Job, run: Run) -> bool:
    """Whether a run is born as nearly all are: running, at the fire time past which *job* just advanced, and with
    nothing to say of it.
    """
    return (
        run.fire_time is job.last_fire_time and run.available_at is run.fire_time
        and run[_ORDINARY] == HELD and run[_LATER] == NOTHING_LATER
    )  # fmt: skip


def succeeds_plainly(run: Run) -> bool:
    """Whether a run ends as nearly all do: it has succeeded, and there is nothing to say of that."""
    return run.state is SUCCEEDED and run.ended_at is not None and run[_SAID] == NOTHING_SAID


def is_ordinary(run: Run) -> bool:
    """Whether a run is of the schedule, as nearly all are: nobody asked for it, and it may wait as long as it takes."""
    return run.origin is SCHEDULE and run.through is None and run[_SPECIAL] == NOTHING_SPECIAL
