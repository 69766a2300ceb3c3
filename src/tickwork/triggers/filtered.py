"""The filtered trigger: another trigger without the fire times that calendars leave out, or shifted to days that count.

The rule: a fire time is kept if a calendar of `include` covers it, or else if all of `only` and none of
`exclude` do. An hour that is left out is left out; a day that is left out may be shifted to the next or
previous one that is kept, to the same time on the wall.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Self

from tickwork.checks import shown
from tickwork.clock import BEGINNING, END, EPOCH, MICROSECOND
from tickwork.errors import TriggerError
from tickwork.triggers.base import Trigger, check_part, first_from, is_open, kept_until, zone_of
from tickwork.triggers.calendars import CalendarLike, last_change, read_calendars
from tickwork.triggers.instants import floor_second, naive_instant
from tickwork.triggers.pattern import NEVER
from tickwork.triggers.rules import Rules, Shift, check_rules
from tickwork.triggers.searching import MAX_STEPS, Search, dead_from, steps
from tickwork.triggers.shifting import MAX_SHIFT, Shifting
from tickwork.triggers.ticks import Tick, latest_fire_time, named_within, not_kept, ticks
from tickwork.triggers.zones import DAY, LAST_SECOND, LONGEST_LEAP, Zone, find_zone

SINCE = (BEGINNING, datetime(2000, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
"""From when on a trigger is asked whether it fires at all: a search has bounds, and holidays are known since lately."""
CALENDARS_A_STEP = 4
"""Asking so many more of them counts as one more step of a search."""
YEAR = 366 * DAY
LONGEST_SEARCH = 100 * YEAR
"""How far ahead it looks; a 29 February that is a Monday may be forty years away."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class FilteredTrigger:
    """Fires when *trigger* does, unless its calendars leave the time out.

        FilteredTrigger(CronTrigger(hour=9, timezone="Asia/Seoul"), exclude=["sat-sun", Holidays("KR")])
        FilteredTrigger(CronTrigger(day=25, hour=9), only=BusinessDays("KR"), shift="previous")

    Each option is a calendar, its text, a date, or a list of these. What any of *exclude* covers is left
    out, and what one of *only* does not cover; what *include* covers is kept all the same. *shift* moves
    the fire times of a day that is left out to the same time of the "next" or "previous" day that is
    kept, 31 days away at most; what falls on one that is there already is one fire time.

    The days are those of *timezone*, by default the trigger's own, or else UTC.
    """

    kind: ClassVar[str] = "filtered"

    trigger: Trigger
    rules: Rules
    shift: Shift | None
    timezone: str
    _zone: Zone = field(compare=False)
    _shifting: Shifting | None = field(compare=False)
    _kept: tuple[int, int] = field(compare=False)  # the stretch in which the last answer lay
    _dead_from: datetime = field(compare=False)

    def __init__(
        self,
        trigger: Trigger,
        *,
        exclude: CalendarLike | Iterable[CalendarLike] | None = None,
        only: CalendarLike | Iterable[CalendarLike] | None = None,
        include: CalendarLike | Iterable[CalendarLike] | None = None,
        shift: Shift | None = None,
        timezone: str | tzinfo | None = None,
    ) -> None:
        check_part(trigger, "filtered")
        zone = find_zone(zone_of(trigger) or "UTC" if timezone is None else timezone)
        rules = Rules(
            read_calendars(exclude, "exclude"), read_calendars(only, "only"), read_calendars(include, "include")
        )
        check_rules(rules, shift)
        self._set(trigger, rules, shift, zone)

    @classmethod
    def of(cls, trigger: Trigger, rules: Rules, shift: Shift | None, zone: Zone) -> Self:
        """The trigger of these values, which were checked before."""
        made = object.__new__(cls)
        made._set(trigger, rules, shift, zone)
        return made

    def _set(self, trigger: Trigger, rules: Rules, shift: Shift | None, zone: Zone) -> None:
        keep = object.__setattr__
        keep(self, "trigger", trigger)
        keep(self, "rules", rules)
        keep(self, "shift", shift)
        keep(self, "timezone", zone.key)
        keep(self, "_zone", zone)
        keep(self, "_shifting", Shifting(trigger, rules, zone, shift) if shift else None)
        keep(self, "_kept", (0, 0))
        keep(self, "_dead_from", END)
        if is_open(trigger):
            return  # whether it fires is known when it is anchored
        keep(self, "_dead_from", dead_from(self))
        if self._shifting is not None:
            self._shifting.end(self._dead_from)
        if self._dead_from < END and not any(map(self._fires_after, SINCE)):
            raise TriggerError(
                "filtered: expected a trigger that fires, got one whose every fire time is left out as far as "
                f"{MAX_STEPS} steps or 100 years show, {shown(str(self), most=200)}: "
                "choose fewer calendars, or other times"
            )

    def _fires_after(self, instant: datetime) -> bool:
        with Search():  # of all that lies in it
            return self.next_after(instant) is not None
        return False

    @property
    def last_change(self) -> int:
        """See `base.last_change`."""
        later = MAX_SHIFT * DAY if self.shift else 0
        return max(last_change(calendar) for part in self.rules for calendar in part) + later

    @property
    def parts(self) -> tuple[Trigger, ...]:
        return (self.trigger,)

    def next_after(self, instant: datetime) -> datetime | None:
        if self._shifting is not None:
            if instant.tzinfo is None:
                raise naive_instant(instant)
            return self._shifting.next_after(instant)
        fire_time = self.trigger.next_after(instant)
        if fire_time is None:
            return None
        begin, end = self._kept  # read once: another thread may put another in its place
        if begin <= floor_second(fire_time) < end:
            return fire_time
        with Search():
            return self._first_kept(fire_time)
        return None

    def _first_kept(self, fire_time: datetime | None) -> datetime | None:
        """The first that is kept of *fire_time* and those after it."""
        horizon = NEVER
        for _ in steps(1 + sum(map(len, self.rules)) // CALENDARS_A_STEP):
            if fire_time is None or fire_time > self._dead_from:
                return None
            at = floor_second(fire_time)
            reason, until = self._judge(at)
            if reason is None:
                object.__setattr__(self, "_kept", (at, until))
                return fire_time
            if at > horizon:
                return None
            if horizon == NEVER or until - at > YEAR:  # a long leap is no search
                horizon = until + LONGEST_SEARCH
            fire_time = first_from(self.trigger, until)
        return None  # never reached

    def excludes(self, instant: datetime) -> str | None:
        """Why a fire time at *instant* would be left out; None if it would be kept."""
        if instant.tzinfo is None:
            raise naive_instant(instant)
        return self._judge(floor_second(instant))[0]

    def first_shifted_to(self, low: int, high: int) -> int | None:
        """The first time on the wall, from *low* until before *high*, to which one of another day is shifted."""
        return None if self._shifting is None else self._shifting.first_moved_to(low, high)

    def kept_until(self, fire_time: datetime) -> datetime | None:
        """See `base.kept_until`."""
        reason, until = self._judge(floor_second(fire_time))
        if reason is not None:  # further out it was shifted to where this would leave it out
            return None
        own = None if until > LAST_SECOND else EPOCH + timedelta(seconds=until)
        inside = kept_until(self.trigger, fire_time)
        return min((end for end in (own, inside) if end is not None), default=None)

    def anchored(self, at: datetime, seed: str = "") -> Self:
        anchored = self.trigger.anchored(at, seed)
        return self if anchored is self.trigger else type(self).of(anchored, self.rules, self.shift, self._zone)

    def ticks(self, after: datetime) -> Iterator[Tick]:
        """See `ticks.ticks`."""
        return self._ticks(after) if self._shifting is None else self._shifting.ticks(after)

    def not_kept(self, since: datetime, until: datetime) -> Tick | None:
        """See `ticks.not_kept`."""
        named = named_within(self.trigger, since, until)
        if named is not None:
            became = self._becomes(named)
            return became if became.excluded is not None or became.at >= until or became.at < since else None
        moved = not_kept(self.trigger, since, until)
        if moved is None or moved.excluded is not None:
            return moved
        became = self._becomes(moved.at)
        return moved._replace(at=became.at, excluded=became.excluded, why=moved.why or became.why)

    def _becomes(self, named: datetime) -> Tick:
        """What a fire time of *trigger* becomes here."""
        return Tick(named, self.excludes(named)) if self._shifting is None else self._shifting.becomes(named)

    def _ticks(self, after: datetime) -> Iterator[Tick]:
        """Each stretch that is left out is one tick, however many fire times lie in it."""
        since: datetime | None = after
        while since is not None:
            since = yield from self._ticks_of_a_stretch(since)

    def _ticks_of_a_stretch(self, after: datetime) -> Generator[Tick, None, datetime | None]:
        for tick in ticks(self.trigger, after):
            reason, until = self._judge(floor_second(tick.at))
            if reason is None or tick.excluded is not None:
                yield tick
                continue
            if until > LAST_SECOND:
                yield tick._replace(excluded=reason, through=END)
                return None
            before_next = EPOCH + timedelta(seconds=until) - MICROSECOND
            last, _ = latest_fire_time(self.trigger, tick.at, before_next)
            yield tick._replace(excluded=reason, through=None if last == tick.at else last)
            return before_next
        return None

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "trigger": self.trigger.to_json(), **self._options()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        from tickwork.triggers import trigger_from_json  # noqa: PLC0415  (it knows all kinds, and this is one)

        options = {name: option for name, option in value.items() if name not in ("kind", "trigger")}
        return cls(trigger_from_json(value["trigger"]), **options)

    def _options(self) -> dict[str, Any]:
        written: dict[str, Any] = {
            name: [str(calendar) for calendar in part]
            for name, part in zip(Rules._fields, self.rules, strict=True)
            if part
        }
        return {**written, **({"shift": self.shift} if self.shift else {}), "timezone": self.timezone}

    def __str__(self) -> str:
        said = [f"{name} {', '.join(map(str, part))}" for name, part in self.rules._asdict().items() if part]
        return f"{self.trigger}; {'; '.join(said)}{f'; shift to the {self.shift} day' if self.shift else ''}"

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={option!r}" for name, option in self._options().items())
        return f"FilteredTrigger({self.trigger!r}, {options})"

    def _judge(self, at: int) -> tuple[str | None, int]:
        """Why the instant *at* is left out, and until when that holds at least."""
        segment = self._zone.segment(at)
        reason, until = self.rules.judge(at + segment.offset)
        if until < NEVER:
            return reason, min(until - segment.offset, segment.end)
        return (
            reason,
            segment.end if segment.end - at < LONGEST_LEAP else NEVER,
        )  # a clock set back may show it once more
