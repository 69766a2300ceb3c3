"""A large ledger on SQLite: what `why` takes in it, and how late runs begin while it is pruned.

Its rows were written in the order of time, as a ledger is: those of one job lie far apart in the file.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.due import fold_log
from benchmarks.lateness import at_share, start_after, starts, watched
from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import note_run, nothing
from tickwork import BackgroundScheduler, Job, Retention, Verdict
from tickwork.run import Run, RunState
from tickwork.stores.base import Pruned
from tickwork.stores.sqlite import SQLiteStore
from tickwork.stores.sqlite import statements as sql
from tickwork.stores.sqlite.rows import inserted_run
from tickwork.why import Answer

RUNS = {"full": (10_000, 1_000_000), "quick": (10_000, 1_000_000), "tiny": (600,)}
JOBS = {"full": 1_000, "quick": 1_000, "tiny": 6}
ASKED = {"full": 1_000, "quick": 300, "tiny": 3}
LATE_JOBS = {"full": (100, 1_000), "quick": (100, 1_000), "tiny": (20,)}
SECONDS = {"full": 20, "quick": 8, "tiny": 1}
MINUTE = timedelta(minutes=1)
MISSED_EVERY = 10
"""Each tenth fire time was missed: the answer for it looks for signs of a node in the rows around it."""

KINDS = {
    "ran": "that ran",
    "missed": "that was missed",
    "beside": "that is no fire time",
    "coming": "to come",
    "first": "that ran, in a store just opened",
}


def tables(size: Size) -> Sequence[Table]:
    return [asking(size), pruning(size)]


def asking(size: Size) -> Table:
    cases = {
        f"tickwork SQLite, {runs:,} runs": Case(ask, {"runs": runs, "jobs": JOBS[size], "asked": ASKED[size]})
        for runs in RUNS[size]
    }
    metrics = [
        Metric(f"{kind}_{share}", f"an instant {meaning}, {share}, ms (less is better)")
        for kind, meaning in KINDS.items()
        for share in ("p50", "p99")
    ]
    return Table(f"why: one instant of one of {JOBS[size]:,} jobs", cases, metrics, most_rounds=3)


def pruning(size: Size) -> Table:
    runs = RUNS[size][-1]
    cases = {
        f"{jobs:,} fires/s, {'pruned meanwhile' if pruned else 'not pruned'}": Case(
            late, {"runs": runs, "jobs": JOBS[size], "late_jobs": jobs, "seconds": SECONDS[size], "pruned": pruned}
        )
        for jobs in LATE_JOBS[size]
        for pruned in (False, True)
    }
    metrics = [
        Metric("p50", "late p50, ms (less is better)"),
        Metric("p99", "late p99, ms (less is better)"),
        Metric("step_p50", "a step of pruning, p50, ms"),
        Metric("step_p99", "a step of pruning, p99, ms"),
        Metric("pruned", "rows pruned a second"),
        Metric("cpu", "CPU, ms/s (less is better)"),
    ]
    return Table(f"why: how late runs begin while a ledger of {runs:,} is pruned", cases, metrics, most_rounds=3)


def ask(folder: Path, runs: int, jobs: int, asked: int) -> Result:
    store = SQLiteStore(folder / "jobs.db")
    scheduler = BackgroundScheduler(store)
    ledger = fill(store, jobs, runs)
    numbers = random.Random(1)  # the same questions in each round
    result: dict[str, float] = {}
    for kind in KINDS:
        took = []
        for _ in range(asked):
            job, minute = numbers.choice(ledger), numbers.randrange(runs // jobs)
            at = job.anchored_at + (minute + 1) * MINUTE
            match kind:
                case "missed":
                    at += (minute % MISSED_EVERY - MISSED_EVERY + 1) * -MINUTE
                case "ran" | "first" if is_missed(minute):
                    at -= MINUTE
                case "beside":
                    at -= MINUTE / 2
                case "coming":
                    at += timedelta(days=2_000)
                case _:
                    pass
            if kind == "first":
                store.close()
                store.open()
            answer, seconds = timed(lambda: scheduler.why(job.id, at))  # noqa: B023
            check(kind, answer)
            took.append(1000 * seconds)
        took.sort()
        result |= {f"{kind}_p50": at_share(took, 0.5), f"{kind}_p99": at_share(took, 0.99)}
    return result


def check(kind: str, answer: Answer) -> None:
    expected = {
        "missed": Verdict.MISSED, "beside": Verdict.NOT_A_FIRE_TIME, "coming": Verdict.COMING,
    }.get(kind, Verdict.SUCCEEDED)  # fmt: skip
    assert answer.verdict is expected, f"expected {expected}, got {answer}"


def timed(act: Callable[[], Answer]) -> tuple[Answer, float]:
    began = time.perf_counter()
    answer = act()
    return answer, time.perf_counter() - began


def late(folder: Path, runs: int, jobs: int, late_jobs: int, seconds: int, pruned: bool) -> Result:
    store = SQLiteStore(folder / "jobs.db")
    fill(store, jobs, runs)
    keep = Retention(age=None, count=50) if pruned else Retention(age=None, count=None)
    scheduler = BackgroundScheduler(store, keep=keep)
    steps = watch_steps(store)
    if pruned:  # one walk after the other
        scheduler._timing = replace(scheduler._timing, prune=timedelta(milliseconds=1))
    scheduler.start()
    start = start_after(2.0, 0.0)
    scheduler.add_jobs([
        scheduler.new_job(note_run, "interval", seconds=1, start_date=at, id=f"late-{number}")
        for number, at in enumerate(starts(start, late_jobs))
    ])  # fmt: skip
    before, began = count(folder), time.monotonic()
    steps.clear()
    result = dict(watched(start, seconds))
    fired = result.pop("rate") * seconds
    gone = before + fired - count(folder) if pruned else 0.0
    took = sorted(steps) if pruned else [0.0]
    return result | {
        "step_p50": at_share(took, 0.5), "step_p99": at_share(took, 0.99),
        "pruned": max(0.0, gone) / (time.monotonic() - began),
    }  # fmt: skip


def watch_steps(store: SQLiteStore) -> list[float]:
    """What each step of pruning takes, in milliseconds, from now on."""
    took: list[float] = []
    prune = store.prune

    def timed_prune(*arguments: Any, **options: Any) -> Pruned:
        began = time.perf_counter()
        try:
            return prune(*arguments, **options)
        finally:
            took.append(1000 * (time.perf_counter() - began))

    store.prune = timed_prune  # type: ignore[method-assign]
    return took


def count(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "jobs.db")) as connection:
        (rows,) = connection.execute("select count(*) from tickwork_runs").fetchone()
        return int(rows)


def fill(store: SQLiteStore, jobs: int, runs: int) -> Sequence[Job]:
    """A ledger of *runs* rows, one a minute of each job, up to now."""
    minutes = runs // jobs
    begin = datetime.now(UTC).replace(second=0, microsecond=0) - (minutes + 1) * MINUTE
    scheduler = BackgroundScheduler(store)
    last, following = begin + minutes * MINUTE, begin + timedelta(days=1_000)
    ledger = scheduler.add_jobs([
        scheduler.new_job(nothing, "interval", minutes=1, id=f"job-{number}")
        ._replace(anchored_at=begin, last_fire_time=last, next_fire_time=following)
        for number in range(jobs)
    ])  # fmt: skip
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        connection.executemany(sql.INSERT_RUN, rows(ledger, begin, minutes))
        connection.execute("commit")
    fold_log(store.path)
    return ledger


def rows(ledger: Sequence[Job], begin: datetime, minutes: int) -> Iterator[Sequence[object]]:
    for minute in range(minutes):
        at = begin + (minute + 1) * MINUTE
        for job in ledger:
            run = Run(job.id, job.uid, at, at, ended_at=at + MINUTE / 4, node="f3a9c1d2e4b5a697")
            if is_missed(minute):
                yield inserted_run(run._replace(state=RunState.MISSED, reason="fired 0:00:15 late"))
            else:
                yield inserted_run(run._replace(state=RunState.SUCCEEDED, started_at=at))


def is_missed(minute: int) -> bool:
    return minute % MISSED_EVERY == MISSED_EVERY - 1
