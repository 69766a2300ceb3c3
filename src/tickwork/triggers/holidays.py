"""The days on which a country, a part of it or an exchange rests, as the `holidays` package knows them.

It is an extra, `pip install 'tickwork[holidays]'`, and this file alone imports it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from tickwork.checks import shown
from tickwork.errors import TriggerError, did_you_mean
from tickwork.triggers.calendars import FIRST_WALL, FULL_NAMES, Stretch
from tickwork.triggers.pattern import DAY_ZERO, NEVER
from tickwork.triggers.zones import DAY

try:
    import holidays
except ModuleNotFoundError:
    raise TriggerError(
        "holidays: expected the package of this name, got none: pip install 'tickwork[holidays]'"
    ) from None

MAX_YEARS = 4096
"""How many years of all regions are kept; each is a few KiB."""
LAST_REFORM = (date(2026, 1, 1).toordinal() - DAY_ZERO) * DAY
"""What a country has once a year from then on, it keeps, as far as is known today."""
SATURDAY = 5
REASON = re.compile(r"(?P<name>.+) \((?P<region>\S+)(?: (?P<subdivision>\S+))?\)(?:, .+)?")


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Holidays:
    """Covers public holidays: `Holidays("KR")`, `Holidays("DE", "BY")`, `Holidays("XNYS")`.

    The *region* is a country's ISO 3166 code or an exchange's ISO 10383 code, the *subdivision* a part of
    the country. Beyond the years that the package knows, a region has no holidays.
    """

    region: str
    subdivision: str | None

    def __init__(self, region: str, subdivision: str | None = None) -> None:
        _check_region(region, subdivision)
        object.__setattr__(self, "region", region)
        object.__setattr__(self, "subdivision", subdivision)

    @property
    def whole_days(self) -> bool:
        return True

    @property
    def last_change(self) -> int:
        return LAST_REFORM

    def stretch(self, wall: int) -> Stretch:
        day = wall // DAY
        year = _year_of(day)
        if year is None:
            return Stretch(False, f"no holiday ({_say(self)})", NEVER)
        name = _holidays(self.region, self.subdivision, year).get(day)
        if name is None:
            return Stretch(False, f"no holiday ({_say(self)})", (day + 1) * DAY)
        return Stretch(True, f"{name} ({_say(self)})", (day + 1) * DAY)

    def __str__(self) -> str:
        return f"holidays {_say(self)}"

    def __repr__(self) -> str:
        return f"Holidays({_options(self)})"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class BusinessDays:
    """Covers the days that are neither weekend nor holiday: `BusinessDays("KR")`, `BusinessDays("XNYS")`.

    The weekend is that of the region, and days that a country works instead of others are business days.
    Without a *region* they are Monday to Friday.
    """

    region: str | None
    subdivision: str | None

    def __init__(self, region: str | None = None, subdivision: str | None = None) -> None:
        if region is not None:
            _check_region(region, subdivision)
        object.__setattr__(self, "region", region)
        object.__setattr__(self, "subdivision", subdivision)

    @property
    def whole_days(self) -> bool:
        return True

    @property
    def last_change(self) -> int:
        return FIRST_WALL if self.region is None else LAST_REFORM

    def stretch(self, wall: int) -> Stretch:
        day = wall // DAY
        reason = self._rest(day)
        return Stretch(reason is None, reason or "a business day", (day + 1) * DAY)

    def _rest(self, day: int) -> str | None:
        """Why nobody works on that day."""
        year = _year_of(day)
        if self.region is None or year is None:
            weekday = (day + 3) % 7
            return f"a {FULL_NAMES[weekday]}" if weekday >= SATURDAY else None
        return _days_of_rest(self.region, self.subdivision, year).get(day)

    def __str__(self) -> str:
        return f"business days {_say(self)}".rstrip()

    def __repr__(self) -> str:
        return f"BusinessDays({_options(self)})"


@lru_cache(maxsize=MAX_YEARS)
def _holidays(region: str, subdivision: str | None, year: int) -> Mapping[int, str]:
    """The holidays of one year, by the day's number since 1970.

    A calendar of the package grows while it is asked, which threads must not do to each other: each year has its own.
    """
    return {day.toordinal() - DAY_ZERO: name for day, name in _calendar(region, subdivision, year).items()}


@lru_cache(maxsize=MAX_YEARS)
def _days_of_rest(region: str, subdivision: str | None, year: int) -> Mapping[int, str]:
    calendar = _calendar(region, subdivision, year)
    first = date(year, 1, 1)
    days = (first + timedelta(days=number) for number in range((date(year, 12, 31) - first).days + 1))
    where = " ".join(filter(None, (region, subdivision)))
    return {
        day.toordinal() - DAY_ZERO: f"{calendar[day]} ({where})"
        if day in calendar
        else f"a {FULL_NAMES[day.weekday()]}"
        for day in days
        if not calendar.is_working_day(day)
    }


def in_language(reason: str, at: datetime, language: str) -> str:
    """A reason such as 'Chuseok (KR)', of a fire time at *at*, in a language that the package has for the region.

    Where it has none, and where the reason is another, it stays as it is.
    """
    said = REASON.fullmatch(reason)
    if said is None or not _is_region(said["region"], said["subdivision"]):
        return reason
    for year in range(max(at.year - 1, 1), min(at.year + 1, date.max.year) + 1):  # UTC's may not be the wall's
        name = _names(said["region"], said["subdivision"], year, language).get(said["name"])
        if name is not None:
            return f"{name}{reason.removeprefix(said['name'])}"
    return reason


@lru_cache(maxsize=MAX_YEARS)
def _names(region: str, subdivision: str | None, year: int, language: str) -> Mapping[str, str]:
    """The holidays of one year: their names in *language* by those that reasons have."""
    theirs = _calendar(region, subdivision, year, language)
    return {name: theirs[day] for day, name in _calendar(region, subdivision, year).items() if day in theirs}


def _calendar(region: str, subdivision: str | None, year: int, language: str = "en_US") -> holidays.HolidayBase:
    """The holidays of one year, named in *language*, or else as the package names them by itself."""
    kind = holidays.country_holidays if _is_country(region) else holidays.financial_holidays
    languages = kind(region, subdivision).supported_languages
    if language not in languages:
        language = "en_US"
    return kind(region, subdivision, years=year, expand=False, language=language if language in languages else None)


def _check_region(region: object, subdivision: object) -> None:
    regions = _regions()
    if not isinstance(region, str) or region not in regions:
        hint = did_you_mean(region.upper() if isinstance(region, str) else "", regions)
        raise TriggerError(
            f"holidays: expected a country or an exchange such as 'KR', 'DE' or 'XNYS', got {shown(region)}{hint}"
        )
    if subdivision is not None and not (isinstance(subdivision, str) and subdivision in regions[region]):
        parts = regions[region]
        asked = subdivision if isinstance(subdivision, str) else ""
        known = did_you_mean(asked, parts) if parts else " (it has none)"
        raise TriggerError(f"holidays: expected a part of {shown(region)}, got {shown(subdivision)}{known}")


def _regions() -> dict[str, list[str]]:
    """The parts of each region."""
    return {**holidays.list_supported_countries(), **holidays.list_supported_financial()}


def _is_region(region: str, subdivision: str | None) -> bool:
    parts = _regions().get(region)
    return parts is not None and (subdivision is None or subdivision in parts)


def _is_country(region: str) -> bool:
    return region in holidays.list_supported_countries()


def _year_of(day: int) -> int | None:
    return date.fromordinal(day + DAY_ZERO).year if 1 <= day + DAY_ZERO <= date.max.toordinal() else None


def _say(calendar: Holidays | BusinessDays) -> str:
    return " ".join(filter(None, (calendar.region, calendar.subdivision)))


def _options(calendar: Holidays | BusinessDays) -> str:
    return ", ".join(repr(part) for part in (calendar.region, calendar.subdivision) if part is not None)
