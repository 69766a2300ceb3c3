"""The store on a PostgreSQL server, which any number of machines share.

What a change was decided on is locked before it is read by a statement of its own: one statement that locked, read and
wrote would decide on what it saw before it waited for the lock. Versions are compared all the same.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zlib import crc32

from psycopg import Connection
from psycopg.errors import LockNotAvailable

from tickwork.backfill import MAX_OPEN_BACKFILLS, Answered, Backfill, one_too_many
from tickwork.clock import MICROSECOND, Clock, SystemClock, from_micros, to_micros
from tickwork.codec import read_instant, read_log, read_state, write_instant, write_state
from tickwork.declaration import Declaration
from tickwork.errors import BackfillNotFoundError, JobNotFoundError, RunNotFoundError
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.jobstate import NO_STATE, StateChange, StoredState, changed
from tickwork.moves import NOTHING_ELSE, Holdings, Move, PackedJob, PackedRest, PackedRun, refusal
from tickwork.node import Node
from tickwork.plan import Change, Filling, Hold, Settlement, expect
from tickwork.retention import Retention
from tickwork.run import PENDING, RUNNING, Run, RunKey, RunState
from tickwork.runlog import NO_LOG, RunLog
from tickwork.stores import base
from tickwork.stores.base import USUAL_LEASE, Census, Claim, Decide, Fill, Outlook, Pruned, Stretch
from tickwork.stores.known import tell_known
from tickwork.stores.parts import in_parts
from tickwork.stores.postgresql import moving
from tickwork.stores.postgresql import statements as sql
from tickwork.stores.postgresql.address import Address
from tickwork.stores.postgresql.doorbell import Doorbell, channel_of, may_be_due_soon
from tickwork.stores.postgresql.evidence import find_absence, find_evidence
from tickwork.stores.postgresql.joining import add_jobs, add_jobs_async, taken
from tickwork.stores.postgresql.pruning import find_prunable, prune
from tickwork.stores.postgresql.rows import (
    Arrays,
    Row,
    advanced_jobs,
    cancelled_running,
    cancelled_waiting,
    definitions,
    expectation_arrays,
    held_births,
    inserted_backfill,
    integers,
    job_arrays,
    read_backfill,
    read_expectation,
    read_job,
    read_node,
    read_run,
    read_versions,
    renewed_runs,
    run_arrays,
    run_key,
    run_keys,
    settled_runs,
    succeeded_runs,
    text,
    texts,
    updated_backfill,
    updated_definition,
    updated_job,
    written_logs,
    written_node,
)
from tickwork.stores.postgresql.schema import read_version, upgrade
from tickwork.stores.postgresql.server import Glance, Server, Session
from tickwork.stores.postgresql.settling import settle_run, settle_run_async
from tickwork.stores.prunable import NEVER
from tickwork.stores.server_clock import ServerClock
from tickwork.stores.standing import standing
from tickwork.why import MAX_NAMESAKES, SECOND, Evidence, of_its_time

__all__ = ["PostgreSQLStore", "add_jobs", "add_jobs_async", "settle_run", "settle_run_async"]

MAX_CACHED_DEFINITIONS = 20_000
REMOVED_JOBS = 100
"""Of how many removed jobs that had the same id the runs are shown."""
PATIENCE = 5.0
"""Seconds that who ends a backfill tries to find none of its runs in other hands."""
A_MOMENT = 0.01
TIME_TO_RETURN = timedelta(seconds=0.9)
"""How long a lifeline has to be cut until its node is taken for dead: one that lives, and lost its session, takes hold
again at once. A little less than a poll, so that the second look is enough."""
OPEN = frozenset({PENDING, RUNNING})

T = TypeVar("T")

log = logging.getLogger("tickwork.store")


class PostgreSQLStore:
    """Jobs and runs in the PostgreSQL database that *url* names; docs/stores.md has its options.

    What is due is decided by the server's clock, or by *clock* in its place. *wall_clock* is this machine's; a node on
    which the two disagree fires nothing. Nodes wake each other by LISTEN and NOTIFY, except behind a pooler.
    Raises StoreURLError.
    """

    lease = USUAL_LEASE

    _process: int
    _opened: bool
    _server: Server
    _doorbell: Doorbell | None
    _definitions: dict[int, Job]
    _executors: tuple[str, ...]
    """Those that were asked for: of them a glance tells when a job comes due."""
    _cut: dict[str, datetime]
    """Since when each node's lifeline is seen to be cut."""

    def __init__(self, url: str, *, clock: Clock | None = None, wall_clock: Clock | None = None) -> None:
        self._address = Address.parse(url)
        self.location = self._address.location
        self._own_clock = ServerClock() if clock is None else None
        self.clock: Clock = clock or self._own_clock or ServerClock()
        self.wall_clock: Clock = wall_clock or clock or SystemClock()
        self._name = secrets.token_hex(8)
        self._make_afresh()

    def open(self, ring: Callable[[], None] | None = None) -> None:
        self._check_process()
        if not self._opened:
            try:
                with self._server.writing() as session:
                    assert self._server.schema is not None
                    upgrade(session, self.location, self._server.schema, create=self._address.create)
            except BaseException:
                self.close()
                raise
            self._opened = True
        if ring is not None:
            self._close_doorbell()
            if self._server.pooled:
                log.info(
                    "nodes on %s cannot wake each other behind a pooler, nor see at once that one dies: "
                    "news is noticed within a poll, a death when a lease ends", self.location,
                )  # fmt: skip
            else:
                self._doorbell = Doorbell(self._server.connect, self._channel, self._name, ring)

    def close(self) -> None:
        self._check_process()
        self._opened = False
        self._close_doorbell()
        self._server.close()

    def exists(self) -> bool:
        with self._reading() as session:
            return self._server.schema is not None and read_version(session, self._server.schema) > 0

    def together(self) -> AbstractContextManager[object]:
        self._check_process()
        return self._server.together(is_round=True)

    # what the user owns

    def add(self, jobs: Sequence[Job]) -> None:
        now = self.clock.now()
        expected = [one for job in jobs if (one := expect(job, now)) is not None]
        with self._changing(in_parts=True) as session:
            _insert(session, jobs)
            _write_expectations(session, expected)
            if any(may_be_due_soon(job, now) for job in jobs):
                self._ring_others(session)
        self._keep(jobs)

    def get(self, job_id: str) -> Job:
        with self._reading() as session:
            row = session.select_one(sql.SELECT_JOB, text(job_id))
            known = session.select(sql.SOME_IDS) if row is None else ()
        if row is None:
            raise JobNotFoundError(job_id, [id for (id,) in known])
        return read_job(row)

    def jobs(self, *, ids: Collection[str] | None = None, after: str = "", limit: int | None = None) -> Sequence[Job]:
        with self._reading() as session:
            if ids is None:
                rows = session.select(sql.SELECT_ALL_JOBS, text(after), limit)
            else:
                rows = session.select(sql.SELECT_JOBS, texts(ids), text(after), limit)
        return [read_job(row) for row in rows]

    def save(self, changes: Sequence[Change], *, expected: Sequence[Expectation] = ()) -> Sequence[Change]:
        lock = sql.LOCK_JOB_IF_FREE if self._server.is_together() else sql.LOCK_JOB
        with self._changing() as session:
            won = [change for change in changes if _save(session, change, lock)]
            uids = {change.job.uid for change in won} if expected else ()
            _write_expectations(session, [one for one in expected if one.job_uid in uids])
            if won:
                self._ring_others(session)
        return won

    def remove(self, job_ids: Collection[str] | None = None) -> Sequence[Job]:
        now = to_micros(self.clock.now())
        with self._changing() as session:
            locked = (
                session.select(sql.LOCK_ALL_JOBS) if job_ids is None else session.select(sql.LOCK_JOBS, texts(job_ids))
            )
            uids = integers(uid for (uid,) in locked)
            jobs = [read_job(row) for row in session.select(sql.SELECT_JOBS_BY_UID, uids)]
            if jobs:
                session.execute(sql.DELETE_JOBS, uids)
                session.execute(sql.CANCEL_PENDING, uids, now)
                session.execute(sql.END_BACKFILLS, uids, now)
                noted = integers(job.uid for job in jobs), texts(job.id for job in jobs)
                session.execute(sql.NOTE_REMOVAL, *noted, now)
        return jobs

    # the walk of a fire time

    def fire(
        self, decide: Decide, *, executor: str, since: datetime | None = None, until: datetime, limit: int,
        skip: Collection[int] = (),
    ) -> Sequence[Change]:  # fmt: skip
        begin, end = NEVER if since is None else to_micros(since), to_micros(until)
        glance = self._glance()
        if glance is not None and executor in glance.fire_at and not _has_come(glance.fire_at[executor], end):
            return []
        with self._turn, self._writing() as session:
            now = self.clock.now()
            due = session.select(sql.SELECT_DUE, executor, begin, end, integers(skip), limit)
            if not due:
                return []
            active = _active_runs(session, [row[0] for row in due])
            written, news = _advance(session, decide(self._due_jobs(session, due), active, now))
            if news:
                self._ring_others(session)
            else:
                self._go_on_with(glance)
        return written

    def claim(
        self, hold: Hold, *, executor: str, since: datetime | None = None, limit: int, skip: Collection[int] = ()
    ) -> Sequence[Claim]:
        span = now, _ = to_micros(self.clock.now()), NEVER if since is None else to_micros(since)
        skipped = integers(skip)
        glance = self._glance()
        if glance is not None and not _has_come(glance.claim_at, now):
            return []
        with self._turn, self._writing() as session:
            locked = session.select(sql.SELECT_CLAIMABLE_JOBS, *span, executor, skipped, limit)
            uids = integers(uid for (uid,) in locked)
            taken_now = _startable(session.select(sql.SELECT_PENDING, *span, uids), limit) if locked else []
            if since is None and len(taken_now) < limit:
                left = limit - len(taken_now)
                rows = session.select(sql.SELECT_PENDING_BACKFILLED, now, executor, skipped, left)
                taken_now += map(read_run, rows)
            if not taken_now:
                return []
            held = [
                run._replace(version=run.version + 1, state=RUNNING, node=hold.node, lease_until=hold.lease_until)
                for run in taken_now
            ]
            jobs = {job.uid: job for job in self._read_definitions(session, {run.job_uid for run in held})}
            keys = *run_keys(held), read_versions(held)
            won = _won(held, session.select_one(sql.CLAIM_RUNS, *keys, hold.node, to_micros(hold.lease_until)))
            return [Claim(jobs[run.job_uid], run) for run in won]

    def renew(self, runs: Sequence[Run], lease_until: datetime) -> Sequence[Run]:
        renewed = [run._replace(version=run.version + 1, lease_until=lease_until) for run in runs]
        with self._writing() as session:
            keys = *run_keys(renewed), read_versions(renewed)
            return _won(
                renewed, session.select_one(sql.RENEW_RUNS, *keys, to_micros(lease_until), *renewed_runs(renewed))
            )

    def lost(self, limit: int, *, nodes: Collection[str] = ()) -> Sequence[Run]:
        now, glance = to_micros(self.clock.now()), self._glance()
        if glance is not None and not nodes and not _has_come(glance.lapse_at, now):
            return []
        with self._reading() as session:
            if nodes:
                rows = session.select(sql.SELECT_LOST_OR_HELD, now, limit, texts(nodes))
            else:
                rows = session.select(sql.SELECT_LOST, now, limit)
        return [read_run(row) for row in rows]

    def expired(self, limit: int) -> Sequence[Run]:
        now, glance = to_micros(self.clock.now()), self._glance()
        if glance is not None and not _has_come(glance.expire_at, now):
            return []
        with self._reading() as session:
            rows = session.select(sql.SELECT_EXPIRED, now, limit)
        return [read_run(row) for row in rows]

    def settle(self, settlements: Iterable[Settlement]) -> Sequence[Settlement]:
        won: list[Settlement] = []
        any_released = False
        with self._writing() as session:
            for part, answer in _in_parts(session, sql.SETTLE_SUCCEEDED_RUNS, settlements, succeeded_runs):
                if answer is not None:
                    won += _won(part, answer)
                    continue
                written, released = _settle(session, part, to_micros(self.clock.now()))
                won += written
                any_released |= released
            if any_released:
                self._ring_others(session)
        return won

    def cancel(self, runs: Sequence[Run]) -> Sequence[Run]:
        with self._changing() as session:
            won = _cancel(session, runs)
            if won:
                self._ring_others(session)
        return won

    def keep_logs(self, logs: Sequence[tuple[Run, RunLog]]) -> None:
        with self._writing() as session:
            _keep_logs(session, logs)

    def save_state(self, change: StateChange, run: Run | None = None) -> StoredState | None:
        with self._changing() as session:
            if run is not None and session.select_one(sql.HOLD_RUN, *run_key(run), run.node) is None:
                return None
            return _write_state(session, change)

    def lend(self) -> AbstractContextManager[Connection]:
        self._check_process()
        return self._server.lend()

    def add_backfill(self, backfill: Backfill) -> None:
        with self._changing() as session:
            session.select(sql.TAKE_TURN, self._turn_of_backfills)  # so that the count is true until it is added
            ((going_on,),) = session.select(sql.COUNT_OPEN_BACKFILLS)
            if going_on >= MAX_OPEN_BACKFILLS:
                raise one_too_many()
            if session.execute(sql.INSERT_BACKFILL, *inserted_backfill(backfill)) == 0:
                raise JobNotFoundError(backfill.job_id)
            self._ring_others(session)

    def fill(self, stretch: Stretch, decide: Fill, *, limit: int) -> Sequence[Filling]:
        glance = self._glance()
        if glance is not None and not glance.backfilling:
            return []
        with self._writing() as session:
            rows = session.select(sql.SELECT_OPEN_BACKFILLS, limit)
            return [_fill(session, read_backfill(row), stretch, decide, self.clock.now()) for row in rows]

    def end_backfill(self, backfill: Backfill, cancel: Callable[[Run], Run]) -> Sequence[Run] | None:
        with self._changing() as session:
            runs = _end_backfill(session, backfill)
            if runs is None:
                return None
            cancelled = _cancel(session, [cancel(run) for run in runs])
            self._ring_others(session)
        return cancelled

    def cancelling(self, node: str) -> Sequence[Run]:
        glance = self._glance()
        if glance is not None and node not in glance.cancelling:
            return []
        with self._reading() as session:
            return [read_run(row) for row in session.select(sql.SELECT_CANCELLING, node)]

    def outlook(self, executors: Collection[str], *, after: datetime, fire_after: datetime) -> Outlook:
        self._executors = tuple({**dict.fromkeys(self._executors), **dict.fromkeys(executors)})
        now, ahead = to_micros(after), to_micros(fire_after)
        glance, self._server.of_this_thread.glance = self._server.of_this_thread.glance, None
        if glance is not None and glance.fire_at.keys() >= {*executors} and _is_later(glance, executors, now, ahead):
            fire_at = min((at for one in executors if (at := glance.fire_at[one]) is not None), default=None)
            ats = fire_at, glance.claim_at, glance.lapse_at, glance.expire_at, glance.expect_by
            return Outlook(*map(read_instant, ats))
        with self._reading() as session:
            *found, _ = self._server.learn_from(session, sql.OUTLOOK, texts(executors), ahead, now)
        return Outlook(*map(read_instant, found))

    # what is expected

    def fulfil(self, successes: Sequence[Expectation]) -> Sequence[Expectation]:
        uids, by = expectation_arrays(successes)
        with self._writing() as session:
            known = [read_expectation(row) for row in session.select(sql.LOCK_EXPECTATIONS, uids)]
            at = integers(write_instant(one.succeeded_at) for one in successes)
            session.execute(sql.FULFIL_EXPECTATIONS, uids, by, at)
        return sorted((one for one in known if one.overdue_at is not None), key=lambda one: one.job_id)

    def find_overdue(self, node: str, *, limit: int) -> Sequence[Expectation]:
        now, glance = to_micros(self.clock.now()), self._glance()
        if glance is not None and not _has_come(glance.expect_by, now):
            return []
        with self._writing() as session:
            if (move := moving.find_move(session)) is not None and move.refuses:
                raise refusal(self.location, move)
            return [read_expectation(row) for row in session.select(sql.MARK_OVERDUE, now, text(node), limit)]

    def expectations(self, *, overdue: bool = False) -> Sequence[Expectation]:
        glance = self._glance() if overdue else None
        if glance is not None and not glance.overdue:
            return []
        with self._reading() as session:
            rows = session.select(sql.SELECT_OVERDUE if overdue else sql.SELECT_EXPECTATIONS)
        return [read_expectation(row) for row in rows]

    # the nodes

    def beat(self, node: Node) -> Sequence[str]:
        together = self._server.of_this_thread.together
        goes_on = node.seen_since < node.seen_at and node.stopped_at is None
        if goes_on and together is not None and not together.begun:
            with self._reading() as session:
                told = *written_node(node), texts(self._executors)
                others, *seen, _ = self._server.learn_from(session, sql.BEAT_AND_GLANCE, *told)
            together.glance = self._seen(seen)
            return [*others, node.declaration]
        with self._writing() as session:
            session.select(sql.TAKE_TURN, self._turn_of_nodes)
            session.execute(sql.WRITE_BEAT, *written_node(node))
            now = to_micros(self.clock.now())
            return [declaration for (declaration,) in session.select(sql.SELECT_DECLARING, now)]

    def hold_lifeline(self, node: str) -> str:
        return "" if self._doorbell is None else self._doorbell.hold(f"{self._lifelines}{node}")

    def cut_lifelines(self) -> Collection[str]:
        glance = self._glance()
        if glance is not None and glance.lapse_at is None:  # nothing runs anywhere
            return ()
        now = self.clock.now()
        with self._reading() as session:
            cut = {node for (node,) in session.select(sql.SELECT_CUT_LIFELINES, to_micros(now), self._lifelines)}
        self._cut = {node: self._cut.get(node, now) for node in cut}
        return [node for node, since in self._cut.items() if now - since >= TIME_TO_RETURN]

    def declare(self, declaration: Declaration) -> None:
        with self._writing() as session:
            session.select(sql.TAKE_TURN, self._turn_of_nodes)
            session.execute(sql.INSERT_DECLARATION, declaration.name, texts(sorted(declaration.ids)))

    def undeclared(self, apps: Collection[str]) -> Sequence[Job]:
        now = to_micros(self.clock.now())
        with self._reading() as session:
            found = session.select(sql.SELECT_UNDECLARED, texts(apps), now)
        if not found:
            return []
        with self._writing() as session:  # behind the turn: one that declares them may just have come
            session.select(sql.TAKE_TURN, self._turn_of_nodes)
            return [read_job(row) for row in session.select(sql.SELECT_UNDECLARED, texts(apps), now)]

    def nodes(self, *, alive: bool = False, limit: int = 1_000) -> Sequence[Node]:
        now = self.clock.now()
        with self._reading() as session:
            if alive:
                rows = session.select(sql.SELECT_LIVING_NODES, to_micros(now), limit)
            else:
                rows = session.select(sql.SELECT_NODES, limit)
        return [read_node(row).read_at(now) for row in rows]

    # what people read

    def census(self) -> Census:
        with self._reading() as session:
            ((jobs, paused, fire_at),) = session.select(sql.CENSUS_OF_JOBS)
            ((pending, running, claim_at),) = session.select(sql.CENSUS_OF_RUNS)
        now = self.clock.now()
        return Census(now, jobs, paused, pending, running, read_instant(fire_at), read_instant(claim_at))

    def state(self, job_uid: int) -> StoredState:
        with self._reading() as session:
            row = session.select_one(sql.SELECT_STATE, job_uid)
        return NO_STATE if row is None else read_state(*row)

    def log(self, run_id: str) -> RunLog:
        key = run_key(RunKey.parse(run_id))
        with self._reading() as session:
            row = session.select_one(sql.SELECT_LOG, *key)
        if row is None:
            raise RunNotFoundError(run_id)
        return NO_LOG if row[0] is None else read_log(row[0])

    def backfill(self, backfill_id: str) -> Backfill:
        with self._reading() as session:
            row = session.select_one(sql.SELECT_BACKFILL, text(backfill_id))
        if row is None:
            raise BackfillNotFoundError(backfill_id)
        return read_backfill(row)

    def backfills(
        self, *, job_id: str | None = None, ended: bool | None = None, limit: int = 100
    ) -> Sequence[Backfill]:
        with self._reading() as session:
            return [read_backfill(row) for row in session.select(sql.SELECT_BACKFILLS, text(job_id), ended, limit)]

    def run(self, run_id: str) -> Run:
        key = run_key(RunKey.parse(run_id))
        with self._reading() as session:
            row = session.select_one(sql.SELECT_RUN, *key)
        if row is None:
            raise RunNotFoundError(run_id)
        return read_run(row)

    def runs(
        self, *, job_id: str | None = None, states: Collection[RunState] = (), limit: int = 100, offset: int = 0
    ) -> Sequence[Run]:
        wanted = {*states} or {*RunState}
        page = limit + offset
        limits = page if wanted & OPEN else 0, page if wanted - OPEN else 0, limit, offset
        named = texts(sorted(wanted)) if states else None
        with self._reading() as session:
            if job_id is not None:
                uids = session.select(sql.SELECT_UID, text(job_id))
                uids = uids or session.select(sql.SELECT_REMOVED_UIDS, text(job_id), REMOVED_JOBS)
                rows = session.select(sql.SELECT_RUNS_OF_JOBS, *limits, integers(uid for (uid,) in uids), named)
            elif named is None:
                rows = session.select(sql.SELECT_RUNS, *limits)
            elif RunState.SUCCEEDED in wanted:
                rows = session.select(sql.SELECT_RUNS_IN_STATES, *limits, named)
            else:
                rows = session.select(sql.SELECT_UNSUCCESSFUL_RUNS, *limits, named)
        return [read_run(row) for row in rows]

    def evidence(self, job_id: str, instant: datetime) -> Evidence:
        id, since = text(job_id), to_micros(instant) - SECOND // MICROSECOND
        with self._reading() as session:
            row = session.select_one(sql.SELECT_JOB, id)
            removed = session.select(sql.SELECT_REMOVED_SINCE, id, since, MAX_NAMESAKES)
            if row is None and not removed:
                removed = session.select(sql.SELECT_LAST_REMOVED, id)
            known = {uid: Evidence(job_id, None, removed_at=from_micros(at)) for uid, at in removed}
            if row is not None:
                job = read_job(row)
                known[job.uid] = Evidence(job_id, job)
            found = [find_evidence(session, evidence, uid, instant) for uid, evidence in known.items()]
            absence = find_absence(session, instant, self.clock.now()) if found else None
            ids = () if found else session.select(sql.SOME_IDS)
        if not found:
            raise JobNotFoundError(job_id, [id for (id,) in ids])
        return of_its_time(found, instant)._replace(absence=absence)

    def prune(self, keep: Retention, *, after: int, jobs: int, rows: int) -> Pruned:
        now = self.clock.now()
        with self._reading() as session:
            limits, last = find_prunable(session, keep, now, after, jobs)
        deleted = 0
        if limits:
            with self._writing() as session:
                if moving.keeps_all(session):
                    return Pruned(0, None)
                for limit in limits:
                    deleted += prune(session, limit, rows - deleted)
                    if deleted == rows:
                        return Pruned(deleted, limit.uid - 1)  # there may be more of this job
        if last is None:
            cutoff = keep.cutoff(now)
            before = NEVER if cutoff is None else to_micros(cutoff)
            with self._writing() as session:
                if moving.keeps_all(session):
                    return Pruned(0, None)
                session.select(sql.TAKE_TURN, self._turn_of_nodes)
                session.execute(sql.FORGET_REMOVED, before, rows)
                session.execute(sql.FORGET_NODES, to_micros(now), before, base.MAX_NODES - 1, rows)
                session.execute(sql.FORGET_DECLARATIONS)
                session.execute(sql.FORGET_BACKFILLS, before, rows)
        return Pruned(deleted, last)

    # moving house

    def move(self) -> Move | None:
        glance = self._glance()
        if glance is not None and not glance.moving:
            return None
        with self._reading() as session:
            return moving.find_move(session)

    def write_move(self, before: Move | None, after: Move | None) -> bool:
        with self._writing() as session:
            written = moving.write_move(session, before, after)
            if written:
                self._ring_others(session)
        return written

    def holdings(self) -> Holdings:
        with self._reading() as session:
            return moving.count_holdings(session)

    def pack_jobs(self, *, after: str = "", limit: int) -> Sequence[PackedJob]:
        with self._reading() as session:
            jobs = [read_job(row) for row in session.select(sql.SELECT_ALL_JOBS, text(after), limit)]
            return moving.pack_jobs(session, jobs)

    def pack_runs(self, *, after: int = -1, limit: int, numbers: Collection[int] | None = None) -> Sequence[PackedRun]:
        with self._reading() as session:
            return moving.pack_runs(session, after, limit, numbers)

    def pack_rest(self) -> PackedRest:
        with self._reading() as session:
            return moving.pack_rest(session)

    def unpack(
        self, move: Move, *, jobs: Sequence[PackedJob] = (), runs: Sequence[PackedRun] = (),
        rest: PackedRest = NOTHING_ELSE,
    ) -> bool:  # fmt: skip
        with self._writing() as session:
            if not moving.is_noted(session, move):
                return False
            if jobs:
                moving.unpack_jobs(session, jobs)
            if runs:
                moving.unpack_runs(session, runs)
            moving.unpack_rest(session, rest)
            return True

    def clear(self, move: Move) -> bool:
        with self._writing() as session:
            if not moving.is_noted(session, move):
                return False
            moving.clear(session)
            return True

    # a glance, which answers most questions of a round in which nothing has happened

    def _glance(self) -> Glance | None:
        """What the thread that is inside of `together` sees in one look; None outside: there each question is asked."""
        together = self._server.of_this_thread.together
        if together is None:
            return None
        if together.glance is None:
            with self._reading() as session:
                *seen, _ = self._server.learn_from(session, sql.GLANCE, texts(self._executors))
            together.glance = self._seen(seen)
        return together.glance

    def _seen(self, row: Sequence[Any]) -> Glance:
        fire_at, *others = row
        return Glance(dict(zip(self._executors, fire_at, strict=True)), *others)

    def _go_on_with(self, glance: Glance | None) -> None:
        """Believe what was seen before a write that only let jobs advance: none comes due before what it says."""
        together = self._server.of_this_thread.together
        if together is not None:
            together.glance = glance

    # jobs, read with as little work as the walk allows

    def _due_jobs(self, session: Session, due: Sequence[Row]) -> list[Job]:
        """The jobs of these rows; a definition that was read before is not read again."""
        known = self._definitions
        unknown = [uid for uid, _, revision, _, _ in due if uid not in known or known[uid].revision != revision]
        if unknown:
            known = {**known, **{job.uid: job for job in self._read_definitions(session, unknown)}}
        return [
            standing(known[uid], version, next_fire_time, last_fire_time)
            for uid, version, _, next_fire_time, last_fire_time in due
        ]

    def _read_definitions(self, session: Session, uids: Collection[int]) -> list[Job]:
        jobs = [read_job(row) for row in session.select(sql.SELECT_JOBS_BY_UID, integers(uids))] if uids else []
        self._keep(jobs)
        return jobs

    def _keep(self, jobs: Collection[Job]) -> None:
        """Remember these definitions; when there are too many, from the first again."""
        if len(self._definitions) + len(jobs) > MAX_CACHED_DEFINITIONS:
            self._definitions.clear()
        self._definitions.update((job.uid, job) for job in jobs)

    # the server, as this process sees it

    def _make_afresh(self) -> None:
        self._process = os.getpid()
        self._opened = False
        self._server = Server(self._address, self._own_clock)
        self._doorbell = None
        self._definitions = {}
        self._executors = ()
        self._cut = {}
        # Of one process's threads, at firing and claiming: each would pass over the jobs that another has locked.
        self._turn = threading.Lock()

    def _check_process(self) -> None:
        """Start anew in a forked child: a connection must not be used on both sides of a fork."""
        if self._process != os.getpid():
            self._left_to_parent = (self._server, self._doorbell)  # closing them would end the parent's connections
            self._make_afresh()

    def _close_doorbell(self) -> None:
        doorbell, self._doorbell = self._doorbell, None
        if doorbell is not None:
            doorbell.close()

    @property
    def _channel(self) -> str:
        assert self._server.schema is not None
        return channel_of(self._server.schema)

    @property
    def _lifelines(self) -> str:
        """What the names of locks begin with that nodes hold, in this schema."""
        return f"tickwork {self._server.schema} "

    @property
    def _turn_of_nodes(self) -> int:
        """The number of the lock under which nodes are written, in this schema."""
        assert self._server.schema is not None
        return crc32(f"nodes of {self._server.schema}".encode())

    @property
    def _turn_of_backfills(self) -> int:
        """The number of the lock under which backfills are added, in this schema."""
        assert self._server.schema is not None
        return crc32(f"backfills of {self._server.schema}".encode())

    def _ring_others(self, session: Session) -> None:
        """Wake every other node that listens, when this transaction is committed."""
        session.execute(sql.RING, self._channel, self._name)

    def _writing(self, *, in_parts: bool = False) -> AbstractContextManager[Session]:
        self._check_process()
        return self._server.writing(in_parts=in_parts)

    @contextmanager
    def _changing(self, *, in_parts: bool = False) -> Iterator[Session]:
        """The same for what people change, which a store that has moved refuses."""
        with self._writing(in_parts=in_parts) as session:
            moving.check_takes_changes(session, self.location)
            yield session

    def _reading(self) -> AbstractContextManager[Session]:
        self._check_process()
        return self._server.reading()


