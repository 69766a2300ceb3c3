"""A run: one attempt to execute a job for one fire time, which is one row of the ledger.

The rule: a run moves only along TRANSITIONS, and what is closed stays closed. Rows that never ran
are born closed: the ledger shows what did not run, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, TypeAlias

from tickwork.checks import shown
from tickwork.clock import from_micros, to_micros
from tickwork.durations import NO_TIME
from tickwork.errors import InvalidJobError, RunNotFoundError
from tickwork.policies import exception_names


class RunState(StrEnum):
    PENDING = "pending"
    """Waits for a node with room; claiming moves it on."""
    RUNNING = "running"
    """Held by a node under a lease; its outcome, or the end of the lease, moves it on."""
    SUCCEEDED = "succeeded"
    """The function returned."""
    FAILED = "failed"
    """The function raised, or could not be called."""
    TIMED_OUT = "timed_out"
    """The function took longer than it was allowed."""
    CANCELLED = "cancelled"
    """Someone asked that it end, or that it never begin."""
    LOST = "lost"
    """Its node did not renew the lease: it died, or was cut off."""
    MISSED = "missed"
    """Its fire time was too long ago when a node came to fire it; or it waited for too long to begin."""
    SKIPPED = "skipped"
    """Its fire time came, and a rule of the job said no."""

    __hash__ = str.__hash__  # as equal texts have; and in C, since every run asks TRANSITIONS

    @property
    def closed(self) -> bool:
        return not TRANSITIONS[self]


TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.PENDING: frozenset({RunState.RUNNING, RunState.CANCELLED, RunState.SKIPPED, RunState.MISSED}),
    RunState.RUNNING: frozenset({
        RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.CANCELLED, RunState.LOST,
        RunState.SKIPPED,  # claimed ahead of its fire time, and its job paused before it
        RunState.MISSED,  # claimed in time, and its executor came to it too late
        RunState.PENDING,  # given back by a node that stops, or that waited too long for room
    }),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.TIMED_OUT: frozenset(),
    RunState.CANCELLED: frozenset(),
    RunState.LOST: frozenset(),
    RunState.MISSED: frozenset(),
    RunState.SKIPPED: frozenset(),
}  # fmt: skip


class Origin(StrEnum):
    """Why a run was born."""

    SCHEDULE = "schedule"
    """Its trigger named the fire time."""
    MANUAL = "manual"
    """Someone asked for it; its fire time is when they did."""
    BACKFILL = "backfill"
    """Someone asked for a fire time of the past to be run after all."""


# By themselves, for what every run passes through: to ask an enumeration for a member costs more than all else there.
PENDING, RUNNING, SUCCEEDED = RunState.PENDING, RunState.RUNNING, RunState.SUCCEEDED
SCHEDULE = Origin.SCHEDULE


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come, in its own words."""

    done: float
    total: float | None = None
    message: str = ""


class Given(NamedTuple):
    """The arguments of one run, in place of those that its job keeps: plain JSON, like those."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class Run(NamedTuple):
    job_id: str
    job_uid: int
    fire_time: datetime
    """The instant that the trigger named. It never moves, however late the run."""
    available_at: datetime
    """Not to be started before this: the fire time, or the end of a retry's delay."""
    through: datetime | None = None
    """The last fire time this row answers for, when it closes several at once. None: only its own."""
    attempt: int = 1
    origin: Origin = Origin.SCHEDULE
    state: RunState = RunState.PENDING
    version: int = 1
    node: str | None = None
    """Who holds it, or held it last. None: it was never claimed."""
    lease_until: datetime | None = None
    """How long its node is believed to be alive. None: it is not running."""
    started_at: datetime | None = None
    """When the function was called. None: it was not, or the store has not been told yet."""
    ended_at: datetime | None = None
    """When it was closed. None: it is not."""
    reason: str | None = None
    """Why it ended as it did, in one line; if it succeeded, why its result is not kept. None: all is said."""
    error: str | None = None
    """The traceback of what the function raised."""
    result: Any = None
    """What the function returned, if that was small and plain JSON."""
    progress: Progress | None = None
    cancel_reason: str | None = None
    """Why someone asked that it end. None: nobody did."""
    asked_by: str | None = None
    """Who asked for it. None: the schedule, or someone who did not say."""
    given: Given | None = None
    """Its own arguments. None: those of its job."""
    counted_from: int = 1
    """The attempt from which a retry policy counts: the first, or the latest that someone asked for."""
    backfill: str | None = None
    """The backfill that it is a part of. None: it is of none."""
    expires_at: datetime | None = None
    """From then on it is not begun any more. None: it may wait as long as it takes."""

    def __hash__(self) -> int:
        return hash((self.job_uid, self.fire_time, self.attempt, self.version))

    def ended_with(
        self, outcome: Ending, at: datetime, started_at: datetime | None, progress: Progress | None
    ) -> Run:  # fmt: skip
        """This run as it ends, under no lease any more. Every run does so once: a quarter of `_replace`'s price."""
        return _new(Run, (
            *self[:_STANDING], outcome.state, self.version + 1, self.node, None,
            started_at or self.started_at, at, outcome.reason, outcome.error, outcome.result, progress or self.progress,
            *self[_REST:],
        ))  # fmt: skip

    def released(self) -> Run:
        """This run as it waits again, for any node."""
        return self._replace(version=self.version + 1, state=RunState.PENDING, node=None, lease_until=None)

    @property
    def may_wait(self) -> timedelta | None:
        """How long it may wait to begin. None: as long as it takes."""
        return None if self.expires_at is None else self.expires_at - self.available_at

    @property
    def id(self) -> str:
        """Made of the unique (job, fire time, attempt), so it is the same wherever it is computed.

        An idempotency key for one attempt; `key` is the one for all attempts of a fire time.
        """
        return f"{self.key}-{self.attempt}"

    @property
    def key(self) -> str:
        """The same for all attempts at one fire time of one job."""
        return f"{self.job_uid:x}-{to_micros(self.fire_time)}{'' if self.origin is Origin.SCHEDULE else self.origin[0]}"

    @property
    def tries(self) -> int:
        """Which attempt it is of those that its job's retry policy counts: 1 for one that someone asked for."""
        return self.attempt - self.counted_from + 1

    @property
    def by_hand(self) -> bool:
        """Whether someone asked for just this, so that it begins although its job is paused."""
        return self.origin is Origin.MANUAL or (self.counted_from > 1 and self.backfill is None)

    @property
    def lateness(self) -> timedelta | None:
        """How long after its fire time the function was called. None: it was not."""
        return None if self.started_at is None else self.started_at - self.fire_time

    @property
    def duration(self) -> timedelta | None:
        """How long the call took; no time, if the clock was set back to before it began. None: it has not ended, or
        never began.
        """
        if self.started_at is None or self.ended_at is None:
            return None
        return max(self.ended_at - self.started_at, NO_TIME)


