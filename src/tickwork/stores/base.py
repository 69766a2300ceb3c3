"""What a store is: where jobs and runs live.

The rule: every write compares the version it read. Zero rows changed is an answer, not an error.

`tests/stores/laws.py` is the definition; whatever passes it is a store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, TypeAlias

from tickwork.backfill import Answered, Backfill
from tickwork.clock import Clock
from tickwork.declaration import Declaration
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.jobstate import StateChange, StoredState
from tickwork.moves import NOTHING_ELSE, Holdings, Move, PackedJob, PackedRest, PackedRun
from tickwork.node import Node
from tickwork.plan import Change, Filling, Hold, Settlement
from tickwork.retention import Retention
from tickwork.run import Run, RunState
from tickwork.runlog import RunLog
from tickwork.why import Evidence

USUAL_LEASE = timedelta(seconds=10)
MAX_NODES = 10_000
"""How many stretches of nodes are remembered: however often they restart, a month of them is a short table."""

Decide: TypeAlias = Callable[[Iterable[Job], Mapping[int, Sequence[Run]], datetime], Iterable[Change]]
"""Given due jobs, the active runs of those that have some (by uid; at the latest when their job comes), and the store's
time: what becomes of them, one by one, so that a server can write the first while the others are still decided on, or
not even read.

A job without a change stays as it is: not yet. So do those that it does not come to.
"""
Stretch: TypeAlias = Callable[[Backfill, Sequence[Run]], Sequence[datetime]]
"""Given a backfill and its active runs: the fire times of which the ledger is to be asked."""
Fill: TypeAlias = Callable[
    [Backfill, Sequence[Run], Sequence[datetime], Mapping[datetime, Answered], datetime], Filling
]
"""Given the same, these fire times, what the ledger has of them, and the store's time: what becomes of the backfill."""


class Claim(NamedTuple):
    """A run that its node may start, with the job it belongs to as it is now."""

    job: Job
    run: Run


class Outlook(NamedTuple):
    """The next instants at which something comes due. None: nothing will, as far as the store knows."""

    fire_at: datetime | None
    """A job's fire time."""
    claim_at: datetime | None
    """The end of a waiting run's delay."""
    lapse_at: datetime | None
    """The end of a lease."""
    expire_at: datetime | None = None
    """When a run that waits has waited for too long."""
    expect_by: datetime | None = None
    """When a job is overdue that does not succeed before."""


class Census(NamedTuple):
    """How many jobs and open runs a store has, and since when they wait."""

    at: datetime
    """When they were counted."""
    jobs: int
    paused: int
    """How many of the jobs do not fire until they are resumed."""
    pending: int
    running: int
    fire_at: datetime | None
    """The earliest fire time of a job that is not paused: in the past if no node fires it."""
    claim_at: datetime | None
    """When the run that has waited for longest could have begun."""


class Pruned(NamedTuple):
    """What a step of pruning has done."""

    deleted: int
    """How many rows."""
    after: int | None
    """The uid of the job to go on after. None: all jobs were looked at."""


