"""`kill -9` of one of two workers: it is seen as dead within its lease, and the survivor tells of what is overdue."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.processes.conftest import Figure
from tests.processes.crew import Crew
from tests.processes.ledger import Ledger
from tests.processes.orders import FUNCTIONS, Orders
from tests.processes.patience import wait_until
from tests.processes.witness import Witness

LEASE, POLL, EXPECT_EVERY = 2.0, 0.5, 6.0
SLACK = 5.0
"""Seconds that a busy machine may add."""

pytestmark = pytest.mark.processes


def test_a_killed_worker_is_seen_as_dead_and_the_survivor_tells_of_what_is_overdue(
    crew: Crew, ledger: Ledger, witness: Witness, figure: Figure, tmp_path: Path
):
    hangs = {
        "func": f"{FUNCTIONS}:wait_at", "id": "hangs", "trigger": "date", "run_date": datetime.now(UTC).isoformat(),
        "args": [str(tmp_path / "never")], "expect_every": EXPECT_EVERY,
    }  # fmt: skip
    orders = Orders(str(ledger.path), str(witness.path), lease=LEASE, poll=POLL)
    (doomed,) = crew.hire(orders, 1, jobs=[hangs])
    wait_until(lambda: witness.lines("start", "hangs"), "a run in the middle of its work")
    expected_by = time.monotonic() + EXPECT_EVERY
    (survivor,) = crew.hire(orders, 1)
    wait_until(lambda: survivor.ask("health")["nodes"] == 2, "two nodes that know of each other")
    before = states(survivor.ask("nodes"))

    doomed.kill()
    killed_at = time.monotonic()
    wait_until(lambda: states(survivor.ask("nodes"))[doomed.node] == "dead", "a dead node")
    seen_dead = time.monotonic() - killed_at
    told_early = survivor.ask("overdue")
    wait_until(lambda: survivor.ask("overdue"), "what is overdue")
    late = time.monotonic() - expected_by
    health = survivor.ask("health")
    survivor.stop()

    assert before == {doomed.node: "alive", survivor.node: "alive"}
    assert seen_dead < LEASE + SLACK
    assert (told_early, ledger.told()) == ([], [("hangs", survivor.node)])
    assert late < SLACK
    assert (health["nodes"], health["overdue"]) == (1, 1)
    assert [row.state for row in ledger.rows("hangs")] == ["lost"]
    figure(
        f"kill -9: seen as dead after {seen_dead:.2f} s (lease {LEASE:.0f} s); told of what was overdue {late:.2f} s late"
    )


def states(nodes: list[dict[str, str]]) -> dict[str, str]:
    return {node["id"]: node["state"] for node in nodes}
