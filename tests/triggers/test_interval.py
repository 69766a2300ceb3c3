"""The interval trigger keeps to the grid start + n * every, for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tickwork.errors import TriggerError
from tickwork.triggers import IntervalTrigger

SIX = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TOO_FAST = "a scheduler keeps no faster pace; write minutes=10, or seconds=0.2"


def test_a_given_start_is_the_first_fire_time() -> None:
    trigger = IntervalTrigger(minutes=10, start_date=SIX)

    assert trigger.next_after(SIX - timedelta(days=400)) == SIX
    assert trigger.next_after(SIX - MICROSECOND) == SIX
    assert trigger.next_after(SIX) == SIX + timedelta(minutes=10)
    assert trigger.next_after(SIX + timedelta(minutes=10) - MICROSECOND) == SIX + timedelta(minutes=10)


def test_an_open_interval_is_anchored_one_interval_before_its_first_fire_time() -> None:
    trigger = IntervalTrigger(minutes=10).anchored(SIX)

    assert trigger == IntervalTrigger(minutes=10, start_date=SIX)
    assert trigger.next_after(SIX) == SIX + timedelta(minutes=10)


def test_an_anchored_interval_stays_where_it_is() -> None:
    trigger = IntervalTrigger(minutes=10, start_date=SIX)

    assert trigger.anchored(SIX + timedelta(minutes=3)) is trigger


def test_an_open_interval_is_previewed_on_the_grid_that_begins_in_1970() -> None:
    trigger = IntervalTrigger(minutes=10)

    assert trigger.next_after(SIX + timedelta(minutes=3)) == SIX + timedelta(minutes=10)


def test_a_million_steps_do_not_drift() -> None:
    """0.1 has no exact float; a sum of floats would be off."""
    trigger = IntervalTrigger(seconds=0.1, start_date=SIX)
    far = SIX + timedelta(seconds=100_000)

    assert trigger.next_after(far - MICROSECOND) == far
    assert trigger.next_after(far) == far + timedelta(milliseconds=100)


def test_units_add_up() -> None:
    trigger = IntervalTrigger(weeks=1, days=1, hours=1.5, minutes=1, seconds=0.25)

    assert trigger.every == timedelta(days=8, hours=1, minutes=31, milliseconds=250)


def test_the_end_is_a_fire_time_if_the_grid_meets_it() -> None:
    trigger = IntervalTrigger(minutes=10, start_date=SIX, end_date=SIX + timedelta(minutes=20))

    assert trigger.next_after(SIX + timedelta(minutes=10)) == SIX + timedelta(minutes=20)
    assert trigger.next_after(SIX + timedelta(minutes=20)) is None


def test_naive_ends_are_read_in_the_zone() -> None:
    trigger = IntervalTrigger(hours=1, start_date="2026-11-23 15:00", end_date="2026-11-24", timezone="Asia/Seoul")

    assert trigger.start_date == SIX
    assert trigger.end_date == datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def test_an_interval_counts_elapsed_time_across_clock_changes() -> None:
    trigger = IntervalTrigger(days=1, start_date="2026-03-28 12:00", timezone="Europe/Berlin")

    assert trigger.next_after(datetime(2026, 3, 29, tzinfo=UTC)) == datetime(2026, 3, 29, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize("every", [{"seconds": 0.001}, {"weeks": 52}, {"days": 2_932_000}])
def test_the_end_of_all_years_is_no_fire_time(every: dict[str, float]) -> None:
    trigger = IntervalTrigger(**every, start_date=SIX)  # type: ignore[arg-type]

    assert trigger.next_after(datetime.max.replace(tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("every", "text"),
    [
        ({"minutes": 10}, "every 10 minutes"),
        ({"hours": 1}, "every hour"),
        ({"days": 7}, "every week"),
        ({"days": 10}, "every 10 days"),
        ({"minutes": 90}, "every 1 hour 30 minutes"),
        ({"seconds": 0.2}, "every 0.2 seconds"),
        ({"seconds": 61.000001}, "every 1 minute 1.000001 seconds"),
    ],
)
def test_its_text_uses_the_units_of_people(every: dict[str, float], text: str) -> None:
    assert str(IntervalTrigger(**every)) == text  # type: ignore[arg-type]


def test_its_text_names_both_ends() -> None:
    trigger = IntervalTrigger(minutes=10, start_date=SIX, end_date="2026-11-24T00:00:30Z")

    assert str(trigger) == "every 10 minutes from 2026-11-23 06:00 UTC until 2026-11-24 00:00:30 UTC"


def test_its_json_and_repr_are_its_options() -> None:
    trigger = IntervalTrigger(minutes=90, start_date=SIX)

    assert trigger.to_json() == {
        "kind": "interval",
        "hours": 1,
        "minutes": 30,
        "start_date": "2026-11-23T06:00:00+00:00",
    }
    assert repr(trigger) == "IntervalTrigger(hours=1, minutes=30, start_date='2026-11-23T06:00:00+00:00')"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "interval: expected one millisecond or more, got nothing: " + TOO_FAST),
        ({"minutes": 0}, "interval: expected one millisecond or more, got nothing: " + TOO_FAST),
        ({"hours": -1}, "interval: expected one millisecond or more, got hours=-1: " + TOO_FAST),
        ({"weeks": 1, "days": -7}, "interval: expected one millisecond or more, got weeks=1, days=-7: " + TOO_FAST),
        ({"seconds": 0.0005}, "interval: expected one millisecond or more, got seconds=0.0005: " + TOO_FAST),
        ({"seconds": 1e-9}, "interval: expected one millisecond or more, got seconds=1e-09: " + TOO_FAST),
        ({"seconds": float("nan")}, "interval: expected a finite length of time, got seconds=nan"),
        ({"seconds": float("inf")}, "interval: expected a finite length of time, got seconds=inf"),
        ({"days": 1e10}, "interval: expected a finite length of time, got days=10000000000.0"),
        ({"minutes": "10"}, "interval: expected numbers, got minutes='10': write minutes=10, or seconds=0.2"),
        ({"minutes": True}, "interval: expected numbers, got minutes=True: write minutes=10, or seconds=0.2"),
        (
            {"minutes": 1, "start_date": "2026-01-02Z", "end_date": "2026-01-01 00:00Z"},
            (
                "start_date: expected a time such as '2026-12-24 18:00' or '2026-12-24T18:00+09:00', "
                "got '2026-01-02Z': Invalid isoformat string"
            ),
        ),
        (
            {"minutes": 1, "start_date": "2026-01-02 00:00Z", "end_date": "2026-01-01 00:00Z"},
            (
                "end_date: expected a time at or after start_date 2026-01-02 00:00 UTC, got 2026-01-01 00:00 UTC: "
                "exchange them, or leave one out"
            ),
        ),
        (
            {"minutes": 1, "end_date": "2026-01-02"},
            (
                "end_date: expected a time with a time zone, got the naive '2026-01-02 00:00:00': "
                "write '2026-01-02 00:00:00+00:00', or pass timezone='Asia/Seoul'"
            ),
        ),
    ],
)
def test_an_interval_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TriggerError) as refused:
        IntervalTrigger(**options)

    assert str(refused.value) == message


def test_naive_instants_are_refused() -> None:
    naive = datetime(2026, 1, 1)

    with pytest.raises(TriggerError, match="instant: expected a time with a time zone"):
        IntervalTrigger(minutes=1).next_after(naive)
    with pytest.raises(TriggerError, match="instant: expected a time with a time zone"):
        IntervalTrigger(minutes=1).anchored(naive)


def test_an_instant_in_another_zone_is_the_same_instant() -> None:
    trigger = IntervalTrigger(hours=6, start_date=datetime(2026, 1, 1, tzinfo=UTC))

    fire_time = trigger.next_after(datetime(2026, 3, 29, 1, 59, tzinfo=ZoneInfo("Europe/Berlin")))

    assert fire_time == datetime(2026, 3, 29, 6, tzinfo=UTC)
    assert fire_time.tzinfo is UTC
