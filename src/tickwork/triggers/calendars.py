"""Calendars: which days and hours of the wall clock something covers. Triggers leave them out, or keep to them.

    Dates("2026-12-25", "2027-01-01")                   "2026-12-25,2027-01-01"
    Weekdays("sat-sun")                                 "sat-sun"               (or "weekend", "weekdays")
    Hours("22:00", "06:00")                             "22:00-06:00"
    Period("2026-12-24 18:00", "2027-01-02 09:00")      "2026-12-24 18:00/2027-01-02 09:00"
    Holidays("KR")                                      "holidays KR"          (holidays.py)
    BusinessDays("KR")                                  "business days KR"

The rule: a calendar is a frozen value with one text, which `read_calendar` reads back. It speaks of
what the clock on the wall shows; the trigger that uses it knows the zone.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from functools import reduce
from operator import or_
from typing import NamedTuple, Protocol, TypeAlias

from tickwork.checks import shown
from tickwork.errors import TriggerError, did_you_mean
from tickwork.triggers.dialects import WEEKDAYS
from tickwork.triggers.instants import said_of
from tickwork.triggers.pattern import DAY_ZERO, NEVER
from tickwork.triggers.zones import DAY, FIRST_SECOND, LAST_SECOND

WALL_ZERO = datetime(1970, 1, 1)  # noqa: DTZ001  (walls have no zone)
FIRST_WALL, LAST_WALL = FIRST_SECOND, LAST_SECOND
"""Of the years 1 to 9999."""
FULL_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
GROUPS = {"weekend": "sat-sun", "weekends": "sat-sun", "weekdays": "mon-fri"}
EVERY_WEEKDAY = (1 << 7) - 1
MAX_DATES = 10_000
MAX_CALENDARS = 30
"""Of one option. Each is asked about each fire time; dates count as one."""
TIME = r"\d{1,2}:\d\d(?::\d\d)?"
HOURS = re.compile(rf"({TIME})-({TIME})")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
FORMS = "'2026-12-25', 'sat-sun', '22:00-06:00', '2026-12-24/2027-01-02', 'holidays KR' or 'business days KR'"


class Stretch(NamedTuple):
    """Whether a calendar covers a second of the wall, why or why not, and the second until which that holds."""

    covered: bool
    reason: str
    until: int


class Calendar(Protocol):
    """Days or hours that can be left out, or kept to. Its `str` is the text that `read_calendar` reads."""

    @property
    def whole_days(self) -> bool:
        """Whether it covers days from midnight to midnight. Only such days are shifted."""
        ...

    def stretch(self, wall: int) -> Stretch:
        """What is true at this second of the wall clock, counted from 1970."""
        ...


def last_change(calendar: Calendar) -> int:
    """The second of the wall from which on it only repeats what it said before; LAST_WALL if that is not known.

    A calendar that knows has a property `last_change`.
    """
    known: int = getattr(calendar, "last_change", LAST_WALL)
    return known


CalendarLike: TypeAlias = Calendar | date | str
"""A calendar, its text, or a date."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Dates:
    """Covers the dates that are named: `Dates("2026-12-25", date(2027, 1, 1))`."""

    dates: tuple[date, ...]
    _days: tuple[int, ...] = field(compare=False)

    def __init__(self, *dates: date | str) -> None:
        read = tuple(sorted({_read_date(written, "date") for written in dates}))
        if not 0 < len(read) <= MAX_DATES:
            raise TriggerError(f"dates: expected 1 to {MAX_DATES} dates, got {len(read)}: name them")
        object.__setattr__(self, "dates", read)
        object.__setattr__(self, "_days", tuple(day.toordinal() - DAY_ZERO for day in read))

    @property
    def whole_days(self) -> bool:
        return True

    @property
    def last_change(self) -> int:
        return (self._days[-1] + 1) * DAY

    def stretch(self, wall: int) -> Stretch:
        day = wall // DAY
        index = bisect_left(self._days, day)
        if index == len(self._days):
            return Stretch(False, "after the last date that is named", NEVER)
        if self._days[index] == day:
            return Stretch(True, f"the date {self.dates[index]}", (day + 1) * DAY)
        return Stretch(False, "not a date that is named", self._days[index] * DAY)

    def __str__(self) -> str:
        return ",".join(map(str, self.dates))

    def __repr__(self) -> str:
        return f"Dates({', '.join(repr(str(day)) for day in self.dates)})"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Weekdays:
    """Covers days of the week: `Weekdays("sat-sun")`, `Weekdays("mon", "wed")`."""

    weekdays: int
    """As bits, Monday at 0."""

    def __init__(self, *names: str) -> None:
        spans = [span for name in names for span in _as_text(name, "weekdays").lower().split(",")]
        if not spans:
            raise TriggerError("weekdays: expected the names of days, got none: write 'sat-sun', or 'mon', 'wed'")
        object.__setattr__(self, "weekdays", reduce(or_, map(_read_weekdays, spans)))

    @property
    def whole_days(self) -> bool:
        return True

    @property
    def last_change(self) -> int:
        return FIRST_WALL

    def stretch(self, wall: int) -> Stretch:
        day = wall // DAY
        weekday = (day + 3) % 7  # 1 January 1970 was a Thursday
        until = NEVER if self.weekdays == EVERY_WEEKDAY else (day + 1) * DAY
        return Stretch(bool(self.weekdays >> weekday & 1), f"a {FULL_NAMES[weekday]}", until)

    def __str__(self) -> str:
        return _say_runs(day for day in range(7) if self.weekdays >> day & 1)

    def __repr__(self) -> str:
        return f"Weekdays({str(self)!r})"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Hours:
    """Covers the same hours of every day, from *start* until before *end*: `Hours("22:00", "06:00")`.

    Hours that end before they begin go over midnight; "24:00" is the end of the day.
    """

    start: int
    end: int
    """Seconds since midnight."""

    def __init__(self, start: time_of_day | str, end: time_of_day | str) -> None:
        begin, until = _read_time(start), _read_time(end) or DAY
        if begin >= DAY or begin == until or (begin == 0 and until == DAY):
            raise TriggerError(f"hours: expected a part of the day, got {start}-{end}: write '22:00-06:00'")
        object.__setattr__(self, "start", begin)
        object.__setattr__(self, "end", until)

    @property
    def whole_days(self) -> bool:
        return False

    @property
    def last_change(self) -> int:
        return FIRST_WALL

    def stretch(self, wall: int) -> Stretch:
        midnight = wall - wall % DAY
        inside = self.start < self.end  # they lie within one day
        low, high = (self.start, self.end) if inside else (self.end, self.start)
        if wall - midnight < low:
            covered, until = not inside, midnight + low
        elif wall - midnight < high:
            covered, until = inside, midnight + high
        else:
            covered, until = not inside, midnight + DAY + low
        return Stretch(covered, f"within {self}" if covered else f"not within {self}", until)

    def __str__(self) -> str:
        return f"{_say_time(self.start)}-{_say_time(self.end)}"

    def __repr__(self) -> str:
        return f"Hours({_say_time(self.start)!r}, {_say_time(self.end)!r})"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Period:
    """Covers the time from *start* until before *end*, as the wall clock of the trigger's zone shows them.

    An *end* that is a date alone ends with that day; without one the period has no such end.

        Period("2026-12-24 18:00", "2027-01-02 09:00")
        Period("2026-12-24", "2026-12-31")
    """

    start: int | None
    end: int | None
    """Seconds of the wall since 1970."""

    def __init__(self, start: datetime | date | str | None, end: datetime | date | str | None = None) -> None:
        begin = None if start is None else _read_wall(start, "start", 0)
        until = None if end is None else _read_wall(end, "end", DAY)
        if begin is None and until is None:
            raise TriggerError("period: expected a start or an end, got neither: give Period(start, end)")
        if begin is not None and until is not None and until <= begin:
            raise TriggerError(f"period: expected an end after its start, got {start} to {end}: exchange them")
        if until is not None and not FIRST_WALL < until <= LAST_WALL:
            raise TriggerError(f"period: expected an end within the years 1 to 9999, got {end}: leave it out")
        object.__setattr__(self, "start", begin)
        object.__setattr__(self, "end", until)

    @property
    def whole_days(self) -> bool:
        return (self.start or 0) % DAY == 0 and (self.end or 0) % DAY == 0

    @property
    def last_change(self) -> int:
        return max(end for end in (self.start, self.end) if end is not None)

    def stretch(self, wall: int) -> Stretch:
        if self.start is not None and wall < self.start:
            return Stretch(False, f"before {self}", self.start)
        if self.end is not None and wall >= self.end:
            return Stretch(False, f"after {self}", NEVER)
        return Stretch(True, f"within {self}", NEVER if self.end is None else self.end)

    def __str__(self) -> str:
        return "/".join(self._ends())

    def __repr__(self) -> str:
        return f"Period({', '.join(repr(text or None) for text in self._ends())})"

    def _ends(self) -> tuple[str, str]:
        if self.whole_days:
            last = None if self.end is None else self.end - DAY
            return _say_wall(self.start)[:10], _say_wall(last)[:10]
        return _say_wall(self.start), _say_wall(self.end)


