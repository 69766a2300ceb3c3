"""Four uvicorn workers on one SQLite file: each fire time has exactly one run."""

from __future__ import annotations

import os

import pytest
from tests.processes.conftest import Figure
from tests.processes.crew import Crew
from tests.processes.ledger import Ledger
from tests.processes.sixty import WORKERS, four_workers
from tests.processes.witness import Witness

SECONDS = float(os.environ.get("TICKWORK_PROCESS_SECONDS", "6"))

pytestmark = [pytest.mark.processes, pytest.mark.timeout(SECONDS + 120)]


def test_each_fire_time_has_exactly_one_run(crew: Crew, ledger: Ledger, witness: Witness, figure: Figure):
    report = four_workers(crew, ledger, witness, seconds=SECONDS)
    figure(str(report))

    second, fifth, each_fifth = report.accounts
    assert len({line.pid for line in report.workers}) == WORKERS
    assert second.states == {"succeeded": second.fire_times}
    assert each_fifth.states == {"succeeded": each_fifth.fire_times}
    # With the default policies a machine that is late by a whole interval coalesces, and says so.
    assert fifth.states["succeeded"] > 0
    assert fifth.states.keys() <= {"succeeded", "skipped"}
