"""`kill -9` inside of `run.transaction()`: what the job wrote and the success of its run are there together, or neither is."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.processes.crew import Crew
from tests.processes.patience import PATIENCE, wait_until

from tickwork import BackgroundScheduler, Retry
from tickwork.events import RunSettled
from tickwork.run import RunState
from tickwork.stores import make_store
from tickwork.stores.base import Store

LEASE = timedelta(seconds=1)
KILLED = 7

pytestmark = pytest.mark.processes

PAYING = """
    import os

    from tickwork import RunContext

    def pay(run: RunContext) -> None:
        where = os.environ.get("DIES", "")
        with run.transaction() as connection:
            connection.execute(f"insert into payments values ('{run.key}')")
            run.state["paid"] = run.state.get("paid", 0) + 1
            run.log.info("paid")
            if where == "inside":
                os._exit(7)
            if where == "at the commit" and hasattr(connection, "set_trace_callback"):
                connection.set_trace_callback(lambda said: said.lower() == "commit" and os._exit(7))
            elif where == "at the commit":
                connection.execute = lambda said: os._exit(7)
        if where == "after":
            os._exit(7)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "paying.py").write_text(textwrap.dedent(PAYING))
    return tmp_path


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store with a table of the user's own."""
    store = make_store(database_url)
    store.open()
    with store.lend() as connection:
        connection.execute("create table payments (key text unique)")
    yield store
    store.close()


@pytest.fixture
def scheduler(
    folder: Path, database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BackgroundScheduler]:
    """One that has declared the job, and is not started."""
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "paying", raising=False)
    scheduler = BackgroundScheduler(database_url, lease=LEASE, poll=LEASE / 10)
    scheduler.add_job("paying:pay", "date", id="pay", retry=Retry(max_attempts=3, delay=0))
    yield scheduler
    scheduler._store.close()


def die(folder: Path, url: str, where: str) -> int:
    """Run the job in a process that ends without a word; its exit code."""
    environment = {"DIES": where, "PYTHONPATH": str(folder)}
    dying = program(folder, url, "'date'")
    return subprocess.run([sys.executable, "-c", dying], env=environment, input="", check=False).returncode


def program(folder: Path, url: str, trigger: str) -> str:
    """A process that runs the job until it is told to stop."""
    return textwrap.dedent(f"""
        import sys, threading
        from datetime import timedelta
        from tickwork import BackgroundScheduler, Retry
        sys.path.insert(0, {str(folder)!r})
        scheduler = BackgroundScheduler({url!r}, lease=timedelta(seconds=1))
        scheduler.add_job("paying:pay", {trigger}, id="pay", retry=Retry(max_attempts=3, delay=0))
        scheduler.start()
        print("started", flush=True)
        threading.Event().wait({PATIENCE})
    """)


def payments(store: Store) -> list[str]:
    with store.lend() as connection:
        return [key for (key,) in connection.execute("select key from payments").fetchall()]


@pytest.mark.parametrize(("where", "kept"), [("inside", 0), ("at the commit", 0), ("after", 1)])
def test_a_process_that_dies_leaves_both_or_neither_and_the_job_is_paid_once(
    folder: Path, database_url: str, store: Store, scheduler: BackgroundScheduler, where: str, kept: int
) -> None:
    assert die(folder, database_url, where) == KILLED

    (run,) = store.runs()
    succeeded = run.state is RunState.SUCCEEDED
    state, log = store.state(run.job_uid).values, [line.text for line in store.log(run.id).lines]
    assert (len(payments(store)), succeeded) == (kept, bool(kept))
    assert (state, log) == (({"paid": 1}, ["paid"]) if kept else ({}, []))

    scheduler.start()
    wait_until(lambda: any(run.state is RunState.SUCCEEDED for run in scheduler.get_runs("pay")), "a success")
    scheduler.shutdown()

    assert payments(store) == [run.key]
    assert scheduler.get_state("pay") == {"paid": 1}
    states = [run.state for run in scheduler.get_runs("pay")]
    assert states == ([RunState.SUCCEEDED] if kept else [RunState.SUCCEEDED, RunState.LOST])


def test_processes_that_are_killed_at_any_moment_pay_for_each_success_once(
    folder: Path, database_url: str, store: Store, scheduler: BackgroundScheduler, crew: Crew
) -> None:
    """A job that pays hundreds of times a second, in processes that are killed in the middle of it."""
    paying = program(folder, database_url, "'interval', seconds=0.01, coalesce=False, max_instances=4")
    scatter = random.Random(7)
    for _ in range(4):
        process = crew.run(paying)
        enough = len(payments(store)) + scatter.randint(5, 50)
        wait_until(lambda enough=enough: len(payments(store)) >= enough, "payments")
        process.signal(signal.SIGKILL)
        process.wait_ended()

    succeeded = [run.key for run in scheduler.get_runs("pay", states=[RunState.SUCCEEDED], limit=100_000)]
    assert sorted(payments(store)) == sorted(succeeded)
    assert scheduler.get_state("pay") == {"paid": len(succeeded)}
    assert len(succeeded) > 20


def test_a_running_scheduler_tells_of_what_transactions_have_settled(
    scheduler: BackgroundScheduler,
) -> None:
    settled: list[RunSettled] = []
    scheduler.add_listener(settled.append, RunSettled)  # type: ignore[arg-type]

    scheduler.start()
    wait_until(lambda: len(settled) == 1, "the news")
    scheduler.shutdown()

    assert settled[0].run == scheduler.get_runs("pay")[0]
    assert settled[0].run.state is RunState.SUCCEEDED
