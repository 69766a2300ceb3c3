"""Calendars cover days and hours of the wall, and their text reads back."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from tickwork.errors import TriggerError
from tickwork.triggers import BusinessDays, Calendar, Dates, Holidays, Hours, Period, Weekdays
from tickwork.triggers.calendars import read_calendar, read_calendars
from tickwork.triggers.pattern import NEVER

WALL_ZERO = datetime(1970, 1, 1)


def wall(text: str) -> int:
    return (datetime.fromisoformat(text) - WALL_ZERO) // timedelta(seconds=1)


ALL = [
    Dates("2026-12-25"),
    Dates("2026-12-25", date(2027, 1, 1)),
    Weekdays("sat-sun"),
    Weekdays("fri-mon"),
    Weekdays("mon", "wed"),
    Hours("22:00", "06:00"),
    Hours("09:00", "17:30:15"),
    Hours("18:00", "24:00"),
    Period("2026-12-24", "2026-12-31"),
    Period("2026-12-24 18:00", "2027-01-02 09:00:30"),
    Period("2026-12-24"),
    Period(None, "2026-12-24"),
    Period("2026-12-24 18:00"),
    Period(None, "2026-12-24 18:00"),
    Holidays("KR"),
    Holidays("DE", "BY"),
    Holidays("XNYS"),
    BusinessDays(),
    BusinessDays("KR"),
    BusinessDays("US", "CA"),
]


@pytest.mark.parametrize("calendar", ALL, ids=str)
def test_its_text_and_its_repr_make_the_same_calendar(calendar: Calendar) -> None:
    assert read_calendar(str(calendar)) == calendar
    assert hash(read_calendar(str(calendar))) == hash(calendar)
    assert eval(repr(calendar)) == calendar


@pytest.mark.parametrize("calendar", ALL, ids=str)
def test_a_stretch_holds_until_it_says(calendar: Calendar) -> None:
    at = wall("2026-12-20 00:00")
    for _ in range(50):
        covered, _, until = calendar.stretch(at)
        assert until > at
        if until == NEVER:
            break
        assert calendar.stretch(until - 1).covered is covered
        at = until


@pytest.mark.parametrize(
    ("calendar", "time", "covered", "reason"),
    [
        (Dates("2026-12-25"), "2026-12-25 00:00", True, "the date 2026-12-25"),
        (Dates("2026-12-25"), "2026-12-25 23:59:59", True, "the date 2026-12-25"),
        (Dates("2026-12-25"), "2026-12-26 00:00", False, "after the last date that is named"),
        (Weekdays("sat-sun"), "2026-11-28 12:00", True, "a Saturday"),
        (Weekdays("sat-sun"), "2026-11-27 12:00", False, "a Friday"),
        (Weekdays("fri-mon"), "2026-11-30 12:00", True, "a Monday"),
        (Hours("22:00", "06:00"), "2026-11-27 22:00", True, "within 22:00-06:00"),
        (Hours("22:00", "06:00"), "2026-11-27 05:59:59", True, "within 22:00-06:00"),
        (Hours("22:00", "06:00"), "2026-11-27 06:00", False, "not within 22:00-06:00"),
        (Hours("09:00", "17:00"), "2026-11-27 17:00", False, "not within 09:00-17:00"),
        (Period("2026-12-24", "2026-12-31"), "2026-12-31 23:59:59", True, "within 2026-12-24/2026-12-31"),
        (Period("2026-12-24", "2026-12-31"), "2027-01-01 00:00", False, "after 2026-12-24/2026-12-31"),
        (Period("2026-12-24 18:00", "2027-01-02 09:00"), "2027-01-02 09:00", False, "after 2026-12-24 18:00/2027"),
        (Period("2026-12-24"), "2099-01-01 00:00", True, "within 2026-12-24/"),
        (Holidays("KR"), "2026-09-25 09:00", True, "Chuseok (KR)"),
        (Holidays("KR"), "2026-09-28 09:00", False, "no holiday (KR)"),
        (Holidays("XNYS"), "2026-11-26 09:00", True, "Thanksgiving Day (XNYS)"),
        (BusinessDays("KR"), "2026-09-25 09:00", False, "Chuseok (KR)"),
        (BusinessDays("KR"), "2026-10-10 09:00", False, "Saturday"),
        (BusinessDays("KR"), "2026-09-28 09:00", True, "a business day"),
        (BusinessDays("AE"), "2026-09-25 09:00", True, "a business day"),  # where Friday was the weekend until 2022
        (BusinessDays("AE"), "2021-09-24 09:00", False, "a Friday"),
        (BusinessDays(), "2026-09-25 09:00", True, "a business day"),
    ],
)
def test_what_is_covered_and_why(calendar: Calendar, time: str, covered: bool, reason: str) -> None:
    stretch = calendar.stretch(wall(time))

    assert stretch.covered is covered
    assert reason in stretch.reason


def test_a_list_of_dates_is_one_calendar() -> None:
    read = read_calendars(["2026-12-25", date(2026, 12, 31), "sat-sun", Weekdays("sat-sun")], "exclude")

    assert read == (Dates("2026-12-25", "2026-12-31"), Weekdays("sat-sun"))
    assert read_calendars(None, "exclude") == ()
    assert read_calendars(date(2026, 12, 25), "exclude") == (Dates("2026-12-25"),)


def test_times_of_the_day_are_written_as_people_like() -> None:
    assert Hours(time(9), time(17, 30)) == Hours("9:00", "17:30") == Hours("09:00:00", "17:30:00")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "calendar: expected '2026-12-25', 'sat-sun', "),
        ("holydays KR", "calendar: expected '2026-12-25', 'sat-sun', "),
        ("2026-02-30", "date: expected a date such as '2026-12-25', got '2026-02-30': day is out of range"),
        ("2026-2-3", "date: expected a date such as '2026-12-25', got '2026-2-3'"),
        ("sat-sum", "weekdays: expected days such as 'sat-sun', got 'sat-sum' (did you mean 'sun'?)"),
        ("22:00-22:00", "hours: expected a part of the day, got 22:00-22:00"),
        ("00:00-24:00", "hours: expected a part of the day, got 00:00-24:00"),
        ("22:00-25:00", "hours: expected a time of the day such as '22:00', got '25:00'"),
        ("2026-12-31/2026-12-24", "period: expected an end after its start, got 2026-12-31 to 2026-12-24"),
        ("2026-12-24 18:00/2026-12-24 18:00", "period: expected an end after its start"),
        ("/", "period: expected a start or an end, got neither"),
        ("2026-12-24/x", "end: expected a time such as '2026-12-24 18:00', got 'x'"),
        ("2026-12-24T00:00Z/", "start: expected a time such as '2026-12-24 18:00', got '2026-12-24T00:00Z'"),
        ("holidays XX", "holidays: expected a country or an exchange such as 'KR', 'DE' or 'XNYS', got 'XX'"),
        ("holidays kr", "holidays: expected a country or an exchange such as 'KR', 'DE' or 'XNYS', got 'kr' (did you"),
        ("holidays DE QQ", "holidays: expected a part of 'DE', got 'QQ'"),
        ("holidays XNYS CA", "holidays: expected a part of 'XNYS', got 'CA' (it has none)"),
        ("business days XX", "holidays: expected a country or an exchange"),
    ],
)
def test_what_is_no_calendar_is_refused(text: str, message: str) -> None:
    with pytest.raises(TriggerError) as refused:
        read_calendar(text)

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dates(), "dates: expected 1 to 10000 dates, got 0"),
        (lambda: Dates(5), "date: expected a date such as '2026-12-25', got 5"),  # type: ignore[arg-type]
        (lambda: Weekdays(), "weekdays: expected the names of days, got none"),
        (lambda: Weekdays(5), "weekdays: expected text, got 5"),  # type: ignore[arg-type]
        (lambda: Hours(22, 6), "hours: expected a time of the day such as '22:00', got 22"),  # type: ignore[arg-type]
        (lambda: Holidays(82), "holidays: expected a country or an exchange"),  # type: ignore[arg-type]
        (
            lambda: read_calendars([datetime(2026, 1, 1)], "exclude"),
            "exclude: expected a calendar, its text or a date, ",
        ),
        (lambda: read_calendars(5, "only"), "only: expected a calendar, its text or a date, got 5"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_a_calendar_is_refused(make: Any, message: str) -> None:
    with pytest.raises(TriggerError) as refused:
        make()

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("said", "meant"),
    [("weekend", "sat-sun"), ("Weekdays", "mon-fri"), ("saturday", "sat"), ("Friday-monday", "mon,fri-sun")],
)
def test_days_are_named_as_people_name_them(said: str, meant: str) -> None:
    assert str(read_calendar(said)) == meant