def _has_come(at: int | None, now: int) -> bool:
    return at is not None and at <= now


def _is_later(glance: Glance, executors: Collection[str], after: int, fire_after: int) -> bool:
    """Whether all that a glance saw lies strictly after these instants, so that nothing lies hidden behind it."""
    fires = [glance.fire_at[executor] for executor in executors]
    return not any(_has_come(at, fire_after) for at in fires) and not (
        any(_has_come(at, after) for at in (glance.claim_at, glance.lapse_at, glance.expire_at, glance.expect_by))
    )


def _insert(session: Session, jobs: Sequence[Job]) -> None:
    """Add all of them, or raise what is wrong with one."""
    rows = definitions(jobs)
    if session.execute(sql.INSERT_JOBS, *job_arrays(jobs)) < len(jobs):
        found = session.select(sql.TAKEN_IDS, texts(job.id for job in jobs), integers(job.uid for job in jobs))
        raise taken([id for (id,) in found], jobs)
    session.execute(sql.INSERT_DEFINITIONS, *rows)


def _save(session: Session, change: Change, lock: str) -> bool:
    """Write *change* whole or not at all; whether its job was still at the version that was read."""
    job = change.job
    before = session.select_one(lock, job.uid, job.version - 1)
    if before is None or _known(session, run_keys(change.runs)):
        return False
    session.execute(sql.UPDATE_JOB, *updated_job(job))
    _give_birth(session, change.runs)
    _cancel(session, change.cancelled)
    if before != (job.revision,):  # otherwise it stays as it was written, perhaps by a newer version
        session.execute(sql.UPDATE_DEFINITION, *updated_definition(job))
        if job.expect_every is None:
            session.execute(sql.DELETE_EXPECTATION, job.uid)
    return True


