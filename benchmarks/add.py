"""Adding jobs to a scheduler that runs: one by one, and all at once where that exists.

All are due in a month, and the scheduler is paused, so that nothing but the adding is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from apscheduler.schedulers.base import BaseScheduler

from benchmarks import ours, peer
from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import nothing
from tickwork.scheduler import Scheduler

JOBS = {"full": 10_000, "quick": 2_000, "tiny": 20}
SECONDS = {"full": 6.0, "quick": 1.5, "tiny": 1.0}
"""After which it is enough, one by one."""


def tables(size: Size) -> Sequence[Table]:
    options = {"jobs": JOBS[size], "seconds": SECONDS[size]}
    metrics = [Metric("rate", "jobs/s (more is better)")]
    return [
        Table(
            f"add: {JOBS[size]:,} jobs in memory",
            {
                "tickwork one by one": Case(add_ours, {"kept": "memory", **options}),
                "tickwork in bulk": Case(add_in_bulk, {"kept": "memory", "jobs": JOBS[size]}),
                "APScheduler one by one": Case(add_peer, {"kept": "memory", **options}),
            },
            metrics,
            bases=["APScheduler one by one"],
        ),
        Table(
            f"add: {JOBS[size]:,} jobs, or {SECONDS[size]} s of adding, on SQLite (ours WAL + FULL)",
            {
                "tickwork one by one": Case(add_ours, {"kept": "SQLite", **options}),
                "tickwork in bulk": Case(add_in_bulk, {"kept": "SQLite", "jobs": JOBS[size]}),
                "APScheduler default": Case(add_peer, {"kept": "SQLite default", **options}),
                "APScheduler WAL + NORMAL": Case(add_peer, {"kept": "SQLite WAL", **options}),
            },
            metrics,
            bases=["APScheduler default", "APScheduler WAL + NORMAL"],
        ),
    ]


def add_ours(folder: Path, kept: ours.Kept, jobs: int, seconds: float) -> Result:
    def body(scheduler: Scheduler) -> Result:
        return timed(lambda options: scheduler.add_job(nothing, "interval", **options), jobs, seconds)

    return ours.with_scheduler("threads", ours.store_url(kept, folder), body, paused=True)


def add_in_bulk(folder: Path, kept: ours.Kept, jobs: int) -> Result:
    """The making of the jobs counts too."""

    def body(scheduler: Scheduler) -> Result:
        each = [*options_of(jobs)]
        began = time.perf_counter()
        scheduler.add_jobs([scheduler.new_job(nothing, "interval", **options) for options in each])
        return {"rate": jobs / (time.perf_counter() - began)}

    return ours.with_scheduler("threads", ours.store_url(kept, folder), body, paused=True)


def add_peer(folder: Path, kept: peer.Kept, jobs: int, seconds: float) -> Result:
    def body(scheduler: BaseScheduler) -> Result:
        return timed(lambda options: scheduler.add_job(nothing, "interval", **options), jobs, seconds)

    return peer.with_scheduler("threads", kept, folder, body, paused=True)


def timed(add: Callable[[dict[str, Any]], object], jobs: int, seconds: float) -> Result:
    each = options_of(jobs)
    began = time.perf_counter()
    added = 0
    for options in each:
        add(options)
        added += 1
        if added % 32 == 0 and time.perf_counter() - began > seconds:
            break
    return {"rate": added / (time.perf_counter() - began)}


def options_of(jobs: int) -> list[dict[str, Any]]:
    """Fire times all over the hours to come, in no order."""
    far = datetime.now(UTC) + timedelta(days=30)
    return [
        {"hours": 1, "start_date": far + timedelta(seconds=number * 7919 % jobs), "id": f"job-{number}"}
        for number in range(jobs)
    ]
