"""The store of one process: nothing outlives it."""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from itertools import islice
from typing import NamedTuple, NoReturn

from tickwork.backfill import MAX_OPEN_BACKFILLS, Backfill, one_too_many
from tickwork.clock import BEGINNING, Clock, SystemClock
from tickwork.codec import copied
from tickwork.declaration import Declaration
from tickwork.errors import (
    BackfillNotFoundError,
    ConflictError,
    JobExistsError,
    JobNotFoundError,
    RunNotFoundError,
    StoreUnusableError,
)
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.jobstate import NO_STATE, Entry, StateChange, StoredState, changed
from tickwork.moves import NOTHING_ELSE, Holdings, LedgerNote, Move, PackedJob, PackedRest, PackedRun, refusal
from tickwork.node import Node
from tickwork.plan import Change, Filling, Hold, Settlement, expect
from tickwork.retention import Retention
from tickwork.run import PENDING, RUNNING, Run, RunState
from tickwork.runlog import NO_LOG, RunLog
from tickwork.stores import base
from tickwork.stores.base import USUAL_LEASE, Census, Claim, Decide, Fill, Outlook, Pruned, Stretch
from tickwork.stores.known import tell_known
from tickwork.stores.memory.agenda import Agenda
from tickwork.stores.memory.ledger import Key, Ledger, key_of, read_key
from tickwork.stores.memory.nodes import Nodes
from tickwork.why import MAX_NAMESAKES, SECOND, Evidence, of_its_time

NO_RUNS: dict[Key, Run] = {}


class Removal(NamedTuple):
    """All that is left of a job that was removed, besides its rows."""

    at: datetime
    uid: int


