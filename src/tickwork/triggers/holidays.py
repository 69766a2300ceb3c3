"""The days on which a country, a part of it or an exchange rests, as the `holidays` package knows them.

It is an extra, `pip install 'tickwork[holidays]'`, and this file alone imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from tickwork.checks import shown
from tickwork.errors import TriggerError, did_you_mean
from tickwork.triggers.calendars import FULL_NAMES, Stretch
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
SATURDAY = 5


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


def _calendar(region: str, subdivision: str | None, year: int) -> holidays.HolidayBase:
    kind = holidays.country_holidays if _is_country(region) else holidays.financial_holidays
    languages = kind(region, subdivision).supported_languages
    language = "en_US" if "en_US" in languages else None
    return kind(region, subdivision, years=year, expand=False, language=language)


def _check_region(region: object, subdivision: object) -> None:
    regions = {**holidays.list_supported_countries(), **holidays.list_supported_financial()}
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


def _is_country(region: str) -> bool:
    return region in holidays.list_supported_countries()


def _year_of(day: int) -> int | None:
    return date.fromordinal(day + DAY_ZERO).year if 1 <= day + DAY_ZERO <= date.max.toordinal() else None


def _say(calendar: Holidays | BusinessDays) -> str:
    return " ".join(filter(None, (calendar.region, calendar.subdivision)))


def _options(calendar: Holidays | BusinessDays) -> str:
    return ", ".join(repr(part) for part in (calendar.region, calendar.subdivision) if part is not None)
