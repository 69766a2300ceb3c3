"""What an import takes: a fresh interpreter that makes it, less a bare one beside it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.tables import Case, Metric, Result, Size, Table

PAIRS = {"full": 11, "quick": 5, "tiny": 1}

STATEMENTS = {
    "tickwork": "import tickwork",
    "tickwork, with SQLite": "import tickwork, tickwork.stores.sqlite",
    "APScheduler": "import apscheduler.schedulers.background",
    "APScheduler, with SQLAlchemy": "import apscheduler.schedulers.background, apscheduler.jobstores.sqlalchemy",
}


def tables(size: Size) -> Sequence[Table]:
    return [
        Table(
            "imports: a fresh interpreter, less a bare one",
            {name: Case(import_time, {"statement": statement}) for name, statement in STATEMENTS.items()},
            [Metric("above", "ms above bare (less is better)"), Metric("bare", "ms of bare python")],
            bases=["APScheduler"],
            rounds=PAIRS[size],
        )
    ]


def import_time(folder: Path, statement: str) -> Result:
    bare = run_time("pass")
    return {"above": 1000 * (run_time(statement) - bare), "bare": 1000 * bare}


def run_time(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began
