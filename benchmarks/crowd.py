"""Many jobs and several nodes: how long a claim takes among a million stored jobs, how soon a crowd that is due
in one second has begun, and how late the runs of four and eight nodes begin.

Each node is a process of its own (`python -m benchmarks.crowd URL`), which has added nothing, so that its memory is a
node's.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.lateness import at_share, start_after, starts
from benchmarks.memory import resident_bytes
from benchmarks.rounds import ROOT
from benchmarks.tables import Case, Metric, Result, Size, Table
from benchmarks.work import fires, note_run
from tickwork import BackgroundScheduler
from tickwork.stores import make_store

STORED = {"full": 1_000_000, "quick": 100_000, "tiny": 200}
BUSY = {"full": 1_000, "quick": 1_000, "tiny": 20}
"""Of those, how many fire each second."""
SECONDS = {"full": 15, "quick": 5, "tiny": 1}
CROWD = {"full": 100_000, "quick": 10_000, "tiny": 20}
LEAD = {"full": 6.0, "quick": 5.0, "tiny": 3.0}
"""Seconds between the start of the nodes and the first fire."""
BATCH = 10_000
"""How many jobs are added at once."""
PATIENCE = 120.0


def tables(size: Size) -> Sequence[Table]:
    kinds: tuple[ours.Kept, ...] = ("PostgreSQL", "Redis", "SQLite")
    busy = {"busy": BUSY[size], "seconds": SECONDS[size], "lead": LEAD[size]}
    return [
        Table(
            f"crowd: {STORED[size]:,} stored jobs, of which {BUSY[size]:,} fire each second, one node",
            {f"tickwork {kept}": Case(among_many, {"kept": kept, "stored": STORED[size], **busy}) for kept in kinds},
            [
                Metric("p50", "a round that fires, p50, ms (less is better)"),
                Metric("p99", "a round that fires, p99, ms"),
                Metric("late", "late p50, ms"),
                Metric("resident", "resident memory of the node, MB"),
            ],
            rounds=1,
        ),
        Table(
            f"crowd: {CROWD[size]:,} jobs due in the same second, four nodes",
            {f"tickwork {kept}": Case(all_at_once, {"kept": kept, "jobs": CROWD[size]}) for kept in kinds},
            [
                Metric("begun", "until the last has begun, s (less is better)"),
                Metric("fewest", "runs of the least busy node"),
            ],
            rounds=1,
        ),
        Table(
            f"crowd: {BUSY[size]:,} fires a second, {SECONDS[size]} s",
            {
                f"tickwork {kept}, {nodes} nodes": Case(late_nodes, {"kept": kept, "nodes": nodes, **busy})
                for kept in kinds
                for nodes in ((1, 4, 8) if size != "tiny" else (1, 2))
            },
            [
                Metric("rate", f"fires/s of {BUSY[size]:,} (all is best)"),
                Metric("p50", "late p50, ms (less is better)"),
                Metric("p99", "late p99, ms"),
                Metric("early", "runs that began early"),
            ],
            rounds=1,
        ),
    ]  # fmt: skip


def among_many(folder: Path, kept: ours.Kept, stored: int, busy: int, seconds: int, lead: float) -> Result:
    """One node beside a million jobs."""
    url = address(kept, folder)
    add(url, stored - busy, due=datetime.now(UTC) + timedelta(days=1))
    with nodes_at(url, 1) as (node,):
        start = start_after(lead, 0)
        add_busy(url, busy, start)
        time.sleep(start + seconds - time.time())
        (told,) = told_by([node])
    rounds = sorted(told["rounds"])
    late = sorted(told["late"])
    return {
        "p50": at_share(rounds, 0.5),
        "p99": at_share(rounds, 0.99),
        "late": at_share(late, 0.5),
        "resident": told["resident"],
    }


def all_at_once(folder: Path, kept: ours.Kept, jobs: int) -> Result:
    """Four nodes that begin what is due together; the ledger is asked when the last has begun."""
    url = address(kept, folder)
    with nodes_at(url, 4) as nodes:
        due = datetime.now(UTC) + timedelta(seconds=3 + jobs / 4_000)  # until then all are stored
        add(url, jobs, due=due)
        assert datetime.now(UTC) < due, "expected all jobs to be stored before they are due, got later"
        wait_done(url)
        told = told_by(nodes)
    begun = [at for one in told for at in one["begun"]]
    assert len(begun) == jobs, f"expected {jobs} calls, got {len(begun)}"
    return {"begun": max(begun) - due.timestamp(), "fewest": min(len(one["begun"]) for one in told)}


def late_nodes(folder: Path, kept: ours.Kept, nodes: int, busy: int, seconds: int, lead: float) -> Result:
    """The same load, shared by more and more nodes on two cores."""
    url = address(kept, folder)
    with nodes_at(url, nodes) as running:
        start = start_after(lead, 0)
        add_busy(url, busy, start)
        time.sleep(start + 1 + seconds - time.time())
        told = told_by(running)
    seen = [
        (at, late)
        for one in told
        for at, late in zip(one["begun"], one["late"], strict=True)
        if start + 1 <= at < start + 1 + seconds  # the first second only warms up
    ]
    late = sorted(late for _, late in seen)
    return {
        "rate": len(seen) / seconds,
        "p50": at_share(late, 0.5),
        "p99": at_share(late, 0.99),
        "early": sum(one < 0 for one in late),
    }


def address(kept: ours.Kept, folder: Path) -> str:
    url = ours.store_url(kept, folder)
    assert url is not None, "nodes share no memory"
    return url


def add(url: str, jobs: int, *, due: datetime) -> None:
    """Jobs of one hour that are due at that instant."""
    store = make_store(url)
    scheduler = BackgroundScheduler(store)
    for first in range(0, jobs, BATCH):
        scheduler.add_jobs([
            scheduler.new_job(note_run, "interval", hours=1, id=f"job-{number}", next_run_time=due)
            for number in range(first, min(first + BATCH, jobs))
        ])  # fmt: skip
    store.close()


def add_busy(url: str, jobs: int, start: float) -> None:
    """Jobs of one second each, spread over the second."""
    store = make_store(url)
    scheduler = BackgroundScheduler(store)
    scheduler.add_jobs([
        scheduler.new_job(note_run, "interval", seconds=1, start_date=at, id=f"busy-{number}")
        for number, at in enumerate(starts(start, jobs))
    ])  # fmt: skip
    store.close()


def wait_done(url: str) -> None:
    """Until nothing is due, waits or runs."""
    store = make_store(url)
    store.open()
    until = time.monotonic() + PATIENCE
    while True:
        census = store.census()
        soon = census.at + timedelta(minutes=10)
        if not census.pending and not census.running and (census.fire_at is None or census.fire_at > soon):
            store.close()
            return
        if time.monotonic() > until:
            raise TimeoutError(f"expected all to be done within {PATIENCE:.0f} s, got {census}")
        time.sleep(0.05)


# the nodes


@contextmanager
def nodes_at(url: str, count: int) -> Iterator[Sequence[subprocess.Popen[str]]]:
    """So many nodes, which have started."""
    command = [sys.executable, "-m", "benchmarks.crowd", url]
    nodes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        for node in nodes:
            assert node.stdout is not None
            assert node.stdout.readline() == "started\n", "expected a node to start, got its end"
        yield nodes
    finally:
        for node in nodes:
            node.kill()
            node.wait()


def told_by(nodes: Sequence[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """What nodes have seen, of which each is told to stop."""
    for node in nodes:
        assert node.stdin is not None
        node.stdin.close()
    return [json.loads(node.stdout.read()) for node in nodes if node.stdout is not None]


def serve(url: str) -> None:
    """A node, until its standard input ends."""
    logging.disable()
    store = make_store(url)
    rounds = watch_rounds(store)
    scheduler = BackgroundScheduler(store)
    scheduler.start()
    print("started", flush=True)
    sys.stdin.read()
    scheduler.shutdown(wait=False)
    seen = [*fires]
    print(json.dumps({
        "rounds": rounds, "begun": [at for at, _ in seen], "late": [1000 * (at - fire_time) for at, fire_time in seen],
        "resident": resident_bytes() / 1_000_000,
    }))  # fmt: skip


def watch_rounds(store: Any) -> list[float]:
    """The milliseconds, commit included, of each round that has fired something."""
    together, fire = store.together, store.fire
    took: list[float] = []
    fired = False

    def watched_fire(*arguments: Any, **options: Any) -> Any:
        nonlocal fired
        changes = fire(*arguments, **options)
        fired |= bool(changes)
        return changes

    @contextmanager
    def watched_together() -> Iterator[None]:
        nonlocal fired
        fired, began = False, time.perf_counter()
        with together():
            yield
        if fired:
            took.append(1000 * (time.perf_counter() - began))

    store.together, store.fire = watched_together, watched_fire
    return took


if __name__ == "__main__":
    serve(sys.argv[1])