def _write_expectations(session: Session, expected: Sequence[Expectation]) -> None:
    if expected:
        session.execute(sql.WRITE_EXPECTATIONS, *expectation_arrays(expected))


def _in_parts(
    session: Session, statement: str, coming: Iterable[T], columns: Callable[[Sequence[T]], Row | None]
) -> list[tuple[list[T], Row | None]]:
    """Write what comes by a statement of so many *columns*, each part while the next is made; with what was answered.

    Of parts that have no such columns, since not all that is in them is as nearly all is, None: they are not written.
    """
    parts: list[list[T]] = []
    others: set[int] = set()

    def parameters() -> Iterator[Row]:
        for part in in_parts(coming):
            parts.append(part)
            if (values := columns(part)) is None:
                others.add(len(parts) - 1)
            else:
                yield values

    answers = iter(session.select_each(statement, parameters()))
    return [(part, None if place in others else next(answers)) for place, part in enumerate(parts)]


def _advance(session: Session, changes: Iterable[Change]) -> tuple[list[Change], bool]:
    """Write what is decided in this very transaction; the changes as they were written, and whether other nodes have
    something to do with them: runs that wait, or are to end.
    """
    written: list[Change] = []
    news = False
    for part, answer in _in_parts(session, sql.FIRE_HELD_RUNS, changes, held_births):
        if answer is not None:
            written += _as_born(part, *answer)
            continue
        written += _advance_otherwise(session, part)
        news |= any(change.cancelled or any(run.state is PENDING for run in change.runs) for change in part)
    return written, news


