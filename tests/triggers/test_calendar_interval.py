"""The calendar interval trigger keeps to days reckoned from its start, at one time on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tickwork.errors import TriggerError
from tickwork.triggers import CalendarIntervalTrigger
from tickwork.triggers.ticks import fire_times

NOWHERE = datetime(2000, 1, 1, tzinfo=UTC)


def walls(trigger: CalendarIntervalTrigger, count: int, after: datetime = NOWHERE) -> list[str]:
    """What the clock on the wall shows at the next fire times."""
    zone = ZoneInfo(trigger.timezone)
    return [at.astimezone(zone).strftime("%Y-%m-%d %H:%M") for at in islice(fire_times(trigger, after), count)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"days": 1}, ["2026-01-31", "2026-02-01", "2026-02-02"]),
        ({"days": 10}, ["2026-01-31", "2026-02-10", "2026-02-20"]),
        ({"weeks": 2}, ["2026-01-31", "2026-02-14", "2026-02-28"]),
        ({"months": 1}, ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ({"months": 1, "short_month": "last"}, ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]),
        ({"months": 3}, ["2026-01-31", "2026-07-31", "2026-10-31", "2027-01-31"]),
        ({"years": 1}, ["2026-01-31", "2027-01-31", "2028-01-31"]),
        ({"years": 1, "months": 1}, ["2026-01-31", "2028-03-31", "2030-05-31"]),
        ({"months": 1, "days": 1}, ["2026-01-31", "2026-04-02", "2026-06-04"]),
        ({"years": 1, "start_date": "2024-02-29"}, ["2024-02-29", "2028-02-29", "2032-02-29"]),
        ({"years": 1, "start_date": "2024-02-29", "short_month": "last"}, ["2024-02-29", "2025-02-28", "2026-02-28"]),
        ({"years": 100, "start_date": "2000-02-29"}, ["2000-02-29", "2400-02-29", "2800-02-29"]),
    ],
)
def test_days_are_reckoned_from_the_start(options: dict[str, Any], expected: list[str]) -> None:
    trigger = CalendarIntervalTrigger(**{"start_date": "2026-01-31", **options}, hour=9)

    assert walls(trigger, len(expected), datetime(1999, 1, 1, tzinfo=UTC)) == [f"{day} 09:00" for day in expected]


@pytest.mark.parametrize(
    ("zone", "start", "hour", "minute", "expected"),
    [
        # a gap: once, right after it
        ("Europe/Berlin", "2026-03-28", 2, 30, ["03-28 02:30", "03-29 03:00", "03-30 02:30"]),
        ("America/Santiago", "2026-09-05", 0, 0, ["09-05 00:00", "09-06 01:00", "09-07 00:00"]),
        ("Australia/Lord_Howe", "2026-10-03", 2, 15, ["10-03 02:15", "10-04 02:30", "10-05 02:15"]),
        ("Antarctica/Troll", "2026-03-28", 1, 30, ["03-28 01:30", "03-29 03:00", "03-30 01:30"]),
        # a repeated hour: the first time only
        ("Europe/Berlin", "2026-10-24", 2, 30, ["10-24 02:30", "10-25 02:30", "10-26 02:30"]),
        ("Asia/Beirut", "2026-10-23", 23, 30, ["10-23 23:30", "10-24 23:30", "10-25 23:30"]),
    ],
)
def test_clock_changes(zone: str, start: str, hour: int, minute: int, expected: list[str]) -> None:
    trigger = CalendarIntervalTrigger(days=1, hour=hour, minute=minute, start_date=start, timezone=zone)

    assert walls(trigger, 3) == [f"2026-{time}" for time in expected]


def test_the_repeated_hour_is_the_first_one() -> None:
    trigger = CalendarIntervalTrigger(days=1, hour=2, minute=30, start_date="2026-10-25", timezone="Europe/Berlin")

    assert trigger.next_after(NOWHERE) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert trigger.next_after(datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_day_that_a_zone_leaves_out_is_fired_right_after_it() -> None:
    trigger = CalendarIntervalTrigger(days=1, hour=9, start_date="2011-12-29", timezone="Pacific/Apia")
    midnight = CalendarIntervalTrigger(days=1, start_date="2011-12-29", timezone="Pacific/Apia")

    assert walls(trigger, 3) == ["2011-12-29 09:00", "2011-12-31 00:00", "2011-12-31 09:00"]
    assert walls(midnight, 3) == ["2011-12-29 00:00", "2011-12-31 00:00", "2012-01-01 00:00"]


def test_the_start_is_an_instant_and_its_day_the_first_of_the_grid() -> None:
    late = CalendarIntervalTrigger(weeks=1, hour=9, start_date="2026-01-05 10:00", timezone="Asia/Seoul")

    assert walls(late, 2) == ["2026-01-12 09:00", "2026-01-19 09:00"]


def test_an_open_one_counts_from_the_day_on_which_it_is_added() -> None:
    trigger = CalendarIntervalTrigger(months=1, hour=9, timezone="Asia/Seoul")
    at = datetime(2026, 1, 30, 20, 0, tzinfo=UTC)  # the 31st in Seoul

    assert walls(trigger.anchored(at), 2) == ["2026-01-31 09:00", "2026-03-31 09:00"]
    assert walls(trigger, 1, at) == ["2026-02-01 09:00"]


def test_the_end_is_inclusive_and_the_last() -> None:
    trigger = CalendarIntervalTrigger(
        days=1, hour=9, start_date="2026-01-01", end_date="2026-01-02 09:00", timezone="UTC"
    )

    assert walls(trigger, 9) == ["2026-01-01 09:00", "2026-01-02 09:00"]


def test_a_far_fire_time_is_found_without_a_walk() -> None:
    trigger = CalendarIntervalTrigger(months=1, start_date="1970-01-31")

    assert trigger.next_after(datetime(9000, 1, 1, tzinfo=UTC)) == datetime(9000, 1, 31, tzinfo=UTC)
    assert trigger.next_after(datetime(9999, 12, 1, tzinfo=UTC)) is None


def test_its_texts_are_its_options() -> None:
    trigger = CalendarIntervalTrigger(
        years=1, months=6, weeks=1, hour=9, short_month="last", start_date="2026-01-31 00:00Z"
    )

    assert str(trigger) == "every 1 year 6 months 1 week at 09:00, UTC from 2026-01-31 00:00 UTC"
    assert trigger.to_json() == {
        "kind": "calendarinterval", "years": 1, "months": 6, "weeks": 1, "hour": 9,
        "short_month": "last", "timezone": "UTC", "start_date": "2026-01-31T00:00:00+00:00",
    }  # fmt: skip
    assert str(CalendarIntervalTrigger(months=1)) == "every month at 00:00, UTC"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "calendarinterval: expected years, months, weeks or days, got nothing: write months=1"),
        ({"months": 0}, "calendarinterval: expected years, months, weeks or days, got nothing"),
        ({"months": -1}, "calendarinterval: expected whole numbers from 0 to 10000, got months=-1"),
        ({"days": 1.5}, "calendarinterval: expected whole numbers from 0 to 10000, got days=1.5"),
        ({"days": "1"}, "calendarinterval: expected whole numbers from 0 to 10000, got days='1'"),
        ({"days": True}, "calendarinterval: expected whole numbers from 0 to 10000, got days=True"),
        ({"days": 1, "hour": 24}, "calendarinterval: expected hour from 0 to 23, got 24"),
        ({"days": 1, "minute": -1}, "calendarinterval: expected minute from 0 to 59, got -1"),
        ({"days": 1, "second": "x"}, "calendarinterval: expected second from 0 to 59, got 'x'"),
        ({"days": 1, "short_month": "first"}, "short_month: expected 'skip' or 'last', got 'first'"),
        ({"days": 1, "timezone": "Asia/Seul"}, "timezone: expected an IANA name"),
        (
            {"days": 1, "start_date": "2026-01-02", "end_date": "2026-01-01"},
            "end_date: expected a time at or after start_date 2026-01-02 00:00 UTC, got 2026-01-01 00:00 UTC",
        ),
        (
            {"days": 1, "hour": 9, "start_date": "2026-01-02", "end_date": "2026-01-02 08:00"},
            "calendarinterval: expected a trigger that fires, got one that ends before it does",
        ),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TriggerError) as refused:
        CalendarIntervalTrigger(**options)

    assert str(refused.value).startswith(message)


def test_naive_instants_are_refused() -> None:
    with pytest.raises(TriggerError, match="got the naive"):
        CalendarIntervalTrigger(days=1).next_after(datetime(2026, 1, 1))
    with pytest.raises(TriggerError, match="got the naive"):
        CalendarIntervalTrigger(days=1).anchored(datetime(2026, 1, 1))


def test_an_elapsed_day_is_no_calendar_day() -> None:
    """What tells it from an interval."""
    trigger = CalendarIntervalTrigger(days=1, hour=12, start_date="2026-03-28", timezone="Europe/Berlin")
    first, second = islice(fire_times(trigger, NOWHERE), 2)

    assert second - first == timedelta(hours=23)
