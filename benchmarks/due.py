"""Many jobs that are all due at once, each a no-op: how fast are they through?

Ours are through when the last row of the ledger is closed, APScheduler's, which keeps no ledger, when the
last has been called.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import redis as redis_client
from apscheduler.schedulers.base import BaseScheduler

from benchmarks import ours, peer, postgresql, redis
from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import count_down, count_down_async, countdown, nothing
from tickwork import BackgroundScheduler, RunState
from tickwork.clock import to_micros
from tickwork.job import Job
from tickwork.scheduler import Scheduler
from tickwork.stores.sqlite import SQLiteStore
from tickwork.stores.sqlite import statements as sql
from tickwork.timing import Timing

JOBS = {"full": 10_000, "quick": 2_000, "tiny": 20}
SLOW_JOBS = {"full": 300, "quick": 50, "tiny": 5}
"""For APScheduler's default SQLite store, which would take minutes."""
SOME_JOBS = {"full": 2_000, "quick": 500, "tiny": 5}
"""For APScheduler on PostgreSQL and Redis, likewise."""

METRICS = [
    Metric("rate", "runs/s (more is better)"),
    Metric("cpu", "CPU us/run (less is better)"),
]


def tables(size: Size) -> Sequence[Table]:
    jobs, slow, some = JOBS[size], SLOW_JOBS[size], SOME_JOBS[size]
    return [
        Table(
            f"due: {jobs:,} no-op jobs due at once, in memory",
            {
                "tickwork threads": Case(due_ours, {"face": "threads", "kept": "memory", "jobs": jobs}),
                "tickwork event loop": Case(due_ours, {"face": "event loop", "kept": "memory", "jobs": jobs}),
                "APScheduler threads": Case(due_peer, {"face": "threads", "kept": "memory", "jobs": jobs}),
                "APScheduler event loop": Case(due_peer, {"face": "event loop", "kept": "memory", "jobs": jobs}),
            },
            METRICS,
            bases=["APScheduler threads", "APScheduler event loop"],
        ),
        Table(
            f"due: the same on SQLite (APScheduler default: {slow} jobs; ours WAL + FULL)",
            {
                "tickwork threads": Case(due_ours, {"face": "threads", "kept": "SQLite", "jobs": jobs}),
                "tickwork event loop": Case(due_ours, {"face": "event loop", "kept": "SQLite", "jobs": jobs}),
                "limit: the same rows, bare": Case(due_bare, {"jobs": jobs}),
                "APScheduler default": Case(due_peer, {"face": "threads", "kept": "SQLite default", "jobs": slow}),
                "APScheduler WAL + NORMAL": Case(due_peer, {"face": "threads", "kept": "SQLite WAL", "jobs": jobs}),
            },
            METRICS,
            bases=["APScheduler default", "APScheduler WAL + NORMAL"],
        ),
        Table(
            f"due: the same on PostgreSQL (APScheduler: {some:,} jobs; pgqueuer's are queued, not scheduled)",
            {
                "tickwork threads": Case(due_ours, {"face": "threads", "kept": "PostgreSQL", "jobs": jobs}),
                "tickwork event loop": Case(due_ours, {"face": "event loop", "kept": "PostgreSQL", "jobs": jobs}),
                "limit: the same rows, bare": Case(due_bare_postgresql, {"kept": "PostgreSQL", "jobs": jobs}),
                "APScheduler threads": Case(due_peer, {"face": "threads", "kept": "PostgreSQL", "jobs": some}),
                "pgqueuer": Case(due_pgqueuer, {"kept": "PostgreSQL", "jobs": jobs}),
            },
            METRICS,
            bases=["APScheduler threads", "pgqueuer"],
        ),
        Table(
            f"due: the same on Redis, appendfsync everysec (APScheduler: {some:,} jobs)",
            {
                "tickwork threads": Case(due_ours, {"face": "threads", "kept": "Redis", "jobs": jobs}),
                "tickwork event loop": Case(due_ours, {"face": "event loop", "kept": "Redis", "jobs": jobs}),
                "limit: the same rows, bare": Case(due_bare_redis, {"kept": "Redis", "jobs": jobs}),
                "APScheduler threads": Case(due_peer, {"face": "threads", "kept": "Redis", "jobs": some}),
            },
            METRICS,
            bases=["APScheduler threads"],
        ),
    ]


