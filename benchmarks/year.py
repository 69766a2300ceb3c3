"""A year of a hundred mixed jobs under the virtual clock, as a test would run it: every run is made and settled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import nothing
from tickwork.testing import ManualScheduler

DAYS = {"full": 365, "quick": 60, "tiny": 2}
JOBS = 100


def tables(size: Size) -> Sequence[Table]:
    return [
        Table(
            f"year: {JOBS} mixed jobs through {DAYS[size]} days, in memory",
            {"tickwork": Case(advance, {"days": DAYS[size]})},
            [Metric("seconds", "s in all (less is better)"), Metric("runs", "runs"), Metric("each", "us a run")],
            most_rounds=3,
        )
    ]


def advance(folder: Path, days: int) -> Result:
    scheduler = ManualScheduler(start=datetime(2026, 1, 1, tzinfo=UTC))
    for number in range(JOBS):
        name, minute = f"job-{number}", number % 60
        match number % 5:
            case 0:
                scheduler.add_job(nothing, "interval", hours=1, id=name)
            case 1:
                scheduler.add_job(nothing, "cron", hour=3, minute=minute, timezone="Europe/Berlin", id=name)
            case 2:
                scheduler.add_job(nothing, "cron", hour="*/6", minute=minute, timezone="America/New_York", id=name)
            case 3:
                weekdays = {"day_of_week": "mon-fri", "hour": 9, "minute": minute, "timezone": "Asia/Seoul"}
                scheduler.add_job(nothing, "cron", id=name, **weekdays)
            case _:
                scheduler.add_job(nothing, "interval", days=1, id=name)
    scheduler.start()
    began = time.perf_counter()
    scheduler.advance(timedelta(days=days))
    took = time.perf_counter() - began
    runs = len(scheduler.get_runs(limit=1_000_000))
    return {"seconds": took, "runs": runs, "each": 1e6 * took / runs}