def read_calendars(written: CalendarLike | Iterable[CalendarLike] | None, name: str) -> tuple[Calendar, ...]:
    """The calendars that an option of a trigger names: one, or a list; dates of a list are one calendar."""
    if written is None:
        return ()
    listed: Iterable[object] = written if isinstance(written, Iterable) and not isinstance(written, str) else [written]
    dates: list[date] = []
    read: list[Calendar] = []
    for one in listed:
        if len(read) == MAX_CALENDARS:
            raise TriggerError(f"{name}: expected at most {MAX_CALENDARS} calendars, got more: join them in fewer")
        calendar = _read_one(one, name)
        if isinstance(calendar, Dates):
            dates.extend(calendar.dates)
            if len(dates) > MAX_DATES:
                raise TriggerError(f"{name}: expected at most {MAX_DATES} dates, got more: write a period")
        elif calendar not in read:
            read.append(calendar)
    return (Dates(*dates), *read) if dates else tuple(read)


def read_calendar(text: str) -> Calendar:
    """The calendar that *text* means, or a TriggerError that shows the forms."""
    said = " ".join(_as_text(text, "calendar").split())
    if said.startswith("holidays "):
        from tickwork.triggers.holidays import Holidays  # noqa: PLC0415  (its library is an extra)

        return Holidays(*said.split(" ", 2)[1:])
    if f"{said} ".startswith("business days "):
        from tickwork.triggers.holidays import BusinessDays  # noqa: PLC0415

        return BusinessDays(*said.split(" ", 3)[2:])
    if "/" in said:
        start, _, end = said.partition("/")
        return Period(start.strip() or None, end.strip() or None)
    if hours := HOURS.fullmatch(said):
        return Hours(hours[1], hours[2])
    if said[:1].isdigit():
        return Dates(*(part.strip() for part in said.split(",")))
    if said.lower() in GROUPS:
        return Weekdays(GROUPS[said.lower()])
    if said[:3].lower() in WEEKDAYS:
        return Weekdays(*(part.strip() for part in said.split(",")))
    raise TriggerError(f"calendar: expected {FORMS}, got {shown(text)}")


