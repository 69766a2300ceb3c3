"""The interval trigger: again and again after the same elapsed time.

The rule: its fire times are the grid start + n * every, and each is reckoned from the start. Nothing
adds up from one fire time to the next, so nothing drifts. A timedelta is a whole number of
microseconds and its arithmetic is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Self

from tickwork.checks import shown
from tickwork.clock import END, EPOCH
from tickwork.errors import TriggerError
from tickwork.triggers.instants import in_utc, read_bounds, say_bounds, write_bounds

SHORTEST = timedelta(milliseconds=1)
LONGEST = END - EPOCH


@dataclass(frozen=True, slots=True, init=False, repr=False)
class IntervalTrigger:
    """Fires at *start_date* and then each time the interval has elapsed, until *end_date* inclusive.

    The units add up and may be fractions: `IntervalTrigger(minutes=10)`, `IntervalTrigger(seconds=0.2)`.
    Elapsed time knows no clock changes; "every day at nine" is a cron. *timezone* serves only to read a
    *start_date* or *end_date* that has none.

    Without *start_date* the grid is open: a job anchors it at the moment it is added, and fires first
    one interval later. Until then `next_after` previews it on the grid that begins in 1970.
    """

    kind: ClassVar[str] = "interval"

    every: timedelta
    start_date: datetime | None
    end_date: datetime | None

    def __init__(
        self,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        timezone: str | tzinfo | None = None,
    ) -> None:
        every = _read_every(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
        self._set(every, *read_bounds(start_date, end_date, timezone))

    @classmethod
    def of(cls, every: timedelta, start_date: datetime | None, end_date: datetime | None) -> Self:
        """The interval of these values, as they are: aware and in UTC."""
        made = object.__new__(cls)
        made._set(every, start_date, end_date)
        return made

    def _set(self, every: timedelta, start_date: datetime | None, end_date: datetime | None) -> None:
        object.__setattr__(self, "every", every)
        object.__setattr__(self, "start_date", start_date)
        object.__setattr__(self, "end_date", end_date)

    def next_after(self, instant: datetime) -> datetime | None:
        if instant.tzinfo is not UTC:  # in another zone the sum below would be one of walls
            instant = in_utc(instant)
        start = self.start_date or EPOCH
        try:
            fire_time = start if instant < start else instant - (instant - start) % self.every + self.every
        except OverflowError:  # beyond the year 9999
            return None
        return fire_time if self.end_date is None or fire_time <= self.end_date else None

    def anchored(self, at: datetime, seed: str = "") -> Self:
        if self.start_date is not None:
            return self
        return type(self).of(self.every, in_utc(at), self.end_date)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **_units(self.every), **write_bounds(self.start_date, self.end_date)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{name: option for name, option in value.items() if name != "kind"})

    def __str__(self) -> str:
        return f"every {_say_every(self.every)}{say_bounds(self.start_date, self.end_date)}"

    def __repr__(self) -> str:
        options = {**_units(self.every), **write_bounds(self.start_date, self.end_date)}
        return f"IntervalTrigger({', '.join(f'{name}={option!r}' for name, option in options.items())})"


def _read_every(**units: float) -> timedelta:
    for number in units.values():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TriggerError(f"interval: expected numbers, got {_given(units)}: write minutes=10, or seconds=0.2")
    try:
        every = timedelta(**units)
    except (ValueError, OverflowError):
        raise TriggerError(f"interval: expected a finite length of time, got {_given(units)}") from None
    if every > LONGEST:
        raise TriggerError(f"interval: expected at most {LONGEST.days} days, got {_given(units)}: it would fire once")
    if every < SHORTEST:
        raise TriggerError(
            f"interval: expected one millisecond or more, got {_given(units)}: "
            "a scheduler keeps no faster pace; write minutes=10, or seconds=0.2"
        )
    return every


def _given(units: Mapping[str, float]) -> str:
    return (
        ", ".join(
            f"{name}={shown(number)}"
            for name, number in units.items()
            if not (isinstance(number, int | float) and number == 0)
        )
        or "nothing"
    )


def _units(every: timedelta) -> dict[str, Any]:
    """The interval in the units that users write, exactly; those that are zero are left out."""
    if every % timedelta(weeks=1) == timedelta(0):
        return {"weeks": every // timedelta(weeks=1)}
    hours, below_hour = divmod(every.seconds, 3600)
    minutes, seconds = divmod(below_hour, 60)
    exact = (seconds * 1_000_000 + every.microseconds) / 1_000_000 if every.microseconds else seconds
    units = {"days": every.days, "hours": hours, "minutes": minutes, "seconds": exact}
    return {name: number for name, number in units.items() if number}


def _say_every(every: timedelta) -> str:
    """'hour', '10 minutes', '1 day 12 hours'."""
    units = _units(every)
    if list(units.values()) == [1]:
        return next(iter(units)).removesuffix("s")
    return " ".join(f"{number} {unit.removesuffix('s') if number == 1 else unit}" for unit, number in units.items())
