"""`kill -9` of a worker in the middle of a run: the others go on, and the run is closed and tried again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.processes.accounts import account_for, check_attempts, check_testimony
from tests.processes.conftest import Figure
from tests.processes.crew import Crew
from tests.processes.ledger import Ledger, Row
from tests.processes.orders import FUNCTIONS, NOTHING_GIVEN_UP, Orders, every, micros, now_micros, waiting_at
from tests.processes.patience import wait_until
from tests.processes.witness import Witness

from tickwork.clock import to_micros

LEASE, POLL = 2.0, 1.0
MANY = 600
"""Runs in one process; a statement takes 250."""
SLACK = 5.0
"""Seconds that a busy machine may add."""

pytestmark = pytest.mark.processes


def test_killed_run_is_lost_and_retried_while_the_others_go_on(
    crew: Crew, ledger: Ledger, witness: Witness, figure: Figure, tmp_path: Path
):
    start, never = datetime.now(UTC), tmp_path / "never"
    jobs = [
        every(0.2, "beat", start=start, retry=2, **NOTHING_GIVEN_UP),
        waiting_at(never, "retried", retry=2),
        waiting_at(never, "once", func="wait_at_async"),
    ]
    server = crew.serve(Orders(str(ledger.path), str(witness.path), jobs, lease=LEASE, poll=POLL), workers=4)
    wait_until(lambda: len(witness.lines("up")) == 4, "four workers")
    (retried,) = wait_until(lambda: witness.lines("start", "retried"), "a run in the middle of its work")
    (once,) = wait_until(lambda: witness.lines("start", "once"), "another")
    wait_until(lambda: ledger.rows("beat"), "ticks")
    dead = {ledger.rows("retried")[0].node, ledger.rows("once")[0].node}

    for pid in {retried.pid, once.pid}:
        os.kill(pid, signal.SIGKILL)
    killed_at = now_micros()

    wait_until(lambda: [row.state for row in ledger.rows("retried")] == ["lost", "succeeded"], "a second attempt")
    wait_until(lambda: [row.state for row in ledger.rows("once")] == ["lost"], "a lost run")
    until = now_micros() + micros(1)
    wait_until(lambda: ledger.answered_through("beat", until), "ticks that go on")
    server.stop()
    beats = account_for(ledger, witness, "beat", start=to_micros(start), every=micros(0.2), until=until)
    others = [*ledger.rows("retried"), *ledger.rows("once")]
    lost = [row for row in (*beats.rows, *others) if row.state == "lost"]
    check_attempts(others)
    check_testimony(others, [*witness.lines("start", "retried"), *witness.lines("start", "once")])
    assert beats.not_succeeded() == []
    assert {row.node for row in lost} <= dead
    assert ledger.rows("retried")[1].node not in dead
    assert witness.lines("start", "retried")[1].pid not in {retried.pid, once.pid}
    takeovers = [_seconds(row.ended_at, killed_at) for row in lost]
    assert max(takeovers) < LEASE + POLL + SLACK
    assert [line for line in witness.lines("end") if line.pid in {retried.pid, once.pid}] == []
    following = _first_after(beats.rows, killed_at)
    figure(
        f"kill -9: lost after {max(takeovers):.2f} s (lease {LEASE:.0f} s, poll {POLL:.0f} s); the next tick, due "
        f"{_seconds(following.fire_time, killed_at):.2f} s later, began {_seconds(following.started_at, following.fire_time) * 1000:.1f} ms late"
    )


def test_all_runs_of_a_killed_worker_are_lost_however_many(
    crew: Crew, ledger: Ledger, witness: Witness, figure: Figure, tmp_path: Path
):
    """More than one statement takes, while another job leaves the survivor no idle poll."""
    start = datetime.now(UTC)
    orders = Orders(str(ledger.path), str(witness.path), [every(0.2, "beat", start=start)], lease=LEASE, poll=POLL)
    (doomed,) = crew.hire(orders, 1)
    doomed.ask("fill", func=f"{FUNCTIONS}:wait_at_async", args=[str(tmp_path / "never")], number=MANY)
    wait_until(lambda: len(witness.lines("start", f"job-{MANY - 1}")) == 1, "many runs in the middle of their work")
    wait_until(lambda: ledger.count("running") >= MANY, "that the ledger says so")
    (survivor,) = crew.hire(orders, 1)

    doomed.kill()
    killed_at = now_micros()
    wait_until(lambda: ledger.count("lost") >= MANY, "that all are lost")

    survivor.stop()
    rows = ledger.rows()
    check_testimony(rows, witness.lines("start"))
    slowest = max(_seconds(row.ended_at, killed_at) for row in rows if row.state == "lost")
    assert slowest < LEASE + POLL + SLACK
    figure(f"kill -9 with {MANY} runs in hand: all lost after {slowest:.2f} s")


def _first_after(rows: Iterable[Row], instant: int) -> Row:
    return min(row for row in rows if row.fire_time > instant and row.state == "succeeded")


def _seconds(instant: int | None, since: int) -> float:
    assert instant is not None
    return (instant - since) / 1e6
