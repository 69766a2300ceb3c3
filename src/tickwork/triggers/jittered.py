"""The jittered trigger: another trigger, each of whose fire times is a little later.

The rule: how much later is a stable function of the job and the fire time, so every node and every preview
agrees. It is less than the time to the next fire time, so they keep their order and none is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, ClassVar, Self

from tickwork.clock import BEGINNING, END, EPOCH, MICROSECOND
from tickwork.durations import Duration, read_duration
from tickwork.errors import TriggerError
from tickwork.triggers.base import Trigger, check_part, innermost, kept_until, parts
from tickwork.triggers.combining import AllOf
from tickwork.triggers.date import DateTrigger
from tickwork.triggers.filtered import FilteredTrigger
from tickwork.triggers.hashed import check_seed
from tickwork.triggers.instants import in_utc, plain, read_instant
from tickwork.triggers.ticks import Tick, latest_fire_time, named_within, not_kept, ticks

LONGEST = timedelta(days=366)
NO_TIME = timedelta(0)
MAX_JITTERS = 2
"""How many may lie in each other: each asks the one inside a dozen times."""
BITS = 64


@dataclass(frozen=True, slots=True, init=False, repr=False)
class JitteredTrigger:
    """Fires up to *jitter* (seconds, a timedelta, or "30s") after each fire time of *trigger*, never before it.

    `JitteredTrigger(IntervalTrigger(minutes=10), 30)`. All of the jitter is used evenly. Where the next
    fire time, the end of the trigger or what its calendars leave out comes sooner, it is spread until there.

    The *seed* decides who gets which share: a job's id, with which a job anchors it. Until then it
    previews the shares of no job. Fire times of *trigger* up to *after* do not count: an open interval
    is anchored so, that it fires first one interval after its job is added, and not with the jitter of its start.
    """

    kind: ClassVar[str] = "jittered"

    trigger: Trigger
    jitter: timedelta
    seed: str | None
    after: datetime | None
    _key: int = field(compare=False)
    _end: datetime = field(compare=False)
    _filtered: bool = field(compare=False)

    def __init__(
        self,
        trigger: Trigger,
        jitter: Duration,
        seed: str | None = None,
        after: datetime | str | None = None,
    ) -> None:
        check_part(trigger, "jittered")
        check_seed(seed)
        if _jitters(trigger) >= MAX_JITTERS:
            raise TriggerError(f"jitter: expected at most {MAX_JITTERS} within each other, got more: add them up")
        self._set(trigger, _read_jitter(jitter), seed, None if after is None else read_instant(after, "after", None))

    @classmethod
    def of(cls, trigger: Trigger, jitter: timedelta, seed: str, after: datetime | None) -> Self:
        """The trigger of these values, which were checked before."""
        made = object.__new__(cls)
        made._set(trigger, jitter, seed, after)
        return made

    def _set(self, trigger: Trigger, jitter: timedelta, seed: str | None, after: datetime | None) -> None:
        keep = object.__setattr__
        keep(self, "trigger", trigger)
        keep(self, "jitter", jitter)
        keep(self, "seed", seed)
        keep(self, "after", after)
        keep(self, "_end", _end_of(trigger) or END)
        keep(self, "_filtered", _is_filtered(trigger))
        keep(
            self,
            "_key",
            int.from_bytes(blake2b((seed or "").encode(), digest_size=BITS // 8).digest()),
        )

    @property
    def parts(self) -> tuple[Trigger, ...]:
        return (self.trigger,)

    def next_after(self, instant: datetime) -> datetime | None:
        if instant.tzinfo is not UTC:  # in another zone the jitter would be one of walls
            instant = in_utc(instant)
        named = self.trigger.next_after(self._before(instant))
        if named is None:
            return None
        following = self.trigger.next_after(named)
        if following is not None and following <= instant:
            named, following = latest_fire_time(self.trigger, following, instant)
        fire_time = named + self._share(named, following)
        if fire_time > instant:
            return fire_time
        if following is None:
            return None
        return following + self._share(following, self.trigger.next_after(following))

    def anchored(self, at: datetime, seed: str = "") -> Self:
        trigger = self.trigger.anchored(at, seed)
        if trigger is self.trigger and self.seed is not None:
            return self
        after = self.after
        if trigger is not self.trigger and not isinstance(innermost(trigger), DateTrigger):
            after = in_utc(at)
        return type(self).of(trigger, self.jitter, seed if self.seed is None else self.seed, after)

    def ticks(self, after: datetime) -> Iterator[Tick]:
        """See `ticks.ticks`."""
        later: Tick | None = None
        after = after.astimezone(UTC)
        since = self._before(after)
        named = self.trigger.next_after(since)
        if named is not None and named <= after:  # not walked: there may be millions of them within the jitter
            since = latest_fire_time(self.trigger, named, after)[0] - MICROSECOND
        for tick in ticks(self.trigger, since):
            if later is not None and later.at <= tick.at:
                yield later
                later = None
            if tick.excluded is None:
                share = self._share(tick.at, self.trigger.next_after(tick.at))
                tick = tick._replace(at=tick.at + share, jitter=share)  # noqa: PLW2901  (the same one, moved)
                later = tick if tick.at > after else None
            elif tick.at > after:
                yield tick
        if later is not None:
            yield later

    def not_kept(self, since: datetime, until: datetime) -> Tick | None:
        """See `ticks.not_kept`."""
        named = named_within(self.trigger, since, until)
        moved = not_kept(self.trigger, since, until) if named is None else Tick(named)
        if moved is None or moved.excluded is not None:
            return moved
        if self.after is not None and moved.at <= self.after:
            return None
        share = self._share(moved.at, self.trigger.next_after(moved.at))
        return None if moved.at + share < until else moved._replace(at=moved.at + share, jitter=share)

    def kept_until(self, fire_time: datetime) -> datetime | None:
        """See `base.kept_until`."""
        if not self._filtered:
            return None
        named = self.trigger.next_after(self._before(fire_time) - MICROSECOND)
        if named is None or named > fire_time:
            return None
        return kept_until(self.trigger, latest_fire_time(self.trigger, named, fire_time)[0])

    def _before(self, instant: datetime) -> datetime:
        """The last fire time before the instant may come later than it; what comes before this cannot."""
        try:
            since = instant - self.jitter
        except OverflowError:
            since = BEGINNING
        return since if self.after is None or self.after < since else self.after

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "trigger": self.trigger.to_json(), **self._options()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        from tickwork.triggers import trigger_from_json  # noqa: PLC0415  (it knows all kinds, and this is one)

        return cls(trigger_from_json(value["trigger"]), value["jitter"], value.get("seed"), value.get("after"))

    def _options(self) -> dict[str, Any]:
        seconds = self.jitter.total_seconds()
        written: dict[str, Any] = {"jitter": int(seconds) if seconds.is_integer() else seconds}
        if self.seed is not None:
            written["seed"] = self.seed
        if self.after is not None:
            written["after"] = self.after.isoformat()
        return written

    def _share(self, named: datetime, following: datetime | None) -> timedelta:
        """What is added to the fire time *named*: a share of the jitter, or of the time there is if that is less."""
        end = self._end if following is None else following
        if self._filtered:
            end = min(end, kept_until(self.trigger, named) or end)
        room = max(min(self.jitter, end - named), NO_TIME)  # a shifted one may lie behind the end
        since = named - EPOCH
        micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        return timedelta(0, 0, room // MICROSECOND * _mixed(self._key ^ micros & ALL_BITS) >> BITS)

    def __str__(self) -> str:
        return f"{self.trigger}, up to {plain(self.jitter.total_seconds())} s later"

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={option!r}" for name, option in self._options().items())
        return f"JitteredTrigger({self.trigger!r}, {options})"


ALL_BITS = (1 << BITS) - 1


def _end_of(trigger: Trigger) -> datetime | None:
    """The end_date of a trigger, or that of those it is made of. None: there is none."""
    own: datetime | None = getattr(trigger, "end_date", None)
    ends = [_end_of(part) for part in parts(trigger)] if own is None else [own]
    known = [end for end in ends if end is not None]
    if isinstance(trigger, AllOf):
        return min(known, default=None)
    return max(known) if ends and len(known) == len(ends) else None


def _is_filtered(trigger: Trigger) -> bool:
    """Whether calendars leave anything out of it, or of what it is made of."""
    return isinstance(trigger, FilteredTrigger) or any(map(_is_filtered, parts(trigger)))


def _jitters(trigger: Trigger) -> int:
    """How many jitters lie in each other there."""
    return isinstance(trigger, JitteredTrigger) + max(map(_jitters, parts(trigger)), default=0)


def _mixed(number: int) -> int:
    """The last step of SplitMix64: each bit of the answer depends on each bit of *number*."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & ALL_BITS
    number = (number ^ number >> 27) * 0x94D049BB133111EB & ALL_BITS
    return number ^ number >> 31


def _read_jitter(jitter: object) -> timedelta:
    return read_duration("jitter", jitter, least=MICROSECOND, most=LONGEST, error=TriggerError)
