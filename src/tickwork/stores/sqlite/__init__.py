"""The store in one SQLite file, which all processes of a machine share.

Writing is serial: `begin immediate` before anything is read, so that what a change was decided on is
what it is written on. The versions are compared all the same; the verbs that people call decide outside.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from itertools import compress
from pathlib import Path

from tickwork.backfill import MAX_OPEN_BACKFILLS, Answered, Backfill, one_too_many
from tickwork.clock import BEGINNING, MICROSECOND, Clock, SystemClock, from_micros, to_micros
from tickwork.codec import read_instant, read_log, read_state, write_instant, write_state
from tickwork.declaration import Declaration
from tickwork.errors import (
    BackfillNotFoundError,
    ConflictError,
    JobExistsError,
    JobNotFoundError,
    RunNotFoundError,
    StoreUnavailableError,
    StoreUnusableError,
)
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.jobstate import NO_STATE, StateChange, StoredState, changed
from tickwork.moves import NOTHING_ELSE, Holdings, Move, PackedJob, PackedRest, PackedRun
from tickwork.node import Node
from tickwork.plan import Change, Filling, Hold, Settlement, expect
from tickwork.retention import Retention
from tickwork.run import Run, RunKey, RunState
from tickwork.runlog import NO_LOG, RunLog
from tickwork.sqlite.file import DatabaseFile
from tickwork.sqlite.place import check_place
from tickwork.stores import base
from tickwork.stores.base import USUAL_LEASE, Census, Claim, Decide, Fill, Outlook, Pruned, Stretch
from tickwork.stores.known import tell_known
from tickwork.stores.prunable import NEVER
from tickwork.stores.sqlite import moving
from tickwork.stores.sqlite import statements as sql
from tickwork.stores.sqlite.doorbell import Doorbell
from tickwork.stores.sqlite.evidence import find_absence, find_evidence
from tickwork.stores.sqlite.lifeline import Lifeline
from tickwork.stores.sqlite.pruning import find_prunable, prune
from tickwork.stores.sqlite.rows import (
    Row,
    advanced_job,
    birth,
    cancelled_run,
    claimed_run,
    definition,
    ending,
    inserted_backfill,
    inserted_job,
    inserted_run,
    read_backfill,
    read_expectation,
    read_job,
    read_node,
    read_run,
    renewed_run,
    run_key,
    updated_backfill,
    updated_job,
    written_log,
    written_node,
)
from tickwork.stores.sqlite.schema import has_tables, upgrade
from tickwork.stores.standing import standing
from tickwork.why import MAX_NAMESAKES, SECOND, Evidence, of_its_time

MAX_CACHED_DEFINITIONS = 20_000
REMOVED_JOBS_SCAN = 10_000
"""How far back in the ledger the runs of a job are looked for that exists no more."""


class SQLiteStore:
    """Jobs and runs in the SQLite file at *path*, which is made if there is none.

    WAL and `synchronous=FULL`: what was recorded survives a power cut. Processes take turns at writing
    by a lock file, and wake each other through pipes; both are in the folder `<path>.tickwork` beside it.
    """

    lease = USUAL_LEASE

    _process: int
    _opened: bool
    _file: DatabaseFile
    _doorbell: Doorbell
    _lifeline: Lifeline
    _definitions: dict[int, Job]

    def __init__(self, path: str | Path, *, clock: Clock | None = None) -> None:
        self.path = Path(path).absolute()
        self.location = f"sqlite:///{self.path}"
        self.clock: Clock = clock or SystemClock()
        self.wall_clock = self.clock
        self._make_afresh()

    def open(self, ring: Callable[[], None] | None = None) -> None:
        self._check_process()
        if not self._opened:
            check_place(self.path)
            try:
                self._folder.mkdir(mode=0o770, exist_ok=True)
                self.path.touch(mode=0o660)
                with self._file.writing(create=True) as connection:
                    upgrade(connection, self.location)
            except (OSError, StoreUnavailableError) as error:
                self.close()
                if "locked" in str(error):  # by someone who will be done: nothing is wrong with the place
                    raise
                raise StoreUnusableError(f"cannot use {self.path} as a store: {error}") from error
            except BaseException:
                self.close()
                raise
            self._opened = True
        if ring is not None:
            self._doorbell.close()
            self._doorbell.listen(ring)

    def close(self) -> None:
        self._check_process()
        self._opened = False
        self._doorbell.close()
        self._lifeline.let_go()
        self._file.close()

    def exists(self) -> bool:
        return has_tables(self.path)

    def together(self) -> AbstractContextManager[object]:
        self._check_process()
        return self._file.together()

    # what the user owns

    def add(self, jobs: Sequence[Job]) -> None:
        rows = [inserted_job(job) for job in jobs]
        definitions = [definition(job) for job in jobs]
        now = self.clock.now()
        expected = [one for job in jobs if (one := expect(job, now)) is not None]
        with self._changing() as connection:
            try:
                connection.executemany(sql.INSERT_JOB, rows)
                connection.executemany(sql.INSERT_DEFINITION, definitions)
                _write_expectations(connection, expected)
            except sqlite3.IntegrityError:
                raise self._taken(connection, jobs) from None
        self._keep(jobs)
        self._doorbell.ring_others()

    def get(self, job_id: str) -> Job:
        with self._reading() as connection:
            row = connection.execute(sql.SELECT_JOB, (job_id,)).fetchone()
            known = connection.execute(sql.SOME_IDS).fetchall() if row is None else ()
        if row is None:
            raise JobNotFoundError(job_id, [id for (id,) in known])
        return read_job(row)

    def jobs(self, *, ids: Collection[str] | None = None, after: str = "", limit: int | None = None) -> Sequence[Job]:
        with self._reading() as connection:
            rows = _select_jobs(connection, ids, after, -1 if limit is None else limit)
        return [read_job(row) for row in rows]

    def save(self, changes: Sequence[Change], *, expected: Sequence[Expectation] = ()) -> Sequence[Change]:
        with self._changing() as connection:
            won = [change for change in changes if _save(connection, change)]
            uids = {change.job.uid for change in won} if expected else ()
            _write_expectations(connection, [one for one in expected if one.job_uid in uids])
        if won:
            self._doorbell.ring_others()
        return won

    def remove(self, job_ids: Collection[str] | None = None) -> Sequence[Job]:
        now = to_micros(self.clock.now())
        with self._changing() as connection:
            jobs = [read_job(row) for row in _select_jobs(connection, job_ids, "", -1)]
            connection.executemany(sql.DELETE_JOB, [(job.uid,) for job in jobs])
            connection.executemany(sql.CANCEL_PENDING, [(now, job.uid) for job in jobs])
            connection.executemany(sql.END_BACKFILLS, [(now, job.uid) for job in jobs])
            connection.executemany(sql.NOTE_REMOVAL, [(job.uid, job.id, now) for job in jobs])
        return jobs

    # the walk of a fire time

    def fire(
        self, decide: Decide, *, executor: str, since: datetime | None = None, until: datetime, limit: int,
        skip: Collection[int] = (),
    ) -> Sequence[Change]:  # fmt: skip
        span = to_micros(since or BEGINNING), to_micros(until)
        with self._reading() as connection:
            if connection.execute(sql.ANY_DUE, (executor, *span)).fetchone() is None:
                return []
        with self._writing() as connection:
            now = self.clock.now()
            due = connection.execute(sql.SELECT_DUE, (executor, *span, _listed(skip), limit)).fetchall()
            active = _active_runs(connection, [row[0] for row in due])
            written = _advance(connection, [*decide(self._due_jobs(connection, due), active, now)])
        if any(change.cancelled or any(run.state is RunState.PENDING for run in change.runs) for change in written):
            self._doorbell.ring_others()
        return written

    def claim(
        self, hold: Hold, *, executor: str, since: datetime | None = None, limit: int, skip: Collection[int] = ()
    ) -> Sequence[Claim]:
        span = to_micros(since or BEGINNING), to_micros(self.clock.now())
        with self._reading() as connection:
            if connection.execute(sql.ANY_PENDING, span).fetchone() is None:
                return []
        with self._writing() as connection:
            skipped = _listed(skip)
            taken = _startable(connection.execute(sql.SELECT_PENDING, (*span, executor, skipped)), limit)
            if len(taken) < limit and since is None:
                left = (span[1], executor, skipped, limit - len(taken))
                taken += map(read_run, connection.execute(sql.SELECT_PENDING_BACKFILLED, left).fetchall())
            held = [
                run._replace(
                    version=run.version + 1, state=RunState.RUNNING, node=hold.node, lease_until=hold.lease_until
                )
                for run in taken
            ]
            jobs = self._jobs_of(connection, {run.job_uid for run in held})
            won = compress(held, _change_rows(connection, [(sql.CLAIM_RUN, claimed_run(run)) for run in held]))
            return [Claim(jobs[run.job_uid], run) for run in won]

    def renew(self, runs: Sequence[Run], lease_until: datetime) -> Sequence[Run]:
        renewed = [run._replace(version=run.version + 1, lease_until=lease_until) for run in runs]
        with self._writing() as connection:
            won = _change_rows(connection, [(sql.RENEW_RUN, renewed_run(run)) for run in renewed])
            return [*compress(renewed, won)]

    def lost(self, limit: int, *, nodes: Collection[str] = ()) -> Sequence[Run]:
        with self._reading() as connection:
            now = to_micros(self.clock.now())
            if nodes:
                rows = connection.execute(sql.SELECT_LOST_OR_HELD, (now, _listed(nodes), limit)).fetchall()
            else:
                rows = connection.execute(sql.SELECT_LOST, (now, limit)).fetchall()
        return [read_run(row) for row in rows]

    def expired(self, limit: int) -> Sequence[Run]:
        with self._reading() as connection:
            rows = connection.execute(sql.SELECT_EXPIRED, (to_micros(self.clock.now()), limit)).fetchall()
        return [read_run(row) for row in rows]

    def settle(self, settlements: Iterable[Settlement]) -> Sequence[Settlement]:
        made = [*settlements]
        plain = [one for one in made if one.state is None]
        endings = [ending(one.run) for one in plain]
        with self._writing() as connection:
            won = [*compress(plain, _change_rows(connection, endings))]
            if len(plain) < len(made):
                won += [one for one in made if one.state is not None and _settle_with_state(connection, one)]
            attempts = [one.attempt for one in won if one.attempt is not None]
            connection.executemany(sql.INSERT_ATTEMPT, [(*inserted_run(run), run.job_uid) for run in attempts])
            _keep_logs(connection, [(one.run, one.log) for one in won if one.log is not None])
            released = [one.run for one in won if one.run.state is RunState.PENDING]
            now = to_micros(self.clock.now())
            connection.executemany(sql.CANCEL_ORPHAN, [(now, run.job_uid) for run in released])
        if released:
            self._doorbell.ring_others()
        return won

    def keep_logs(self, logs: Sequence[tuple[Run, RunLog]]) -> None:
        with self._writing() as connection:
            _keep_logs(connection, logs)

    def save_state(self, change: StateChange, run: Run | None = None) -> StoredState | None:
        with self._changing() as connection:
            if run is not None and connection.execute(sql.IS_HELD, (*run_key(run), run.node)).fetchone() is None:
                return None
            return _write_state(connection, change)

    def lend(self) -> AbstractContextManager[sqlite3.Connection]:
        self._check_process()
        return self._file.lend()

    def cancel(self, runs: Sequence[Run]) -> Sequence[Run]:
        with self._changing() as connection:
            won = [*compress(runs, _change_rows(connection, [(sql.CANCEL_RUN, cancelled_run(run)) for run in runs]))]
        if won:
            self._doorbell.ring_others()
        return won

    def add_backfill(self, backfill: Backfill) -> None:
        with self._changing() as connection:
            (going_on,) = connection.execute(sql.COUNT_OPEN_BACKFILLS).fetchone()
            if going_on >= MAX_OPEN_BACKFILLS:
                raise one_too_many()
            row = (*inserted_backfill(backfill), backfill.job_uid)
            if connection.execute(sql.INSERT_BACKFILL, row).rowcount == 0:
                raise JobNotFoundError(backfill.job_id)
        self._doorbell.ring_others()

    def fill(self, stretch: Stretch, decide: Fill, *, limit: int) -> Sequence[Filling]:
        with self._reading() as connection:
            if connection.execute(sql.ANY_OPEN_BACKFILL).fetchone() is None:
                return []
        with self._writing() as connection:
            rows = connection.execute(sql.SELECT_OPEN_BACKFILLS, (limit,)).fetchall()
            return [_fill(connection, read_backfill(row), stretch, decide, self.clock.now()) for row in rows]

    def end_backfill(self, backfill: Backfill, cancel: Callable[[Run], Run]) -> Sequence[Run] | None:
        with self._changing() as connection:
            if connection.execute(sql.UPDATE_BACKFILL, updated_backfill(backfill)).rowcount == 0:
                return None
            cancelled = [cancel(run) for run in _backfilling_runs(connection, backfill)]
            connection.executemany(sql.CANCEL_RUN, [cancelled_run(run) for run in cancelled])
        self._doorbell.ring_others()
        return cancelled

    def cancelling(self, node: str) -> Sequence[Run]:
        with self._reading() as connection:
            return [read_run(row) for row in connection.execute(sql.SELECT_CANCELLING, (node,)).fetchall()]

    def outlook(self, executors: Collection[str], *, after: datetime, fire_after: datetime) -> Outlook:
        now, ahead = to_micros(after), to_micros(fire_after)
        with self._reading() as connection:
            fires = [connection.execute(sql.NEXT_FIRE, (executor, ahead)).fetchone()[0] for executor in executors]
            claim_at = connection.execute(sql.NEXT_CLAIM, (now,)).fetchone()[0]
            lapse_at = connection.execute(sql.NEXT_LAPSE, (now,)).fetchone()[0]
            expire_at = connection.execute(sql.NEXT_EXPIRY, (now,)).fetchone()[0]
            expect_by = connection.execute(sql.NEXT_OVERDUE, (now,)).fetchone()[0]
        fire_at = min((at for at in fires if at is not None), default=None)
        return Outlook(*map(read_instant, (fire_at, claim_at, lapse_at, expire_at, expect_by)))

    # what is expected

    def fulfil(self, successes: Sequence[Expectation]) -> Sequence[Expectation]:
        uids = _listed([one.job_uid for one in successes])
        with self._writing() as connection:
            overdue = connection.execute(sql.SELECT_OVERDUE_AMONG, (uids,)).fetchall()
            connection.executemany(sql.FULFIL_EXPECTATION, [
                (write_instant(one.expect_by), write_instant(one.succeeded_at), one.job_uid) for one in successes
            ])  # fmt: skip
        return [read_expectation(row) for row in overdue]

    def find_overdue(self, node: str, *, limit: int) -> Sequence[Expectation]:
        now = self.clock.now()
        falling = (to_micros(now), limit)
        with self._reading() as connection:
            if connection.execute(sql.SELECT_FALLING_OVERDUE, (falling[0], 1)).fetchone() is None:
                return []
        with self._changing() as connection:
            rows = connection.execute(sql.SELECT_FALLING_OVERDUE, falling).fetchall()
            found = [read_expectation(row)._replace(overdue_at=now, told_by=node) for row in rows]
            connection.executemany(sql.MARK_OVERDUE, [(to_micros(now), node, one.job_uid) for one in found])
        return found

    def expectations(self, *, overdue: bool = False) -> Sequence[Expectation]:
        with self._reading() as connection:
            rows = connection.execute(sql.SELECT_OVERDUE if overdue else sql.SELECT_EXPECTATIONS).fetchall()
        return [read_expectation(row) for row in rows]

    # the nodes

    def beat(self, node: Node) -> Sequence[str]:
        with self._writing() as connection:
            connection.execute(sql.WRITE_BEAT, written_node(node))
            now = to_micros(self.clock.now())
            return [declaration for (declaration,) in connection.execute(sql.SELECT_DECLARING, (now,))]

    def hold_lifeline(self, node: str) -> str:
        return self._lifeline.hold() if self._opened else ""

    def cut_lifelines(self) -> Collection[str]:
        with self._reading() as connection:
            told = connection.execute(sql.SELECT_LIFELINES, (to_micros(self.clock.now()),)).fetchall()
        return [node for node, lifeline in told if self._lifeline.is_cut(lifeline)]

    def declare(self, declaration: Declaration) -> None:
        with self._writing() as connection:
            connection.execute(sql.INSERT_DECLARATION, (declaration.name, _listed(sorted(declaration.ids))))

    def undeclared(self, apps: Collection[str]) -> Sequence[Job]:
        now = to_micros(self.clock.now())
        with self._reading() as connection:
            return [read_job(row) for row in connection.execute(sql.SELECT_UNDECLARED, (_listed(apps), now)).fetchall()]

    def nodes(self, *, alive: bool = False, limit: int = 1_000) -> Sequence[Node]:
        now = self.clock.now()
        with self._reading() as connection:
            if alive:
                rows = connection.execute(sql.SELECT_LIVING_NODES, (to_micros(now), limit)).fetchall()
            else:
                rows = connection.execute(sql.SELECT_NODES, (limit,)).fetchall()
        return [read_node(row).read_at(now) for row in rows]

    # what people read

    def census(self) -> Census:
        with self._reading() as connection:
            jobs, paused, fire_at = connection.execute(sql.CENSUS_OF_JOBS).fetchone()
            pending, running, claim_at = connection.execute(sql.CENSUS_OF_RUNS).fetchone()
        now = self.clock.now()
        return Census(now, jobs, paused, pending, running, read_instant(fire_at), read_instant(claim_at))

    def run(self, run_id: str) -> Run:
        key = run_key(RunKey.parse(run_id))
        with self._reading() as connection:
            row = connection.execute(sql.SELECT_RUN, key).fetchone()
        if row is None:
            raise RunNotFoundError(run_id)
        return read_run(row)

    def state(self, job_uid: int) -> StoredState:
        with self._reading() as connection:
            return _read_state(connection, job_uid)

    def log(self, run_id: str) -> RunLog:
        key = run_key(RunKey.parse(run_id))
        with self._reading() as connection:
            row = connection.execute(sql.SELECT_LOG, key).fetchone()
        if row is None:
            raise RunNotFoundError(run_id)
        return NO_LOG if row[0] is None else read_log(row[0])

    def runs(
        self, *, job_id: str | None = None, states: Collection[RunState] = (), limit: int = 100, offset: int = 0
    ) -> Sequence[Run]:
        wanted = _listed(states) if states else None
        with self._reading() as connection:
            if job_id is None and wanted is None:
                found = connection.execute(sql.SELECT_RUNS, (limit, offset))
            elif job_id is None:
                found = connection.execute(sql.SELECT_RUNS_IN_STATES, (wanted, limit, offset))
            elif connection.execute(sql.SELECT_JOB, (job_id,)).fetchone():
                found = connection.execute(sql.SELECT_RUNS_OF_JOB, (job_id, wanted, wanted, limit, offset))
            else:
                found = connection.execute(
                    sql.SELECT_RUNS_OF_REMOVED_JOB, (REMOVED_JOBS_SCAN, job_id, wanted, wanted, limit, offset)
                )
            return [read_run(row) for row in found.fetchall()]

    def backfill(self, backfill_id: str) -> Backfill:
        with self._reading() as connection:
            row = connection.execute(sql.SELECT_BACKFILL, (backfill_id,)).fetchone()
        if row is None:
            raise BackfillNotFoundError(backfill_id)
        return read_backfill(row)

    def backfills(
        self, *, job_id: str | None = None, ended: bool | None = None, limit: int = 100
    ) -> Sequence[Backfill]:
        with self._reading() as connection:
            return [read_backfill(row) for row in connection.execute(sql.SELECT_BACKFILLS, (job_id, ended, limit))]

    def evidence(self, job_id: str, instant: datetime) -> Evidence:
        since = to_micros(instant) - SECOND // MICROSECOND
        with self._reading() as connection:
            row = connection.execute(sql.SELECT_JOB, (job_id,)).fetchone()
            removed = connection.execute(sql.SELECT_REMOVED_SINCE, (job_id, since, MAX_NAMESAKES)).fetchall()
            if row is None and not removed:
                removed = connection.execute(sql.SELECT_LAST_REMOVED, (job_id,)).fetchall()
            known = {uid: Evidence(job_id, None, removed_at=from_micros(at)) for uid, at in removed}
            if row is not None:
                job = read_job(row)
                known[job.uid] = Evidence(job_id, job)
            found = [find_evidence(connection, evidence, uid, instant) for uid, evidence in known.items()]
            absence = find_absence(connection, instant, self.clock.now()) if found else None
            ids = () if found else connection.execute(sql.SOME_IDS).fetchall()
        if not found:
            raise JobNotFoundError(job_id, [id for (id,) in ids])
        return of_its_time(found, instant)._replace(absence=absence)

    def prune(self, keep: Retention, *, after: int, jobs: int, rows: int) -> Pruned:
        now = self.clock.now()
        with self._reading() as connection:
            limits, last = find_prunable(connection, keep, now, after, jobs)
        deleted = 0
        if limits:
            with self._writing() as connection:
                if moving.keeps_all(connection):
                    return Pruned(0, None)
                for limit in limits:
                    deleted += prune(connection, limit, rows - deleted)
                    if deleted == rows:
                        return Pruned(deleted, limit.uid - 1)  # there may be more of this job
        if last is None:
            cutoff = keep.cutoff(now)
            before = NEVER if cutoff is None else to_micros(cutoff)
            with self._writing() as connection:
                if moving.keeps_all(connection):
                    return Pruned(0, None)
                connection.execute(sql.FORGET_REMOVED, (before, rows))
                connection.execute(sql.FORGET_NODES, (to_micros(now), before, base.MAX_NODES - 1, rows))
                connection.execute(sql.FORGET_DECLARATIONS)
                connection.execute(sql.FORGET_BACKFILLS, (before, rows))
        return Pruned(deleted, last)

    # moving house

    def move(self) -> Move | None:
        with self._reading() as connection:
            return moving.find_move(connection)

    def write_move(self, before: Move | None, after: Move | None) -> bool:
        with self._writing() as connection:
            written = moving.write_move(connection, before, after)
        if written:
            self._doorbell.ring_others()
        return written

    def holdings(self) -> Holdings:
        with self._reading() as connection:
            return moving.count_holdings(connection)

    def pack_jobs(self, *, after: str = "", limit: int) -> Sequence[PackedJob]:
        with self._reading() as connection:
            jobs = [read_job(row) for row in _select_jobs(connection, None, after, limit)]
            return moving.pack_jobs(connection, jobs)

    def pack_runs(self, *, after: int = -1, limit: int, numbers: Collection[int] | None = None) -> Sequence[PackedRun]:
        with self._reading() as connection:
            return moving.pack_runs(connection, after, limit, numbers)

    def pack_rest(self) -> PackedRest:
        with self._reading() as connection:
            return moving.pack_rest(connection)

    def unpack(
        self, move: Move, *, jobs: Sequence[PackedJob] = (), runs: Sequence[PackedRun] = (),
        rest: PackedRest = NOTHING_ELSE,
    ) -> bool:  # fmt: skip
        with self._writing() as connection:
            if moving.find_move(connection) != move:
                return False
            moving.unpack_jobs(connection, jobs)
            moving.unpack_runs(connection, runs)
            moving.unpack_rest(connection, rest)
            return True

    def clear(self, move: Move) -> bool:
        with self._writing() as connection:
            if moving.find_move(connection) != move:
                return False
            moving.clear(connection)
            return True

    # jobs, read with as little work as the walk allows

    def _due_jobs(self, connection: sqlite3.Connection, due: Sequence[Row]) -> list[Job]:
        """The jobs of these rows; a definition that was read before is not read again."""
        known = self._definitions
        unknown = [uid for uid, _, revision, _, _ in due if uid not in known or known[uid].revision != revision]
        if unknown:
            known = {**known, **{job.uid: job for job in self._read_definitions(connection, unknown)}}
        return [
            standing(known[uid], version, next_fire_time, last_fire_time)
            for uid, version, _, next_fire_time, last_fire_time in due
        ]

    def _jobs_of(self, connection: sqlite3.Connection, uids: Collection[int]) -> dict[int, Job]:
        """These jobs as they are now, by uid."""
        standing = connection.execute(sql.SELECT_STANDING, (_listed(uids),)).fetchall()
        jobs = {job.uid: job for job in self._due_jobs(connection, standing)}
        paused = uids - jobs.keys()
        return jobs | {job.uid: job for job in self._read_definitions(connection, paused)} if paused else jobs

    def _read_definitions(self, connection: sqlite3.Connection, uids: Collection[int]) -> list[Job]:
        jobs = [read_job(row) for row in connection.execute(sql.SELECT_JOBS_BY_UID, (_listed(uids),)).fetchall()]
        self._keep(jobs)
        return jobs

    def _keep(self, jobs: Collection[Job]) -> None:
        """Remember these definitions; when there are too many, from the first again."""
        if len(self._definitions) + len(jobs) > MAX_CACHED_DEFINITIONS:
            self._definitions.clear()
        self._definitions.update((job.uid, job) for job in jobs)

    def _taken(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> JobExistsError | ConflictError:
        """What is wrong with a batch that could not be added: an id that is taken, or stands in it twice."""
        ids, uids = _listed([job.id for job in jobs]), _listed([job.uid for job in jobs])
        seen = {id for (id,) in connection.execute(sql.TAKEN_IDS, (ids, uids))}
        for job in jobs:
            if job.id in seen:
                return JobExistsError(job.id)
            seen.add(job.id)
        return ConflictError("expected new jobs, got some that were added before: make them again with new_job")

    # the file, as this process sees it

    @property
    def _folder(self) -> Path:
        return self.path.with_name(self.path.name + ".tickwork")

    def _make_afresh(self) -> None:
        self._process = os.getpid()
        self._opened = False
        self._file = DatabaseFile(self.path, self._folder / "turn")
        self._doorbell = Doorbell(self._folder)
        self._lifeline = Lifeline(self._folder)
        self._definitions = {}

    def _check_process(self) -> None:
        """Start anew in a forked child: SQLite's connections must not be used on both sides of a fork."""
        if self._process != os.getpid():
            self._left_to_parent = (self._file, self._doorbell)  # closing them here would take the parent's locks
            self._make_afresh()

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        self._check_process()
        return self._file.writing()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """The same for what people change, which a store that has moved refuses."""
        with self._writing() as connection:
            moving.check_takes_changes(connection, self.location)
            yield connection

    def _reading(self) -> AbstractContextManager[sqlite3.Connection]:
        self._check_process()
        return self._file.reading()


