"""Workers whose store moves away under them, again and again: each fire time runs once, wherever it was due."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from tests.processes.conftest import Figure
from tests.processes.crew import ROOT, Crew, Worker
from tests.processes.orders import NOTHING_GIVEN_UP, Orders, every
from tests.processes.patience import wait_until
from tests.processes.witness import Witness

from tickwork.clock import from_micros, to_micros
from tickwork.run import RunState
from tickwork.stores import make_store

pytestmark = pytest.mark.processes

JOBS = 4
EVERY = 0.2
CALLS = 60
"""So many are seen on each store before it moves on."""


def test_from_sqlite_to_postgresql_to_redis_and_back_each_fire_time_runs_once(
    crew: Crew, witness: Witness, postgresql_url: str, redis_url: str, tmp_path: Path, figure: Figure
) -> None:
    begin = datetime.now(UTC).replace(microsecond=0)
    jobs = [every(EVERY, f"job-{number}", start=begin, **NOTHING_GIVEN_UP) for number in range(JOBS)]
    places = [f"sqlite:///{tmp_path / 'jobs.db'}", postgresql_url, redis_url, f"sqlite:///{tmp_path / 'new.db'}"]
    orders = Orders(places[0], str(witness.path), jobs)
    workers = crew.hire(orders, 2)
    for old, new in pairwise(places):
        seen = len(witness.lines("start"))
        wait_until(lambda seen=seen: len(witness.lines("start")) > seen + CALLS, "calls of workers")  # type: ignore[misc]
        if old == places[0]:  # the first try is killed, wherever it has come to
            killed = subprocess.Popen([sys.executable, "-m", "tickwork", "move", old, new], cwd=ROOT)
            wait_until(lambda: _is_noted(new), "a mover that has begun")  # noqa: B023
            killed.send_signal(signal.SIGKILL)
            killed.wait()

        moved = subprocess.run(
            [sys.executable, "-m", "tickwork", "move", old, new], cwd=ROOT, text=True, capture_output=True, check=False
        )

        assert moved.returncode == 0, moved.stderr
        figure(f"move, workers at work: {moved.stdout.strip()}")
        _wait_refused(workers)
        workers = crew.hire(replace(orders, store=new), 2)
    seen = len(witness.lines("start"))
    wait_until(lambda: len(witness.lines("start")) > seen + CALLS, "calls on the last store")
    for worker in workers:
        worker.stop()

    calls = Counter((line.job, line.fire_time) for line in witness.lines("start"))
    with_store = make_store(places[-1])
    with_store.open()
    rows = with_store.runs(limit=1_000_000)
    with_store.close()
    answered = Counter((run.job_id, to_micros(run.fire_time)) for run in rows if run.state is RunState.SUCCEEDED)
    last = from_micros(max(fire_time for _, fire_time in calls))
    due = [
        begin + timedelta(seconds=EVERY) * number for number in range(1, round((last - begin).total_seconds() / EVERY))
    ]
    assert set(calls.values()) == {1}
    assert {run.state for run in rows} <= {RunState.SUCCEEDED, RunState.PENDING}
    assert calls == answered
    first = min(from_micros(fire_time) for _, fire_time in calls)
    assert {to_micros(at) for at in due if at >= first} <= {fire_time for _, fire_time in calls}


def _is_noted(url: str) -> bool:
    store = make_store(url)
    store.open()
    noted = store.move() is not None
    store.close()
    return noted


def _wait_refused(workers: list[Worker]) -> None:
    """Until each worker tells by itself where its jobs are; then it is stopped."""
    for worker in workers:
        wait_until(
            lambda worker=worker: "has moved to" in (worker.ask("health")["outage"] or ""),  # type: ignore[misc]
            "a worker that notices",
        )
        worker.stop()