def _as_born(changes: list[Change], moved: int, born: Sequence[int] | None) -> list[Change]:
    """These changes as they were written: without the runs that were there before, of which only the jobs moved on.

    *born* are the uids of the jobs of which a run was born. None: of all.
    """
    assert moved == len(changes), "a job changed under its lock"
    if born is None:
        return changes
    new = {*born}
    written = [change if change.job.uid in new else change._replace(runs=()) for change in changes]
    tell_known(changes, written)
    return written


def _advance_otherwise(session: Session, changes: Sequence[Change]) -> list[Change]:
    """Write changes of any kind."""
    moved = session.execute(sql.ADVANCE_JOBS, *advanced_jobs([change.job for change in changes]))
    assert moved == len(changes), "a job changed under its lock"
    _cancel(session, [run for change in changes for run in change.cancelled])
    runs = [run for change in changes for run in change.runs]
    known = _known(session, run_keys(runs))
    new = iter(place not in known for place in range(len(runs)))
    written = [change._replace(runs=tuple(run for run in change.runs if next(new))) for change in changes]
    _give_birth(session, [run for change in written for run in change.runs])
    tell_known(changes, written)
    return written


def _known(session: Session, keys: Arrays) -> set[int]:
    """The places of those runs that were born before: promise 1, together with the lock of their jobs."""
    return {place - 1 for (place,) in session.select(sql.KNOWN_RUNS, *keys)} if keys[0] != "{}" else set()


