"""A move: that the jobs and the ledger of one store go, or went, to another; and how they are packed for it.

The rule: at each instant at most one of the two stores fires, and both know which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from tickwork.backfill import Backfill
from tickwork.errors import StoreMovedError
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.jobstate import NO_STATE, StoredState
from tickwork.node import Node
from tickwork.run import Run
from tickwork.runlog import RunLog
from tickwork.triggers.instants import say_instant

Say: TypeAlias = Callable[[datetime], str]
"""How an instant is written for people."""


def _to_the_second(instant: datetime) -> str:
    return say_instant(instant.replace(microsecond=0))


class MoveState(StrEnum):
    """What one store is in a move: the first three are of the old one, the others of the new one."""

    COPYING = "copying"
    """Its ledger is being copied; it fires as ever, and keeps all its rows."""
    LEAVING = "leaving"
    """It fires and claims nothing any more; what runs goes on, and its outcome is written."""
    LEFT = "left"
    """It has moved: it refuses whatever would change it."""
    ARRIVING = "arriving"
    """It is being filled: it refuses whatever would change it, but for that."""
    ARRIVED = "arrived"
    """It is complete, and fires; this tells where it came from."""


class Move(NamedTuple):
    """What one of the two stores has noted of a move."""

    id: str
    """The same in both, new for each move that is begun."""
    state: MoveState
    other: str
    """Where the other store is, without user and password."""
    since: datetime
    """When this store came into this state."""
    mover: str
    """The process that is at work on it, by a random name."""
    lease_until: datetime
    """How long that is believed to be alive."""

    @property
    def fires(self) -> bool:
        """Whether the store fires and claims."""
        return self.state in (MoveState.COPYING, MoveState.ARRIVED)

    @property
    def refuses(self) -> bool:
        """Whether the store refuses what people and nodes would change."""
        return self.state in (MoveState.LEFT, MoveState.ARRIVING)

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is pruned, since the rows are being counted."""
        return self.state is not MoveState.ARRIVED

    def given_up(self, now: datetime) -> bool:
        """Whether its mover has died while the old store was still the one that has all."""
        return self.state in (MoveState.COPYING, MoveState.LEAVING) and self.lease_until <= now

    def told(self, say: Say = _to_the_second) -> str:
        """In words, behind the name of the store: *has moved to redis://... since 12:00*."""
        at = say(self.since)
        match self.state:
            case MoveState.COPYING:
                return f"is being copied to {self.other} since {at}, and fires until that is done"
            case MoveState.LEAVING:
                return f"is moving to {self.other} since {at}, and fires nothing more"
            case MoveState.LEFT:
                return f"has moved to {self.other} since {at}"
            case MoveState.ARRIVING:
                return f"is being filled from {self.other} since {at}, and fires nothing until that is done"
            case MoveState.ARRIVED:
                return f"came from {self.other} at {at}"


class PackedJob(NamedTuple):
    """All there is of a job but its runs."""

    job: Job
    expectation: Expectation | None = None
    state: StoredState = NO_STATE


class PackedRun(NamedTuple):
    number: int
    """Its place in the ledger, in the order of births. Places may be left out."""
    run: Run
    log: RunLog | None = None


class LedgerNote(NamedTuple):
    """What is known of the ledger of a job besides its rows."""

    job_uid: int
    job_id: str
    removed_at: datetime | None = None
    pruned_through: datetime | None = None


class PackedRest(NamedTuple):
    """All that a store has besides jobs and runs, each in the order in which it came."""

    backfills: Sequence[Backfill] = ()
    notes: Sequence[LedgerNote] = ()
    nodes: Sequence[Node] = ()
    """Every stretch of each."""
    declarations: Mapping[str, Sequence[str]] = {}
    """The ids of jobs that code declares, by the name of the declaration."""


NOTHING_ELSE = PackedRest()


class Holdings(NamedTuple):
    """How much a store has to move."""

    jobs: int
    runs: int
    backfills: int

    @property
    def empty(self) -> bool:
        return not any(self)


def refusal(location: str, move: Move) -> StoreMovedError:
    """What is raised where a store refuses."""
    todo = (
        "give the scheduler that address"
        if move.state is MoveState.LEFT
        else "wait until `tickwork move` is done; if it was broken off, start it again, or undo it with --abort"
    )
    return StoreMovedError(f"expected a store that takes changes, got {location}, which {move.told()}: {todo}")
