"""What a trigger is.

The rule: a trigger is a frozen value, and `next_after` a pure function of time. It never looks at
the clock, never remembers an answer, and never moves because it was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, Self

from tickwork.checks import shown
from tickwork.clock import EPOCH, MICROSECOND
from tickwork.errors import TriggerError
from tickwork.triggers.zones import FIRST_SECOND, LAST_SECOND, Zone

SECOND = timedelta(seconds=1)
MAX_DEPTH = 10
"""How deep triggers may lie in each other."""
MAX_SIZE = 1_000
"""How many triggers one is made of in all; one that is used twice is asked twice."""


class Trigger(Protocol):
    """When: it names the fire times of a job."""

    kind: ClassVar[str]
    """The word that stands for this trigger in `add_job(func, kind, ...)` and in JSON."""

    def next_after(self, instant: datetime) -> datetime | None:
        """The first fire time strictly after *instant*, or None if there is none.

        Pure: the same instant always has the same answer. Aware in, aware UTC out.
        """
        ...

    def anchored(self, at: datetime, seed: str = "") -> Self:
        """The same trigger with whatever it leaves open fixed: an interval's start at *at*, the choice
        of what spreads load by *seed*, the job's id.

        A trigger that leaves nothing open is its own answer. Only anchored triggers are stored,
        so that a restart never shifts a phase.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """The trigger as plain JSON, `kind` included."""
        ...

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The trigger that `to_json` wrote down."""
        ...


def parts(trigger: Trigger) -> tuple[Trigger, ...]:
    """The triggers that *trigger* is made of; none if it is a plain one."""
    made_of: tuple[Trigger, ...] = getattr(trigger, "parts", ())
    return made_of


def innermost(trigger: Trigger) -> Trigger:
    """The trigger that names the fire times, below what filters and shifts and spreads them."""
    while len(inside := parts(trigger)) == 1:
        trigger = inside[0]
    return trigger


def zone_of(trigger: Trigger) -> str | None:
    """The zone whose clock it speaks of, if there is one."""
    timezone: str | None = getattr(trigger, "timezone", None)
    zones = {zone_of(part) for part in parts(trigger)} if timezone is None else {timezone}
    return zones.pop() if len(zones) == 1 else None


def is_open(trigger: Trigger) -> bool:
    """Whether it names no fire times of its own before `anchored` fixes what it leaves open."""
    inside = parts(trigger)
    return any(map(is_open, inside)) if inside else trigger.anchored(EPOCH) is not trigger


def last_change(trigger: Trigger) -> int:
    """The second from which on it only repeats itself, as all the dates are over that it and its parts name.

    A trigger that knows dates of its own has a property `last_change`.
    """
    ends = [getattr(trigger, name, None) for name in ("run_date", "start_date", "end_date")]
    named = [FIRST_SECOND if end is None else (end - EPOCH) // SECOND for end in ends]
    own: int = getattr(trigger, "last_change", FIRST_SECOND)
    return max(own, *named, *map(last_change, parts(trigger)))


def kept_until(trigger: Trigger, fire_time: datetime) -> datetime | None:
    """The end of the stretch of time that calendars keep, in which this fire time lies. None: no calendar ends it.

    A trigger that knows calendars, or is made of others, has a method `kept_until`.
    """
    tell = getattr(trigger, "kept_until", None)
    end: datetime | None = None if tell is None else tell(fire_time)
    return end


def named_walls(trigger: Trigger, at: int, zone: Zone) -> frozenset[int]:
    """The times on the wall of *zone* for which it fires at the second *at*.

    It is the one that is shown; or right after a gap perhaps others, which the clock left out. A trigger of one zone
    that knows has a method `named_walls`; one that is made of others answers for all of them.
    """
    own: str | None = getattr(trigger, "timezone", None)
    tell = getattr(trigger, "named_walls", None)
    if own == zone.key and tell is not None:
        known: frozenset[int] = tell(at)
        return known
    fire_time = EPOCH + timedelta(seconds=at)
    firing = [part for part in parts(trigger) if part.next_after(fire_time - MICROSECOND) == fire_time]
    return frozenset().union(*(named_walls(part, at, zone) for part in firing)) or frozenset(
        (at + zone.segment(at).offset,)
    )


def first_from(trigger: Trigger, second: int) -> datetime | None:
    """The first fire time at or after a second, counted from 1970."""
    if second > LAST_SECOND:
        return None
    return trigger.next_after(EPOCH + timedelta(0, max(second, FIRST_SECOND + 1)) - MICROSECOND)


def check_part(trigger: object, owner: str) -> None:
    """TriggerError unless *trigger* is one that another can be made of."""
    if isinstance(trigger, str) or not callable(getattr(trigger, "next_after", None)):
        raise TriggerError(f"{owner}: expected a trigger, got {shown(trigger)}: make one, such as CronTrigger(hour=9)")
    if _depth(trigger) >= MAX_DEPTH:  # type: ignore[arg-type]  # it was just seen to be one
        raise TriggerError(f"{owner}: expected at most {MAX_DEPTH} triggers within each other, got more: combine fewer")
    if size_of(trigger) >= MAX_SIZE:  # type: ignore[arg-type]
        raise TriggerError(f"{owner}: expected to be made of at most {MAX_SIZE} triggers, got more: combine fewer")


def _depth(trigger: Trigger, known: dict[int, int] | None = None) -> int:
    """How deep it is; each trigger is looked at once, however often it is used."""
    known = {} if known is None else known
    if id(trigger) not in known:
        known[id(trigger)] = 1 + max((_depth(part, known) for part in parts(trigger)), default=0)
    return known[id(trigger)]


def size_of(trigger: Trigger, known: dict[int, int] | None = None) -> int:
    """How many triggers it is made of; each is looked at once, and counted as often as it is used."""
    known = {} if known is None else known
    if id(trigger) not in known:
        known[id(trigger)] = 1 + sum(size_of(part, known) for part in parts(trigger))
    return known[id(trigger)]
