"""Combinations: when any of several triggers fires, or when all of them do at the same instant.

The rule: nothing here searches without end. Intervals that are to meet are one interval, found by
arithmetic; other triggers ask each other in turn, as long as a `Search` may and not beyond LONGEST_SEARCH.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import gcd
from operator import attrgetter
from typing import Any, ClassVar, Self

from tickwork.checks import shown
from tickwork.clock import BEGINNING, END, MICROSECOND, from_micros, to_micros
from tickwork.errors import TriggerError
from tickwork.triggers.base import MAX_SIZE, Trigger, check_part, is_open, kept_until, parts, size_of
from tickwork.triggers.filtered import FilteredTrigger
from tickwork.triggers.instants import naive_instant
from tickwork.triggers.interval import IntervalTrigger
from tickwork.triggers.searching import MAX_STEPS, Search, dead_from, steps, take
from tickwork.triggers.ticks import Tick, fire_times, named_within, not_kept, ticks

MAX_TRIGGERS = 100
MEMBERS_A_STEP = 8
"""Asking so many of them counts as one step of a search."""
LONGEST_SEARCH = timedelta(days=100 * 366)
"""How far ahead it looks; a 29 February that is a Monday may be forty years away."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class AnyOf:
    """Fires whenever one of *triggers* does; when several do at one instant, once.

    AnyOf([CronTrigger(hour=9, timezone="Asia/Seoul"), CronTrigger(hour=9, timezone="Europe/Berlin")])
    """

    kind: ClassVar[str] = "any-of"

    triggers: tuple[Trigger, ...]

    def __init__(self, triggers: Iterable[Trigger]) -> None:
        object.__setattr__(self, "triggers", _read_triggers(triggers, self.kind))

    @property
    def parts(self) -> tuple[Trigger, ...]:
        return self.triggers

    def next_after(self, instant: datetime) -> datetime | None:
        take(len(self.triggers) // MEMBERS_A_STEP)
        first = None
        for trigger in self.triggers:
            fire_time = trigger.next_after(instant)
            if fire_time is not None and (first is None or fire_time < first):
                first = fire_time
        return first

    def anchored(self, at: datetime, seed: str = "") -> Self:
        anchored = tuple(trigger.anchored(at, seed) for trigger in self.triggers)
        return self if all(map(_is, anchored, self.triggers)) else type(self)(anchored)

    def kept_until(self, fire_time: datetime) -> datetime | None:
        """See `base.kept_until`."""
        ends = [kept_until(trigger, fire_time) for trigger in self._firing_at(fire_time)]
        known = [end for end in ends if end is not None]
        return max(known) if ends and len(known) == len(ends) else None

    def _firing_at(self, fire_time: datetime) -> list[Trigger]:
        return [trigger for trigger in self.triggers if trigger.next_after(fire_time - MICROSECOND) == fire_time]

    def ticks(self, after: datetime) -> Iterator[Tick]:
        """See `ticks.ticks`."""
        last_fired: datetime | None = None
        last_left_out: Tick | None = None
        for tick in heapq.merge(*(ticks(trigger, after) for trigger in self.triggers), key=attrgetter("at")):
            if tick.excluded is None and tick.at != last_fired:
                last_fired = tick.at
                yield tick
            elif tick.excluded is not None and tick != last_left_out and not self._fires_in_its_place(tick):
                last_left_out = tick
                yield tick

    def _fires_in_its_place(self, left_out: Tick) -> bool:
        """Whether another member fires when the one that left this out would have."""
        return left_out.through is None and bool(self._firing_at(left_out.at))

    def not_kept(self, since: datetime, until: datetime) -> Tick | None:
        """See `ticks.not_kept`."""
        found = (not_kept(trigger, since, until) for trigger in self.triggers)
        return next((tick for tick in found if tick is not None), None)

    def to_json(self) -> dict[str, Any]:
        return _write(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(_read_members(value))

    def __str__(self) -> str:
        return f"any of ({'; '.join(map(str, self.triggers))})"

    def __repr__(self) -> str:
        return f"AnyOf([{', '.join(map(repr, self.triggers))}])"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class AllOf:
    """Fires when all of *triggers* do, at the very same instant.

        AllOf([CronTrigger("0 9 * * fri"), CronTrigger("0 9 13 * *")])

    An interval meets a cron only if its `start_date` lies on one of the cron's times. To keep any trigger
    to certain days or hours, `only` and `exclude` are what you want (FilteredTrigger).
    """

    kind: ClassVar[str] = "all-of"

    triggers: tuple[Trigger, ...]
    _asked: tuple[Trigger, ...] = field(compare=False)  # with one interval in the place of all
    _dead_from: datetime = field(compare=False)

    def __init__(self, triggers: Iterable[Trigger]) -> None:
        object.__setattr__(self, "triggers", _read_triggers(triggers, self.kind))
        object.__setattr__(self, "_asked", _flat(self.triggers))
        object.__setattr__(self, "_dead_from", END)
        if any(map(_holds_all_of, self._asked)):
            raise TriggerError("all-of: expected none within another's members, got one: put its triggers beside them")
        if any(map(is_open, self.triggers)):
            return  # whether they meet is known when they are anchored
        object.__setattr__(self, "_asked", _with_one_interval(self._asked))
        object.__setattr__(self, "_dead_from", dead_from(self))
        if self.next_after(BEGINNING) is None:
            raise TriggerError(
                f"all-of: expected triggers that fire at the same instant, got none in {MAX_STEPS} steps or 100 years, "
                f"{shown(str(self), most=200)}: give an interval a start_date that the others meet; "
                "to keep to days or hours, use only= or exclude="
            )

    @property
    def parts(self) -> tuple[Trigger, ...]:
        return self.triggers

    def next_after(self, instant: datetime) -> datetime | None:
        if instant.tzinfo is None:
            raise naive_instant(instant)
        with Search():
            return self._first_after(instant)
        return None

    def _first_after(self, instant: datetime) -> datetime | None:
        asked = self._asked
        candidate = asked[0].next_after(instant)
        agreeing, index = 1, 0
        horizon = END
        for step in steps():
            if candidate is None or agreeing == len(asked):
                return candidate
            if step == len(asked):  # all of them have begun
                horizon = candidate + min(LONGEST_SEARCH, END - candidate)
            if candidate > horizon or candidate > self._dead_from:
                return None
            index = (index + 1) % len(asked)
            fire_time = asked[index].next_after(candidate - MICROSECOND)
            agreeing = agreeing + 1 if fire_time == candidate else 1
            candidate = fire_time
        return None  # never reached

    def ticks(self, after: datetime) -> Iterator[Tick]:
        """See `ticks.ticks`."""
        for named in fire_times(self._without_calendars(), after):
            yield Tick(named, self._why_left_out(named))

    def not_kept(self, since: datetime, until: datetime) -> Tick | None:
        """See `ticks.not_kept`."""
        named = named_within(self._without_calendars(), since, until)
        reason = None if named is None else self._why_left_out(named)
        return None if named is None or reason is None else Tick(named, reason)

    def _why_left_out(self, named: datetime) -> str | None:
        """Why the first of those that do not fire then does not. None: all do."""
        for trigger in self.triggers:
            if trigger.next_after(named - MICROSECOND) == named:
                continue
            left_out = not_kept(trigger, named, named + MICROSECOND)
            if left_out is not None and left_out.excluded is not None:
                return left_out.excluded
        return None

    def _without_calendars(self) -> Trigger:
        """What would fire if the calendars of its members left nothing out."""
        bare = _all_without_calendars(self.triggers)
        return self if bare is self.triggers else type(self)(bare)

    def kept_until(self, fire_time: datetime) -> datetime | None:
        """See `base.kept_until`."""
        ends = [kept_until(trigger, fire_time) for trigger in self.triggers]
        return min((end for end in ends if end is not None), default=None)

    def anchored(self, at: datetime, seed: str = "") -> Self:
        anchored = tuple(trigger.anchored(at, seed) for trigger in self.triggers)
        return self if all(map(_is, anchored, self.triggers)) else type(self)(anchored)

    def to_json(self) -> dict[str, Any]:
        return _write(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(_read_members(value))

    def __str__(self) -> str:
        return f"all of ({'; '.join(map(str, self.triggers))})"

    def __repr__(self) -> str:
        return f"AllOf([{', '.join(map(repr, self.triggers))}])"


def _flat(triggers: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
    """With the members of an all-of in its place, which means the same."""
    return tuple(
        member
        for trigger in triggers
        for member in (_flat(trigger.triggers) if isinstance(trigger, AllOf) else (trigger,))
    )


def _without_calendars(trigger: Trigger) -> Trigger:
    """What would fire if the calendars of *trigger* left nothing out."""
    match trigger:
        case FilteredTrigger(shift=None):
            return _without_calendars(trigger.trigger)
        case AnyOf():
            bare = _all_without_calendars(trigger.triggers)
            return trigger if bare is trigger.triggers else AnyOf(bare)
        case _:
            return trigger


def _all_without_calendars(triggers: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
    bare = tuple(map(_without_calendars, triggers))
    return triggers if all(map(_is, bare, triggers)) else bare


def _holds_all_of(trigger: Trigger) -> bool:
    """Whether an all-of lies in there, whose own search each step of a search would begin."""
    return isinstance(trigger, AllOf) or any(map(_holds_all_of, parts(trigger)))


def _with_one_interval(triggers: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
    intervals = [trigger for trigger in triggers if isinstance(trigger, IntervalTrigger)]
    others = tuple(trigger for trigger in triggers if not isinstance(trigger, IntervalTrigger))
    if not intervals:
        return others
    met = intervals[0]
    for interval in intervals[1:]:
        met = _meet(met, interval)
    return (*others, met)


def _meet(one: IntervalTrigger, other: IntervalTrigger) -> IntervalTrigger:
    """The interval of the instants at which both fire, by the Chinese remainder theorem; or a TriggerError."""
    assert one.start_date is not None
    assert other.start_date is not None
    start, every = to_micros(one.start_date), one.every // MICROSECOND
    beside, often = to_micros(other.start_date), other.every // MICROSECOND
    common = gcd(every, often)
    apart, odd = divmod(beside - start, common)
    if odd:
        raise TriggerError(
            f"all-of: expected intervals that meet, got '{one}' and '{other}', which never do: "
            f"their starts differ by {timedelta(microseconds=odd)} more than a multiple of {common * MICROSECOND}"
        )
    period = every // common * often
    meeting = start + apart * pow(every // common, -1, often // common) % (often // common) * every
    first = meeting + -((meeting - max(start, beside)) // period) * period  # the first after both starts
    ends = [trigger.end_date for trigger in (one, other) if trigger.end_date is not None]
    try:  # a period of more than all years is met once
        return IntervalTrigger.of(
            min(period, timedelta.max // MICROSECOND) * MICROSECOND, from_micros(first), min(ends, default=None)
        )
    except OverflowError:
        raise TriggerError(
            f"all-of: expected intervals that meet before the year 9999, got '{one}' and '{other}'"
        ) from None


def _read_triggers(triggers: object, kind: str) -> tuple[Trigger, ...]:
    if not isinstance(triggers, Iterable) or isinstance(triggers, str):
        raise TriggerError(f"{kind}: expected a list of triggers, got {shown(triggers)}")
    read = tuple(triggers)
    if not 0 < len(read) <= MAX_TRIGGERS:
        raise TriggerError(f"{kind}: expected 1 to {MAX_TRIGGERS} triggers, got {len(read)}")
    for trigger in read:
        check_part(trigger, kind)
    if sum(map(size_of, read)) >= MAX_SIZE:
        raise TriggerError(f"{kind}: expected to be made of at most {MAX_SIZE} triggers, got more: combine fewer")
    return read


def _read_members(value: Mapping[str, Any]) -> list[Trigger]:
    from tickwork.triggers import trigger_from_json  # noqa: PLC0415  (it knows all kinds, and this is one)

    members = value["triggers"]
    if not isinstance(members, list):
        raise TriggerError(f"{value['kind']}: expected a list of triggers in its JSON, got {shown(members)}")
    return [trigger_from_json(written) for written in members]


def _write(combination: AnyOf | AllOf) -> dict[str, Any]:
    return {"kind": combination.kind, "triggers": [trigger.to_json() for trigger in combination.triggers]}


def _is(one: object, other: object) -> bool:
    return one is other
