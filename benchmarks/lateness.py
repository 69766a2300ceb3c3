"""How late a function begins: `time.time()` on its first line less the fire time.

APScheduler does not tell a function its fire time, so it is the last second of the job's grid before the call:
whole seconds of lateness do not show. The bare loops are the limit: what the machine itself is late.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.schedulers.base import BaseScheduler

from benchmarks import ours, peer
from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import fires, note_call, note_call_async, note_run, note_run_async
from tickwork.scheduler import Scheduler

SECONDS = {"full": 30, "quick": 4, "tiny": 1}
"""Of one job a second."""
BUSY_SECONDS = {"full": 12, "quick": 3, "tiny": 1}
"""Of many jobs a second."""
JOBS = {"full": 1_000, "quick": 1_000, "tiny": 20}
LEAD = {"full": 4.0, "quick": 4.0, "tiny": 1.0}
"""Seconds between the adding of the jobs and their first fire."""

P50 = Metric("p50", "late p50, ms (less is better)")
P99 = Metric("p99", "late p99, ms (less is better)")


def tables(size: Size) -> Sequence[Table]:
    return [one_job(size), many_jobs(size)]


def one_job(size: Size) -> Table:
    """All at the same time, each with a phase of its own, so that they do not disturb each other."""
    kinds = {
        "limit: a condition": (late_limit, {}),
        "tickwork memory, threads": (late_ours, {"face": "threads", "kept": "memory"}),
        "tickwork memory, event loop": (late_ours, {"face": "event loop", "kept": "memory"}),
        "tickwork SQLite, threads": (late_ours, {"face": "threads", "kept": "SQLite"}),
        "tickwork SQLite, event loop": (late_ours, {"face": "event loop", "kept": "SQLite"}),
        "tickwork PostgreSQL, threads": (late_ours, {"face": "threads", "kept": "PostgreSQL"}),
        "tickwork Redis, threads": (late_ours, {"face": "threads", "kept": "Redis"}),
        "APScheduler memory, threads": (late_peer, {"face": "threads", "kept": "memory"}),
        "APScheduler memory, event loop": (late_peer, {"face": "event loop", "kept": "memory"}),
        "APScheduler SQLite default, threads": (late_peer, {"face": "threads", "kept": "SQLite default"}),
        "APScheduler SQLite WAL, threads": (late_peer, {"face": "threads", "kept": "SQLite WAL"}),
        "APScheduler PostgreSQL, threads": (late_peer, {"face": "threads", "kept": "PostgreSQL"}),
        "APScheduler Redis, threads": (late_peer, {"face": "threads", "kept": "Redis"}),
    }
    common = {"jobs": 1, "seconds": SECONDS[size], "lead": LEAD[size]}
    cases = {
        name: Case(function, {**options, **common, "phase": number / len(kinds)})
        for number, (name, (function, options)) in enumerate(kinds.items())
    }
    return Table(
        f"lateness: one job a second in an idle process, {SECONDS[size]} s, all cases at once",
        cases,
        [P50, P99, Metric("cpu", "CPU, ms/s (less is better)")],
        bases=["limit: a condition", "APScheduler memory, threads"],
        together=True,
        most_rounds=3,
    )


def many_jobs(size: Size) -> Table:
    common = {"jobs": JOBS[size], "seconds": BUSY_SECONDS[size], "lead": LEAD[size]}
    cases = {
        "limit: a heap, a condition": Case(late_limit, common),
        "tickwork memory, threads": Case(late_ours, {"face": "threads", "kept": "memory", **common}),
        "tickwork memory, event loop": Case(late_ours, {"face": "event loop", "kept": "memory", **common}),
        "tickwork SQLite, threads": Case(late_ours, {"face": "threads", "kept": "SQLite", **common}),
        "tickwork SQLite, event loop": Case(late_ours, {"face": "event loop", "kept": "SQLite", **common}),
        "tickwork PostgreSQL, threads": Case(late_ours, {"face": "threads", "kept": "PostgreSQL", **common}),
        "tickwork PostgreSQL, event loop": Case(late_ours, {"face": "event loop", "kept": "PostgreSQL", **common}),
        "tickwork Redis, threads": Case(late_ours, {"face": "threads", "kept": "Redis", **common}),
        "APScheduler memory, threads": Case(late_peer, {"face": "threads", "kept": "memory", **common}),
        "APScheduler SQLite WAL, threads": Case(late_peer, {"face": "threads", "kept": "SQLite WAL", **common}),
        "APScheduler PostgreSQL, threads": Case(late_peer, {"face": "threads", "kept": "PostgreSQL", **common}),
        "APScheduler Redis, threads": Case(late_peer, {"face": "threads", "kept": "Redis", **common}),
    }
    return Table(
        f"lateness: {JOBS[size]:,} jobs of one second each, spread over the second, {BUSY_SECONDS[size]} s",
        cases,
        [
            Metric("rate", f"fires/s of {JOBS[size]:,} (all is best)"),
            P50,
            P99,
            Metric("cpu", "CPU, ms/s (less is better)"),
        ],
        bases=["limit: a heap, a condition", "APScheduler memory, threads", "APScheduler SQLite WAL, threads"],
        most_rounds=3,
    )


def late_ours(
    folder: Path, face: ours.Face, kept: ours.Kept, jobs: int, seconds: int, lead: float, phase: float = 0.0
) -> Result:
    def body(scheduler: Scheduler) -> Result:
        start = start_after(lead, phase)
        function = note_run if face == "threads" else note_run_async
        scheduler.add_jobs([
            scheduler.new_job(function, "interval", seconds=1, start_date=at, id=f"job-{number}")
            for number, at in enumerate(starts(start, jobs))
        ])  # fmt: skip
        return watched(start, seconds)

    return ours.with_scheduler(face, ours.store_url(kept, folder), body)


def late_peer(
    folder: Path, face: ours.Face, kept: peer.Kept, jobs: int, seconds: int, lead: float, phase: float = 0.0
) -> Result:
    def body(scheduler: BaseScheduler) -> Result:
        start = start_after(lead, phase)
        function = note_call if face == "threads" else note_call_async
        for number, at in enumerate(starts(start, jobs)):
            options = {"seconds": 1, "start_date": at, "id": f"job-{number}", "args": [at.timestamp()]}
            scheduler.add_job(function, "interval", **options)
        scheduler.resume()
        return watched(start, seconds)

    return peer.with_scheduler(face, kept, folder, body, paused=True)


def late_limit(folder: Path, jobs: int, seconds: int, lead: float, phase: float = 0.0) -> Result:
    """Nothing but a heap of fire times and a condition to wait at."""
    start = start_after(lead, phase)
    agenda = [at.timestamp() for at in starts(start, jobs)]
    condition = threading.Condition()

    def loop() -> None:
        while True:
            with condition:
                while (wait := agenda[0] - time.time()) > 0:
                    condition.wait(wait)
            note_call(agenda[0])
            heapq.heapreplace(agenda, agenda[0] + 1.0)

    threading.Thread(target=loop, daemon=True).start()
    return watched(start, seconds)


def start_after(lead: float, phase: float) -> float:
    """A whole second and *phase*, at least *lead* seconds from now."""
    return int(time.time() + lead) + 1 + phase


def starts(start: float, jobs: int) -> list[datetime]:
    """The first fire times, a thousandth of a second apart, over the second that follows *start*."""
    first = datetime.fromtimestamp(start, UTC)
    return [first + timedelta(milliseconds=number % 1000) for number in range(jobs)]


def watched(start: float, seconds: int) -> Result:
    """Watch for so many seconds, begun a moment before a fire; the first second only warms up."""
    begin = start + 0.95
    time.sleep(begin - time.time())
    fires.clear()
    cpu = time.process_time()
    time.sleep(begin + seconds - time.time())
    seen, cpu = [*fires], time.process_time() - cpu
    late = sorted(1000 * (at - fire_time) for at, fire_time in seen)
    return {
        "rate": len(late) / seconds,
        "p50": at_share(late, 0.5),
        "p99": at_share(late, 0.99),
        "cpu": 1000 * cpu / seconds,
    }


def at_share(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]
