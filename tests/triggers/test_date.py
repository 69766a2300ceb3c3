"""The date trigger fires once, at the instant that its date means."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from tickwork.errors import TriggerError
from tickwork.triggers import DateTrigger

NINE = datetime(2026, 12, 24, 9, 0, tzinfo=UTC)


def test_it_fires_once_and_never_again() -> None:
    trigger = DateTrigger(NINE)

    assert trigger.next_after(NINE - timedelta(microseconds=1)) == NINE
    assert trigger.next_after(NINE) is None


@pytest.mark.parametrize(
    ("run_date", "zone"),
    [
        (datetime(2026, 12, 24, 18, 0), "Asia/Seoul"),
        (datetime(2026, 12, 24, 18, 0), ZoneInfo("Asia/Seoul")),
        (datetime(2026, 12, 24, 18, 0, tzinfo=ZoneInfo("Asia/Seoul")), None),
        ("2026-12-24T18:00+09:00", None),
        ("2026-12-24T18:00+09:00", "Europe/Berlin"),
        ("2026-12-24 18:00", "Asia/Seoul"),
        (" 2026-12-24 18:00:00 ", "Asia/Seoul"),
        ("2026-12-24T09:00Z", None),
        ("2026-12-24 09:00", UTC),
    ],
)
def test_one_instant_can_be_written_in_many_ways(run_date: datetime | str, zone: str | ZoneInfo | None) -> None:
    trigger = DateTrigger(run_date, timezone=zone)

    assert trigger == DateTrigger(NINE)
    assert hash(trigger) == hash(DateTrigger(NINE))
    assert trigger.run_date is not None
    assert trigger.run_date.tzinfo is UTC


@pytest.mark.parametrize("midnight", ["2026-12-24", date(2026, 12, 24)])
def test_a_date_alone_is_its_midnight(midnight: str | date) -> None:
    assert DateTrigger(midnight, "Asia/Seoul").run_date == datetime(2026, 12, 23, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wall", "zone", "instant"),
    [
        ("2026-03-29 02:30", "Europe/Berlin", "2026-03-29 01:00"),
        ("2026-03-29 02:00", "Europe/Berlin", "2026-03-29 01:00"),
        ("2026-03-29 03:00", "Europe/Berlin", "2026-03-29 01:00"),
        ("2011-12-30 12:00", "Pacific/Apia", "2011-12-30 10:00"),
        ("2026-10-04 02:15", "Australia/Lord_Howe", "2026-10-03 15:30"),
    ],
)
def test_a_time_in_a_gap_is_moved_to_right_after_it(wall: str, zone: str, instant: str) -> None:
    assert DateTrigger(wall, zone) == DateTrigger(instant, "UTC")


@pytest.mark.parametrize(
    ("wall", "zone", "instant"),
    [
        ("2026-10-25 02:30", "Europe/Berlin", "2026-10-25 00:30"),
        ("2026-10-25 02:00", "Europe/Berlin", "2026-10-25 00:00"),
        ("2026-10-25 03:00", "Europe/Berlin", "2026-10-25 02:00"),
        ("2026-04-05 01:45", "Australia/Lord_Howe", "2026-04-04 14:45"),
    ],
)
def test_a_time_in_a_repeated_hour_is_the_first_one(wall: str, zone: str, instant: str) -> None:
    assert DateTrigger(wall, zone) == DateTrigger(instant, "UTC")


def test_its_text_and_its_repr() -> None:
    trigger = DateTrigger("2026-12-24 18:00", timezone="Asia/Seoul")

    assert str(trigger) == "once at 2026-12-24 09:00 UTC"
    assert str(DateTrigger("2026-12-24 09:00:05Z")) == "once at 2026-12-24 09:00:05 UTC"
    assert repr(trigger) == "DateTrigger('2026-12-24T09:00:00+00:00')"
    assert eval(repr(trigger)) == trigger


def test_it_is_written_as_plain_json() -> None:
    assert DateTrigger(NINE).to_json() == {"kind": "date", "run_date": "2026-12-24T09:00:00+00:00"}


def test_an_open_date_is_anchored_at_the_moment_of_adding() -> None:
    trigger = DateTrigger()

    assert trigger.anchored(NINE) == DateTrigger(NINE)
    assert trigger.next_after(NINE) is None
    assert DateTrigger.from_json(trigger.to_json()) == trigger
    assert eval(repr(trigger)) == trigger
    assert str(trigger) == "once, when added"


def test_an_anchored_date_stays_where_it_is() -> None:
    trigger = DateTrigger(NINE)

    assert trigger.anchored(NINE + timedelta(days=1)) is trigger


@pytest.mark.parametrize(
    ("run_date", "zone", "message"),
    [
        (
            "2026-12-24 18:00",
            None,
            (
                "run_date: expected a time with a time zone, got the naive '2026-12-24 18:00:00': "
                "write '2026-12-24 18:00:00+00:00', or pass timezone='Asia/Seoul'"
            ),
        ),
        (
            "tomorrow",
            None,
            (
                "run_date: expected a time such as '2026-12-24 18:00' or '2026-12-24T18:00+09:00', "
                "got 'tomorrow': Invalid isoformat string"
            ),
        ),
        (
            "2026-02-30",
            None,
            (
                "run_date: expected a time such as '2026-12-24 18:00' or '2026-12-24T18:00+09:00', "
                "got '2026-02-30': day is out of range for month"
            ),
        ),
        (17, None, "run_date: expected a datetime or an ISO 8601 string, got 17"),
        (
            "9999-12-31 23:00-12:00",
            None,
            (
                "run_date: expected a time between the years 1 and 9999 in UTC, got '9999-12-31 23:00-12:00': "
                "choose a nearer one"
            ),
        ),
        (
            "0001-01-01 00:00",
            "Asia/Seoul",
            (
                "run_date: expected a time between the years 1 and 9999 in UTC, got '0001-01-01 00:00': "
                "choose a nearer one"
            ),
        ),
        (
            NINE,
            "Asia/Soul",
            "timezone: expected an IANA name such as 'Asia/Seoul', got 'Asia/Soul' (did you mean 'Asia/Seoul'?)",
        ),
        (
            NINE,
            timezone(timedelta(hours=9)),
            (
                "timezone: expected an IANA name such as 'Asia/Seoul' or a named ZoneInfo, "
                "got datetime.timezone(datetime.timedelta(seconds=32400)): pass its name"
            ),
        ),
    ],
)
def test_a_date_that_cannot_be_is_refused(run_date: str, zone: str | None, message: str) -> None:
    with pytest.raises(TriggerError) as refused:
        DateTrigger(run_date, zone)

    assert str(refused.value) == message


@pytest.mark.parametrize("name", ["", "Europe", "../etc/passwd", "/etc/passwd", "Nowhere/Land", "a\0b", "zone.tab"])
def test_a_name_that_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(TriggerError, match=r"^timezone: expected an IANA name"):
        DateTrigger(NINE, name)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(TriggerError) as refused:
        DateTrigger(NINE).next_after(datetime(2026, 1, 1))

    assert str(refused.value) == (
        "instant: expected a time with a time zone, got the naive '2026-01-01 00:00:00': use datetime(..., tzinfo=UTC)"
    )
