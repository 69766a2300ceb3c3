"""A worker that dies is known to be dead long before its lease ends; one that only stands still keeps its lease."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from tests.processes.conftest import Figure
from tests.processes.crew import Crew, Worker
from tests.processes.orders import Orders, now_micros, waiting_at
from tests.processes.patience import wait_until
from tests.processes.witness import Witness

from tickwork.node import Node
from tickwork.run import Run
from tickwork.stores import make_store
from tickwork.stores.base import Store

LEASE = 10.0
SLACK = 3.0
"""Seconds that a busy machine may add; together with the promise much less than a lease."""
AT_HOME = timedelta(seconds=2.5)
"""How long a node is there until it takes others for dead: at its start the store may just have been out for all."""
TAKES = {"sqlite": 1.0, "postgresql": 2.0}

pytestmark = pytest.mark.processes


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with closing(make_store(store_url)) as store:
        store.open()
        yield store


@pytest.mark.parametrize("store_url", [*TAKES], indirect=True)
def test_a_killed_worker_is_taken_over_at_once_and_a_stopped_one_after_its_lease(
    crew: Crew, store: Store, store_url: str, witness: Witness, figure: Figure, tmp_path: Path
) -> None:
    kind = store_url.partition(":")[0]
    gates = {name: tmp_path / name for name in ("killed", "stopped")}
    survivor, doomed, still = crew.hire(Orders(store_url, str(witness.path), lease=LEASE), 3, paused=True)
    begin(doomed, waiting_at(gates["killed"], "killed", retry=2), witness)
    begin(still, waiting_at(gates["stopped"], "stopped", retry=2), witness)
    survivor.ask("resume")
    wait_until(lambda: len(lifelines(store)) == 3, "three nodes that tell of their lifelines")
    wait_until(lambda: all(lived(node) > AT_HOME for node in store.nodes()), "nodes that have been there for a while")

    still.freeze()
    stopped_at = now_micros()
    killed_at = now_micros()
    doomed.signal(signal.SIGKILL)
    killed = first_attempt(store, "killed")
    in_between = store.runs(job_id="stopped")
    stopped = first_attempt(store, "stopped")
    wait_until(lambda: len(witness.lines("end")) == 2, "second attempts")
    for gate in gates.values():
        gate.touch()
    still.thaw()
    wait_until(lambda: [line for line in witness.lines("end", "stopped") if line.pid == still.pid], "its late end")
    for worker in (still, survivor):
        worker.stop()

    took = {run.job_id: seconds(run, since) for run, since in ((killed, killed_at), (stopped, stopped_at))}
    assert took["killed"] < TAKES[kind] + SLACK
    assert f"node {doomed.node} is gone" in (killed.reason or "")
    assert [run.state for run in in_between] == ["running"]
    assert took["stopped"] > LEASE * 2 / 3, "at most a third of a lease had passed since its renewal"
    assert "did not renew its lease" in (stopped.reason or "")
    assert [store.run(run.id) for run in (killed, stopped)] == [killed, stopped], "no late outcome was accepted"
    assert sorted((line.job, line.attempt) for line in witness.lines("start")) == [
        ("killed", 1), ("killed", 2), ("stopped", 1), ("stopped", 2),
    ]  # fmt: skip
    figure(
        f"takeover on {kind}, lease {LEASE:.0f} s: {took['killed']:.2f} s after kill -9, "
        f"{took['stopped']:.2f} s after SIGSTOP"
    )


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_worker_that_loses_its_session_and_lives_is_not_taken_for_dead(
    crew: Crew, store: Store, store_url: str, witness: Witness, tmp_path: Path
) -> None:
    survivor, worker = crew.hire(Orders(store_url, str(witness.path), lease=LEASE), 2, paused=True)
    begin(worker, waiting_at(tmp_path / "gate", "long", retry=2), witness)
    survivor.ask("resume")
    wait_until(lambda: len(lifelines(store)) == 2, "two nodes that tell of their lifelines")

    deadline = time.monotonic() + 4
    with psycopg.connect(store_url.partition("?")[0], autocommit=True) as administrator:
        while time.monotonic() < deadline:
            administrator.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity join pg_locks using (pid)"
                " where locktype = 'advisory' and datname = current_database()"
            )
            time.sleep(0.3)
    (tmp_path / "gate").touch()
    wait_until(lambda: witness.lines("end", "long"), "the end of the run")
    wait_until(lambda: all(run.state.closed for run in store.runs()), "its row")
    for one in (worker, survivor):
        one.stop()

    assert [(run.state, run.attempt) for run in store.runs(job_id="long")] == [("succeeded", 1)]


def begin(worker: Worker, job: dict[str, object], witness: Witness) -> None:
    """Let that worker, and no other, be in the middle of a run of that job."""
    worker.ask("add", **job)
    worker.ask("resume")
    wait_until(lambda: witness.lines("start", str(job["id"])), "a run in the middle of its work")
    worker.ask("pause")


def lived(node: Node) -> timedelta:
    return node.seen_at - node.started_at


def lifelines(store: Store) -> list[str]:
    return [node.lifeline for node in store.nodes(alive=True) if node.lifeline]


def first_attempt(store: Store, job_id: str) -> Run:
    """The first attempt, once it is closed."""
    return wait_until(
        lambda: next((run for run in store.runs(job_id=job_id) if run.attempt == 1 and run.state.closed), None), job_id
    )


def seconds(run: Run, since: int) -> float:
    assert run.ended_at is not None
    return run.ended_at.timestamp() - since / 1e6
