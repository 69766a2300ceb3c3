"""The date trigger: once, at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any, ClassVar, Self

from tickwork.triggers.instants import naive_instant, read_instant, say_instant
from tickwork.triggers.zones import find_zone


@dataclass(frozen=True, slots=True, init=False, repr=False)
class DateTrigger:
    """Fires once, at *run_date*: a datetime, or a string such as "2026-12-24T18:00+09:00".

    A date alone is its midnight. A time without a zone needs a *timezone* (an IANA name or a ZoneInfo)
    to be read in: in a clock change's gap it is moved to right after the gap, in a repeated hour it is
    the first one. What is kept is the instant, in UTC.

    Without *run_date* it is open: a job anchors it at the moment it is added, and fires at once. Until
    then it names no fire time.
    """

    kind: ClassVar[str] = "date"

    run_date: datetime | None

    def __init__(self, run_date: datetime | date | str | None = None, timezone: str | tzinfo | None = None) -> None:
        if timezone is not None:
            find_zone(timezone)  # a name that is wrong is refused even where it is not needed
        instant = None if run_date is None else read_instant(run_date, "run_date", timezone)
        object.__setattr__(self, "run_date", instant)

    def next_after(self, instant: datetime) -> datetime | None:
        if instant.tzinfo is None:
            raise naive_instant(instant)
        return self.run_date if self.run_date is not None and instant < self.run_date else None

    def anchored(self, at: datetime, seed: str = "") -> Self:
        return self if self.run_date is not None else type(self)(at)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "run_date": self.run_date.isoformat() if self.run_date else None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(value.get("run_date"))

    def __str__(self) -> str:
        return "once, when added" if self.run_date is None else f"once at {say_instant(self.run_date)}"

    def __repr__(self) -> str:
        return f"DateTrigger({self.run_date.isoformat()!r})" if self.run_date else "DateTrigger()"