def _give_birth(session: Session, runs: Sequence[Run]) -> None:
    """Write any runs that were not known: those that have ended already apart from the others."""
    if not runs:
        return
    numbers = [number for (number,) in session.select(sql.DRAW_NUMBERS, len(runs))]
    for statement, is_open in ((sql.INSERT_OPEN_RUNS, True), (sql.INSERT_CLOSED_RUNS, False)):
        some = [(run, number) for run, number in zip(runs, numbers, strict=True) if (run.state in OPEN) is is_open]
        if some:
            session.execute(statement, *run_arrays([run for run, _ in some]), integers(number for _, number in some))


def _won(asked: Sequence[T], answer: Row | None) -> list[T]:
    """Those of *asked* whose places a statement has returned, in one array."""
    places = answer and answer[0]
    if not places:
        return []
    return [*asked] if len(places) == len(asked) else [asked[place - 1] for place in sorted(places)]


def _settle(session: Session, settlements: Sequence[Settlement], now: int) -> tuple[list[Settlement], bool]:
    """Those that won, and whether any were given back. Of several that were decided on one version the first wins."""
    first: dict[object, Settlement] = {}
    for one in settlements:
        first.setdefault((one.run.job_uid, one.run.fire_time, one.run.origin, one.run.attempt, one.run.version), one)
    released = [one for one in first.values() if one.run.state is PENDING]
    ended = [one for one in first.values() if one.run.state is not PENDING]
    followed = [one.run.job_uid for one in first.values() if one.attempt is not None]
    uids = {*followed, *(one.run.job_uid for one in released)}
    # Under a lock that keeps them from being removed meanwhile: what waits for a job that is gone would wait for ever.
    kept = {uid for (uid,) in session.select(sql.KEEP_JOBS, integers(uids))} if uids else set()
    refused = {id(one) for one in first.values() if not _may_settle(session, one)}
    ended, released = ([one for one in some if id(one) not in refused] for some in (ended, released))
    won: list[Settlement] = []
    for statement, some in ((sql.SETTLE_RUNS, ended), (sql.RELEASE_RUNS, released)):
        if some:
            won += _won(some, session.select_one(statement, *settled_runs([one.run for one in some])))
    attempts = [one.attempt for one in won if one.attempt is not None and one.attempt.job_uid in kept]
    known = _known(session, run_keys(attempts))
    _give_birth(session, [run for place, run in enumerate(attempts) if place not in known])
    _keep_logs(session, [(one.run, one.log) for one in won if one.log is not None])
    if orphans := uids - kept:
        session.execute(sql.CANCEL_PENDING, integers(orphans), now)
    written = {id(one) for one in won}
    return [one for one in settlements if id(one) in written], bool(released)


