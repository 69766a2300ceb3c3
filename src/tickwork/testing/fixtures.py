"""Fixtures for pytest; a line in the `conftest.py` at the root of the tests brings them:

pytest_plugins = ["tickwork.testing.fixtures"]

The rule: they come only where they were asked for. No test run loads tickwork because it is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from tickwork.scheduler import Scheduler
from tickwork.testing.clock import VirtualClock
from tickwork.testing.manual import ManualScheduler
from tickwork.triggers.instants import read_instant

OPTIONS = {"start", "timezone"}
DEFAULT_START = "2026-01-01T00:00Z"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "tickwork(start, timezone): when time begins for tickwork's fixtures, and the zone of its schedulers"
    )


@pytest.fixture
def tickwork_clock(request: pytest.FixtureRequest) -> VirtualClock:
    """The clock of this test. It stands at 2026-01-01 in UTC, or where `@pytest.mark.tickwork(start=...)` says."""
    options = _options(request)
    return VirtualClock(read_instant(options.get("start", DEFAULT_START), "start", options.get("timezone", "UTC")))


@pytest.fixture
def tickwork_scheduler(request: pytest.FixtureRequest, tickwork_clock: VirtualClock) -> Iterator[ManualScheduler]:
    """A scheduler on that clock, with an empty store in memory: started, and shut down at the end."""
    with ManualScheduler(clock=tickwork_clock, timezone=_options(request).get("timezone")) as scheduler:
        yield scheduler


@pytest.fixture
def tickwork_rehearsal(tickwork_clock: VirtualClock) -> Iterator[Callable[[Scheduler], ManualScheduler]]:
    """Rehearse the jobs that a scheduler declares: `tickwork_rehearsal(app.scheduler).advance(...)`."""
    with ExitStack() as stack:
        yield lambda scheduler: stack.enter_context(
            ManualScheduler.rehearsing(scheduler, start=tickwork_clock.now().astimezone(UTC))
        )


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    marker = request.node.get_closest_marker("tickwork")
    options: dict[str, Any] = {} if marker is None else dict(marker.kwargs)
    if marker is not None and (marker.args or options.keys() - OPTIONS):
        given = ", ".join([*map(repr, marker.args), *sorted(options)])
        raise pytest.UsageError(
            f"@pytest.mark.tickwork: expected start= and timezone= at most, got {given}: "
            f'write @pytest.mark.tickwork(start="2026-03-01T00:00Z")'
        )
    if isinstance(options.get("start"), datetime) and options["start"].tzinfo is None and "timezone" not in options:
        options["start"] = options["start"].replace(tzinfo=UTC)
    return options
