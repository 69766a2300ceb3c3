"""Jitter is a stable share of a length, given to each fire time of each job, and keeps their order."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import islice
from statistics import mean
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tickwork.errors import TriggerError
from tickwork.triggers import (
    AllOf,
    AnyOf,
    CronTrigger,
    DateTrigger,
    FilteredTrigger,
    IntervalTrigger,
    JitteredTrigger,
    Trigger,
)
from tickwork.triggers.ticks import fire_times, ticks

START = datetime(2026, 1, 1, tzinfo=UTC)
TEN_MINUTES = IntervalTrigger(minutes=10, start_date=START)


def shares(trigger: Trigger, count: int) -> list[float]:
    """By how many seconds each fire time is later."""
    return [tick.jitter.total_seconds() for tick in islice(ticks(trigger, START), count)]


def test_shares_are_pinned() -> None:
    """Other nodes, other versions and other machines must find the same ones."""
    assert shares(JitteredTrigger(TEN_MINUTES, 30, "refresh"), 3) == [26.899136, 14.625891, 9.102366]


def test_every_fire_time_is_there_a_little_later() -> None:
    trigger = JitteredTrigger(TEN_MINUTES, 30, "refresh")

    just_before = START - timedelta(microseconds=1)
    for named, at in islice(zip(fire_times(TEN_MINUTES, just_before), fire_times(trigger, START), strict=False), 500):
        assert timedelta(0) <= at - named < timedelta(seconds=30)


def test_shares_are_even_and_differ_by_job() -> None:
    some, others = (shares(JitteredTrigger(TEN_MINUTES, 30, seed), 1000) for seed in ("refresh", "report"))

    assert 14 < mean(some) < 16
    assert 14 < mean(others) < 16
    assert all(220 < sum(low <= share < low + 7.5 for share in some) < 280 for low in (0, 7.5, 15, 22.5))
    assert sum(one == other for one, other in zip(some, others, strict=True)) < 3


@pytest.mark.parametrize("jitter", [1, 60, 599, 600, 3600, 100_000])
def test_no_fire_time_is_overtaken_or_lost_however_long_the_jitter(jitter: int) -> None:
    trigger = JitteredTrigger(TEN_MINUTES, jitter, "refresh")

    found = [*islice(fire_times(trigger, START), 200)]

    for number, at in enumerate(found):
        named = START + number * timedelta(minutes=10)
        assert named <= at < named + timedelta(minutes=10)


def test_the_end_of_a_trigger_is_kept() -> None:
    end = START + timedelta(minutes=10, seconds=5)
    trigger = JitteredTrigger(IntervalTrigger(minutes=10, start_date=START, end_date=end), 60, "refresh")

    assert all(at <= end for at in fire_times(trigger, START))


def test_nothing_is_moved_into_what_is_left_out() -> None:
    nearly_ten = FilteredTrigger(CronTrigger(hour="9", minute=59, second=50), only="09:00-10:00")

    for at in islice(fire_times(JitteredTrigger(nearly_ten, 3600, "refresh"), START), 100):
        assert (at.hour, at.minute) == (9, 59)


def test_a_fire_time_that_was_shifted_beyond_the_end_is_not_moved_back() -> None:
    inner = FilteredTrigger(CronTrigger("0 9 * * *", end_date="2026-03-28 12:00"), exclude="sat-sun", shift="next")

    for seed in "abcdef":
        assert [*fire_times(JitteredTrigger(inner, 30, seed), datetime(2026, 3, 28, tzinfo=UTC))] == [
            datetime(2026, 3, 30, 9, tzinfo=UTC)
        ]


def test_the_first_end_of_all_is_the_end() -> None:
    both = AllOf([CronTrigger("0 * * * *", end_date="2026-03-28 12:00"), CronTrigger("0 * * * *")])

    for seed in "abcdef":
        last = [*fire_times(JitteredTrigger(both, 1800, seed), datetime(2026, 3, 28, 11, tzinfo=UTC))][-1]
        assert last == datetime(2026, 3, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "inside",
    [
        JitteredTrigger(AnyOf([FilteredTrigger(CronTrigger("50 * * * *"), exclude="10:00-11:00")]), 60, "inside"),
        FilteredTrigger(FilteredTrigger(CronTrigger("50 9 * * *"), exclude="10:00-11:00"), exclude="sun", shift="next"),
    ],
)
def test_nothing_is_moved_into_what_is_left_out_below_a_jitter_or_a_shift(inside: Trigger) -> None:
    for seed in ("refresh", "report", "sync"):
        for at in islice(fire_times(JitteredTrigger(inside, 3600, seed), START), 100):
            assert at.hour != 10


@pytest.mark.parametrize("around", ["any", "any that leave out more", "all", "jittered", "any of jittered"])
def test_nothing_is_moved_into_what_is_left_out_further_inside(around: str) -> None:
    office = FilteredTrigger(CronTrigger("*/10 * * * *"), exclude="09:05-17:00")
    inside: Trigger = {
        "any": AnyOf([office]),
        "any that leave out more": AnyOf([office, FilteredTrigger(CronTrigger("*/10 * * * *"), exclude="08:35-17:00")]),
        "all": AllOf([office, CronTrigger("0 * * * *")]),
        "jittered": JitteredTrigger(office, 60, "refresh"),
        "any of jittered": AnyOf([JitteredTrigger(office, 60, "refresh")]),
    }[around]

    for seed in ("refresh", "report", "sync"):
        for at in islice(fire_times(JitteredTrigger(inside, 3600, seed), START), 100):
            assert not time(9, 5) <= at.time() < time(17)


def test_a_job_s_id_is_its_seed_once() -> None:
    open_one = JitteredTrigger(IntervalTrigger(minutes=10), 30)

    anchored = open_one.anchored(START, "refresh")

    assert anchored == JitteredTrigger(TEN_MINUTES, 30, "refresh", after=START)
    assert anchored.anchored(START, "other") is anchored
    assert JitteredTrigger(TEN_MINUTES, 30, "mine").anchored(START, "refresh").seed == "mine"


def test_an_open_interval_fires_first_one_interval_after_its_job_is_added() -> None:
    """And not at once, with the jitter of its start."""
    first = JitteredTrigger(IntervalTrigger(minutes=10), 30).anchored(START, "refresh").next_after(START)

    assert first is not None
    assert timedelta(minutes=10) <= first - START < timedelta(minutes=10, seconds=30)


def test_a_date_is_jittered() -> None:
    trigger = JitteredTrigger(DateTrigger(START), 30, "refresh")

    (at,) = fire_times(trigger, START - timedelta(days=1))

    assert timedelta(0) < at - START < timedelta(seconds=30)


@pytest.mark.parametrize(
    "jitter", [0, -1, 0.0000001, float("nan"), float("inf"), "30", True, None, timedelta(0), timedelta(days=367), 1e9]
)
def test_what_is_no_jitter_is_refused(jitter: Any) -> None:
    with pytest.raises(TriggerError, match="jitter: expected seconds, a timedelta or a text"):
        JitteredTrigger(TEN_MINUTES, jitter)


def test_what_is_no_trigger_or_seed_is_refused() -> None:
    with pytest.raises(TriggerError, match="jittered: expected a trigger, got 'interval'"):
        JitteredTrigger("interval", 30)  # type: ignore[arg-type]
    with pytest.raises(TriggerError, match="seed: expected text such as a job's id, got 5"):
        JitteredTrigger(TEN_MINUTES, 30, 5)  # type: ignore[arg-type]


def test_its_texts() -> None:
    trigger = JitteredTrigger(IntervalTrigger(minutes=10), timedelta(seconds=0.5), "refresh")

    assert str(trigger) == "every 10 minutes, up to 0.5 s later"
    assert repr(trigger) == "JitteredTrigger(IntervalTrigger(minutes=10), jitter=0.5, seed='refresh')"
    assert trigger.to_json() == {
        "kind": "jittered", "trigger": {"kind": "interval", "minutes": 10}, "jitter": 0.5, "seed": "refresh",
    }  # fmt: skip


def test_an_instant_in_another_zone_is_the_same_instant() -> None:
    trigger = JitteredTrigger(CronTrigger("*/20 * * * *"), 3600, seed="x")
    instant = datetime(2026, 3, 29, 1, tzinfo=UTC)

    assert trigger.next_after(instant.astimezone(ZoneInfo("Europe/Berlin"))) == trigger.next_after(instant)


def test_what_lies_within_the_jitter_is_not_walked() -> None:
    """A day of milliseconds: 86 million of them."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    trigger = JitteredTrigger(IntervalTrigger(seconds=0.001, start_date=start), 86_400, seed="x")

    first = next(ticks(trigger, start + timedelta(days=30)))

    assert first.at == trigger.next_after(start + timedelta(days=30))


def test_the_end_of_what_a_trigger_is_made_of_is_an_end_for_its_jitter() -> None:
    ends = CronTrigger(hour=12, end_date="2026-01-10 12:00")
    trigger = JitteredTrigger(AnyOf([ends, FilteredTrigger(ends, exclude="sun")]), 36_000, seed="x")

    assert trigger.next_after(datetime(2026, 1, 9, 23, tzinfo=UTC)) == datetime(2026, 1, 10, 12, tzinfo=UTC)
