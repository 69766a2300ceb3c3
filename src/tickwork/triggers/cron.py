"""The cron trigger: whenever the clock on the wall shows certain times.

The rule at clock changes is Debian's. A cron of fixed times (neither hour nor minute begins with a
star) fires when the clock first comes to or passes each of them: what a gap left out fires once, right
after it, and a repeated hour does not count again. Any other cron follows the clock as it elapses:
what a gap left out is left out, and a repeated hour fires in both passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Self

from tickwork.clock import EPOCH
from tickwork.errors import TriggerError
from tickwork.triggers.fields import CronFields, read_crontab, read_named_fields
from tickwork.triggers.instants import naive_instant, read_bounds, say_bounds, write_bounds
from tickwork.triggers.zones import DAY, LAST_SECOND, LONGEST_LEAP, Zone, find_zone

MAX_SEGMENTS = 1000
"""How many segments of a zone one search looks at: 400 years in which every match falls into a gap."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class CronTrigger:
    """Fires whenever the clock of *timezone* matches, from *start_date* to *end_date*, both inclusive.

    As a crontab's expression, with Debian's rules (0 and 7 are Sunday; if day of month and day of
    week are both restricted, either will do):

        CronTrigger("0 3 * * mon-fri", timezone="Asia/Seoul")

    or as named fields, which must all match, and in which 0 is Monday:

        CronTrigger(day_of_week="mon-fri", hour=3, timezone="Asia/Seoul")

    Fields above the least one given are `*`, those below are at their minimum. The zone is UTC if none
    is given. Two crons are equal if they are written the same (apart from case, spaces and such
    defaults) with the same zone and the same ends.
    """

    kind: ClassVar[str] = "cron"

    fields: CronFields
    timezone: str
    start_date: datetime | None
    end_date: datetime | None
    _zone: Zone = field(compare=False)
    _first: int = field(compare=False)
    _last: int = field(compare=False)

    def __init__(
        self,
        crontab: str | None = None,
        *,
        year: int | str | None = None,
        month: int | str | None = None,
        day: int | str | None = None,
        week: int | str | None = None,
        day_of_week: int | str | None = None,
        hour: int | str | None = None,
        minute: int | str | None = None,
        second: int | str | None = None,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        timezone: str | tzinfo | None = None,
    ) -> None:
        zone = find_zone("UTC" if timezone is None else timezone)
        start, end = read_bounds(start_date, end_date, zone.key)
        fields = _read_fields(
            crontab,
            year=year,
            month=month,
            day=day,
            week=week,
            day_of_week=day_of_week,
            hour=hour,
            minute=minute,
            second=second,
        )
        begin = zone.first_showing(0)  # no field reaches further back than 1970
        keep = object.__setattr__
        keep(self, "fields", fields)
        keep(self, "timezone", zone.key)
        keep(self, "start_date", start)
        keep(self, "end_date", end)
        keep(self, "_zone", zone)
        keep(self, "_first", begin if start is None else max(begin, -_seconds(EPOCH - start)))
        keep(self, "_last", LAST_SECOND if end is None else _seconds(end - EPOCH))
        if self._fire_from(self._first) is None:
            raise TriggerError(
                f"cron: expected a cron that fires, got one that never does, {str(self)!r}: "
                "choose days that exist, times that no clock change leaves out, and a later end_date"
            )

    @classmethod
    def from_crontab(cls, crontab: str, *, timezone: str | tzinfo | None = None) -> Self:
        """The cron that a line of a Debian crontab means."""
        return cls(crontab, timezone=timezone)

    def next_after(self, instant: datetime) -> datetime | None:
        if instant.tzinfo is None:
            raise naive_instant(instant)
        since = instant - EPOCH
        fire = self._fire_from(max(since.days * DAY + since.seconds + 1, self._first))
        return None if fire is None else EPOCH + timedelta(0, fire)

    def _fire_from(self, at: int) -> int | None:
        """The first second at or after *at* in which the cron fires."""
        fields = self.fields
        for _ in range(MAX_SEGMENTS):
            if at > self._last:
                return None
            begin, end, offset, reached = self._zone.segment(at)
            wall = at + offset
            if fields.fixed:
                wall = reached if at == begin else max(wall, reached)
            fire = max(fields.pattern.first_from(wall) - offset, begin)
            if fire < end:
                return fire if fire <= self._last else None
            # The next segment may repeat walls that lie before `at`, if `at` is near the end of this one.
            at = end if at > end - LONGEST_LEAP else max(end, fire - LONGEST_LEAP)
        return None

    def anchored(self, at: datetime, seed: str = "") -> Self:
        return self

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **self._options()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{name: option for name, option in value.items() if name != "kind"})

    def _options(self) -> dict[str, str]:
        return {**dict(self.fields.written), "timezone": self.timezone, **write_bounds(self.start_date, self.end_date)}

    def __str__(self) -> str:
        return f"cron {self.fields}, {self.timezone}{say_bounds(self.start_date, self.end_date)}"

    def __repr__(self) -> str:
        options = self._options()
        first = [repr(options.pop("crontab"))] if "crontab" in options else []
        return f"CronTrigger({', '.join([*first, *(f'{name}={text!r}' for name, text in options.items())])})"


def _read_fields(crontab: str | None, **fields: int | str | None) -> CronFields:
    named = {name: value for name, value in fields.items() if value is not None}
    if crontab is None and not named:
        raise TriggerError('cron: expected a crontab or a field, got neither: write "0 3 * * *", or hour=3')
    if crontab is None:
        return read_named_fields(named)
    if named:
        raise TriggerError(
            f"cron: expected a crontab or named fields, got both: leave out {crontab!r}, or {', '.join(named)}"
        )
    if not isinstance(crontab, str):
        raise TriggerError(f"cron: expected a crontab such as '0 3 * * *', got {crontab!r}")
    return read_crontab(crontab)


def _seconds(length: timedelta) -> int:
    """Whole seconds, rounded down."""
    return length.days * DAY + length.seconds