def _may_settle(session: Session, settlement: Settlement) -> bool:
    """Whether the job's state allows this ending; what becomes of the state is written."""
    run, change = settlement.run, settlement.state
    if change is None:
        return True
    if session.select_one(sql.HOLD_RUN_AT, *run_key(run), run.version - 1) is None:
        return False
    if _write_state(session, change) is not None:
        return True
    return session.select_one(sql.SELECT_STATE, change.job_uid) is None  # its job was removed


def _write_state(session: Session, change: StateChange) -> StoredState | None:
    """The state as it is now; None if nothing was written."""
    session.execute(sql.ENSURE_STATE, change.job_uid)
    row = session.select_one(sql.LOCK_STATE, change.job_uid)
    state = None if row is None else changed(read_state(*row), change)
    if state is not None:
        session.execute(sql.WRITE_STATE, change.job_uid, state.version, write_state(state))
    return state


def _keep_logs(session: Session, logs: Sequence[tuple[Run, RunLog]]) -> None:
    if logs:
        session.execute(sql.WRITE_LOGS, *written_logs(logs))


def _fill(session: Session, backfill: Backfill, stretch: Stretch, decide: Fill, now: datetime) -> Filling:
    runs = _active_runs(session, [backfill.job_uid]).get(backfill.job_uid, ())
    active = [run for run in runs if run.backfill == backfill.id]
    fire_times = stretch(backfill, active)
    asked = backfill.job_uid, integers(map(to_micros, fire_times))
    answered = {
        from_micros(at): Answered(ran, waits, attempts)
        for at, ran, waits, attempts in (session.select(sql.SELECT_ANSWERED, *asked) if fire_times else ())
    }
    filling = decide(backfill, active, fire_times, answered, now)
    if filling.moved:
        session.execute(sql.UPDATE_BACKFILL, *updated_backfill(filling.backfill))
        known = _known(session, run_keys(filling.runs))
        _give_birth(session, [run for place, run in enumerate(filling.runs) if place not in known])
    return filling