def due_ours(folder: Path, face: ours.Face, kept: ours.Kept, jobs: int) -> Result:
    def body(scheduler: Scheduler) -> Result:
        now = datetime.now(UTC)
        function = count_down if face == "threads" else count_down_async
        scheduler.add_jobs([
            scheduler.new_job(function, "interval", hours=1, id=f"job-{number}", next_run_time=now)
            for number in range(jobs)
        ])  # fmt: skip
        result = timed(scheduler.resume, lambda: wait_settled(scheduler), jobs, folder)
        succeeded = scheduler.get_runs(states=[RunState.SUCCEEDED], limit=2 * jobs)
        assert len(succeeded) == jobs, f"expected {jobs} runs in the ledger, got {len(succeeded)}"
        return result

    return ours.with_scheduler(face, ours.store_url(kept, folder), body, paused=True)


def due_peer(folder: Path, face: ours.Face, kept: peer.Kept, jobs: int) -> Result:
    def body(scheduler: BaseScheduler) -> Result:
        now = datetime.now(UTC)
        function = count_down if face == "threads" else count_down_async
        for number in range(jobs):
            scheduler.add_job(function, "interval", hours=1, id=f"job-{number}", next_run_time=now)
        return timed(scheduler.resume, countdown.wait_done, jobs, folder)

    return peer.with_scheduler(face, kept, folder, body, paused=True)


def due_bare(folder: Path, jobs: int) -> Result:
    """What SQLite takes for the rows of so many runs, with a commit for as many as a round of ours: no scheduler."""
    path = folder / "jobs.db"
    store = SQLiteStore(path)
    scheduler = BackgroundScheduler(store)
    added = scheduler.add_jobs(scheduler.new_job(nothing, "interval", hours=1, id=f"job-{n}") for n in range(jobs))
    store.close()
    batch, now = Timing().batch, to_micros(datetime.now(UTC))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma synchronous = full")
        clear_away(path)
        began, cpu = time.perf_counter(), time.process_time()
        settled: list[Job] = []
        for first in range(0, jobs + batch, batch):
            fired = added[first : first + batch]
            connection.execute("begin immediate")
            connection.executemany(
                sql.SETTLE_SUCCEEDED_RUN, [(now, now, job.uid, now, "schedule", 1, 1) for job in settled]
            )
            connection.executemany(sql.ADVANCE_JOB, [(now, now, job.uid, job.version) for job in fired])
            connection.executemany(sql.INSERT_HELD_RUN, [(job.id, job.uid, now, "node", now) for job in fired])
            connection.execute("commit")
            settled = [*fired]
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        (closed,) = connection.execute("select count(*) from tickwork_runs where state = 'succeeded'").fetchone()
        assert closed == jobs, f"expected {jobs} runs in the ledger, got {closed}"
    return {"rate": jobs / took, "cpu": 1e6 * cpu / jobs}


def due_bare_postgresql(folder: Path, kept: str, jobs: int) -> Result:
    """The same on PostgreSQL: its statements for the rows of so many runs, and no scheduler."""
    from tickwork.stores.postgresql import PostgreSQLStore
    from tickwork.stores.postgresql import statements as pg

    store = PostgreSQLStore(postgresql.database_url())
    scheduler = BackgroundScheduler(store)
    added = scheduler.add_jobs(scheduler.new_job(nothing, "interval", hours=1, id=f"job-{n}") for n in range(jobs))
    clear_away()
    batch, now = Timing().batch, to_micros(datetime.now(UTC))

    def array(values: Iterable[object]) -> str:
        return "{" + ",".join(map(str, values)) + "}"

    with store._server.reading() as session:
        began, cpu = time.perf_counter(), time.process_time()
        settled: list[Job] = []
        for first in range(0, jobs + batch, batch):
            fired = added[first : first + batch]
            session.begin()
            if settled:
                same = [array([value] * len(settled)) for value in ("schedule", 1, 1, now, now)]
                uids, times = array(job.uid for job in settled), array([now] * len(settled))
                session.select(pg.SETTLE_SUCCEEDED_RUNS, uids, times, *same)
            if fired:
                uids, times = array(job.uid for job in fired), array([now] * len(fired))
                session.select(pg.FIRE_HELD_RUNS, uids, array(job.version for job in fired), times, times, "node", now)
            session.connection.execute("commit")
            settled = [*fired]
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        ((closed,),) = session.select("select count(*) from tickwork_runs where state = 'succeeded'")
        assert closed == jobs, f"expected {jobs} runs in the ledger, got {closed}"
    return {"rate": jobs / took, "cpu": 1e6 * cpu / jobs}


