"""What the tests with real processes share: a place, a crew that does not outlive its test, and their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.processes.crew import Crew
from tests.processes.ledger import Ledger
from tests.processes.witness import Witness

Figure = Callable[[str], None]

pytest.register_assert_rewrite("tests.processes.accounts", "tests.processes.outage")

_figures: list[str] = []


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "jobs.db")


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "witness")


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(tmp_path)
    yield crew
    crew.dismiss()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Keep a measured figure for the end of the report."""
    return _figures.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures, tests/processes")
        for line in _figures:
            terminalreporter.line(line)
