"""SIGTERM to uvicorn hands over: what it held is given back, what runs may end, and nothing is lost."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.processes.accounts import check_attempts, check_testimony
from tests.processes.conftest import Figure
from tests.processes.crew import Crew
from tests.processes.ledger import Ledger
from tests.processes.orders import TIME_TO_END, Orders, at, micros, waiting_at
from tests.processes.patience import wait_until
from tests.processes.witness import Witness

JOBS = 400
APART = timedelta(milliseconds=5)
"""So ten runs at a time are claimed ahead and have not begun."""
TWICE_HELD = 4
"""Versions of a run that was born running, given back, claimed and settled; one that was not given back has two."""
SLACK = 5.0

pytestmark = pytest.mark.processes


def test_sigterm_gives_back_what_has_not_begun(
    crew: Crew, ledger: Ledger, witness: Witness, figure: Figure, tmp_path: Path
):
    gate, never = tmp_path / "gate", tmp_path / "never"
    orders = Orders(str(ledger.path), str(witness.path), lease=60.0)  # so that no lease explains a takeover
    (heir,) = crew.hire(orders, 1, paused=True)
    jobs = [waiting_at(gate, "ends"), waiting_at(never, "cancelled", func="wait_at_async", retry=2)]
    server = crew.serve(Orders(str(ledger.path), str(witness.path), jobs, lease=60.0), workers=2)
    wait_until(lambda: witness.lines("start", "ends") and witness.lines("start", "cancelled"), "two runs that go on")
    ids = [f"once-{number}" for number in range(JOBS)]
    soon = datetime.now(UTC) + timedelta(seconds=0.5)  # however long the server took to be there
    heir.ask("add all", jobs=[at(soon + APART * number, id) for number, id in enumerate(ids)])
    wait_until(lambda: witness.lines("start", ids[JOBS // 10]), "the first runs")

    server.signal(signal.SIGTERM)
    asked = time.monotonic()
    gate.touch()
    wait_until(lambda: ledger.count("pending") or server.ended, "runs that are given back")
    heir.ask("resume")
    server.wait_ended()
    took = time.monotonic() - asked
    wait_until(lambda: all(len(ledger.rows(id)) == 1 and ledger.rows(id)[0].closed for id in (ids[-1], "ends")), "all")
    wait_until(lambda: len(closed := [row for row in ledger.rows() if row.closed]) == JOBS + 3 and closed, "all runs")
    heir.stop()

    rows = ledger.rows()
    once = [row for row in rows if row.job in {*ids}]
    given_back = [row for row in once if row.version >= TWICE_HELD]
    check_attempts(rows)
    check_testimony(rows, witness.lines("start"))
    assert {(row.state, row.attempt) for row in once} == {("succeeded", 1)}
    assert sorted(row.job for row in once) == sorted(ids)
    assert given_back != []
    assert heir.node in {row.node for row in given_back}
    assert [row.state for row in ledger.rows("ends")] == ["succeeded"]
    first, second = ledger.rows("cancelled")
    assert (first.state, second.state, second.node) == ("lost", "succeeded", heir.node)
    assert took < TIME_TO_END + SLACK
    late = max(row.started_at - row.fire_time for row in given_back if row.started_at is not None)
    assert late < micros(60)
    figure(
        f"SIGTERM: uvicorn ended after {took:.2f} s (runs may take {TIME_TO_END:.0f} s to end); {len(given_back)} runs given back, "
        f"the latest began {late / 1e6:.2f} s after its time"
    )
