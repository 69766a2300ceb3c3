"""The store of one process: nothing outlives it."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush, nsmallest
from itertools import islice, takewhile
from typing import Generic, NamedTuple, NoReturn, TypeAlias, TypeVar

from tickwork.backfill import Answered, Backfill
from tickwork.clock import Clock, SystemClock
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
from tickwork.node import Node, NodeState
from tickwork.plan import Change, Filling, Hold, Settlement, expect
from tickwork.retention import Retention
from tickwork.run import Origin, Run, RunKey, RunState
from tickwork.runlog import NO_LOG, RunLog
from tickwork.stores.base import MAX_NODES, USUAL_LEASE, Census, Claim, Decide, Fill, Outlook, Pruned, Stretch
from tickwork.why import MAX_NAMESAKES, NEVER_BEGUN, SECOND, Absence, Evidence, Silence, end_of, of_its_time, rows_at

Key: TypeAlias = tuple[int, datetime, int, int]
"""What is unique of a run: job, fire time, origin, attempt."""

SCHEDULE, MANUAL, BACKFILL = range(3)
"""Origins in a key."""
_ORIGIN = 2
LAST = 2**31
"""An attempt after all others."""
NO_RUNS: dict[Key, Run] = {}
RANKS = {Origin.SCHEDULE: SCHEDULE, Origin.MANUAL: MANUAL, Origin.BACKFILL: BACKFILL}
BEGINNING = datetime.min.replace(tzinfo=UTC)
NO_KEY: Key = (-1, BEGINNING, SCHEDULE, 0)


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
        self._lock = threading.RLock()
        self._jobs: dict[int, Job] = {}
        self._ids: dict[str, int] = {}
        self._runs: dict[Key, Run] = {}
        self._logs: dict[Key, RunLog] = {}
        self._states: dict[int, StoredState] = {}
        self._ledgers: dict[int, list[Key]] = {}
        self._pruned_through: dict[int, datetime] = {}
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
        self._declared_ids: dict[str, frozenset[str]] = {}
        self._nodes: dict[tuple[str, datetime], Node] = {}
        self._backfills: dict[str, Backfill] = {}
        self._open_backfills: dict[str, None] = {}
        self._backfilled: dict[Key, None] = {}
        """Runs of backfills that wait."""

    def open(self, ring: Callable[[], None] | None = None) -> None:
        """Nothing to do: no other process can change it."""

    def close(self) -> None:
        """Keeps what it holds: a scheduler that is started again finds its jobs."""

    def together(self) -> AbstractContextManager[object]:
        """Nobody sees half of it; nothing can fail, so nothing need be undone."""
        return self._lock

    def add(self, jobs: Sequence[Job]) -> None:
        with self._lock:
            new = {job.id for job in jobs}
            for job in jobs:
                if job.id in self._ids or job.id not in new:
                    raise JobExistsError(job.id)
                if job.uid in self._jobs:
                    raise ConflictError(
                        "expected new jobs, got some that were added before: make them again with new_job"
                    )
                new.discard(job.id)
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
        with self._lock:
            won = [change for change in changes if self._save(change)]
            uids = {change.job.uid for change in won}
            for one in expected:
                if one.job_uid in uids:
                    stood = self._expectations.get(one.job_uid, one)
                    self._put_expectation(stood._replace(expect_by=one.expect_by, overdue_at=None, told_by=None))
            return won

    def remove(self, job_ids: Collection[str] | None = None) -> Sequence[Job]:
        with self._lock:
            ids = list(self._ids) if job_ids is None else [id for id in dict.fromkeys(job_ids) if id in self._ids]
            return [self._remove(id) for id in ids]

    def fire(
        self, decide: Decide, *, executor: str, since: datetime | None = None, until: datetime, limit: int,
        skip: Collection[int] = (),
    ) -> Sequence[Change]:  # fmt: skip
        with self._lock:
            now = self.clock.now()
            due = self._take_due(executor, since, until, limit, skip)
            try:
                active = {job.uid: (*self._active[job.uid].values(),) for job in due if job.uid in self._active}
                changes = decide(due, active, now)
            except BaseException:
                self._put_jobs(due)
                raise
            if len(changes) < len(due):
                changed = {change.job.uid for change in changes}
                self._put_jobs(job for job in due if job.uid not in changed)
            return [self._write(change) for change in changes]

    def claim(
        self, hold: Hold, *, executor: str, since: datetime | None = None, limit: int, skip: Collection[int] = ()
    ) -> Sequence[Claim]:
        with self._lock:
            claims: list[Claim] = []
            looked_at: list[int] = []
            now = self.clock.now()
            agenda = self._claims_for(executor)
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
            ours = [run for run in runs if self._is_current(_key(run), run.version)]
            renewed = [run._replace(version=run.version + 1, lease_until=lease_until) for run in ours]
            for run in renewed:
                self._put_run(_key(run), run)
            return renewed

    def lost(self, limit: int) -> Sequence[Run]:
        with self._lock:
            lost = [self._runs[key] for key in islice(self._leases.take(self.clock.now()), limit)]
            for run in lost:  # they stay lost until they are settled
                self._put_run(_key(run), run)
            return lost

    def expired(self, limit: int) -> Sequence[Run]:
        with self._lock:
            expired = [self._runs[key] for key in islice(self._expiries.take(self.clock.now()), limit)]
            for run in expired:  # they stay expired until they are closed
                self._put_run(_key(run), run)
            return expired

    def settle(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        with self._lock:
            return [settlement for settlement in settlements if self._settle(settlement)]

    def keep_logs(self, logs: Sequence[tuple[Run, RunLog]]) -> None:
        with self._lock:
            for run, log in logs:
                stored = self._runs.get(_key(run))
                if stored is not None and stored.version == run.version:
                    self._logs[_key(run)] = log

    def save_state(self, change: StateChange, run: Run | None = None) -> StoredState | None:
        with self._lock:
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
        with self._lock:
            return [run for run in runs if self._cancel(run)]

    def add_backfill(self, backfill: Backfill) -> None:
        with self._lock:
            if backfill.job_uid not in self._jobs:
                raise JobNotFoundError(backfill.job_id)
            self._put_backfill(backfill)

    def fill(self, stretch: Stretch, decide: Fill, *, limit: int) -> Sequence[Filling]:
        if not self._open_backfills:
            return []
        with self._lock:
            going_on = [self._backfills[id] for id in self._open_backfills]
            of_firing_jobs = [one for one in going_on if self._jobs[one.job_uid].paused_at is None]
            return [self._fill(backfill, stretch, decide) for backfill in of_firing_jobs[:limit]]

    def end_backfill(self, backfill: Backfill, cancel: Callable[[Run], Run]) -> Sequence[Run] | None:
        with self._lock:
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
            return [self._runs[key] for key in self._cancelling if self._runs[key].node == node]

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
            pending = [run.available_at for run in runs if run.state is RunState.PENDING]
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
        with self._lock:
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

    def beat(self, node: Node) -> None:
        with self._lock:
            self._nodes[node.id, node.seen_since] = node

    def declare(self, declaration: Declaration) -> None:
        with self._lock:
            self._declared_ids[declaration.name] = declaration.ids

    def undeclared(self, apps: Collection[str]) -> Sequence[Job]:
        with self._lock:
            living = {node.declaration for node in self.nodes(alive=True, limit=MAX_NODES)}
            declared = {id for name in living for id in self._declared_ids.get(name, ())}
            return [
                job for job in self.jobs()
                if job.declared in apps and job.retired_at is None and not job.ended and job.id not in declared
            ]  # fmt: skip

    def nodes(self, *, alive: bool = False, limit: int = 1_000) -> Sequence[Node]:
        with self._lock:
            now = self.clock.now()
            latest = {node.id: node for node in sorted(self._nodes.values(), key=lambda node: node.seen_since)}
            read = [node.read_at(now) for node in latest.values()]
            chosen = sorted(
                (node for node in read if not alive or node.state is NodeState.ALIVE), key=lambda node: node.id
            )
            return sorted(chosen, key=lambda node: (node.seen_at, node.started_at), reverse=True)[:limit]

    def run(self, run_id: str) -> Run:
        key = _read_key(run_id)
        with self._lock:
            try:
                return self._runs[key]
            except KeyError:
                raise RunNotFoundError(run_id) from None

    def state(self, job_uid: int) -> StoredState:
        with self._lock:
            return _copied(self._states.get(job_uid, NO_STATE))

    def log(self, run_id: str) -> RunLog:
        with self._lock:
            return self._logs.get(_key(self.run(run_id)), NO_LOG)

    def runs(
        self, *, job_id: str | None = None, states: Collection[RunState] = (), limit: int = 100, offset: int = 0
    ) -> Sequence[Run]:
        with self._lock:
            chosen: Iterable[Run] = (run for run in reversed(self._runs.values()) if not states or run.state in states)
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
            found = [self._evidence(evidence, uid, instant) for uid, evidence in known.items()]
            return of_its_time(found, instant)._replace(absence=self._absence(instant))

    def prune(self, keep: Retention, *, after: int, jobs: int, rows: int) -> Pruned:
        with self._lock:
            now = self.clock.now()
            deleted = 0
            asked = {self._backfills[id].job_uid for id in self._open_backfills}
            uids = nsmallest(jobs, (uid for uid in self._ledgers if uid > after and uid not in asked))
            for uid in uids:
                deleted += self._prune(uid, keep, now, rows - deleted)
                if deleted == rows:
                    return Pruned(deleted, uid - 1)  # there may be more of this job
            if len(uids) == jobs:
                return Pruned(deleted, uids[-1])
            cutoff = keep.cutoff(now) or BEGINNING
            self._forget_removed(cutoff)
            self._forget_nodes(cutoff, now)
            return Pruned(deleted, None)

    def _save(self, change: Change) -> bool:
        stored = self._jobs.get(change.job.uid)
        if stored is None or stored.version != change.job.version - 1:
            return False
        if any(_key(run) in self._runs for run in change.runs):
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
            key = _key(run)
            if key not in self._runs:
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
            if run.state is RunState.PENDING:
                self._cancel_orphan(run)
        return job

    def _settle(self, settlement: Settlement) -> bool:
        run, attempt, log, state = settlement
        key = _key(run)
        if not self._is_current(key, run.version - 1):
            return False
        if state is not None and state.job_uid in self._jobs and self.save_state(state) is None:
            return False
        self._put_run(key, run)
        if log is not None:
            self._logs[key] = log
        if run.state is RunState.PENDING and run.job_uid not in self._jobs:
            self._cancel_orphan(run)
        if attempt is not None and attempt.job_uid in self._jobs and (key := _key(attempt)) not in self._runs:
            self._put_run(key, attempt)
        return True

    def _cancel(self, run: Run) -> bool:
        """Write *run* as it was cancelled, if it is open still and at the version that was read."""
        key = _key(run)
        stored = self._runs.get(key)
        if stored is None or stored.state.closed or stored.version != run.version - 1:
            return False
        self._put_run(key, run)
        if run.state is RunState.RUNNING:
            self._cancelling.add(key)
        return True

    def _cancel_orphan(self, run: Run) -> None:
        """Close a run that waits for a job that was removed."""
        self._put_run(_key(run), run._replace(
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
        waiting = [
            run for run in self._claimable_runs(job)
            if run.available_at <= now and (run.expires_at is None or run.expires_at > now)
        ]  # fmt: skip
        running = sum(map(_in_the_way, self._active[job.uid].values()))
        return sorted(waiting, key=lambda run: run.available_at)[: max(0, job.max_instances - running)]

    def _claimable_runs(self, job: Job) -> Sequence[Run]:
        """The waiting runs of a job, as far as a pause lets them begin."""
        return [
            run
            for run in self._active.get(job.uid, NO_RUNS).values()
            if run.state is RunState.PENDING and run.backfill is None and (job.paused_at is None or run.by_hand)
        ]

    def _claimable_of_backfills(self, executor: str, now: datetime, skip: Collection[int]) -> Sequence[Run]:
        """The waiting runs of backfills that may start now: those that became available first."""
        waiting = [self._runs[key] for key in self._backfilled]
        claimable = [
            run for run in waiting
            if run.available_at <= now and run.job_uid not in skip and run.job_uid in self._jobs
            and (job := self._jobs[run.job_uid]).executor == executor and job.paused_at is None
        ]  # fmt: skip
        return sorted(claimable, key=lambda run: run.available_at)

    def _hold(self, run: Run, hold: Hold) -> Run:
        """Take a waiting run."""
        held = run._replace(
            version=run.version + 1, state=RunState.RUNNING, node=hold.node, lease_until=hold.lease_until
        )
        self._put_run(_key(run), held)
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
        answered = {fire_time: self._answered(backfill.job_uid, fire_time) for fire_time in fire_times}
        filling = decide(backfill, active, fire_times, answered, self.clock.now())
        if filling.moved:
            self._put_backfill(filling.backfill)
            for run in filling.runs:
                self._put_run(_key(run), run)
        return filling

    def _backfilling_runs(self, backfill: Backfill) -> Sequence[Run]:
        """The active runs of a backfill."""
        return [run for run in self._active.get(backfill.job_uid, NO_RUNS).values() if run.backfill == backfill.id]

    def _answered(self, uid: int, fire_time: datetime) -> Answered:
        keys = self._ledgers.get(uid, [])
        first, last = bisect_left(keys, (uid, fire_time, 0, 0)), bisect_left(keys, (uid, fire_time, BACKFILL, LAST))
        runs = [self._runs[key] for key in keys[first:last] if key[_ORIGIN] != MANUAL]
        return Answered(
            ran=any(run.state not in NEVER_BEGUN for run in runs),
            open=any(not run.state.closed for run in runs),
            backfilled=max((run.attempt for run in runs if run.origin is Origin.BACKFILL), default=0),
        )

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
        stored = self._runs.get(key)
        return stored is not None and stored.state is RunState.RUNNING and stored.version == version

    def _is_held(self, run: Run) -> bool:
        """Whether the run is running at its node still, whatever was written of it since."""
        stored = self._runs.get(_key(run))
        return stored is not None and stored.state is RunState.RUNNING and stored.node == run.node

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
        if key not in self._runs:
            self._enter(key)
        self._runs[key] = run
        if run.backfill is not None:
            if run.state is RunState.PENDING:
                self._backfilled[key] = None
            else:
                self._backfilled.pop(key, None)
        if run.state is RunState.RUNNING:
            if run.lease_until is not None:
                self._leases.put(key, run.lease_until)
        elif run.state is not RunState.PENDING:
            self._forget_active(key)
            return
        self._active.setdefault(run.job_uid, {})[key] = run
        if run.state is RunState.PENDING:
            self._pending.put(key, run.available_at)
            if run.expires_at is not None:
                self._expiries.put(key, run.expires_at)
            self._note_claim(run.job_uid)

    def _enter(self, key: Key) -> None:
        """Put a new row in its place in the ledger of its job: nearly always the last."""
        keys = self._ledgers.setdefault(key[0], [])
        if not keys or keys[-1] < key:
            keys.append(key)
        else:
            insort(keys, key)

    def _evidence(self, known: Evidence, uid: int, instant: datetime) -> Evidence:
        keys = self._ledgers.get(uid, [])
        begin, here = bisect_left(keys, (uid, instant, 0, 0)), bisect_right(keys, (uid, instant, BACKFILL, LAST))
        end = bisect_left(keys, (uid, end_of(instant), 0, 0))
        before = self._attempts(keys, range(here - 1, -1, -1))
        after = self._attempts(keys, range(here, len(keys)))
        manual, backfilled = (
            [self._runs[key] for key in keys[begin:end] if key[_ORIGIN] == origin] for origin in (MANUAL, BACKFILL)
        )
        found = rows_at(before, after, instant)
        silence = self._silence(found[0]) if found and found[0].state in NEVER_BEGUN else None
        waits = any(run.state is RunState.PENDING for run in (*found, *manual))
        return known._replace(
            before=before, after=after, manual=manual, backfilled=backfilled, silence=silence,
            running=self._running(known.job) if waits and known.job is not None else (),
            pruned_through=self._pruned_through.get(uid),
        )  # fmt: skip

    def _running(self, job: Job) -> Sequence[Run]:
        """The running runs of a job, in their order."""
        active = self._active.get(job.uid, NO_RUNS)
        return [active[key] for key in sorted(active) if _in_the_way(active[key])][: job.max_instances]

    def _attempts(self, keys: Sequence[Key], places: Iterable[int]) -> Sequence[Run]:
        """All attempts at the first fire time of the schedule that lies at one of these *places*."""
        uid, fire_time, _, _ = next((keys[place] for place in places if keys[place][_ORIGIN] == SCHEDULE), NO_KEY)
        first, last = bisect_left(keys, (uid, fire_time, 0, 0)), bisect_right(keys, (uid, fire_time, SCHEDULE, LAST))
        return [self._runs[key] for key in keys[first:last]]

    def _silence(self, run: Run) -> Silence | None:
        """Between which signs of a node *run* lies: the starts and endings of all rows that were born before it."""
        signs = [
            at for one in takewhile(lambda one: one is not run, self._runs.values())
            for at in (one.started_at, one.ended_at) if at is not None
        ]  # fmt: skip
        after = [at for at in (*signs, run.ended_at) if at is not None and at >= run.fire_time]
        since = max((at for at in signs if at < run.fire_time), default=None)
        return Silence(since, min(after)) if after else None

    def _absence(self, instant: datetime) -> Absence | None:
        now = self.clock.now()
        nodes = [node.read_at(now) for node in self._nodes.values()]
        known = [node for node in nodes if node.seen_since <= instant]
        before = [node for node in known if node.seen_at < instant and node.state is not NodeState.ALIVE]
        if len(before) < len(known) or not before or instant > now:
            return None
        after = [node for node in nodes if node.seen_since > instant]
        return Absence(
            max(before, key=lambda node: node.seen_at), min(after, key=lambda node: node.seen_since, default=None)
        )

    def _prune(self, uid: int, keep: Retention, now: datetime, rows: int) -> int:
        """Delete the oldest expired rows of a job and note up to where; a disposable job goes with its last one."""
        job, keys = self._jobs.get(uid), self._ledgers[uid]
        if job is not None and job.keep is not None:
            keep = job.keep
        counted = self._runs[keys[-keep.count]].fire_time if keep.count and len(keys) >= keep.count else BEGINNING
        aged = keep.cutoff(now) or BEGINNING
        oldest = takewhile(lambda key: self._runs[key].fire_time < max(counted, aged), keys)
        expired = [*islice((key for key in oldest if self._is_expired(self._runs[key], counted, aged)), rows)]
        if not expired:
            return 0
        doomed = [self._runs.pop(key) for key in expired]
        for key in expired:
            self._logs.pop(key, None)
        gone = {*expired}
        self._ledgers[uid] = [key for key in keys if key not in gone]
        through = max(run.through or run.fire_time for run in doomed)
        self._pruned_through[uid] = max(through, self._pruned_through.get(uid, through))
        if not self._ledgers[uid]:
            del self._ledgers[uid]
            backfilling = any(self._backfills[id].job_uid == uid for id in self._open_backfills)
            if job is not None and job.disposable and job.ended and not backfilling:
                del self._jobs[self._ids.pop(job.id)], self._pruned_through[uid]
                self._states.pop(uid, None)
                self._expectations.pop(uid, None)
        return len(doomed)

    def _is_expired(self, run: Run, counted: datetime, aged: datetime) -> bool:
        if not run.state.closed:
            return False
        too_old = run.fire_time < aged and run.ended_at is not None and run.ended_at < aged
        return run.fire_time < counted or too_old

    def _forget_removed(self, before: datetime) -> None:
        """Forget jobs that were removed before that, and of which no row is left."""
        for job_id, removals in [*self._removed.items()]:
            kept = [one for one in removals if one.at >= before or one.uid in self._ledgers]
            for one in removals:
                if one not in kept:
                    self._pruned_through.pop(one.uid, None)
            self._removed[job_id] = kept
            if not kept:
                del self._removed[job_id]
        for backfill in [*self._backfills.values()]:
            if backfill.ended_at is not None and backfill.ended_at < before:
                del self._backfills[backfill.id]

    def _forget_nodes(self, before: datetime, now: datetime) -> None:
        """Forget what was last heard of before that, and the earliest if there are too many."""
        stretches = sorted(self._nodes.items(), key=lambda item: item[1].seen_at)
        for place, (key, node) in enumerate(stretches, 1 - len(stretches)):
            if node.lease_until <= now and (node.seen_at < before or place <= -MAX_NODES):
                del self._nodes[key]
        names = {node.declaration for node in self._nodes.values()}
        self._declared_ids = {name: ids for name, ids in self._declared_ids.items() if name in names}

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
        run = self._runs.get(key)
        return run.available_at if run is not None and run.state is RunState.PENDING else None

    def _put_expectation(self, expectation: Expectation) -> None:
        self._expectations[expectation.job_uid] = expectation
        if (by := self._expect_by(expectation.job_uid)) is not None:
            self._expected.put(expectation.job_uid, by)

    def _expect_by(self, uid: int) -> datetime | None:
        """When a job falls overdue. None: it is already, or will not."""
        expectation = self._expectations.get(uid)
        return None if expectation is None or expectation.overdue_at is not None else expectation.expect_by

    def _expires_at(self, key: Key) -> datetime | None:
        run = self._runs.get(key)
        return run.expires_at if run is not None and run.state is RunState.PENDING else None

    def _lease_until(self, key: Key) -> datetime | None:
        run = self._runs.get(key)
        return run.lease_until if run is not None and run.state is RunState.RUNNING else None


def _in_the_way(run: Run) -> bool:
    """Whether a run counts for its job's `max_instances`."""
    return run.state is RunState.RUNNING and run.backfill is None