def _select_jobs(connection: sqlite3.Connection, ids: Collection[str] | None, after: str, limit: int) -> list[Row]:
    if ids is None:
        return connection.execute(sql.SELECT_ALL_JOBS, (after, limit)).fetchall()
    return connection.execute(sql.SELECT_JOBS, (_listed(ids), after, limit)).fetchall()


def _save(connection: sqlite3.Connection, change: Change) -> bool:
    """Write *change* whole or not at all; whether its job was still at the version that was read."""
    job = change.job
    connection.execute("savepoint change")
    before = connection.execute(sql.SELECT_REVISION, (job.uid,)).fetchone()
    saved = bool(connection.execute(sql.UPDATE_JOB, updated_job(change.job)).rowcount) and all(
        connection.execute(sql.INSERT_RUN, inserted_run(run)).rowcount for run in change.runs
    )
    if saved:
        connection.executemany(sql.CANCEL_RUN, [cancelled_run(run) for run in change.cancelled])
        if before != (job.revision,):  # otherwise it stays as it was written, perhaps by a newer version
            uid, text = definition(job)
            connection.execute(sql.UPDATE_DEFINITION, (text, uid))
            if job.expect_every is None:
                connection.execute(sql.DELETE_EXPECTATION, (uid,))
    else:
        connection.execute("rollback to change")
    connection.execute("release change")
    return saved


