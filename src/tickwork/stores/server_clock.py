"""The server's clock, told by this machine's: so every node decides by one clock, and rarely asks for it.

The rule: what a sample proves is believed. A sample proves that the server's time lay between two readings of our own
clock; the shorter that took and the younger it is, the less is uncertain. One that contradicts the present belief shows
that a clock was set, and is believed at once.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NamedTuple

DRIFT = 100e-6
"""How much a second of ours may differ from one of the server's: more than any clock that works."""
SLACK = 500
"""Microseconds by which a sample may contradict the belief before a clock was set: both are read with some jitter."""


class Belief(NamedTuple):
    """What our own clock must be corrected by; all in microseconds."""

    offset: int
    uncertainty: float
    since: int
    """When it was measured, by our own clock."""
    floor: int
    """What was told before: the time does not go back because it is better known now."""


class ServerClock:
    """Tells the server's time; before the first sample, this machine's.

    Our own clock is one that goes on evenly, also while the machine sleeps, where there is such a one (Linux). It does
    not matter how wrong the machine's wall clock is.
    """

    def __init__(self) -> None:
        self._belief: Belief | None = None

    def now(self) -> datetime:
        belief = self._belief
        if belief is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(max(read_own() + belief.offset, belief.floor) / 1e6, UTC)

    def learn(self, sent: int, server: int, received: int) -> None:
        """The server's clock stood at *server* when ours, as `read_own` tells it, was between *sent* and *received*."""
        offset, uncertainty = server - (sent + received) // 2, (received - sent) / 2
        belief = self._belief
        if belief is None:
            self._belief = Belief(offset, uncertainty, received, 0)
            return
        doubt = belief.uncertainty + DRIFT * (received - belief.since)
        if abs(offset - belief.offset) > doubt + uncertainty + SLACK:  # a clock was set
            self._belief = Belief(offset, uncertainty, received, 0)
        elif uncertainty <= doubt:
            self._belief = Belief(offset, uncertainty, received, max(received + belief.offset, belief.floor))


def read_own() -> int:
    """Our own clock, in microseconds since some instant."""
    return _read_nanoseconds() // 1000


if hasattr(time, "CLOCK_BOOTTIME"):

    def _read_nanoseconds() -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
else:
    _read_nanoseconds = time.monotonic_ns