Name = TypeVar("Name")


class Agenda(Generic[Name]):
    """What comes due when: a heap whose outdated entries are dropped as they surface.

    An entry counts while *current* still gives its instant for its name, so nothing needs deleting.
    """

    def __init__(self, current: Callable[[Name], datetime | None]) -> None:
        self._current = current
        self._heap: list[tuple[datetime, Name]] = []
        self._late: list[tuple[datetime, Name]] = []
        """A heap, too: what was passed over, since it was asked for what comes later."""
        self._tidy_at = 64

    def put(self, name: Name, at: datetime) -> None:
        heappush(self._heap, (at, name))
        if len(self._heap) > self._tidy_at:
            self._heap = [*{entry for entry in self._heap if self._current(entry[1]) == entry[0]}]
            heapify(self._heap)
            self._tidy_at = 64 + 2 * len(self._heap)

    def take(self, end: datetime, since: datetime | None = None) -> Iterator[Name]:
        """The names due by *end* and from *since* on, the earliest first; each must be `put` again if it stays due."""
        last = None
        while (entry := self._pop(end, since)) is not None:
            if self._current(entry[1]) == entry[0] and entry != last:
                last = entry
                yield entry[1]

    def _pop(self, end: datetime, since: datetime | None) -> tuple[datetime, Name] | None:
        heap, late = self._heap, self._late
        if since is not None:
            while heap and heap[0][0] < since:
                heappush(late, heappop(heap))
        elif late and (not heap or late[0] < heap[0]):
            heap = late
        return heappop(heap) if heap and heap[0][0] <= end else None

    def forget_until(self, instant: datetime) -> datetime | None:
        """The first instant strictly after *instant*; nobody asks for those before it again."""
        heap, current = self._heap, self._current
        while heap and (heap[0][0] <= instant or current(heap[0][1]) != heap[0][0]):
            heappop(heap)
        return heap[0][0] if heap else None

    def next_after(self, instant: datetime) -> datetime | None:
        """The first instant strictly after *instant*."""
        heap, due = self._heap, []
        while heap and (heap[0][0] <= instant or self._current(heap[0][1]) != heap[0][0]):
            entry = heappop(heap)
            if self._current(entry[1]) == entry[0]:
                due.append(entry)
        first = heap[0][0] if heap else None
        for entry in due:
            heappush(heap, entry)
        return first


def _copied(state: StoredState) -> StoredState:
    """A state whose lists and dicts are nobody else's."""
    entries = {key: Entry(version, copied(value)) for key, (version, value) in state.entries.items()}
    return StoredState(state.version, entries)


def _read_key(run_id: str) -> Key:
    key = RunKey.parse(run_id)
    return key.job_uid, key.fire_time, RANKS[key.origin], key.attempt


def _key(run: Run) -> Key:
    origin = run.origin
    rank = SCHEDULE if origin is Origin.SCHEDULE else MANUAL if origin is Origin.MANUAL else BACKFILL
    return run.job_uid, run.fire_time, rank, run.attempt
