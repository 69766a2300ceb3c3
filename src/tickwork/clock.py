"""The time: where it is read, and how instants are written down.

Instants are aware UTC datetimes in every value and every signature. Only inside a trigger's
arithmetic and in a store's columns are they integers: microseconds since 1970, without leap seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from tickwork.errors import InvalidJobError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EXACT = 2**32 * 1_000_000
"""So many microseconds a float of seconds tells apart with ease; and it is read in half the time (`test_clock.py`)."""
BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


class Clock(Protocol):
    """Tells the time. Time moves only through it, so a test can move it by hand."""

    def now(self) -> datetime:
        """This instant, aware and in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def to_micros(instant: datetime) -> int:
    """Whole microseconds from 1970 to *instant*, which is aware."""
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(micros: int) -> datetime:
    """The instant that lies *micros* microseconds after 1970, in UTC."""
    if 0 <= micros < EXACT:
        return datetime.fromtimestamp(micros / 1_000_000, UTC)
    return EPOCH + timedelta(microseconds=micros)


def aware_utc(instant: datetime, name: str) -> datetime:
    """*instant* in UTC; an InvalidJobError that names the parameter if it is no time, or has no time zone."""
    if not isinstance(instant, datetime):
        raise InvalidJobError(f"{name}: expected a datetime with a time zone, got {instant!r}")
    if instant.tzinfo is None:
        raise InvalidJobError(
            f"{name}: expected a time with a time zone, got the naive {instant.isoformat(sep=' ')!r}: "
            f"write {instant.isoformat(sep=' ')}+00:00, or use datetime(..., tzinfo=...)"
        )
    return instant.astimezone(UTC)
