"""Time zones as integers: what a zone's clock shows, and when it first showed it.

The rule: `zoneinfo` is asked once for each stretch of years; from then on a zone is a table of
segments, and every answer a bisection. Instants and walls are whole seconds since 1970, an instant
as UTC counts them and a wall as the clock on the wall shows them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, timedelta, tzinfo
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from tickwork.clock import EPOCH
from tickwork.errors import TriggerError, did_you_mean

DAY = 86_400
FIRST_SECOND = -62_135_596_800  # 0001-01-01 00:00:00 UTC
LAST_SECOND = 253_402_300_799  # 9999-12-31 23:59:59 UTC

LONGEST_LEAP = 2 * DAY  # no clock was ever set by more than a day (Apia left out 30 December 2011)
LONGEST_LOOK = 4 * DAY  # no zone ever kept an offset for less than six days (Recife, October 2000)
TABLE_SPAN = 1 << 28  # seconds in one table: eight and a half years
MAX_TABLES = 1024  # a table is about 4 KiB
MAX_ZONES = 1024


class Segment(NamedTuple):
    """A stretch of time, from *begin* until before *end*, in which a zone keeps one offset."""

    begin: int
    end: int
    offset: int
    reached: int
    """The wall up to which the clock had been before *begin*. A gap begins behind it, a repeated hour before it."""


class Zone:
    """One time zone. There is one of each, shared by all triggers: get it from `find_zone`."""

    __slots__ = ("_latest", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self._latest = Segment(0, 0, 0, 0)

    def segment(self, at: int) -> Segment:
        """The segment in which the instant *at* lies."""
        latest = self._latest  # read once: another thread may put another in its place
        if latest.begin <= at < latest.end:
            return latest
        table = _segments(self.key, at // TABLE_SPAN)
        self._latest = found = table[bisect_right(table, at, key=_begin) - 1]
        return found

    def first_showing(self, wall: int) -> int:
        """The first instant at which the clock had come to *wall*.

        In a gap that is right after the gap, in a repeated hour the first time.
        """
        at = wall - LONGEST_LEAP
        while True:
            begin, end, offset, _ = self.segment(at)
            shown = max(wall - offset, begin)
            if shown < end:
                return shown
            at = end


def find_zone(timezone: str | tzinfo) -> Zone:
    """The zone that *timezone* names, or a TriggerError."""
    if timezone is UTC:
        return _zone("UTC")
    key = timezone.key if isinstance(timezone, ZoneInfo) else timezone
    if not isinstance(key, str):
        raise TriggerError(
            f"timezone: expected an IANA name such as 'Asia/Seoul' or a named ZoneInfo, got {timezone!r}: pass its name"
        )
    return _zone(key)


@lru_cache(maxsize=MAX_ZONES)
def _zone(key: str) -> Zone:
    try:
        ZoneInfo(key)
    except (LookupError, ValueError, OSError):
        hint = did_you_mean(key, available_timezones())
        raise TriggerError(f"timezone: expected an IANA name such as 'Asia/Seoul', got {key!r}{hint}") from None
    return Zone(key)


_begin = attrgetter("begin")


@lru_cache(maxsize=MAX_TABLES)
def _segments(key: str, number: int) -> tuple[Segment, ...]:
    """Table *number* of a zone: the segments from number * TABLE_SPAN until the next table."""
    zone = ZoneInfo(key)
    begin, end = number * TABLE_SPAN, (number + 1) * TABLE_SPAN
    reached = max(until + offset for _, until, offset in _steady(zone, begin - LONGEST_LEAP, begin))
    segments = []
    for since, until, offset in _steady(zone, begin, end):
        segments.append(Segment(since, until, offset, reached))
        reached = max(reached, until + offset)
    return tuple(segments)


def _steady(zone: ZoneInfo, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The stretches (since, until, offset) between two changes of the offset."""
    since = begin
    while since < end:
        offset = _offset(zone, since)
        known = ahead = since
        while known < end and _offset(zone, ahead := min(known + LONGEST_LOOK, end)) == offset:
            known = ahead
        until = end if known == end else _first_change(zone, known, ahead, offset)
        yield since, until, offset
        since = until


def _first_change(zone: ZoneInfo, known: int, ahead: int, offset: int) -> int:
    """The first second after *known* that no longer has *offset*, which *ahead* has not."""
    while ahead - known > 1:
        middle = (known + ahead) // 2
        if _offset(zone, middle) == offset:
            known = middle
        else:
            ahead = middle
    return ahead


def _offset(zone: ZoneInfo, at: int) -> int:
    """What the zone adds to UTC at this instant, in seconds."""
    inside = min(max(at, FIRST_SECOND + LONGEST_LEAP), LAST_SECOND - LONGEST_LEAP)
    offset = (EPOCH + timedelta(seconds=inside)).astimezone(zone).utcoffset()
    assert offset is not None
    return offset.days * DAY + offset.seconds
