"""The clock of tests: it stands still until it is moved by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tickwork.clock import aware_utc
from tickwork.errors import InvalidJobError


class VirtualClock:
    """A clock that stands still until it is moved, and only moves forward."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = aware_utc(start, "start")

    def now(self) -> datetime:
        return self._now

    def advance(self, duration: timedelta) -> None:
        self.move_to(self._now + duration)

    def move_to(self, instant: datetime) -> None:
        later = aware_utc(instant, "move_to")
        if later < self._now:
            raise InvalidJobError(f"move_to: expected an instant from {self._now} on, got {instant}")
        self._now = later
