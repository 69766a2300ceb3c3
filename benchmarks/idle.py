"""A started scheduler with nothing to do for hours: what it takes from the machine, and how often it wakes."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.schedulers.base import BaseScheduler

from benchmarks import ours, peer
from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import nothing
from tickwork.scheduler import Scheduler

SECONDS = {"full": 15.0, "quick": 4.0, "tiny": 0.5}
SETTLE = {"full": 3.0, "quick": 2.0, "tiny": 0.1}
"""Seconds after the start before anything is measured."""
JOBS = {"full": 300, "quick": 300, "tiny": 5}


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
        )
    ]


def idle_ours(folder: Path, face: ours.Face, kept: ours.Kept, jobs: int, seconds: float, settle: float) -> Result:
    def body(scheduler: Scheduler) -> Result:
        start = datetime.now(UTC) + timedelta(hours=5)
        scheduler.add_jobs([
            scheduler.new_job(nothing, "interval", hours=5, start_date=start, id=f"job-{number}")
            for number in range(jobs)
        ])  # fmt: skip
        return watched(seconds, settle)

    return ours.with_scheduler(face, ours.store_url(kept, folder), body)


def idle_peer(folder: Path, kept: peer.Kept, jobs: int, seconds: float, settle: float) -> Result:
    def body(scheduler: BaseScheduler) -> Result:
        start = datetime.now(UTC) + timedelta(hours=5)
        for number in range(jobs):
            scheduler.add_job(nothing, "interval", hours=5, start_date=start, id=f"job-{number}")
        scheduler.resume()
        return watched(seconds, settle)

    return peer.with_scheduler("threads", kept, folder, body, paused=True)


def watched(seconds: float, settle: float) -> Result:
    """The watching itself wakes once."""
    time.sleep(settle)
    before = resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(seconds)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": 1000 * cpu / seconds, "wakes": (after.ru_nvcsw - before.ru_nvcsw - 1) / seconds}
