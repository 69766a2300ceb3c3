"""Previews show what fires and what does not, the fire times of a day, and how two triggers differ."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from tickwork.errors import TriggerError
from tickwork.triggers import AnyOf, CronTrigger, DateTrigger, FilteredTrigger, IntervalTrigger, JitteredTrigger
from tickwork.triggers.difference import compare
from tickwork.triggers.preview import preview, preview_day

START = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday
WEEK = timedelta(days=7)


def test_as_many_fire_times_as_are_asked_for_and_what_is_left_out_between_them() -> None:
    trigger = FilteredTrigger(CronTrigger(hour=9), exclude="sat-sun")

    shown = preview(trigger, START, 3)

    assert [(tick.at.day, tick.excluded) for tick in shown] == [
        (1, None), (2, None), (3, "a Saturday"), (4, "a Sunday"), (5, None),
    ]  # fmt: skip


def test_a_trigger_that_ends_is_shown_to_its_end() -> None:
    assert [tick.at for tick in preview(DateTrigger(START + WEEK), START, 5)] == [START + WEEK]
    assert preview(DateTrigger(START), START, 5) == []


def test_what_is_left_out_for_ever_is_one_tick() -> None:
    trigger = FilteredTrigger(CronTrigger(hour=9), exclude="2026-01-02/")

    kept, rest = preview(trigger, START, 5)

    assert kept.at.day == 1
    assert rest.excluded == "within 2026-01-02/"
    assert rest.through == datetime.max.replace(tzinfo=UTC)


def test_every_tick_of_any_is_shown_in_order_and_once() -> None:
    weekdays = FilteredTrigger(CronTrigger(hour=9), exclude="sat-sun")
    trigger = AnyOf([weekdays, CronTrigger(day=3, hour=9), CronTrigger(day=2, hour=9)])

    shown = preview(trigger, START, 4)

    assert [(tick.at.day, tick.excluded) for tick in shown] == [
        (1, None),
        (2, None),
        (3, None),  # a Saturday, on which another fires
        (4, "a Sunday"),
        (5, None),
    ]


@pytest.mark.parametrize(
    ("zone", "day", "count"),
    [
        ("UTC", date(2026, 3, 29), 24),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Pacific/Apia", date(2011, 12, 30), 0),
    ],
)
def test_a_day_has_the_hours_that_its_clock_shows(zone: str, day: date, count: int) -> None:
    assert len(preview_day(CronTrigger(minute=0, timezone=zone), day)) == count


def test_the_day_is_one_of_the_zone_that_is_asked_for() -> None:
    (tick,) = preview_day(CronTrigger(hour=20), date(2026, 1, 2), "Asia/Seoul")

    assert tick.at == datetime(2026, 1, 1, 20, 0, tzinfo=UTC)


def test_a_day_begins_at_its_first_instant() -> None:
    trigger = JitteredTrigger(FilteredTrigger(CronTrigger(minute="*/30"), exclude="00:30-23:00"), 10, "refresh")

    shown = preview_day(trigger, date(2026, 1, 2))

    assert [tick.at.replace(second=0, microsecond=0).strftime("%H:%M") for tick in shown] == [
        "00:00",
        "00:30",
        "23:00",
        "23:30",
    ]
    assert shown[1].excluded == "within 00:30-23:00"


def test_what_only_one_of_two_triggers_fires() -> None:
    found = compare(CronTrigger("0 9 * * *"), CronTrigger("0 9 * * mon-fri"), after=START, until=START + WEEK)

    assert [at.day for at in found.only_first] == [3, 4]
    assert found.only_second == ()
    assert found.moved == ()
    assert found.same == 5
    assert found


def test_what_moved_within_a_day() -> None:
    found = compare(
        CronTrigger("0 9 * * *"), CronTrigger("30 8,18 * * mon-fri"), after=START, until=START + 2 * WEEK / 7
    )

    assert [(one.day, one.hour, other.hour) for one, other in found.moved] == [(1, 9, 8), (2, 9, 8)]
    assert [at.hour for at in found.only_second] == [18, 18]


def test_days_are_those_of_the_first_trigger_s_zone() -> None:
    found = compare(
        CronTrigger("0 1 * * *", timezone="Asia/Seoul"), CronTrigger("0 20 * * *", timezone="Asia/Seoul"),
        after=START, until=START + timedelta(days=1),
    )  # fmt: skip

    assert [at.hour for at in found.only_second] == [11]
    assert [at.hour for at in found.only_first] == [16]


def test_triggers_that_fire_alike_do_not_differ() -> None:
    assert not compare(CronTrigger("0 9 * * *"), CronTrigger(hour=9), after=START, until=START + WEEK)


def test_a_period_that_is_too_long_is_refused() -> None:
    with pytest.raises(
        TriggerError, match="compare: expected at most 100000 fire times until 2026-01-08 00:00 UTC, got more"
    ):
        compare(IntervalTrigger(seconds=1), IntervalTrigger(seconds=2), after=START, until=START + WEEK)
