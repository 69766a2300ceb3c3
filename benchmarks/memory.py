"""How much memory a stored job takes: what the process has grown by (resident set), shared out."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.cron import CronTrigger as PeersCronTrigger

from benchmarks import ours, peer
from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import nothing
from tickwork import CronTrigger
from tickwork.scheduler import Scheduler

JOBS = {"full": 100_000, "quick": 10_000, "tiny": 20}
BATCH = 1_000
"""How many jobs are made at once: the list of them is not to be measured."""
CRONTAB = "*/5 8-18 * * mon-fri"

Kind: TypeAlias = Literal["interval", "cron"]


def tables(size: Size) -> Sequence[Table]:
    return [
        Table(
            f"memory: {JOBS[size]:,} {kind} jobs in memory",
            {
                "tickwork": Case(memory_ours, {"kind": kind, "jobs": JOBS[size]}),
                "APScheduler": Case(memory_peer, {"kind": kind, "jobs": JOBS[size]}),
            },
            [Metric("bytes", "resident bytes/job (less is better)")],
            bases=["APScheduler"],
            most_rounds=3,
        )
        for kind in ("interval", "cron")
    ]


def memory_ours(folder: Path, kind: Kind, jobs: int) -> Result:
    def body(scheduler: Scheduler) -> Result:
        def add(first: int, end: int) -> None:
            scheduler.add_jobs([
                scheduler.new_job(nothing, **trigger_options(kind, number, CronTrigger), id=f"job-{number}")
                for number in range(first, end)
            ])  # fmt: skip

        return grown(add, jobs)

    return ours.with_scheduler("threads", None, body, paused=True)


def memory_peer(folder: Path, kind: Kind, jobs: int) -> Result:
    def body(scheduler: BaseScheduler) -> Result:
        def add(first: int, end: int) -> None:
            for number in range(first, end):
                scheduler.add_job(nothing, **trigger_options(kind, number, PeersCronTrigger), id=f"job-{number}")

        return grown(add, jobs)

    return peer.with_scheduler("threads", "memory", folder, body, paused=True)


def trigger_options(kind: Kind, number: int, cron: Any) -> dict[str, Any]:
    """A trigger of its own for each job, as programs have them."""
    if kind == "cron":
        return {"trigger": cron.from_crontab(CRONTAB, timezone="UTC")}
    far = datetime.now(UTC) + timedelta(days=30, seconds=number)
    return {"trigger": "interval", "hours": 1, "start_date": far}


def grown(add: Callable[[int, int], None], jobs: int) -> Result:
    before = resident_bytes()
    for first in range(0, jobs, BATCH):
        add(first, min(jobs, first + BATCH))
    return {"bytes": (resident_bytes() - before) / jobs}


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
