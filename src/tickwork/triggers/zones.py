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
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from tickwork.checks import shown
from tickwork.clock import EPOCH
from tickwork.errors import TriggerError, did_you_mean

DAY = 86_400
FIRST_SECOND = -62_135_596_800  # 0001-01-01 00:00:00 UTC
LAST_SECOND = 253_402_300_799  # 9999-12-31 23:59:59 UTC

LONGEST_LEAP = 2 * DAY  # no clock was ever set by more than a day (Apia left out 30 December 2011)
LONGEST_LOOK = 4 * DAY  # no zone ever kept an offset for less than six days (Recife, October 2000)
YEARLY_RULES = 4_102_444_800  # 2100: no zone lists its changes one by one so far; a rule has two a year
TABLE_SPAN = 1 << 28  # seconds in one table: eight and a half years
MAX_TABLES = 64  # of one zone: five centuries, at about 4 KiB each
AREA_BITS = 2
AREA = DAY << AREA_BITS  # 4 days, so that few areas have a change of the clock within
MAX_AREAS = 1 << 14
MAX_ZONES = 1024


class Segment(NamedTuple):
    """A stretch of time, from *begin* until before *end*, in which a zone keeps one offset."""

    begin: int
    end: int
    offset: int
    reached: int
    """The wall up to which the clock had been before *begin*. A gap begins behind it, a repeated hour before it."""
    until: int
    """From this instant until *end* the clock shows what it will show again right after *end*."""


ALL_OF_UTC = Segment(FIRST_SECOND - DAY, LAST_SECOND + DAY, 0, FIRST_SECOND - DAY, LAST_SECOND + DAY)


class Table(NamedTuple):
    """The segments of a zone in some years."""

    begins: list[int]
    segments: list[Segment]


class Zone:
    """One time zone. There is one of each, shared by all triggers: get it from `find_zone`."""

    __slots__ = ("_first", "_tables", "key", "quiet")

    def __init__(self, key: str) -> None:
        self.key = key
        self._tables: dict[int, Table] = {}
        self._first: int | None = None
        self.quiet: dict[int, int] = {}
        """The offset in each AREA that somebody asked about, if it is the same throughout, and each wall that is shown
        there is shown once. Look here before you ask."""

    def segment(self, at: int) -> Segment:
        """The segment in which the instant *at* lies."""
        if self.key == "UTC":
            found = ALL_OF_UTC
        else:
            table = self._tables.get(at // TABLE_SPAN)
            if table is None:
                if len(self._tables) >= MAX_TABLES:
                    self._tables.clear()
                self._tables[at // TABLE_SPAN] = table = _segments(self.key, at // TABLE_SPAN)
            found = table.segments[bisect_right(table.begins, at) - 1]
        area = at // AREA
        if area not in self.quiet:
            begin, _, offset, reached, until = found
            if max(begin + 1, reached - offset) <= area * AREA and (area + 1) * AREA <= until:
                if len(self.quiet) >= MAX_AREAS:
                    self.quiet.clear()
                self.quiet[area] = offset
        return found

    def note(self, day: int) -> None:
        """Find out whether this day, counted from 1970, is `quiet`."""
        self.segment(min(max(day * DAY, FIRST_SECOND), LAST_SECOND))

    def changes(self, since: int, until: int) -> Iterator[Segment]:
        """The segments that begin with a change of the clock, of those that begin in this time."""
        at = since
        while at < until:
            segment = self.segment(at)
            if since <= segment.begin and segment.begin + segment.offset != segment.reached:
                yield segment
            at = segment.end

    @property
    def first(self) -> int:
        """The instant at which 1970 began on the wall: no cron reaches further back."""
        if self._first is None:
            self._first = self.first_showing(0)
        return self._first

    def first_showing(self, wall: int) -> int:
        """The first instant at which the clock had come to *wall*.

        In a gap that is right after the gap, in a repeated hour the first time.
        """
        at = wall - LONGEST_LEAP
        while True:
            begin, end, offset, _, _ = self.segment(at)
            shown = max(wall - offset, begin)
            if shown < end or end > LAST_SECOND:
                return shown
            at = end


def find_zone(timezone: str | tzinfo) -> Zone:
    """The zone that *timezone* names, or a TriggerError."""
    if timezone is UTC:
        return _zone("UTC")
    key = timezone.key if isinstance(timezone, ZoneInfo) else timezone
    if not isinstance(key, str):
        raise TriggerError(
            f"timezone: expected an IANA name such as 'Asia/Seoul' or a named ZoneInfo, got {shown(timezone)}: "
            "pass its name"
        )
    return _zone(key)


@lru_cache(maxsize=MAX_ZONES)
def _zone(key: str) -> Zone:
    try:
        ZoneInfo(key)
    except (LookupError, ValueError, OSError):
        hint = did_you_mean(key, _known_zones())
        raise TriggerError(f"timezone: expected an IANA name such as 'Asia/Seoul', got {shown(key)}{hint}") from None
    return Zone(key)


@lru_cache(maxsize=1)
def _known_zones() -> frozenset[str]:
    """For a hint. The system lists them by opening each of 600 files, which takes a fifth of a second if it is busy."""
    return frozenset(available_timezones())


def _segments(key: str, number: int) -> Table:
    """Table *number* of a zone: the segments from number * TABLE_SPAN until the next table."""
    zone = ZoneInfo(key)
    begin, end = number * TABLE_SPAN, (number + 1) * TABLE_SPAN
    reached = max(until + offset for _, until, offset in _steady(zone, begin - LONGEST_LEAP, begin))
    segments = []
    for since, until, offset in _steady(zone, begin, end):
        back = max(offset - _offset(zone, until), 0)
        segments.append(Segment(since, until, offset, reached, max(until - back, since)))
        reached = max(reached, until + offset)
    return Table([segment.begin for segment in segments], segments)


def _steady(zone: ZoneInfo, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The stretches (since, until, offset) between two changes of the offset."""
    since = begin
    while since < end:
        offset = _offset(zone, since)
        known = ahead = since
        while known < end and _offset(zone, ahead := min(known + _look(known), end)) == offset:
            known = ahead
        until = end if known == end else _first_change(zone, known, ahead, offset)
        yield since, until, offset
        since = until


def _look(known: int) -> int:
    return LONGEST_LOOK if known < YEARLY_RULES else 7 * LONGEST_LOOK


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
