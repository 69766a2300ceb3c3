"""After an outage of a day: how long many one-minute jobs take to make up for it, and how late others begin."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.lateness import at_share
from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import count_down, countdown, fires, note_run
from tickwork import BackgroundScheduler

JOBS = {"full": 10_000, "quick": 10_000, "tiny": 30}
OUTAGE = timedelta(days=1)
CATCH_UP = (1, 10)
EVERY = 0.1
"""Seconds from one fire time of the job that is on time to the next."""


def tables(size: Size) -> Sequence[Table]:
    jobs = JOBS[size]
    return [
        Table(
            f"backlog: {jobs:,} one-minute jobs after an outage of a day, beside one that is on time",
            {
                f"{kind}, catch_up={catch_up}": Case(drain, {"kind": kind, "jobs": jobs, "catch_up": catch_up})
                for kind in ("memory", "SQLite")
                for catch_up in CATCH_UP
            },
            [
                Metric("seconds", "seconds until so many runs are made (less is better)"),
                Metric("p50", "the job that is on time: late p50, ms (less is better)"),
                Metric("p99", "late p99, ms (less is better)"),
            ],
            most_rounds=3,
        )
    ]


def drain(folder: Path, kind: str, jobs: int, catch_up: int) -> Result:
    scheduler = BackgroundScheduler(None if kind == "memory" else f"sqlite:///{folder / 'jobs.db'}")
    scheduler.start(paused=True)
    began = datetime.now(UTC) - OUTAGE
    missed = [began + timedelta(seconds=number % 60) for number in range(jobs)]
    options = {"minutes": 1, "catch_up": catch_up}
    scheduler.add_jobs([
        scheduler.new_job(count_down, "interval", start_date=at, next_run_time=at, id=f"job-{number}", **options)
        for number, at in enumerate(missed)
    ])  # fmt: skip
    countdown.expect(jobs * catch_up)
    fires.clear()
    scheduler.add_job(note_run, "interval", seconds=EVERY, id="on time")
    resumed = time.perf_counter()
    scheduler.resume()
    try:
        countdown.wait_done()
        took = time.perf_counter() - resumed
        time.sleep(2 * EVERY)  # so that it fires at least once
    finally:
        scheduler.shutdown(timeout=5)
    late = sorted(1000 * (at - fire_time) for at, fire_time in fires)
    return {"seconds": took, "p50": at_share(late, 0.5), "p99": at_share(late, 0.99)}
