"""The server's clock, told by this machine's: so every node decides by one clock, and rarely asks for it.

The rule: what a sample proves is believed. A sample proves that the server's time lay between two readings of our own
clock, so ours is behind the server's by an amount between two bounds; what all samples leave open is believed, and
the time told is by the lower bound. So nothing that waits for an instant begins before the server's clock shows it.
A sample that contradicts the present belief shows that a clock was set, and is believed alone.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import NamedTuple

DRIFT = 100
"""By how many millionths a second of ours may differ from one of the server's: more than by itself any clock does."""
SLACK = 500
"""Microseconds by which a sample may contradict the belief before a clock was set: one that is being corrected runs as
much faster or slower in a second."""


class Belief(NamedTuple):
    """What our own clock must be corrected by: between *low* and *high*, in nanoseconds; all else in microseconds."""

    low: int
    high: int
    since: int
    """When that was so, by our own clock; since then the clocks may have drifted apart."""
    floor: int
    """What was told before: the time does not go back because it is better known now."""

    def drifted(self, own: int) -> Belief:
        drift = self._drift(own)
        return Belief(self.low - drift, self.high + drift, own, self.floor)

    def _drift(self, own: int) -> int:
        """How far apart the clocks may have drifted since then, in nanoseconds, rounded up."""
        return -(DRIFT * (self.since - own) // 1000) if own > self.since else 0

    def is_contradicted(self, low: int, high: int) -> bool:
        """Whether a sample with these bounds shows that a clock was set."""
        return low > self.high + 1000 * SLACK or high < self.low - 1000 * SLACK

    def tell(self, own: int) -> int:
        """The server's time when our own clock shows *own*, or a little less."""
        low, _, since, floor = self
        if own > since:
            low += DRIFT * (since - own) // 1000
        return max(own + low // 1000, floor)


class ServerClock:
    """Tells the server's time, never ahead of it; before the first sample, this machine's.

    Our own clock is one that goes on evenly, also while the machine sleeps, where there is such a one (Linux). It does
    not matter how wrong the machine's wall clock is. What is told is behind by less than the quickest of the last
    round trips took: a lease that another node believes to be over may look good to us for that long.
    """

    def __init__(self) -> None:
        self._belief: Belief | None = None
        self._learning = threading.Lock()

    def now(self) -> datetime:
        belief = self._belief
        if belief is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(belief.tell(read_own()) / 1e6, UTC)

    def learn(self, sent: int, server: int, received: int) -> None:
        """The server's clock stood at *server* when ours, as `read_own` tells it, was between *sent* and *received*."""
        low, high = 1000 * (server - received - 1), 1000 * (server - sent + 1)  # each is read in whole microseconds
        with self._learning:
            belief = self._belief and self._belief.drifted(received)
            if belief is None or belief.is_contradicted(low, high):
                self._belief = Belief(low, high, received, 0)
                return
            if low <= belief.high and high >= belief.low:
                low, high = max(low, belief.low), min(high, belief.high)
            self._belief = Belief(low, high, received, belief.tell(received))


if hasattr(time, "CLOCK_BOOTTIME"):

    def read_own() -> int:
        """Our own clock, in microseconds since some instant."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
else:

    def read_own() -> int:
        """Our own clock, in microseconds since some instant."""
        return time.monotonic_ns() // 1000