def _write_expectations(connection: sqlite3.Connection, expected: Sequence[Expectation]) -> None:
    rows = [(one.job_uid, write_instant(one.expect_by)) for one in expected]
    connection.executemany(sql.WRITE_EXPECTATION, rows)


def _advance(connection: sqlite3.Connection, changes: Sequence[Change]) -> list[Change]:
    """Write what was decided in this very transaction; the changes as they were written."""
    moved = connection.executemany(sql.ADVANCE_JOB, [advanced_job(change.job) for change in changes]).rowcount
    assert moved == len(changes) or not changes, "a job changed under the write lock"
    connection.executemany(sql.CANCEL_RUN, [cancelled_run(run) for change in changes for run in change.cancelled])
    born = _change_rows(connection, [birth(run) for change in changes for run in change.runs])
    if all(born):
        return [*changes]
    answers = iter(born)
    written = [change._replace(runs=tuple(run for run in change.runs if next(answers))) for change in changes]
    tell_known(changes, written)
    return written


def _change_rows(connection: sqlite3.Connection, changes: Sequence[tuple[str, Row]]) -> list[bool]:
    """Execute each statement with its row, and tell for each whether it changed something.

    All at once, as they nearly always all do; if one does not, again one by one, to find out which.
    """
    rows: dict[str, list[Row]] = {}
    for statement, row in changes:
        rows.setdefault(statement, []).append(row)
    connection.execute("savepoint batch")
    if sum(connection.executemany(*batch).rowcount for batch in rows.items()) == len(changes):
        won = [True] * len(changes)
    else:
        connection.execute("rollback to batch")
        won = [connection.execute(*change).rowcount == 1 for change in changes]
    connection.execute("release batch")
    return won


