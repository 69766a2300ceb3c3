"""How long sessions live, and how much each may hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tickwork.checks import shown
from tickwork.durations import Duration, read_duration
from tickwork.errors import InvalidSessionError

SHORTEST = timedelta(milliseconds=1)
MOST = 1_000_000_000
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long sessions live, and how much each may hold."""

    idle: timedelta = timedelta(minutes=30)
    """A session ends when it was not used for so long,"""
    absolute: timedelta = timedelta(hours=12)
    """and so long after its begin (or its last login), however busy it is."""
    max_messages: int = 200
    max_bytes: int = 256_000
    """Of all messages of a session, as UTF-8 JSON."""
    max_value_bytes: int = 64_000
    """Of one message, and of one value of the state."""
    max_keys: int = 100
    """Of the state of a session."""
    max_cached_bytes: int = 1_000_000
    """Of one value of the cache."""

    def __post_init__(self) -> None:
        for name in ("max_messages", "max_bytes", "max_value_bytes", "max_keys", "max_cached_bytes"):
            check_count(name, getattr(self, name), least=1, most=MOST)

    @property
    def step(self) -> timedelta:
        """How often the end of a session is put off while it is used: not at each look, which would be a write."""
        return min(MINUTE, self.idle / 20)


def check_count(name: str, number: object, *, least: int, most: int) -> None:
    """InvalidSessionError unless *number* is a whole number from *least* to *most*."""
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise InvalidSessionError(f"{name}: expected a whole number from {least} to {most:,}, got {shown(number)}")


def read_length(name: str, length: Duration) -> timedelta:
    """The timedelta that *length* is or means, from a millisecond on. Raises InvalidSessionError."""
    return read_duration(name, length, least=SHORTEST, error=InvalidSessionError)