ORIGINS = {"m": Origin.MANUAL, "b": Origin.BACKFILL}
"""By the letter with which they mark the key of a run."""

_new = tuple.__new__
_STANDING, _REST = Run._fields.index("state"), Run._fields.index("cancel_reason")


@dataclass(frozen=True, slots=True)
class RunKey:
    """What a run's id says: the unique (job, fire time, origin, attempt)."""

    job_uid: int
    fire_time: datetime
    origin: Origin
    attempt: int

    @classmethod
    def parse(cls, run_id: str) -> RunKey:
        """The key that *run_id* writes down; a RunNotFoundError if it cannot be a run's id."""
        if not isinstance(run_id, str):
            raise InvalidJobError(f"run_id: expected the id of a run, got {shown(run_id)}: pass its id, as run.id")
        try:
            uid, _, rest = run_id.partition("-")
            micros, _, attempt = rest.rpartition("-")
            origin = ORIGINS.get(micros[-1:], Origin.SCHEDULE)
            digits = micros if origin is Origin.SCHEDULE else micros[:-1]
            key = cls(int(uid, 16), from_micros(int(digits)), origin, int(attempt))
        except (ValueError, OverflowError):
            raise RunNotFoundError(run_id) from None
        if not 0 <= key.job_uid < 2**63 or not 0 < key.attempt < 2**31:
            raise RunNotFoundError(run_id)
        return key


@dataclass(frozen=True, slots=True)
class Succeeded:
    state: ClassVar = RunState.SUCCEEDED
    error: ClassVar = None

    result: Any = None
    reason: str | None = None
    """Why its result is not kept. None: it is, or there was none."""


@dataclass(frozen=True, slots=True)
class Failed:
    state: ClassVar = RunState.FAILED
    result: ClassVar = None

    reason: str
    error: str | None = None
    raised: tuple[str, ...] = ()
    """The names of the exception's class and of those it is derived from; see `Retry.on`."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What ended before its function did: all there is to say is why."""

    error: ClassVar = None
    result: ClassVar = None

    reason: str


class TimedOut(Unfinished):
    __slots__ = ()
    state: ClassVar = RunState.TIMED_OUT
    raised: ClassVar = exception_names(TimeoutError())


class Cancelled(Unfinished):
    __slots__ = ()
    state: ClassVar = RunState.CANCELLED


class Lost(Unfinished):
    __slots__ = ()
    state: ClassVar = RunState.LOST


class Skipped(Unfinished):
    __slots__ = ()
    state: ClassVar = RunState.SKIPPED


class Missed(Unfinished):
    __slots__ = ()
    state: ClassVar = RunState.MISSED

    @classmethod
    def waiting(cls, run: Run) -> Missed:
        """What becomes of a run that was not begun in time."""
        return cls(f"it waited for {run.may_wait}, which is all that expire_after allows, and was not begun")


@dataclass(frozen=True, slots=True)
class Released:
    """Not an ending: its node gives it back, unstarted, and it waits for another."""

    state: ClassVar = RunState.PENDING


DONE = Succeeded()

Ending: TypeAlias = Succeeded | Failed | TimedOut | Cancelled | Lost | Skipped | Missed
Outcome: TypeAlias = Ending | Released
