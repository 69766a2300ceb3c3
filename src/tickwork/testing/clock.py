"""The clock of tests: it stands still until it is moved by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from tickwork.clock import aware_utc
from tickwork.durations import Duration, read_duration
from tickwork.errors import InvalidJobError


class VirtualClock:
    """A clock that stands still until it is moved, and only moves forward."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = aware_utc(start, "start")

    def now(self) -> datetime:
        return self._now

    def advance(self, duration: Duration) -> None:
        """Move it by *duration*; a number means seconds."""
        self.move_to(later(self._now, "advance", duration))

    def move_to(self, instant: datetime) -> None:
        moved = aware_utc(instant, "move_to")
        if moved < self._now:
            raise InvalidJobError(f"move_to: expected an instant from {self._now} on, got {instant}")
        self._now = moved


def later(now: datetime, name: str, duration: Duration) -> datetime:
    """*duration* after *now*. InvalidJobError if it is none, or leads out of the calendar."""
    try:
        return now + read_duration(name, duration)
    except OverflowError:
        raise InvalidJobError(
            f"{name}: expected to stay before the year 10000, got {duration} after {now}: move it less far"
        ) from None