class MemoryStore:
    """Jobs and runs in this process's memory: the store of tests, and of jobs that need not survive it."""

    location = "memory"
    lease = USUAL_LEASE

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.wall_clock = self.clock
        self._lock = threading.RLock()
        self._move: Move | None = None
        self._hold_nothing()

    def _hold_nothing(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._ids: dict[str, int] = {}
        self._ledger = Ledger()
        self._states: dict[int, StoredState] = {}
        self._removed: dict[str, list[Removal]] = {}
        self._active: dict[int, dict[Key, Run]] = {}
        self._due: dict[str, Agenda[int]] = {}
        self._pending = Agenda(self._available_at)
        self._claimable: dict[str, Agenda[int]] = {}
        self._leases = Agenda(self._lease_until)
        self._expiries = Agenda(self._expires_at)
        self._cancelling: set[Key] = set()
        self._expectations: dict[int, Expectation] = {}
        self._expected = Agenda(self._expect_by)
        self._nodes = Nodes()
        self._backfills: dict[str, Backfill] = {}
        self._open_backfills: dict[str, None] = {}
        self._backfilled: dict[Key, None] = {}
        """Runs of backfills that wait."""

    def open(self, ring: Callable[[], None] | None = None) -> None:
        """Nothing to do: no other process can change it."""

    def close(self) -> None:
        """Keeps what it holds: a scheduler that is started again finds its jobs."""

    def exists(self) -> bool:
        return True

    def together(self) -> AbstractContextManager[object]:
        """Nobody sees half of it; nothing can fail, so nothing need be undone."""
        return self._lock

    def add(self, jobs: Sequence[Job]) -> None:
        with self._changing():
            seen: set[str] = set()
            uids = {job.uid for job in jobs}
            for job in jobs:
                if job.id in seen or self._ids.get(job.id, job.uid) not in uids:
                    raise JobExistsError(job.id)
                seen.add(job.id)
            if len(uids) < len(jobs) or any(uid in self._jobs for uid in uids):
                raise ConflictError("expected new jobs, got some that were added before: make them again with new_job")
            for job in jobs:
                self._ids[job.id] = job.uid
                self._put_job(job)
                if (expectation := expect(job, self.clock.now())) is not None:
                    self._put_expectation(expectation)

    def get(self, job_id: str) -> Job:
        with self._lock:
            try:
                return self._jobs[self._ids[job_id]]
            except KeyError:
                raise JobNotFoundError(job_id, self._ids) from None

    def jobs(self, *, ids: Collection[str] | None = None, after: str = "", limit: int | None = None) -> Sequence[Job]:
        with self._lock:
            chosen = sorted(id for id in (self._ids if ids is None else {*ids}) if id > after and id in self._ids)
            return [self._jobs[self._ids[id]] for id in chosen[:limit]]

    def save(self, changes: Sequence[Change], *, expected: Sequence[Expectation] = ()) -> Sequence[Change]:
        with self._changing():
            won = [change for change in changes if self._save(change)]
            uids = {change.job.uid for change in won}
            for one in expected:
                if one.job_uid in uids:
                    stood = self._expectations.get(one.job_uid, one)
                    self._put_expectation(stood._replace(expect_by=one.expect_by, overdue_at=None, told_by=None))
            return won

    def remove(self, job_ids: Collection[str] | None = None) -> Sequence[Job]:
        with self._changing():
            ids = list(self._ids) if job_ids is None else [id for id in dict.fromkeys(job_ids) if id in self._ids]
            return [self._remove(id) for id in ids]

    def fire(
        self, decide: Decide, *, executor: str, since: datetime | None = None, until: datetime, limit: int,
        skip: Collection[int] = (),
    ) -> Sequence[Change]:  # fmt: skip
        with self._lock:
            now = self.clock.now()
            due = self._take_due(executor, since, until, limit, skip) if self._fires() else ()
            if not due:
                return []
            try:
                active = {job.uid: (*self._active[job.uid].values(),) for job in due if job.uid in self._active}
                changes = [*decide(due, active, now)]
            except BaseException:
                self._put_jobs(due)
                raise
            if len(changes) < len(due):
                changed = {change.job.uid for change in changes}
                self._put_jobs(job for job in due if job.uid not in changed)
            written = [self._write(change) for change in changes]
            if written != changes:
                tell_known(changes, written)
            return written

    def claim(
        self, hold: Hold, *, executor: str, since: datetime | None = None, limit: int, skip: Collection[int] = ()
    ) -> Sequence[Claim]:
        with self._lock:
            claims: list[Claim] = []
            looked_at: list[int] = []
            now = self.clock.now()
            agenda = self._claims_for(executor)
            if not self._fires():
                return claims
            while len(claims) < limit and (uid := next(agenda.take(now, since), None)) is not None:
                looked_at.append(uid)
                if uid in skip:
                    continue
                job = self._jobs[uid]
                startable = self._startable(job, now)[: limit - len(claims)]
                claims += [Claim(job, self._hold(run, hold)) for run in startable]
            if since is None:
                backfilled = self._claimable_of_backfills(executor, now, skip)[: limit - len(claims)]
                claims += [Claim(self._jobs[run.job_uid], self._hold(run, hold)) for run in backfilled]
            for uid in looked_at:  # those that have more to claim, or were skipped
                self._note_claim(uid)
            return claims

    def renew(self, runs: Sequence[Run], lease_until: datetime) -> Sequence[Run]:
        with self._lock:
            ours = [run for run in runs if self._is_current(key_of(run), run.version)]
            renewed = [run._replace(version=run.version + 1, lease_until=lease_until) for run in ours]
            for run in renewed:
                self._put_run(key_of(run), run)
            return renewed

    def lost(self, limit: int, *, nodes: Collection[str] = ()) -> Sequence[Run]:
        with self._lock:
            lost = [self._ledger.rows[key] for key in islice(self._leases.take(self.clock.now()), limit)]
            for run in lost:  # they stay lost until they are settled
                self._put_run(key_of(run), run)
            active = (run for runs in self._active.values() for run in runs.values()) if nodes else ()
            held = [run for run in active if run.node in nodes and run.state is RUNNING and run not in lost]
            return [*lost, *held][:limit]

    def expired(self, limit: int) -> Sequence[Run]:
        with self._lock:
            expired = [self._ledger.rows[key] for key in islice(self._expiries.take(self.clock.now()), limit)]
            for run in expired:  # they stay expired until they are closed
                self._put_run(key_of(run), run)
            return expired

    def settle(self, settlements: Iterable[Settlement]) -> Sequence[Settlement]:
        made = [*settlements]
        with self._lock:
            return [settlement for settlement in made if self._settle(settlement)]

    def keep_logs(self, logs: Sequence[tuple[Run, RunLog]]) -> None:
        with self._lock:
            for run, log in logs:
                stored = self._ledger.rows.get(key_of(run))
                if stored is not None and stored.version == run.version:
                    self._ledger.logs[key_of(run)] = log

    def save_state(self, change: StateChange, run: Run | None = None) -> StoredState | None:
        with self._changing():
            if change.job_uid not in self._jobs or (run is not None and not self._is_held(run)):
                return None
            state = changed(self.state(change.job_uid), change)
            if state is not None:
                self._states[change.job_uid] = _copied(state)
            return state

    def lend(self) -> AbstractContextManager[NoReturn]:
        raise StoreUnusableError(
            "run.transaction(): expected a store with transactions, got memory, which can undo nothing: "
            "give the scheduler sqlite:///jobs.db"
        )

    def cancel(self, runs: Sequence[Run]) -> Sequence[Run]:
        with self._changing():
            return [run for run in runs if self._cancel(run)]

    def add_backfill(self, backfill: Backfill) -> None:
        with self._changing():
            if backfill.job_uid not in self._jobs:
                raise JobNotFoundError(backfill.job_id)
            if len(self._open_backfills) >= MAX_OPEN_BACKFILLS:
                raise one_too_many()
            self._put_backfill(backfill)

    def fill(self, stretch: Stretch, decide: Fill, *, limit: int) -> Sequence[Filling]:
        if not self._open_backfills or not self._fires():
            return []
        with self._lock:
            going_on = [self._backfills[id] for id in self._open_backfills]
            of_firing_jobs = [one for one in going_on if self._jobs[one.job_uid].paused_at is None]
            return [self._fill(backfill, stretch, decide) for backfill in of_firing_jobs[:limit]]

    def end_backfill(self, backfill: Backfill, cancel: Callable[[Run], Run]) -> Sequence[Run] | None:
        with self._changing():
            stored = self._backfills.get(backfill.id)
            if stored is None or stored.version != backfill.version - 1:
                return None
            self._put_backfill(backfill)
            cancelled = [cancel(run) for run in self._backfilling_runs(backfill)]
            for run in cancelled:
                self._cancel(run)
            return cancelled

    def cancelling(self, node: str) -> Sequence[Run]:
        with self._lock:
            return [self._ledger.rows[key] for key in self._cancelling if self._ledger.rows[key].node == node]

    def outlook(self, executors: Collection[str], *, after: datetime, fire_after: datetime) -> Outlook:
        with self._lock:
            fires = [self._agenda(executor).next_after(fire_after) for executor in executors]
            return Outlook(
                min((at for at in fires if at is not None), default=None),
                self._pending.forget_until(after),
                self._leases.next_after(after),
                self._expiries.next_after(after),
                self._expected.next_after(after),
            )

    def census(self) -> Census:
        with self._lock:
            jobs = self._jobs.values()
            runs = [run for active in self._active.values() for run in active.values()]
            pending = [run.available_at for run in runs if run.state is PENDING]
            fire_times = [job.next_fire_time for job in jobs if job.next_fire_time is not None and not job.paused]
            return Census(
                at=self.clock.now(), jobs=len(jobs), paused=sum(job.paused for job in jobs),
                pending=len(pending), running=len(runs) - len(pending),
                fire_at=min(fire_times, default=None), claim_at=min(pending, default=None),
            )  # fmt: skip

    def fulfil(self, successes: Sequence[Expectation]) -> Sequence[Expectation]:
        with self._lock:
            overdue = []
            for success in successes:
                stood = self._expectations.get(success.job_uid)
                if stood is None or success.succeeded_at is None:
                    continue
                if stood.overdue_at is not None:
                    overdue.append(stood)
                by, before = success.expect_by, stood.expect_by
                self._put_expectation(stood._replace(
                    expect_by=None if by is None or before is None else max(by, before),
                    succeeded_at=max(success.succeeded_at, stood.succeeded_at or success.succeeded_at), overdue_at=None,
                    told_by=None,
                ))  # fmt: skip
            return sorted(overdue)

    def find_overdue(self, node: str, *, limit: int) -> Sequence[Expectation]:
        with self._changing():
            now = self.clock.now()
            found = [
                self._expectations[uid]._replace(overdue_at=now, told_by=node)
                for uid in islice(self._expected.take(now), limit)
            ]
            for expectation in found:
                self._put_expectation(expectation)
            return found

    def expectations(self, *, overdue: bool = False) -> Sequence[Expectation]:
        with self._lock:
            return sorted(one for one in self._expectations.values() if one.overdue_at is not None or not overdue)

    def beat(self, node: Node) -> Sequence[str]:
        with self._lock:
            self._nodes.put(node)
            return [one.declaration for one in self.nodes(alive=True, limit=base.MAX_NODES)]

    def hold_lifeline(self, node: str) -> str:
        """None: a process that dies takes its memory along."""
        return ""

    def cut_lifelines(self) -> Collection[str]:
        return ()

    def declare(self, declaration: Declaration) -> None:
        with self._lock:
            self._nodes.declare(declaration)

    def undeclared(self, apps: Collection[str]) -> Sequence[Job]:
        with self._lock:
            return self._nodes.undeclared(self.jobs(), apps, self.clock.now())

    def nodes(self, *, alive: bool = False, limit: int = 1_000) -> Sequence[Node]:
        with self._lock:
            return self._nodes.latest(self.clock.now(), alive=alive, limit=limit)

    def run(self, run_id: str) -> Run:
        key = read_key(run_id)
        with self._lock:
            try:
                return self._ledger.rows[key]
            except KeyError:
                raise RunNotFoundError(run_id) from None

    def state(self, job_uid: int) -> StoredState:
        with self._lock:
            return _copied(self._states.get(job_uid, NO_STATE))

    def log(self, run_id: str) -> RunLog:
        with self._lock:
            return self._ledger.logs.get(key_of(self.run(run_id)), NO_LOG)

    def runs(
        self, *, job_id: str | None = None, states: Collection[RunState] = (), limit: int = 100, offset: int = 0
    ) -> Sequence[Run]:
        with self._lock:
            chosen: Iterable[Run] = (
                run for run in reversed(self._ledger.rows.values()) if not states or run.state in states
            )
            if job_id is not None:
                uid = self._ids.get(job_id)
                own = [run for run in chosen if (run.job_id == job_id if uid is None else run.job_uid == uid)]
                chosen = sorted(own, key=lambda run: (run.fire_time, run.attempt), reverse=True)
            return list(islice(chosen, offset, offset + limit))

    def backfill(self, backfill_id: str) -> Backfill:
        with self._lock:
            try:
                return self._backfills[backfill_id]
            except KeyError:
                raise BackfillNotFoundError(backfill_id) from None

    def backfills(
        self, *, job_id: str | None = None, ended: bool | None = None, limit: int = 100
    ) -> Sequence[Backfill]:
        with self._lock:
            chosen = (
                one for one in reversed(self._backfills.values())
                if job_id in (None, one.job_id) and ended in (None, one.ended)
            )  # fmt: skip
            return [*islice(chosen, limit)]

    def evidence(self, job_id: str, instant: datetime) -> Evidence:
        with self._lock:
            uid = self._ids.get(job_id)
            removals = self._removed.get(job_id, [])
            of_then = [one for one in removals if instant - one.at <= SECOND][:MAX_NAMESAKES]
            known = {
                one.uid: Evidence(job_id, None, removed_at=one.at)
                for one in of_then or (removals[-1:] if uid is None else ())
            }
            if uid is not None:
                known[uid] = Evidence(job_id, self._jobs[uid])
            if not known:
                raise JobNotFoundError(job_id, self._ids)
            found = [
                self._ledger.evidence(evidence, uid, instant, self._running(evidence.job))
                for uid, evidence in known.items()
            ]
            return of_its_time(found, instant)._replace(absence=self._nodes.absence(instant, self.clock.now()))

    def prune(self, keep: Retention, *, after: int, jobs: int, rows: int) -> Pruned:
        with self._lock:
            if self._move is not None and self._move.keeps_all:
                return Pruned(0, None)
            now = self.clock.now()
            deleted = 0
            asked = {self._backfills[id].job_uid for id in self._open_backfills}
            uids = self._ledger.jobs_after(after, jobs, without=asked)
            for uid in uids:
                deleted += self._prune(uid, keep, now, rows - deleted)
                if deleted == rows:
                    return Pruned(deleted, uid - 1)  # there may be more of this job
            if len(uids) == jobs:
                return Pruned(deleted, uids[-1])
            cutoff = keep.cutoff(now) or BEGINNING
            self._forget_removed(cutoff)
            self._nodes.forget(cutoff, now)
            return Pruned(deleted, None)

    # moving house

    def move(self) -> Move | None:
        return self._move

    def write_move(self, before: Move | None, after: Move | None) -> bool:
        with self._lock:
            if self._move != before:
                return False
            self._move = after
            return True

    def holdings(self) -> Holdings:
        with self._lock:
            return Holdings(len(self._jobs), len(self._ledger.rows), len(self._backfills))

    def pack_jobs(self, *, after: str = "", limit: int) -> Sequence[PackedJob]:
        with self._lock:
            return [
                PackedJob(job, self._expectations.get(job.uid), self.state(job.uid))
                for job in self.jobs(after=after, limit=limit)
            ]

    def pack_runs(self, *, after: int = -1, limit: int, numbers: Collection[int] | None = None) -> Sequence[PackedRun]:
        with self._lock:
            return self._ledger.pack(after, limit, numbers)

    def pack_rest(self) -> PackedRest:
        with self._lock:
            notes = {uid: LedgerNote(uid, id, at) for id, removals in self._removed.items() for at, uid in removals}
            for uid, through in self._ledger.pruned_through.items():
                job_id = self._jobs[uid].id if uid in self._jobs else notes[uid].job_id
                notes[uid] = notes.get(uid, LedgerNote(uid, job_id))._replace(pruned_through=through)
            return PackedRest([*self._backfills.values()], [*notes.values()], *self._nodes.pack())

    def unpack(
        self, move: Move, *, jobs: Sequence[PackedJob] = (), runs: Sequence[PackedRun] = (),
        rest: PackedRest = NOTHING_ELSE,
    ) -> bool:  # fmt: skip
        with self._lock:
            if self._move != move:
                return False
            for job, expectation, state in jobs:
                if job.uid not in self._jobs:
                    self._ids[job.id] = job.uid
                    self._put_job(job)
                    self._states[job.uid] = _copied(state)
                    if expectation is not None:
                        self._put_expectation(expectation)
            for number, run, log in runs:
                key = key_of(run)
                if key not in self._ledger.rows:
                    self._put_run(key, run)
                    if run.state is RUNNING and run.cancel_reason is not None:
                        self._cancelling.add(key)
                    self._ledger.unpack(key, number, log)
            self._unpack_rest(rest)
            return True

    def _unpack_rest(self, rest: PackedRest) -> None:
        for backfill in rest.backfills:
            if backfill.id not in self._backfills:
                self._put_backfill(backfill)
        for note in rest.notes:
            if note.removed_at is not None:
                removals = self._removed.setdefault(note.job_id, [])
                if note.job_uid not in (one.uid for one in removals):
                    insort(removals, Removal(note.removed_at, note.job_uid))
            if note.pruned_through is not None:
                self._ledger.pruned_through.setdefault(note.job_uid, note.pruned_through)
        self._nodes.unpack(rest.nodes, rest.declarations)

    def clear(self, move: Move) -> bool:
        with self._lock:
            if self._move != move:
                return False
            self._hold_nothing()
            return True

    def _fires(self) -> bool:
        return self._move is None or self._move.fires

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """What people change, which a store that has moved refuses."""
        with self._lock:
            if self._move is not None and self._move.refuses:
                raise refusal(self.location, self._move)
            yield

    def _save(self, change: Change) -> bool:
        stored = self._jobs.get(change.job.uid)
        if stored is None or stored.version != change.job.version - 1:
            return False
        if any(key_of(run) in self._ledger.rows for run in change.runs):
            return False
        self._write(change)
        if change.job.expect_every is None:
            self._expectations.pop(change.job.uid, None)
        return True

    def _write(self, change: Change) -> Change:
        """The change as it was written: without the runs that exist already."""
        job, runs, cancelled = change
        self._put_job(job)
        for run in cancelled:
            self._cancel(run)
        new = []
        for run in runs:
            key = key_of(run)
            if key not in self._ledger.rows:
                self._put_run(key, run)
                new.append(run)
        return change if len(new) == len(runs) else change._replace(runs=tuple(new))

    def _remove(self, job_id: str) -> Job:
        job = self._jobs.pop(self._ids.pop(job_id))
        self._states.pop(job.uid, None)
        self._expectations.pop(job.uid, None)
        self._removed.setdefault(job_id, []).append(Removal(self.clock.now(), job.uid))
        for backfill in [self._backfills[id] for id in self._open_backfills]:
            if backfill.job_uid == job.uid:
                self._put_backfill(backfill._replace(
                    version=backfill.version + 1, ended_at=self.clock.now(), reason="its job was removed"
                ))  # fmt: skip
        for run in [*self._active.get(job.uid, {}).values()]:
            if run.state is PENDING:
                self._cancel_orphan(run)
        return job

    def _settle(self, settlement: Settlement) -> bool:
        run, attempt, log, state = settlement
        key = key_of(run)
        if not self._is_current(key, run.version - 1):
            return False
        if state is not None and state.job_uid in self._jobs and self.save_state(state) is None:
            return False
        self._put_run(key, run)
        if log is not None:
            self._ledger.logs[key] = log
        if run.state is PENDING and run.job_uid not in self._jobs:
            self._cancel_orphan(run)
        if attempt is not None and attempt.job_uid in self._jobs and (key := key_of(attempt)) not in self._ledger.rows:
            self._put_run(key, attempt)
        return True

    def _cancel(self, run: Run) -> bool:
        """Write *run* as it was cancelled, if it is open still and at the version that was read."""
        key = key_of(run)
        stored = self._ledger.rows.get(key)
        if stored is None or stored.state.closed or stored.version != run.version - 1:
            return False
        self._put_run(key, run)
        if run.state is RUNNING:
            self._cancelling.add(key)
        return True

    def _cancel_orphan(self, run: Run) -> None:
        """Close a run that waits for a job that was removed."""
        self._put_run(key_of(run), run._replace(
            version=run.version + 1, state=RunState.CANCELLED, ended_at=self.clock.now(), reason="its job was removed"
        ))  # fmt: skip

    def _take_due(
        self, executor: str, since: datetime | None, until: datetime, limit: int, skip: Collection[int]
    ) -> Sequence[Job]:
        """The first due jobs, out of their agenda; those to skip stay in it."""
        due: list[Job] = []
        skipped: list[Job] = []
        if limit <= 0:
            return due
        for uid in self._agenda(executor).take(until, since):
            (skipped if uid in skip else due).append(self._jobs[uid])
            if len(due) == limit:
                break
        self._put_jobs(skipped)
        return due

    def _startable(self, job: Job, now: datetime) -> Sequence[Run]:
        """The waiting runs of a job that may start now together: those that became available first."""
        waiting = [run for run in self._claimable_runs(job) if _may_start(run, now)]
        running = sum(map(_in_the_way, self._active[job.uid].values()))
        return sorted(waiting, key=lambda run: run.available_at)[: max(0, job.max_instances - running)]

    def _claimable_runs(self, job: Job) -> Sequence[Run]:
        """The waiting runs of a job, as far as a pause lets them begin."""
        return [
            run
            for run in self._active.get(job.uid, NO_RUNS).values()
            if run.state is PENDING and run.backfill is None and (job.paused_at is None or run.by_hand)
        ]

    def _claimable_of_backfills(self, executor: str, now: datetime, skip: Collection[int]) -> Sequence[Run]:
        """The waiting runs of backfills that may start now: those that became available first."""
        waiting = [self._ledger.rows[key] for key in self._backfilled]
        claimable = [
            run for run in waiting
            if _may_start(run, now) and run.job_uid not in skip and run.job_uid in self._jobs
            and (job := self._jobs[run.job_uid]).executor == executor and job.paused_at is None
        ]  # fmt: skip
        return sorted(claimable, key=lambda run: run.available_at)

    def _hold(self, run: Run, hold: Hold) -> Run:
        """Take a waiting run."""
        held = run._replace(version=run.version + 1, state=RUNNING, node=hold.node, lease_until=hold.lease_until)
        self._put_run(key_of(run), held)
        return held

    def _put_backfill(self, backfill: Backfill) -> None:
        self._backfills[backfill.id] = backfill
        if backfill.ended:
            self._open_backfills.pop(backfill.id, None)
        else:
            self._open_backfills[backfill.id] = None

    def _fill(self, backfill: Backfill, stretch: Stretch, decide: Fill) -> Filling:
        active = self._backfilling_runs(backfill)
        fire_times = stretch(backfill, active)
        answered = {fire_time: self._ledger.answered(backfill.job_uid, fire_time) for fire_time in fire_times}
        filling = decide(backfill, active, fire_times, answered, self.clock.now())
        if filling.moved:
            self._put_backfill(filling.backfill)
            for run in filling.runs:
                if (key := key_of(run)) not in self._ledger.rows:
                    self._put_run(key, run)
        return filling

    def _backfilling_runs(self, backfill: Backfill) -> Sequence[Run]:
        """The active runs of a backfill."""
        return [run for run in self._active.get(backfill.job_uid, NO_RUNS).values() if run.backfill == backfill.id]

    def _claim_at(self, uid: int) -> datetime | None:
        """When the next run of a job may be claimed. None: it has none that may, or no room for it."""
        job = self._jobs.get(uid)
        if job is None:
            return None
        active = self._active.get(uid, NO_RUNS)
        if sum(map(_in_the_way, active.values())) >= job.max_instances:
            return None
        return min((run.available_at for run in self._claimable_runs(job)), default=None)

    def _note_claim(self, uid: int) -> None:
        """Whatever may have let a run of this job begin has changed."""
        at = self._claim_at(uid)
        if at is not None:
            self._claims_for(self._jobs[uid].executor).put(uid, at)

    def _is_current(self, key: Key, version: int) -> bool:
        """Whether the stored row is running, and at the version that was read."""
        stored = self._ledger.rows.get(key)
        return stored is not None and stored.state is RUNNING and stored.version == version

    def _is_held(self, run: Run) -> bool:
        """Whether the run is running at its node still, whatever was written of it since."""
        stored = self._ledger.rows.get(key_of(run))
        return stored is not None and stored.state is RUNNING and stored.node == run.node

    def _put_jobs(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._put_job(job)

    def _put_job(self, job: Job) -> None:
        self._jobs[job.uid] = job
        if job.uid in self._active:
            self._note_claim(job.uid)
        if job.paused_at is None and job.next_fire_time is not None:
            self._agenda(job.executor).put(job.uid, job.next_fire_time)

    def _put_run(self, key: Key, run: Run) -> None:
        self._ledger.put(key, run)
        if run.backfill is not None:
            if run.state is PENDING:
                self._backfilled[key] = None
            else:
                self._backfilled.pop(key, None)
        if run.state is RUNNING:
            if run.lease_until is not None:
                self._leases.put(key, run.lease_until)
        elif run.state is not PENDING:
            self._forget_active(key)
            return
        self._active.setdefault(run.job_uid, {})[key] = run
        if run.state is PENDING:
            self._pending.put(key, run.available_at)
            if run.expires_at is not None:
                self._expiries.put(key, run.expires_at)
            self._note_claim(run.job_uid)

    def _running(self, job: Job | None) -> Sequence[Run]:
        """The running runs of a job, in their order; none of one that was removed."""
        if job is None:
            return ()
        active = self._active.get(job.uid, NO_RUNS)
        return [active[key] for key in sorted(active) if _in_the_way(active[key])][: job.max_instances]

    def _prune(self, uid: int, keep: Retention, now: datetime, rows: int) -> int:
        """Let go of the oldest rows of a job; a disposable job goes with its last one."""
        job = self._jobs.get(uid)
        deleted = self._ledger.prune(uid, keep if job is None or job.keep is None else job.keep, now, rows)
        if deleted and not self._ledger.has_rows(uid) and job is not None and job.disposable and job.ended:
            del self._jobs[self._ids.pop(job.id)], self._ledger.pruned_through[uid]
            self._states.pop(uid, None)
            self._expectations.pop(uid, None)
        return deleted

    def _forget_removed(self, before: datetime) -> None:
        """Forget jobs that were removed before that, and of which no row is left."""
        for job_id, removals in [*self._removed.items()]:
            kept = [one for one in removals if one.at >= before or self._ledger.has_rows(one.uid)]
            for one in removals:
                if one not in kept:
                    self._ledger.pruned_through.pop(one.uid, None)
            self._removed[job_id] = kept
            if not kept:
                del self._removed[job_id]
        for backfill in [*self._backfills.values()]:
            if backfill.ended_at is not None and backfill.ended_at < before:
                del self._backfills[backfill.id]

    def _forget_active(self, key: Key) -> None:
        self._cancelling.discard(key)
        uid = key[0]
        active = self._active.get(uid, NO_RUNS)
        if key in active:
            if len(active) > 1:
                del active[key]
                self._note_claim(uid)
            else:
                del self._active[uid]

    def _agenda(self, executor: str) -> Agenda[int]:
        """The fire times of the jobs of one executor."""
        if executor not in self._due:

            def fire_time(uid: int) -> datetime | None:
                job = self._jobs.get(uid)
                return (
                    None if job is None or job.paused_at is not None or job.executor != executor else job.next_fire_time
                )

            self._due[executor] = Agenda(fire_time)
        return self._due[executor]

    def _claims_for(self, executor: str) -> Agenda[int]:
        """The jobs of one executor of which a run may be claimed."""
        if executor not in self._claimable:

            def claim_at(uid: int) -> datetime | None:
                job = self._jobs.get(uid)
                return None if job is None or job.executor != executor else self._claim_at(uid)

            self._claimable[executor] = Agenda(claim_at)
        return self._claimable[executor]

    def _available_at(self, key: Key) -> datetime | None:
        run = self._ledger.rows.get(key)
        return run.available_at if run is not None and run.state is PENDING else None

    def _put_expectation(self, expectation: Expectation) -> None:
        self._expectations[expectation.job_uid] = expectation
        if (by := self._expect_by(expectation.job_uid)) is not None:
            self._expected.put(expectation.job_uid, by)

    def _expect_by(self, uid: int) -> datetime | None:
        """When a job falls overdue. None: it is already, or will not."""
        expectation = self._expectations.get(uid)
        return None if expectation is None or expectation.overdue_at is not None else expectation.expect_by

    def _expires_at(self, key: Key) -> datetime | None:
        run = self._ledger.rows.get(key)
        return run.expires_at if run is not None and run.state is PENDING else None

    def _lease_until(self, key: Key) -> datetime | None:
        run = self._ledger.rows.get(key)
        return run.lease_until if run is not None and run.state is RUNNING else None


def _may_start(run: Run, now: datetime) -> bool:
    return run.available_at <= now and (run.expires_at is None or run.expires_at > now)


def _in_the_way(run: Run) -> bool:
    """Whether a run counts for its job's `max_instances`."""
    return run.state is RUNNING and run.backfill is None


def _copied(state: StoredState) -> StoredState:
    """A state whose lists and dicts are nobody else's."""
    entries = {key: Entry(version, copied(value)) for key, (version, value) in state.entries.items()}
    return StoredState(state.version, entries)
