"""Four processes that write to one file as fast as they can: each gets its share, and no fire time two runs."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.processes.accounts import check_attempts, check_testimony
from tests.processes.conftest import Figure
from tests.processes.crew import Crew
from tests.processes.ledger import Ledger
from tests.processes.orders import FUNCTIONS, Orders
from tests.processes.patience import wait_until
from tests.processes.witness import Witness

JOBS = 40_000
"""All due at once: some seconds of work in which no worker ever has to wait for a fire time."""
WORKERS = 4
SMALLEST_SHARE = 0.10

pytestmark = pytest.mark.processes


def test_each_of_four_busy_workers_gets_its_share(crew: Crew, ledger: Ledger, witness: Witness, figure: Figure):
    workers = crew.hire(Orders(str(ledger.path), str(witness.path), paused=True), WORKERS)
    assert workers[0].ask("fill", func=f"{FUNCTIONS}:beat", number=JOBS) == JOBS

    for worker in workers:
        worker.ask("resume")
    wait_until(lambda: ledger.count("succeeded") == JOBS, "all runs", patience=60)
    for worker in workers:
        worker.stop()

    rows = ledger.rows()
    shares = Counter(row.node for row in rows)
    took = (max(row.ended_at or 0 for row in rows) - min(row.started_at or 0 for row in rows)) / 1e6
    check_attempts(rows)
    check_testimony(rows, witness.lines("start"))
    assert sorted(row.job for row in rows) == sorted(f"job-{number}" for number in range(JOBS))
    assert {row.attempt for row in rows} == {1}
    assert len(shares) == WORKERS
    assert min(shares.values()) >= SMALLEST_SHARE * JOBS
    figure(
        f"contention: {JOBS} runs in {took:.1f} s by four workers, shares "
        + "/".join(f"{100 * share / JOBS:.0f} %" for _, share in shares.most_common())
    )
