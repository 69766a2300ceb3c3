"""The smoke of chaos: a short campaign on a file, and on a server. `make chaos` runs longer ones, and more of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.chaos.__main__ import replay
from tests.chaos.campaign import run

SECONDS = 9.0
SEEDS = {"sqlite": 3, "postgresql": 7, "redis": 3}
"""In which much of what there is goes wrong."""
SERVERS = ("postgresql", "redis")
TODAY = datetime.now(UTC).toordinal()
STORES = ("sqlite", SERVERS[TODAY % len(SERVERS)])
"""The file, and one of the servers, day by day: each campaign takes half a minute."""

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("store", STORES)
def test_no_tick_is_lost_or_doubled_whatever_goes_wrong(store: str, tmp_path: Path) -> None:
    report = run(SEEDS[store], store, SECONDS, tmp_path)

    assert report.faults.total() >= 3
    assert report.findings == [], replay(report, SECONDS)
