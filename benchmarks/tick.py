"""One wake-up with one due job among many that are not: what it costs, and whether it grows with their number.

Driven by hand, with executors that make the call at once: `Loop.tick()` here, `_process_jobs()` there. Ours
writes the run's row in that tick, and closes it in the next.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.base import BaseScheduler

from benchmarks import ours, peer
from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import nothing
from tickwork import BackgroundScheduler, RunState
from tickwork.listeners import Listeners
from tickwork.loop import Loop
from tickwork.node import new_node
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.testing import InlineExecutor, VirtualClock
from tickwork.timing import Timing

STORED = {"full": (1_000, 10_000, 100_000), "quick": (1_000, 10_000), "tiny": (10,)}
TICKS = {"full": 200, "quick": 50, "tiny": 3}
BATCH = 5_000
"""How many jobs are put into a store at once."""

METRICS = [
    Metric("tick", "tick p50, us (less is better)"),
    Metric("settled", "with the settling, p50, us (less is better)"),
]


def tables(size: Size) -> Sequence[Table]:
    return [table(["memory"], "memory", size), table(["SQLite default", "SQLite WAL"], "SQLite", size)]


def table(peers: Sequence[peer.Kept], kept: ours.Kept, size: Size) -> Table:
    cases = {}
    for stored in STORED[size]:
        options = {"stored": stored, "ticks": TICKS[size]}
        cases[f"tickwork, {stored:,} jobs"] = Case(tick_ours, {"kept": kept, **options})
        for other in peers:
            cases[f"APScheduler {other}, {stored:,}"] = Case(tick_peer, {"kept": other, **options})
    most = STORED[size][-1]
    bases = [f"tickwork, {STORED[size][0]:,} jobs", *(f"APScheduler {other}, {most:,}" for other in peers)]
    return Table(f"tick: one due job among many, {kept}", cases, METRICS, bases=bases, most_rounds=3)


def tick_ours(folder: Path, kept: ours.Kept, stored: int, ticks: int) -> Result:
    clock, timing = VirtualClock(), Timing()
    store = make_store(ours.store_url(kept, folder), clock=clock)
    fill(store, stored, due_at=clock.now() + timedelta(seconds=1))
    executor = InlineExecutor()
    node = new_node("benchmark", clock.now(), timing.lease)
    loop = Loop(store, {"threads": executor}, node=node, timing=timing, listeners=Listeners(), wake=lambda: None)
    executor.start(loop.report)

    tick_took, settled_took = [], []
    clock.advance(timing.rest)
    for _ in range(ticks):
        clock.advance(timedelta(seconds=1) - 2 * timing.rest)
        fired = timed_tick(loop, executor)
        clock.advance(timing.rest)
        called = timed_tick(loop, executor)
        clock.advance(timing.rest)
        tick_took.append(fired)
        settled_took.append(fired + called + timed_tick(loop, executor))
    assert len(store.runs(states=[RunState.SUCCEEDED], limit=ticks + 1)) == ticks
    return {"tick": 1e6 * median(tick_took), "settled": 1e6 * median(settled_took)}


def timed_tick(loop: Loop, executor: InlineExecutor) -> float:
    began = time.perf_counter()
    loop.tick()
    executor.run_submitted()
    return time.perf_counter() - began


def fill(store: Store, stored: int, *, due_at: datetime) -> None:
    """One job each second, and others that are due in a month."""
    scheduler = BackgroundScheduler(store)  # never started: it makes jobs
    scheduler.add_jobs([scheduler.new_job(nothing, "interval", seconds=1, start_date=due_at, id="due")])
    far = due_at + timedelta(days=30)
    for first in range(1, stored, BATCH):
        numbers = range(first, min(stored, first + BATCH))
        starts = [far + timedelta(seconds=number) for number in numbers]
        scheduler.add_jobs([
            scheduler.new_job(nothing, "interval", hours=1, start_date=start, id=f"job-{number}")
            for number, start in zip(numbers, starts, strict=True)
        ])  # fmt: skip


class StillScheduler(BaseScheduler):
    """APScheduler without a thread: it wakes up when it is told to."""

    def wakeup(self) -> None: ...

    def shutdown(self, wait: bool = True) -> None: ...


def tick_peer(folder: Path, kept: peer.Kept, stored: int, ticks: int) -> Result:
    scheduler = StillScheduler(**peer.options(kept, folder), executors={"default": DebugExecutor()})
    scheduler.start()
    peer.fill(scheduler, nothing, stored, far=datetime.now(UTC) + timedelta(days=30))
    took = []
    for _ in range(ticks):
        scheduler.modify_job("job-0", next_run_time=datetime.now(UTC))
        began = time.perf_counter()
        scheduler._process_jobs()
        took.append(time.perf_counter() - began)
    return {"tick": 1e6 * median(took), "settled": 1e6 * median(took)}