def due_bare_redis(folder: Path, kept: str, jobs: int) -> Result:
    """The same on Redis: its commands for the rows of so many runs, sent together a batch at a time; no script, no
    row that is read or compared, and no scheduler.
    """
    client = redis_client.Redis(**redis.place())
    batch, now = Timing().batch, to_micros(datetime.now(UTC))
    uids = [f"{number:015x}" for number in range(jobs)]
    job_row = f'[2,1,{now},null,{now},1,"threads",null,null,0,"job-1234",{now},null,null]'
    open_row = f'["running",1,"20b536d5ee7084d6",{now},null,null,null,null,1,null,null,"job-1234",null,{now},null]'
    closed_row = open_row.replace("running", "succeeded")
    clear_away()
    began, cpu = time.perf_counter(), time.process_time()
    settled: list[str] = []
    for first in range(0, jobs + batch, batch):
        fired = uids[first : first + batch]
        ids = [f"{uid}-{now}-1" for uid in fired]
        with client.pipeline(transaction=True) as commands:
            if settled:
                commands.hdel("open", *settled)
                commands.hset("closed", mapping=dict.fromkeys(settled, closed_row))
                commands.zrem("active", *settled)
                commands.zrem("leases", *settled)
            if fired:
                commands.hset("jobs", mapping=dict.fromkeys(fired, job_row))
                commands.zadd("due", dict.fromkeys(fired, now))
                for uid in fired:
                    commands.zadd(f"ledger:{uid}", {f"{now}-1": now})
                commands.zadd("ledger", {id: number for number, id in enumerate(ids, first)})
                commands.hset("open", mapping=dict.fromkeys(ids, open_row))
                commands.zadd("active", dict.fromkeys(ids, 0))
                commands.zadd("leases", dict.fromkeys(ids, now))
            commands.execute()
        settled = ids
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    closed = client.hlen("closed")
    assert closed == jobs, f"expected {jobs} runs in the ledger, got {closed}"
    return {"rate": jobs / took, "cpu": 1e6 * cpu / jobs}


def due_pgqueuer(folder: Path, kept: str, jobs: int) -> Result:
    """As many jobs of a queue, through when the last has been called; each is written to its log."""
    import asyncpg
    from pgqueuer import PgQueuer
    from pgqueuer.db import AsyncpgPoolDriver

    async def work() -> Result:
        pool = await asyncpg.create_pool(postgresql.database_url(), min_size=5, max_size=10)
        queue = PgQueuer(AsyncpgPoolDriver(pool))
        await queue.qm.queries.install()
        for first in range(0, jobs, 1000):
            some = min(1000, jobs - first)
            await queue.qm.queries.enqueue(["job"] * some, [b"x"] * some, [0] * some)

        @queue.entrypoint("job")
        async def call(job: object) -> None:
            countdown.call()

        clear_away()
        countdown.expect(jobs)
        began, cpu = time.perf_counter(), time.process_time()
        working = asyncio.create_task(queue.run(batch_size=100))
        await asyncio.to_thread(countdown.wait_done)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        working.cancel()
        return {"rate": jobs / took, "cpu": 1e6 * cpu / jobs}

    return asyncio.run(work())


def timed(begin: Callable[[], object], wait_through: Callable[[], None], jobs: int, folder: Path) -> Result:
    clear_away(folder / "jobs.db")
    countdown.expect(jobs)
    began, cpu = time.perf_counter(), time.process_time()
    begin()
    wait_through()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"rate": jobs / took, "cpu": 1e6 * cpu / jobs}


def wait_settled(scheduler: Scheduler) -> None:
    """Look at the ledger only when all were called: reading it would be measured too."""
    countdown.wait_done()
    while scheduler.get_runs(states=[RunState.PENDING, RunState.RUNNING], limit=1):
        time.sleep(0.001)


def clear_away(path: Path | None = None) -> None:
    """Clear away what the adding has left, so that nobody pays for it while firing: garbage, and logs that the servers,
    or the file at *path*, have still to work in.
    """
    if path is not None:
        fold_log(path)
    if postgresql.VARIABLE in os.environ:
        postgresql.settle_down()
    if redis.VARIABLE in os.environ:
        redis.settle_down()
    gc.collect()


def fold_log(path: Path) -> None:
    """Fold the write-ahead log into the file."""
    if path.exists():
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
