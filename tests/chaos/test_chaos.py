"""The smoke of chaos: a short campaign on each store. `make chaos` runs longer ones, and more of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chaos.__main__ import replay
from tests.chaos.campaign import run
from tests.chaos.places import PLACES

SECONDS = 6.0
SEEDS = {"sqlite": 3, "postgresql": 7, "redis": 3}
"""In which much of what there is goes wrong."""

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("store", [*PLACES])
def test_no_tick_is_lost_or_doubled_whatever_goes_wrong(store: str, tmp_path: Path) -> None:
    report = run(SEEDS[store], store, SECONDS, tmp_path)

    assert report.faults.total() >= 3
    assert report.findings == [], replay(report, SECONDS)
