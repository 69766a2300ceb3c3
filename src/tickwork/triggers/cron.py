"""The cron trigger: whenever the clock on the wall shows certain times.

The rule: a zone is a row of segments in each of which the clock runs evenly, so a fire time is a match of the
pattern (`pattern.py`) on the wall of one segment. Only at a segment's ends does the rule for clock changes
(`clock_rule.py`) have a say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Literal, Self

from tickwork.checks import shown
from tickwork.clock import EPOCH
from tickwork.errors import TriggerError
from tickwork.triggers.clock_rule import DEBIAN_RULE, ClockRule, find_rule
from tickwork.triggers.dialects import NAMED_FIELDS
from tickwork.triggers.fields import CronFields, read_crontab, read_named_fields
from tickwork.triggers.hashed import check_seed
from tickwork.triggers.instants import (
    MIDNIGHTS,
    MINUTES,
    as_datetime,
    naive_instant,
    read_bounds,
    say_bounds,
    write_bounds,
)
from tickwork.triggers.pattern import DAY_ZERO
from tickwork.triggers.zones import AREA_BITS, DAY, FIRST_SECOND, LAST_SECOND, LONGEST_LEAP, Zone, find_zone

LONGEST_TEXT = 5_000
"""Characters: of fields, and of a seed, of which JSON may write each in twelve."""
MAX_SEGMENTS = 400
"""How many segments one search looks at. In so many, each kind of year has met each rule of a zone: where every
match falls into a gap then, it always will."""

TEXT = re.compile(
    r"cron (?P<fields>[^()]+?|[^()]*\([\d-]+\).*?)(?: \((?P<options>[a-z, ]+)\))?, (?P<timezone>[^, ]+)"
    r"(?:, clock changes (?P<clock_changes>[a-z]+(?: second| both)?))?"
    r"(?: from (?P<start_date>[\d:. -]+) UTC)?(?: until (?P<end_date>[\d:. -]+) UTC)?"
    r'(?:, seed (?P<seed>".*"))?'
)
FIELD_NAMES = tuple(known.name for known in NAMED_FIELDS)
NO_FIELDS = (None,) * len(FIELD_NAMES)
TEXT_OPTIONS = {"timezone", "clock_changes", "start_date", "end_date", "dialect", "seconds"}
NAMED_FIELD = re.compile(r"([a-z_]+)=([^=]*)(?: |$)")


@dataclass(frozen=True, slots=True, init=False, repr=False)
class CronTrigger:
    """Fires whenever the clock of *timezone* matches, from *start_date* to *end_date*, both inclusive.

    As a crontab's expression, with Debian's rules (0 and 7 are Sunday; if day of month and day of
    week are both restricted, either will do):

        CronTrigger("0 3 * * mon-fri", timezone="Asia/Seoul")

    or as named fields, which must all match, and in which 0 is Monday:

        CronTrigger(day_of_week="mon-fri", hour=3, timezone="Asia/Seoul")

    Named fields above the least one given are `*`, those below are at their minimum. The zone is UTC if
    none is given. Two crons are equal if they are written the same (apart from case, spaces and such
    defaults) with the same dialect, rule, zone and ends.

    *dialect* says whose string it is: "debian", "apscheduler", "celery" or "quartz". *seconds* says that a
    sixth field holds seconds, "first" or "last". *clock_changes* is the rule for times that the clock leaves
    out or shows twice: "debian", "first", "second", "both", "skip", "skip second" or "skip both".
    `H` is a number that *seed* chooses; a job gives its id. docs/cron.md has it all.
    """

    kind: ClassVar[str] = "cron"

    fields: CronFields
    timezone: str
    start_date: datetime | None
    end_date: datetime | None
    clock_changes: str
    _rule: ClockRule = field(compare=False)
    _zone: Zone = field(compare=False)
    _first: int = field(compare=False)
    _last: int = field(compare=False)
    _first_day: int = field(compare=False)
    _last_day: int = field(compare=False)
    _first_match: Callable[[int, int], tuple[int, int]] = field(compare=False)
    _dead_from: int = field(compare=False)
    """From here on every match falls into a gap, as a search has found: see `_fire_from`."""

    def __init__(
        self,
        crontab: str | None = None,
        *,
        dialect: str | None = None,
        seconds: Literal["first", "last"] | None = None,
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
        clock_changes: str = DEBIAN_RULE,
        seed: str | None = None,
    ) -> None:
        zone = find_zone("UTC" if timezone is None else timezone)
        start = end = None
        if start_date is not None or end_date is not None:
            start, end = read_bounds(start_date, end_date, zone.key)
        check_seed(seed)
        if not (dialect is None or isinstance(dialect, str)) or not (seconds is None or isinstance(seconds, str)):
            raise TriggerError(f"dialect, seconds: expected words or None, got {shown(dialect)}, {shown(seconds)}")
        given = (year, month, day, week, day_of_week, hour, minute, second)
        if isinstance(crontab, str) and given == NO_FIELDS:
            fields = read_crontab(crontab, dialect, seconds, seed)
        else:
            named = {name: value for name, value in zip(FIELD_NAMES, given, strict=True) if value is not None}
            _check_choice(crontab, named, {"dialect": dialect, "seconds": seconds})
            fields = read_named_fields(named, seed)
        keep = object.__setattr__
        keep(self, "fields", fields)
        keep(self, "timezone", zone.key)
        keep(self, "start_date", start)
        keep(self, "end_date", end)
        keep(self, "clock_changes", clock_changes)
        keep(self, "_rule", find_rule(clock_changes, fixed=fields.fixed))
        keep(self, "_zone", zone)
        keep(self, "_first", zone.first if start is None else max(zone.first, -_seconds(EPOCH - start)))
        keep(self, "_last", LAST_SECOND if end is None else _seconds(end - EPOCH))
        keep(self, "_first_day", self._first // DAY)
        keep(self, "_last_day", self._last // DAY)
        keep(self, "_first_match", fields.pattern.first_from)
        keep(self, "_dead_from", LAST_SECOND + 1)
        # Without ends no search is needed for days that always come again: no zone has kept one rule since 1970, so
        # what falls into gaps now did not always.
        sure = start is None and end is None and fields.pattern.surely_comes()
        if not sure and self._fire_from(self._first) is None:
            raise TriggerError(
                f"cron: expected a cron that fires, got one that never does, {shown(str(self), most=200)}: "
                "choose days that exist, times that no clock change leaves out, and a later end_date"
            )

    @classmethod
    def from_crontab(cls, crontab: str, *, timezone: str | tzinfo | None = None) -> Self:
        """The cron that a line of a Debian crontab means. (APScheduler's method of this name had another
        dialect: `CronTrigger(crontab, dialect="apscheduler")`.)"""
        return cls(crontab, timezone=timezone)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The cron whose `str` this is."""
        if not isinstance(text, str) or len(text) > LONGEST_TEXT:
            raise TriggerError(f"cron: expected a text of at most {LONGEST_TEXT} characters, got {shown(text)}")
        match = TEXT.fullmatch(text)
        if match is None:
            raise _no_text(text)
        options: dict[str, Any] = {name: match[name] for name in ("timezone", "clock_changes") if match[name]}
        for name in ("start_date", "end_date"):
            if match[name] is not None:
                options[name] = f"{match[name]}+00:00"
        for option in (match["options"] or "").split(", "):
            name, _, value = option.rpartition(" ")
            if option:
                options[name or "dialect"] = value
        named = NAMED_FIELD.findall(match["fields"])
        fields = dict(named)
        if len(fields) < len(named) or not {*fields} <= {*FIELD_NAMES} or not options.keys() <= TEXT_OPTIONS:
            raise _no_text(text)
        try:
            if match["seed"] is not None:
                options["seed"] = json.loads(match["seed"])
        except ValueError:
            raise _no_text(text) from None
        return cls(**fields, **options) if named else cls(match["fields"], **options)

    def next_after(self, instant: datetime) -> datetime | None:
        try:
            since = instant - EPOCH
        except TypeError:
            raise naive_instant(instant) from None
        today, second = since.days, since.seconds + 1
        quiet = self._zone.quiet
        offset = quiet.get(today >> AREA_BITS)
        if offset is not None and today > self._first_day:
            # The clock is not set today, nor on the day of the match, as in nearly every call: what `_fire_from`
            # would find, but sooner. A wall that it shows on a quiet day is shown once.
            day, second = self._first_match(today, second + offset)
            second -= offset
            if not 0 <= second < DAY:
                day += second // DAY
                second %= DAY
            there = quiet.get(day >> AREA_BITS)
            if there != offset and there is not None:  # the clock is set in between: that day shows the wall by another
                second += offset - there
                day += second // DAY
                second %= DAY
                if quiet.get(day >> AREA_BITS) != there:
                    there = None
            if there is not None and day < self._last_day:
                midnight = MIDNIGHTS.get(day)
                if midnight is None or second % 60:
                    return as_datetime(day * DAY + second)
                return midnight + MINUTES[second // 60]
            self._zone.note(day)
        at = today * DAY + since.seconds + 1
        found = self._fire_from(max(at, self._first))
        return None if found is None else as_datetime(found)

    def _fire_from(self, at: int) -> int | None:
        """The first second at or after *at* in which the cron fires."""
        after_gap, first, second = self._rule
        for _ in range(MAX_SEGMENTS):
            if at > self._last or at >= self._dead_from:
                return None
            begin, end, offset, reached, until = self._zone.segment(at)
            wall = at + offset
            if wall < reached:
                if not second:
                    wall = reached  # the clock comes here for the second time
            elif after_gap and at == begin:
                wall = reached  # and what lies between this wall and that of `begin` fires at `begin`
            day, of_day = self._first_match(0, wall)
            fire = max(day * DAY + of_day - offset, begin)
            if fire < (end if first else until):
                return fire if fire <= self._last else None
            # The next segment may repeat walls that lie before `at`, if `at` is near the end of this one.
            at = end if at > end - LONGEST_LEAP else max(end, fire - LONGEST_LEAP)
        object.__setattr__(self, "_dead_from", at)
        return None

    @property
    def last_change(self) -> int:
        """See `base.last_change`."""
        year = self.fields.pattern.last_year
        return FIRST_SECOND if year is None else (date(year + 1, 1, 2).toordinal() - DAY_ZERO) * DAY

    def named_walls(self, at: int) -> frozenset[int]:
        """See `base.named_walls`."""
        begin, _, offset, reached, _ = self._zone.segment(at)
        if at != begin or not self._rule.after_gap:
            return frozenset((at + offset,))
        walls = set()
        day, second = self._first_match(0, reached)
        while (wall := day * DAY + second) <= at + offset:
            walls.add(wall)
            day, second = self._first_match(0, wall + 1)
        return frozenset(walls)

    def anchored(self, at: datetime, seed: str = "") -> Self:
        if not seed or not self.fields.hashed or self.fields.seed is not None:
            return self
        return type(self)(**self._options(), seed=seed)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **self._options()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{name: option for name, option in value.items() if name != "kind"})

    def _options(self) -> dict[str, Any]:
        options = {**dict(self.fields.written), "timezone": self.timezone}
        if self.clock_changes != DEBIAN_RULE:
            options["clock_changes"] = self.clock_changes
        options.update(write_bounds(self.start_date, self.end_date))
        if self.fields.seed is not None:
            options["seed"] = self.fields.seed
        return options

    def __str__(self) -> str:
        rule = "" if self.clock_changes == DEBIAN_RULE else f", clock changes {self.clock_changes}"
        seed = "" if self.fields.seed is None else f", seed {json.dumps(self.fields.seed)}"
        return f"cron {self.fields}, {self.timezone}{rule}{say_bounds(self.start_date, self.end_date)}{seed}"

    def __repr__(self) -> str:
        options = self._options()
        first = [repr(options.pop("crontab"))] if "crontab" in options else []
        return f"CronTrigger({', '.join([*first, *(f'{name}={text!r}' for name, text in options.items())])})"


def _check_choice(crontab: object, named: Mapping[str, Any], of_strings: Mapping[str, str | None]) -> None:
    """It is to be named fields: no string, and nothing that belongs to one."""
    if crontab is None and not named:
        raise TriggerError('cron: expected a crontab or a field, got neither: write "0 3 * * *", or hour=3')
    if crontab is not None and named:
        raise TriggerError(
            f"cron: expected a crontab or named fields, got both: leave out {shown(crontab)}, or {', '.join(named)}"
        )
    if crontab is not None:
        raise TriggerError(f"cron: expected a crontab such as '0 3 * * *', got {shown(crontab)}")
    for name, value in of_strings.items():
        if value is not None:
            raise TriggerError(f"{name}: expected it beside a cron string only, got {shown(value)}: leave it out")


def _no_text(text: str) -> TriggerError:
    return TriggerError(f"cron: expected a text such as 'cron 0 3 * * mon-fri, Asia/Seoul', got {shown(text)}")


def _seconds(length: timedelta) -> int:
    """Whole seconds, rounded down."""
    return length.days * DAY + length.seconds
