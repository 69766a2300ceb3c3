"""What the tests with real processes share: a place, a crew that does not outlive its test, and their figures."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from tests.processes.crew import Crew
from tests.processes.ledger import Ledger
from tests.processes.witness import Witness

Figure = Callable[[str], None]
LONGEST_LOG, LONGEST_LEDGER = 20_000, 50
"""Characters and rows that a failure shows."""

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of a test that failed, show what its workers and their ledger have to say."""
    report = yield
    given = getattr(item, "funcargs", {})
    if report.failed and "crew" in given:
        report.sections.append(("the workers' logs", given["crew"].logs()[-LONGEST_LOG:]))
    if report.failed and "ledger" in given:
        rows = given["ledger"].rows() if given["ledger"].path.exists() else []
        last = [row for row in rows if not row.closed] + rows[-LONGEST_LEDGER:]
        report.sections.append(("the ledger: what is open, and its end", "\n".join(map(str, last))))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures, tests/processes")
        for line in _figures:
            terminalreporter.line(line)