def _read_one(written: object, name: str) -> Calendar:
    if isinstance(written, str):
        return read_calendar(written)
    if isinstance(written, date) and not isinstance(written, datetime):
        return Dates(written)
    if callable(getattr(written, "stretch", None)):
        return written  # type: ignore[return-value]  # it has what a calendar has
    raise TriggerError(f"{name}: expected a calendar, its text or a date, got {shown(written)}: write {FORMS}")


def _read_date(written: object, name: str) -> date:
    if isinstance(written, date) and not isinstance(written, datetime):
        return written
    if isinstance(written, str) and DATE.fullmatch(written):
        try:
            return date.fromisoformat(written)
        except ValueError as error:
            raise TriggerError(f"{name}: expected a date such as '2026-12-25', got {shown(written)}: {error}") from None
    raise TriggerError(f"{name}: expected a date such as '2026-12-25', got {shown(written)}")


def _read_weekdays(span: str) -> int:
    first, dash, last = span.strip().partition("-")
    first, last = (name[:3] if name.title() in FULL_NAMES else name for name in (first, last))
    for name in (first, last) if dash else (first,):
        if name not in WEEKDAYS:
            raise TriggerError(
                f"weekdays: expected days such as 'sat-sun', got {shown(span)}{did_you_mean(name, WEEKDAYS)}"
            )
    low, high = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    return sum(1 << (low + day) % 7 for day in range((high - low) % 7 + 1))


def _read_time(written: time_of_day | str) -> int:
    if isinstance(written, time_of_day) and written.tzinfo is None and not written.microsecond:
        return written.hour * 3600 + written.minute * 60 + written.second
    if isinstance(written, str) and re.fullmatch(TIME, written):
        hour, minute, second = (*map(int, written.split(":")), 0)[:3]
        if (hour < 24 and minute < 60 and second < 60) or (hour, minute, second) == (24, 0, 0):
            return hour * 3600 + minute * 60 + second
    raise TriggerError(f"hours: expected a time of the day such as '22:00', got {shown(written)}")


def _read_wall(written: object, name: str, length_of_date: int) -> int:
    """Seconds of the wall; a date alone is *length_of_date* after its midnight."""
    if isinstance(written, str) and DATE.fullmatch(written):
        written = _read_date(written, name)
    if isinstance(written, date) and not isinstance(written, datetime):
        return (written.toordinal() - DAY_ZERO) * DAY + length_of_date
    wall = written
    if isinstance(written, str):
        try:
            wall = datetime.fromisoformat(written)
        except ValueError as error:
            raise TriggerError(
                f"{name}: expected a time such as '2026-12-24 18:00', got {shown(written)}: {said_of(error)}"
            ) from None
    if isinstance(wall, datetime) and wall.tzinfo is None and not wall.microsecond:
        return (wall - WALL_ZERO) // timedelta(seconds=1)
    raise TriggerError(
        f"{name}: expected a time such as '2026-12-24 18:00', got {shown(written)}: "
        "give it without a zone, as the clock of the trigger's zone shows it"
    )


def _as_text(written: object, name: str) -> str:
    if not isinstance(written, str):
        raise TriggerError(f"{name}: expected text, got {shown(written)}")
    return written


def _say_runs(weekdays: Iterable[int]) -> str:
    """Weekdays by their names, those that follow each other as a range: 'mon-fri,sun'."""
    runs: list[list[int]] = []
    for day in weekdays:
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join("-".join(WEEKDAYS[day] for day in dict.fromkeys((run[0], run[-1]))) for run in runs)


def _say_time(seconds: int) -> str:
    hour, second = divmod(seconds, 3600)
    minute, second = divmod(second, 60)
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def _say_wall(wall: int | None) -> str:
    if wall is None:
        return ""
    return str(WALL_ZERO + timedelta(seconds=wall)).removesuffix(":00")
