"""A started scheduler with nothing to do for hours: what it takes of the machine, how often it wakes, what it asks."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.schedulers.base import BaseScheduler
from tests.servers import DURABLE, PostgreSQLServer

from benchmarks import ours, peer
from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import nothing
from tickwork.scheduler import Scheduler

SECONDS = {"full": 15.0, "quick": 4.0, "tiny": 0.5}
SETTLE = {"full": 3.0, "quick": 2.0, "tiny": 0.1}
"""Seconds after the start before anything is measured."""
JOBS = {"full": 300, "quick": 300, "tiny": 5}
STORED = {"full": 10_000, "quick": 10_000, "tiny": 5}
"""Jobs on the server."""
ASKED = {"full": 60.0, "quick": 20.0, "tiny": 1.5}
"""Seconds for which its statements are counted: a beat and a look for what is declared do not come every second."""
COUNTS = {"shared_preload_libraries": "pg_stat_statements"}


def tables(size: Size) -> Sequence[Table]:
    common = {"jobs": JOBS[size], "seconds": SECONDS[size], "settle": SETTLE[size]}
    cases = {
        f"tickwork {kept}, {face}": Case(idle_ours, {"face": face, "kept": kept, **common})
        for kept in ("memory", "SQLite")
        for face in ("threads", "event loop")
    }
    cases["APScheduler memory"] = Case(idle_peer, {"kept": "memory", **common})
    cases["APScheduler SQLite"] = Case(idle_peer, {"kept": "SQLite default", **common})
    return [
        Table(
            f"idle: {JOBS[size]} jobs due in hours, {SECONDS[size]:.0f} s, all cases at once",
            cases,
            [Metric("cpu", "CPU, ms/s (less is better)"), Metric("wakes", "wake-ups/s of all its threads")],
            together=True,
            most_rounds=3,
        ),
        Table(
            f"idle on PostgreSQL: {STORED[size]:,} jobs due in hours, {ASKED[size]:.0f} s",
            {"tickwork, threads": Case(idle_on_a_server, {"jobs": STORED[size], "seconds": ASKED[size]})},
            [
                Metric("statements", "statements/s, begin and commit included"),
                Metric("server", "the server's time, ms/s"),
            ],
            rounds=1,
        ),
    ]


def idle_ours(folder: Path, face: ours.Face, kept: ours.Kept, jobs: int, seconds: float, settle: float) -> Result:
    def body(scheduler: Scheduler) -> Result:
        add_far_off(scheduler, jobs)
        return watched(seconds, settle)

    return ours.with_scheduler(face, ours.store_url(kept, folder), body)


def idle_on_a_server(folder: Path, jobs: int, seconds: float) -> Result:
    """On a server of its own, which counts what it is asked."""
    import psycopg

    with PostgreSQLServer(DURABLE | COUNTS) as server, psycopg.connect(server.url(), autocommit=True) as observer:
        observer.execute("create extension pg_stat_statements")

        def body(scheduler: Scheduler) -> Result:
            add_far_off(scheduler, jobs)
            time.sleep(SETTLE["full"])
            observer.execute("select pg_stat_statements_reset()")
            time.sleep(seconds)
            asked = observer.execute(
                "select sum(calls), sum(total_exec_time) from pg_stat_statements where query not like '%%pg_stat%%'"
            ).fetchone()
            assert asked is not None
            scheduler.shutdown()
            return {"statements": float(asked[0]) / seconds, "server": float(asked[1]) / seconds}

        return ours.with_scheduler("threads", server.url(), body)


def idle_peer(folder: Path, kept: peer.Kept, jobs: int, seconds: float, settle: float) -> Result:
    def body(scheduler: BaseScheduler) -> Result:
        start = datetime.now(UTC) + timedelta(hours=5)
        for number in range(jobs):
            scheduler.add_job(nothing, "interval", hours=5, start_date=start, id=f"job-{number}")
        scheduler.resume()
        return watched(seconds, settle)

    return peer.with_scheduler("threads", kept, folder, body, paused=True)


def add_far_off(scheduler: Scheduler, jobs: int) -> None:
    start = datetime.now(UTC) + timedelta(hours=5)
    scheduler.add_jobs([
        scheduler.new_job(nothing, "interval", hours=5, start_date=start, id=f"job-{number}") for number in range(jobs)
    ])  # fmt: skip


def watched(seconds: float, settle: float) -> Result:
    """The watching itself wakes once."""
    time.sleep(settle)
    before = resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(seconds)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": 1000 * cpu / seconds, "wakes": (after.ru_nvcsw - before.ru_nvcsw - 1) / seconds}
