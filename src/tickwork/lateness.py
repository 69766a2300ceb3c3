"""How late the runs of a node begin: the worst of the last minute or two, at the price of a comparison a batch."""

from __future__ import annotations

from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)


class Lateness:
    """Two worst values, of the minute that goes on and of the one before it."""

    def __init__(self, now: datetime) -> None:
        self._began_at = now
        self._current: timedelta | None = None
        self._previous: timedelta | None = None

    def note(self, late: timedelta, now: datetime) -> None:
        """A run began so long after it could."""
        self._turn_to(now)
        if self._current is None or late > self._current:
            self._current = late

    def worst(self, now: datetime) -> timedelta | None:
        """None: nothing began."""
        self._turn_to(now)
        return max((one for one in (self._current, self._previous) if one is not None), default=None)

    def _turn_to(self, now: datetime) -> None:
        passed = now - self._began_at
        if timedelta(0) <= passed < MINUTE:
            return
        self._previous = self._current if MINUTE <= passed < 2 * MINUTE else None
        self._current, self._began_at = None, now