def _settle_with_state(connection: sqlite3.Connection, settlement: Settlement) -> bool:
    """Write an ending and what becomes of the job's state, or neither; whether it was."""
    assert settlement.state is not None
    connection.execute("savepoint settlement")
    settled = connection.execute(*ending(settlement.run)).rowcount == 1 and (
        _write_state(connection, settlement.state) is not None
        or connection.execute(sql.SELECT_REVISION, (settlement.run.job_uid,)).fetchone() is None  # and it has none
    )
    if not settled:
        connection.execute("rollback to settlement")
    connection.execute("release settlement")
    return settled


def _read_state(connection: sqlite3.Connection, job_uid: int) -> StoredState:
    row = connection.execute(sql.SELECT_STATE, (job_uid,)).fetchone()
    return NO_STATE if row is None else read_state(*row)


def _write_state(connection: sqlite3.Connection, change: StateChange) -> StoredState | None:
    """The state as it is now; None if nothing was written."""
    state = changed(_read_state(connection, change.job_uid), change)
    if state is None:
        return None
    written = connection.execute(sql.WRITE_STATE, (change.job_uid, state.version, write_state(state))).rowcount
    return state if written else None


def _keep_logs(connection: sqlite3.Connection, logs: Collection[tuple[Run, RunLog]]) -> None:
    connection.executemany(sql.WRITE_LOG, [written_log(run, log) for run, log in logs])


