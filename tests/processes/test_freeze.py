"""A worker that is stopped past its lease and then continued changes nothing that others have taken over."""

from __future__ import annotations

import fcntl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.processes.accounts import account_for, check_attempts, check_testimony
from tests.processes.conftest import Figure
from tests.processes.crew import Crew, Worker
from tests.processes.ledger import Ledger, Row
from tests.processes.orders import NOTHING_GIVEN_UP, Orders, every, micros, now_micros, waiting_at
from tests.processes.patience import PATIENCE, wait_until
from tests.processes.witness import Witness

from tickwork.clock import to_micros

LEASE, POLL = 2.0, 0.5
BRIEF = 0.3
"""Seconds within which the others, too, are done with a write."""
STAGGERED = 20
"""Jobs, 10 ms apart: so each node holds some runs that it claimed ahead."""

pytestmark = pytest.mark.processes


def test_thawed_worker_changes_nothing_that_others_took_over(
    crew: Crew, ledger: Ledger, witness: Witness, figure: Figure, tmp_path: Path
):
    start, gate = datetime.now(UTC), tmp_path / "gate"
    starts = {f"beat-{number}": start + timedelta(milliseconds=10 * number) for number in range(STAGGERED)}
    jobs = [every(0.2, id, start=at, retry=2, **NOTHING_GIVEN_UP) for id, at in starts.items()]
    jobs.append(waiting_at(gate, "long", retry=2))
    workers = crew.hire(Orders(str(ledger.path), str(witness.path), jobs, lease=LEASE, poll=POLL), 3)
    (began,) = wait_until(lambda: witness.lines("start", "long"), "a run in the middle of its work")
    (frozen,) = [worker for worker in workers if worker.pid == began.pid]

    held = freeze_with_runs_in_hand(frozen, ledger, witness)
    frozen_at = now_micros()
    wait_until(lambda: [row.state for row in ledger.rows("long")] == ["lost", "succeeded"], "the run, taken over")
    wait_until(lambda: not held_by(frozen, ledger), "all its runs, taken over")
    wait_until(lambda: {row.fire_time for row in held} <= succeeded(ledger), "their second attempts")
    before = [row for row in ledger.rows() if row.closed]
    gate.touch()  # its late outcome may come before it hears that the run was taken over, or after
    thawed_at = now_micros()
    frozen.thaw()
    wait_until(lambda: [end for end in witness.lines("end", "long") if end.pid == frozen.pid], "a late end")
    back = wait_until(
        lambda: next((row for row in ledger.rows() if row.node == frozen.node and row.fire_time > thawed_at and row.closed), None),
        "a run of the thawed worker's own",
    )  # fmt: skip
    until = now_micros()
    wait_until(lambda: all(ledger.answered_through(id, until) for id in starts), "ticks that go on")
    for worker in workers:
        worker.stop()

    after = {row.number: row for row in ledger.rows()}
    assert [row for row in before if after[row.number] != row] == [], "changed by the thawed worker"
    first, second = ledger.rows("long")
    assert (first.node, second.node != frozen.node) == (frozen.node, True)
    taken = {(row.job, row.fire_time, row.attempt) for row in before}
    late = [line for line in witness.lines("start") if line.pid == frozen.pid and line.at > thawed_at]
    assert [line for line in late if (line.job, line.fire_time, line.attempt) in taken] == [], "started what it held"
    for id, at in starts.items():
        beats = account_for(ledger, witness, id, start=to_micros(at), every=micros(0.2), until=until)
        assert beats.not_succeeded() == []
        assert {row.node for row in beats.rows if row.state == "lost"} <= {frozen.node}
    check_attempts([first, second])
    check_testimony([first, second], witness.lines("start", "long"))
    assert back.state == "succeeded"
    assert "after it had been taken over" in frozen.log.read_text() or "was taken over" in frozen.log.read_text()
    assert first.ended_at is not None
    figure(
        f"SIGSTOP: {len(held)} runs in hand, the long one lost after {(first.ended_at - frozen_at) / 1e6:.2f} s "
        f"(lease {LEASE:.0f} s, poll {POLL} s); fired again {(back.fire_time - thawed_at) / 1e6:.2f} s after SIGCONT"
    )


def freeze_with_runs_in_hand(worker: Worker, ledger: Ledger, witness: Witness) -> list[Row]:
    """Stop it at a moment when it holds runs that have not begun, and neither writes nor begins one.

    A process that is stopped inside a transaction keeps SQLite's lock, and stops all writers: no one can
    take over from it. And a call that was handed to its thread begins when the thread goes on.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        worker.freeze()
        now = now_micros()
        if ledger.can_be_written(within=BRIEF) and has_a_turn(ledger.path.with_name("jobs.db.tickwork") / "turn"):
            begun = {(line.job, line.fire_time, line.attempt) for line in witness.lines("start")}
            held = [row for row in held_by(worker, ledger) if (row.job, row.fire_time, row.attempt) not in begun]
            if held and all(row.fire_time > now for row in held):
                return held
        worker.thaw()
        assert time.monotonic() < deadline, "expected a moment in which the worker only holds runs"
        wait_until_active(worker, witness)


def wait_until_active(worker: Worker, witness: Witness) -> None:
    """Wait for a call that it begins from now on."""
    now = now_micros()
    wait_until(lambda: any(line.at > now and line.pid == worker.pid for line in witness.lines("start")), "a new start")


def has_a_turn(turn: Path) -> bool:
    """Whether others can take the turn to write: the stopped process does not hold it."""
    with turn.open() as file:
        deadline = time.monotonic() + BRIEF
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.001)
            else:
                return True
    return False


def held_by(worker: Worker, ledger: Ledger) -> list[Row]:
    return [row for row in ledger.rows() if row.node == worker.node and row.state == "running"]


def succeeded(ledger: Ledger) -> set[int]:
    return {row.fire_time for row in ledger.rows() if row.state == "succeeded"}