class Store(Protocol):
    """Where jobs and runs live. Safe to use from several threads; every verb may raise StoreError."""

    clock: Clock
    """What decides when something is due, for every node on this store."""
    wall_clock: Clock
    """This machine's clock, which its jobs read. Where the store has no clock of its own it is `clock`."""
    location: str
    """For people: where it is."""
    lease: timedelta
    """How long a run is believed to go on after its node was last heard of, unless a scheduler says otherwise."""

    def open(self, ring: Callable[[], None] | None = None) -> None:
        """Make the store ready; *ring* is called, on any thread, when another process changed it.

        Calling it again while open changes only *ring*. Raises StoreUnusableError, StoreSchemaError.
        """
        ...

    def close(self) -> None:
        """Let go of everything; it may be opened again."""
        ...

    def exists(self) -> bool:
        """Whether it was ever opened, by anybody. Asking makes nothing, and needs no opening. Raises StoreError."""
        ...

    def together(self) -> AbstractContextManager[object]:
        """What this thread writes inside shares one commit, at the end; if anything is raised, none of it is kept.

        A store that cannot undo (memory, Redis) may keep what was written before that; what Redis has let a node take
        it gives back before the next time.
        """
        ...

    # what the user owns

    def add(self, jobs: Sequence[Job]) -> None:
        """Add all of them or none; JobExistsError names an id that is taken.

        Those with `expect_every` are expected to succeed, from now on (`plan.expect`).
        """
        ...

    def get(self, job_id: str) -> Job:
        """The job, or JobNotFoundError."""
        ...

    def jobs(self, *, ids: Collection[str] | None = None, after: str = "", limit: int | None = None) -> Sequence[Job]:
        """Jobs in the order of their ids: all, or those of *ids*; from the first id above *after*, at most *limit*."""
        ...

    def save(self, changes: Sequence[Change], *, expected: Sequence[Expectation] = ()) -> Sequence[Change]:
        """Write those changes whose job is still at the version they were decided on; return these.

        Inside of `together`, for whose other locks others may wait, nobody is waited for: a job that somebody is just
        changing counts as changed.

        A definition (the fields of `DEFINITION`) is written if the revision was raised; without `expect_every` nothing
        is expected of the job any more. What is *expected* from now on, of those that won, replaces what was, but for
        the last success.
        """
        ...

    def remove(self, job_ids: Collection[str] | None = None) -> Sequence[Job]:
        """Remove the jobs, or all; return those that were there.

        Their pending runs are closed as cancelled; running ones go on, and are settled as usual. Their backfills end.
        """
        ...

    # the walk of a fire time

    def fire(
        self, decide: Decide, *, executor: str, since: datetime | None = None, until: datetime, limit: int,
        skip: Collection[int] = (),
    ) -> Sequence[Change]:  # fmt: skip
        """Read, decide, write, in one transaction: jobs of *executor* with a fire time from *since* through *until*.

        The earliest come first; jobs whose uid is in *skip* and paused ones are passed over. Returns what
        was written; a run whose (job, fire time, attempt) exists already is not born again.
        """
        ...

    def claim(
        self, hold: Hold, *, executor: str, since: datetime | None = None, limit: int, skip: Collection[int] = ()
    ) -> Sequence[Claim]:
        """Pending runs that may start now, taken under *hold*: those that became available first, and last of all
        those of backfills.

        With *since* none of backfills, and only those of jobs of which none became available before that. Runs beyond
        their job's `max_instances` stay, among which those of backfills do not count; so do those of a paused job,
        unless someone asked for them (`Run.by_hand`). What has expired stays, too.
        """
        ...

    def renew(self, runs: Sequence[Run], lease_until: datetime) -> Sequence[Run]:
        """Extend the lease of those that are still ours, and write their start and progress; return these."""
        ...

    def lost(self, limit: int, *, nodes: Collection[str] = ()) -> Sequence[Run]:
        """Running runs whose lease has ended, or that one of *nodes* holds, whatever its lease says."""
        ...

    def expired(self, limit: int) -> Sequence[Run]:
        """Pending runs that have waited for as long as they may: those that expired first."""
        ...

    def settle(self, settlements: Iterable[Settlement]) -> Sequence[Settlement]:
        """Write those whose run is still at the version they were decided on; return these.

        A server may write the first while the others are still made.

        The next attempt is born with it, unless the job has been removed meanwhile; the log is kept with it. With a
        change of the job's state it is written only if `changed` allows that, too; of a job that was removed it goes.
        """
        ...

    def keep_logs(self, logs: Sequence[tuple[Run, RunLog]]) -> None:
        """Write what these runs have logged so far in place of what is there, if they are at this version still."""
        ...

    def save_state(self, change: StateChange, run: Run | None = None) -> StoredState | None:
        """Change a job's state as `changed` does; with *run* only while that is running at its node still.

        Returns the state as it is now. None: nothing was written. The state of a job that is not there is no one's.
        """
        ...

    def lend(self) -> AbstractContextManager[Any]:
        """A transaction on the driver's own connection, for a job: committed at the end, undone if anything is raised.

        What this thread does with the store inside is part of it. What the driver raises inside is passed on as it is;
        what fails before and after is a StoreError. A store that cannot undo (memory, Redis) raises StoreUnusableError.
        """
        ...

    def cancel(self, runs: Sequence[Run]) -> Sequence[Run]:
        """Write runs as `plan.cancel` or `plan.expire` made them, if they are open still and at the version below.

        Returns these. The nodes that run them are woken.
        """
        ...

    def add_backfill(self, backfill: Backfill) -> None:
        """Add it; JobNotFoundError if its job was removed, InvalidJobError if MAX_OPEN_BACKFILLS go on already."""
        ...

    def fill(self, stretch: Stretch, decide: Fill, *, limit: int) -> Sequence[Filling]:
        """Read, decide, write, in one transaction: up to *limit* backfills that go on, the oldest first.

        Those of paused jobs are passed over. Returns what was decided; what has not moved is not written.
        """
        ...

    def end_backfill(self, backfill: Backfill, cancel: Callable[[Run], Run]) -> Sequence[Run] | None:
        """Write a backfill as `plan.end_backfill` made it, and its active runs as *cancel* makes them; return these.

        None, and nothing is written, if it is not at the version below any more.
        """
        ...

    def cancelling(self, node: str) -> Sequence[Run]:
        """The running runs of *node* that were asked to end."""
        ...

    def outlook(self, executors: Collection[str], *, after: datetime, fire_after: datetime) -> Outlook:
        """What comes due next, strictly after these instants."""
        ...

    # what is expected

    def fulfil(self, successes: Sequence[Expectation]) -> Sequence[Expectation]:
        """Write that these jobs succeeded, and are expected to again (`plan.succeeded`).

        Returns those that had been overdue, as they were. A time only moves forward; without one it stays without.
        """
        ...

    def find_overdue(self, node: str, *, limit: int) -> Sequence[Expectation]:
        """Mark jobs whose time has come as overdue, each for the first *node* that asks; return these, as they are."""
        ...

    def expectations(self, *, overdue: bool = False) -> Sequence[Expectation]:
        """What is expected of jobs, in the order of their ids; or only of those that are overdue."""
        ...

    # the nodes

    def beat(self, node: Node) -> Sequence[str]:
        """Write that *node* was heard of: on from its last beat, or a new stretch (see `Node.seen_since`).

        Returns what the nodes declare that are alive then, a name for each.
        """
        ...

    def hold_lifeline(self, node: str) -> str:
        """Hold until `close` what the system lets go of as soon as this process dies; it waits for nothing.

        Returns its name, which *node* tells the others in its beats. Empty: this store has none, or not at present.
        """
        ...

    def cut_lifelines(self) -> Collection[str]:
        """The living nodes whose lifeline, by the name that they told, is held no more: they died, or are cut off."""
        ...

    def declare(self, declaration: Declaration) -> None:
        """Write which jobs a version of the code declares; nodes name it as their `declaration`."""
        ...

    def undeclared(self, apps: Collection[str]) -> Sequence[Job]:
        """Jobs of these applications (`Job.declared`), not ended and not retired, that no living node declares."""
        ...

    def nodes(self, *, alive: bool = False, limit: int = 1_000) -> Sequence[Node]:
        """The nodes that are known, or the living ones: each as it was last heard of, the last heard of first."""
        ...

    # what people read

    def census(self) -> Census:
        """How many there are of what is alive; it does not read what is closed."""
        ...

    def run(self, run_id: str) -> Run:
        """The run, or RunNotFoundError."""
        ...

    def state(self, job_uid: int) -> StoredState:
        """The state of a job; an empty one if nothing was written, or there is no such job."""
        ...

    def log(self, run_id: str) -> RunLog:
        """What the run has logged, as far as it was written; or RunNotFoundError."""
        ...

    def runs(
        self, *, job_id: str | None = None, states: Collection[RunState] = (), limit: int = 100, offset: int = 0
    ) -> Sequence[Run]:
        """The ledger, newest rows first: of one job or all, in these states or all."""
        ...

    def backfill(self, backfill_id: str) -> Backfill:
        """The backfill, or BackfillNotFoundError."""
        ...

    def backfills(
        self, *, job_id: str | None = None, ended: bool | None = None, limit: int = 100
    ) -> Sequence[Backfill]:
        """Backfills, the newest first: of one job or all; those that have ended, those that have not, or both."""
        ...

    def evidence(self, job_id: str, instant: datetime) -> Evidence:
        """What is known of a job around *instant*; of the one that had this id then, if several have had it.

        Raises JobNotFoundError if none is known.
        """
        ...

    def prune(self, keep: Retention, *, after: int, jobs: int, rows: int) -> Pruned:
        """Delete up to *rows* closed rows that are kept no longer, of the next *jobs* with a uid above *after*.

        A job's own `keep` stands before *keep*. A ledger is left whole while a backfill asks it. A disposable job that
        has ended is removed with its last row. Behind the last job, nodes that were last heard of so long ago are
        forgotten, and the earliest beyond MAX_NODES.
        """
        ...

    # moving house

    def move(self) -> Move | None:
        """What is noted here of a move. None: nothing has ever been moved from here or to here.

        One that `fires` no more lets `fire`, `claim` and `fill` find nothing. Where it `refuses`, all else that people
        change raises StoreMovedError; outcomes are not among it, for no run goes on by then. Where it `keeps_all`,
        `prune` deletes nothing.
        """
        ...

    def write_move(self, before: Move | None, after: Move | None) -> bool:
        """Note *after* if *before* is what is noted; whether it was.

        When this returns, whatever was begun under *before* is written or undone, and the other nodes are woken.
        """
        ...

    def holdings(self) -> Holdings:
        """How much there is; every row of the ledger is counted."""
        ...

    def pack_jobs(self, *, after: str = "", limit: int) -> Sequence[PackedJob]:
        """Jobs in the order of their ids, from the first id above *after*, at most *limit*."""
        ...

    def pack_runs(self, *, after: int = -1, limit: int, numbers: Collection[int] | None = None) -> Sequence[PackedRun]:
        """The ledger in the order of its numbers: those above *after*, at most *limit*; or of these *numbers* alone.

        The number of a run never changes. One that is born later has a higher one, unless its transaction was begun
        earlier.
        """
        ...

    def pack_rest(self) -> PackedRest:
        """All else that there is."""
        ...

    def unpack(
        self, move: Move, *, jobs: Sequence[PackedJob] = (), runs: Sequence[PackedRun] = (),
        rest: PackedRest = NOTHING_ELSE,
    ) -> bool:  # fmt: skip
        """Write what is not here yet, as it is, if *move* is what is noted here; whether it was."""
        ...

    def clear(self, move: Move) -> bool:
        """Delete all that was unpacked, if *move* is what is noted here, and that stays; whether it was."""
        ...
