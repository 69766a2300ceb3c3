"""Shifting: the fire times of days that are left out, moved to the next or previous day that is kept.

The rule: a day that is kept fires at its own times and at those of the days beside it that are left out,
at the same time on the wall: what the clock leaves out there is right after the gap, what it repeats the first time.
So the least fire time after an instant is looked for on one target day after the other, and on the few
days that move to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from tickwork.clock import EPOCH
from tickwork.triggers.base import Trigger, first_from, named_walls
from tickwork.triggers.instants import floor_second
from tickwork.triggers.pattern import NEVER
from tickwork.triggers.rules import Rules, Shift
from tickwork.triggers.searching import Search, steps, take
from tickwork.triggers.ticks import Tick, ticks
from tickwork.triggers.zones import DAY, LAST_SECOND, Zone

LAST_DAY = LAST_SECOND // DAY
MAX_SHIFT = 31
"""How many days a fire time is shifted at most."""
STEPS_A_TARGET = 4
"""What looking at one day counts in a search."""
LONGEST_SEARCH = 41 * 366
"""How many days ahead one search looks; a 29 February that is a Monday may be forty years away."""
MAX_KNOWN = 1_000
"""How many days are remembered as kept or left out."""
MAX_IN_A_GAP = 1_000
"""How many fire times a preview looks at between two that are kept."""


class Found(NamedTuple):
    """A fire time, and the one of the trigger itself that was moved there, or is the same."""

    at: datetime
    named: datetime


class Shifting:
    """The fire times of *trigger* as *rules* keep, shift or leave them out in *zone*."""

    __slots__ = ("_days", "_hours", "_known", "_last", "_step", "_trigger", "_zone")

    def __init__(self, trigger: Trigger, rules: Rules, zone: Zone, shift: Shift) -> None:
        self._trigger = trigger
        self._zone = zone
        self._days = rules.of_days()
        self._hours = rules.of_hours()
        self._known: dict[int, bool] = {}  # days that were judged before
        self._step = 1 if shift == "next" else -1
        self._last = LAST_DAY

    def end(self, dead_from: datetime) -> None:
        """No day after that instant is worth a look."""
        self._last = self._day(floor_second(dead_from))

    def next_after(self, instant: datetime) -> datetime | None:
        try:
            found = self._first_after(instant)
        except OverflowError:  # beyond the year 9999
            return None
        return None if found is None else found.at

    def ticks(self, after: datetime) -> Iterator[Tick]:
        """See `ticks.ticks`."""
        found = self._first_after(after)
        while found is not None:
            yield from self._left_out(after, found.at)
            after = found.at
            shifted = self._target(found.named) not in (None, self._day(floor_second(found.named)))
            why = self._days.judge(self._wall(floor_second(found.named)))[0] if shifted else None
            yield Tick(found.at, shifted_from=found.named if shifted else None, why=why)
            found = self._first_after(after)
        yield from self._left_out(after, None)

    def becomes(self, named: datetime) -> Tick:
        """What a fire time of the trigger itself becomes: kept, moved, or left out."""
        target, day = self._target(named), self._day(floor_second(named))
        reason = self._why_left_out(named)
        if target is None or target == day or reason is not None:
            return Tick(named, reason)
        moved = self._moved(named, (target - day) * DAY)[0]
        return Tick(moved, shifted_from=named, why=self._days.judge(day * DAY)[0])

    def first_moved_to(self, low: int, high: int) -> int | None:
        """The first time on the wall, from *low* until before *high*, to which one of another day is moved."""
        with Search():
            walls = [
                wall
                for target in range(low // DAY, (high - 1) // DAY + 1)
                if self._keeps(target)
                for source in self._sources(target)
                if source != target
                for wall in self._walls_from(source, low - (target - source) * DAY, target - source)
                if wall < high
            ]
            return min(walls, default=None)
        return None

    def _walls_from(self, source: int, low: int, days: int) -> Iterator[int]:
        """The first wall, at or after *low*, of the day *source* that names a time, so many days later."""
        for begin, end, offset in self._stretches(source):
            named = first_from(self._trigger, max(begin, low - offset))
            if named is not None and floor_second(named) < end:
                yield floor_second(named) + offset + days * DAY

    def _first_after(self, instant: datetime) -> Found | None:
        with Search():
            return self._search(instant)
        return None

    def _search(self, instant: datetime) -> Found | None:
        day = self._day(floor_second(instant))
        if self._keeps(day) and (found := self._first_on(day, instant)):
            return found
        target = self._next_target(day)
        horizon = NEVER
        for step in steps(STEPS_A_TARGET):
            if target is None or target > min(horizon, self._last):
                return None
            if step == 1:  # the first may be long before the trigger begins
                horizon = target + LONGEST_SEARCH
            if found := self._first_on(target, instant):
                return found
            target = self._next_target(target)
        return None  # never reached

    def _first_on(self, target: int, instant: datetime) -> Found | None:
        """The first fire time after *instant* of those that belong to the day *target*."""
        found = [self._first_moved(source, target, instant) for source in self._sources(target)]
        return min((one for one in found if one is not None), default=None)

    def _first_moved(self, source: int, target: int, instant: datetime) -> Found | None:
        """The first fire time after *instant* of those that move from the day *source* to *target*."""
        moved = (target - source) * DAY
        at = floor_second(instant)
        segment = self._zone.segment(at)
        shown = max(
            at + segment.offset, segment.reached
        )  # earlier walls of the target day were shown before the instant
        first: Found | None = None
        for begin, end, add in self._stretches(source):
            least = shown - moved - add if moved else at
            found = self._first_in(max(begin, least), end, add, moved, instant)
            first = min(first, found) if first and found else first or found
        return first

    def _first_in(self, begin: int, end: int, offset: int, moved: int, instant: datetime) -> Found | None:
        """The first of those that lie in a stretch of one offset, and are moved by so many seconds of the wall."""
        for _ in steps():
            if begin >= end:
                return None
            named = first_from(self._trigger, begin)
            while named is not None and self._moved(named, moved)[-1] <= instant:
                take(1)
                named = self._trigger.next_after(named)
            if named is None or floor_second(named) >= end:
                return None
            until = NEVER
            for at in self._moved(named, moved):
                segment = self._zone.segment(floor_second(at))
                reason, until = self._hours.judge(floor_second(at) + segment.offset)
                until = min(until, segment.end + segment.offset)  # what a gap leaves out comes to lie behind it
                if reason is None and at > instant:
                    return Found(at, named)
            begin = max(floor_second(named) + 1, until - offset - moved)
        return None  # never reached

    def _moved(self, named: datetime, moved: int) -> Sequence[datetime]:
        """The fire time *named* so many seconds of the wall later; unmoved it stays in its pass of a repeated hour.

        What fires right after a gap is moved from where the clock left it out: these may be several.
        """
        if moved == 0:
            return (named,)
        at = floor_second(named)
        wall = self._wall(at)
        begin, _, _, _, _ = self._zone.segment(at)
        named_ones = named_walls(self._trigger, at, self._zone) if at == begin else ()
        walls = sorted(one for one in named_ones if wall - wall % DAY <= one <= wall)
        return [
            EPOCH + timedelta(0, self._zone.first_showing(one + moved), named.microsecond) for one in walls or [wall]
        ]

    def _sources(self, target: int) -> Iterator[int]:
        """The days whose fire times belong to *target*: itself, and those beside it that are left out."""
        yield target
        for source in range(target - self._step, target - self._step * (MAX_SHIFT + 1), -self._step):
            if self._keeps(source):
                return
            yield source

    def _next_target(self, day: int) -> int | None:
        """The next kept day after *day* to which a fire time belongs."""
        kept = self._next_kept(day)
        if kept is None or (self._step > 0 and not self._keeps(day)):
            return kept  # the fire times of *day* itself belong there
        begin = day + 1 if self._step > 0 else kept
        if begin >= LAST_DAY:
            return None
        for _ in steps():
            fire_time = first_from(self._trigger, self._zone.first_showing(begin * DAY))
            if fire_time is None:
                return None
            target = self._target(fire_time)
            if target is not None:
                return target
            day = self._day(floor_second(fire_time))
            kept = self._next_kept(day)
            if kept is None:
                return None
            begin = max(day + 1, kept - MAX_SHIFT if self._step > 0 else kept)
            if begin >= LAST_DAY:
                return None
        return None  # never reached

    def _target(self, fire_time: datetime) -> int | None:
        """The day to which a fire time of the trigger itself belongs, if there is one near enough."""
        day = self._day(floor_second(fire_time))
        return next(
            (near for near in range(day, day + self._step * (MAX_SHIFT + 1), self._step) if self._keeps(near)), None
        )

    def _next_kept(self, day: int) -> int | None:
        wall = (day + 1) * DAY
        for _ in steps():
            if wall // DAY >= LAST_DAY:
                return None
            reason, until = self._days.judge(wall)
            if reason is None:
                return wall // DAY
            if until == NEVER:
                return None
            wall = until
        return None  # never reached

    def _keeps(self, day: int) -> bool:
        if day >= LAST_DAY:  # zones know no later years
            return False
        kept = self._known.get(day)
        if kept is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            kept = self._known[day] = self._days.judge(day * DAY)[0] is None
        return kept

    def _stretches(self, day: int) -> Iterator[tuple[int, int, int]]:
        """The stretches of one offset (begin, end, offset) in which the clock shows *day*: one, or two at a change."""
        if day >= LAST_DAY:
            return
        at = self._zone.first_showing(day * DAY)
        while True:
            segment = self._zone.segment(at)
            until = min(segment.end, (day + 1) * DAY - segment.offset)
            if until <= at:
                return
            yield at, until, segment.offset
            at = segment.end

    def _wall(self, at: int) -> int:
        return at + self._zone.segment(at).offset

    def _day(self, at: int) -> int:
        return self._wall(at) // DAY

    def _left_out(self, after: datetime, before: datetime | None) -> Iterator[Tick]:
        """What is left out between two fire times, and not shifted either."""
        for tick in islice(ticks(self._trigger, after), MAX_IN_A_GAP):
            if before is not None and tick.at >= before:
                return
            reason = tick.excluded or self._why_left_out(tick.at)
            if reason is not None:
                yield tick._replace(excluded=reason)

    def _why_left_out(self, fire_time: datetime) -> str | None:
        day = self._day(floor_second(fire_time))
        target = self._target(fire_time)
        if target is None:
            why = self._days.judge(day * DAY)[0] or "the last days of all"
            return f"{why}, and no day to shift to within {MAX_SHIFT} days"
        moved = self._moved(fire_time, (target - day) * DAY)[0]
        return self._hours.judge(self._wall(floor_second(moved)))[0]