def _active_runs(connection: sqlite3.Connection, uids: Collection[int]) -> Mapping[int, Sequence[Run]]:
    active: dict[int, list[Run]] = {}
    for row in connection.execute(sql.SELECT_ACTIVE, (_listed(uids),)):
        run = read_run(row)
        active.setdefault(run.job_uid, []).append(run)
    return active


def _fill(connection: sqlite3.Connection, backfill: Backfill, stretch: Stretch, decide: Fill, now: datetime) -> Filling:
    active = _backfilling_runs(connection, backfill)
    fire_times = stretch(backfill, active)
    asked = (backfill.job_uid, _listed([*map(to_micros, fire_times)]))
    answered = {
        from_micros(at): Answered(bool(ran), bool(waits), attempts)
        for at, ran, waits, attempts in (connection.execute(sql.SELECT_ANSWERED, asked) if fire_times else ())
    }
    filling = decide(backfill, active, fire_times, answered, now)
    if filling.moved:
        connection.execute(sql.UPDATE_BACKFILL, updated_backfill(filling.backfill))
        connection.executemany(sql.INSERT_RUN, [inserted_run(run) for run in filling.runs])
    return filling


def _backfilling_runs(connection: sqlite3.Connection, backfill: Backfill) -> Sequence[Run]:
    """The active runs of a backfill."""
    runs = _active_runs(connection, [backfill.job_uid]).get(backfill.job_uid, ())
    return [run for run in runs if run.backfill == backfill.id]


def _startable(pending: Iterator[Row], limit: int) -> list[Run]:
    """The first runs that may start together; each row ends with its job's limit and running count."""
    running: dict[int, int] = {}
    runs: list[Run] = []
    for *row, max_instances, already_running in pending:
        if len(runs) == limit:
            break
        uid = row[1]
        if running.setdefault(uid, already_running) < max_instances:
            running[uid] += 1
            runs.append(read_run(row))
    return runs


def _listed(values: Collection[object]) -> str:
    """Many values as one parameter, for `json_each`."""
    return json.dumps([*values])