def _end_backfill(session: Session, backfill: Backfill) -> list[Run] | None:
    """Write its end, and lock its runs; None if it is not at the version below any more.

    For its job it is waited, and for its runs it is not: who has locked some of them may want the job next, or another
    of them. Then all of it is left to them for a moment.
    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with session.part():
                session.select(sql.LOCK_OUT, backfill.job_uid)
                if session.execute(sql.UPDATE_BACKFILL, *updated_backfill(backfill)) == 0:
                    return None
                return [read_run(row) for row in session.select(sql.LOCK_BACKFILLING, backfill.job_uid, backfill.id)]
        except LockNotAvailable:
            if time.monotonic() > until:
                raise
        time.sleep(A_MOMENT)


def _cancel(session: Session, runs: Sequence[Run]) -> list[Run]:
    """Those that were still at the version that was read: what waits is closed, what runs is asked to end."""
    waiting = [run for run in runs if run.state.closed]
    running = [run for run in runs if not run.state.closed]
    won: list[Run] = []
    if waiting:
        won += _won(waiting, session.select_one(sql.CANCEL_WAITING, *cancelled_waiting(waiting)))
    if running:
        won += _won(running, session.select_one(sql.CANCEL_RUNNING, *cancelled_running(running)))
    written = {id(run) for run in won}
    return [run for run in runs if id(run) in written]


def _active_runs(session: Session, uids: Collection[int]) -> Mapping[int, Sequence[Run]]:
    active: dict[int, list[Run]] = {}
    for row in session.select(sql.SELECT_ACTIVE, integers(uids)) if uids else ():
        run = read_run(row)
        active.setdefault(run.job_uid, []).append(run)
    return active


def _startable(pending: Iterable[Row], limit: int) -> list[Run]:
    """The first runs that may start together; each row ends with its job's limit and running count."""
    running: dict[int, int] = {}
    runs: list[Run] = []
    for *row, max_instances, already_running in pending:
        if len(runs) == limit:
            break
        run = read_run(row)
        if running.setdefault(run.job_uid, already_running) < max_instances:
            running[run.job_uid] += 1
            runs.append(run)
    return runs
