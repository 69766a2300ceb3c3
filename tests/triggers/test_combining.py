"""Any of several triggers, and all of them: what they fire, and that no search is without end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.errors import TriggerError
from tickwork.triggers import AllOf, AnyOf, CronTrigger, DateTrigger, FilteredTrigger, IntervalTrigger
from tickwork.triggers.preview import preview
from tickwork.triggers.ticks import Tick, fire_times, not_kept, ticks

START = datetime(2026, 1, 1, tzinfo=UTC)


def seconds(trigger: Any, count: int) -> list[float]:
    """The next fire times, in seconds since START."""
    just_before = START - timedelta(microseconds=1)
    return [(at - START).total_seconds() for at in islice(fire_times(trigger, just_before), count)]


def every(length: int, *, start: int = 0, end: int | None = None) -> IntervalTrigger:
    return IntervalTrigger(
        seconds=length,
        start_date=START + timedelta(seconds=start),
        end_date=None if end is None else START + timedelta(seconds=end),
    )


def test_what_the_calendars_of_a_member_leave_out_has_its_reason() -> None:
    trigger = AllOf([FilteredTrigger(CronTrigger("0 9 * * *"), exclude="sat-sun"), CronTrigger("0 9 * * *")])
    friday = datetime(2026, 11, 27, 12, tzinfo=UTC)

    shown = [(tick.at.day, tick.excluded) for tick in preview(trigger, friday, 1)]

    assert shown == [(28, "a Saturday"), (29, "a Sunday"), (30, None)]
    assert not_kept(trigger, friday, friday + timedelta(days=1)) == Tick(friday.replace(hour=9, day=28), "a Saturday")
    assert not_kept(trigger, friday + timedelta(days=2), friday + timedelta(days=3)) is None


def test_any_of_fires_with_each_and_once_where_several_do() -> None:
    assert seconds(AnyOf([every(2), every(3)]), 6) == [0, 2, 3, 4, 6, 8]


def test_any_of_ends_with_the_last_of_them() -> None:
    assert seconds(AnyOf([every(2, end=2), every(3, end=9)]), 9) == [0, 2, 3, 6, 9]


def test_each_of_any_keeps_its_own_phase() -> None:
    """APScheduler passes one shared last fire time to all, which moves intervals."""
    trigger = AnyOf([CronTrigger(hour=10), IntervalTrigger(hours=5, start_date=START)])

    assert [second / 3600 for second in seconds(trigger, 7)] == [0, 5, 10, 15, 20, 25, 30]


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(-50, 50), st.none() | st.integers(60, 500)), min_size=1, max_size=3
    )
)
def test_intervals_meet_where_counting_says_so(members: list[tuple[int, int, int | None]]) -> None:
    fires = [set(range(start, 2000 if end is None else end + 1, length)) for length, start, end in members]
    common = sorted(second for second in set.intersection(*fires) if second >= 0)

    try:
        trigger = AllOf([every(length, start=start, end=end) for length, start, end in members])
    except TriggerError:
        assert common == []
        return

    assert seconds(trigger, 5)[: len(common)] == common[:5]


def test_intervals_meet_by_arithmetic_however_far_apart() -> None:
    apart = AllOf([every(86_399), every(86_400, start=43_199), every(7)])

    (at,) = seconds(apart, 1)

    assert at % 86_399 == at % 7 == (at - 43_199) % 86_400 == 0
    assert at > 86_399 * 40_000


def test_crons_meet() -> None:
    friday_13th = AllOf([CronTrigger("0 9 * * fri"), CronTrigger("0 9 13 * *")])

    assert friday_13th.next_after(START) == datetime(2026, 2, 13, 9, 0, tzinfo=UTC)
    assert friday_13th.next_after(datetime(2026, 2, 13, 9, 0, tzinfo=UTC)) == datetime(2026, 3, 13, 9, 0, tzinfo=UTC)


def test_crons_of_two_zones_meet_in_summer_alone() -> None:
    trigger = AllOf([
        CronTrigger(hour=16, timezone="Asia/Seoul"),
        CronTrigger(hour=9, timezone="Europe/Berlin"),
    ])  # fmt: skip

    assert trigger.next_after(START) == datetime(2026, 3, 29, 7, 0, tzinfo=UTC)
    assert trigger.next_after(datetime(2026, 10, 24, 7, 0, tzinfo=UTC)) == datetime(2027, 3, 28, 7, 0, tzinfo=UTC)


def test_an_interval_meets_a_cron() -> None:
    every_other_monday = AllOf([
        CronTrigger(day_of_week="mon", hour=9),
        IntervalTrigger(weeks=2, start_date="2026-01-05 09:00Z"),
    ])  # fmt: skip

    assert [at.day for at in islice(fire_times(every_other_monday, START), 3)] == [5, 19, 2]


def test_a_date_is_met_once() -> None:
    trigger = AllOf([every(60), DateTrigger(START + timedelta(hours=1))])

    assert seconds(trigger, 5) == [3600]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            [every(60), every(60, start=1)],
            "which never do: their starts differ by 0:00:01 more than a multiple of 0:01:00",
        ),
        ([every(6), every(4, start=1)], "all-of: expected intervals that meet, got"),
        ([every(60, start=1), CronTrigger("* * * * *")], "got none in 10000 steps or 100 years"),
        ([CronTrigger(hour=9), CronTrigger(hour=8)], "got none in 10000 steps or 100 years"),
        ([CronTrigger(hour=9), DateTrigger(START)], "got none in 10000 steps or 100 years"),
        ([every(2, end=10), every(3, start=12)], "got none in 10000 steps or 100 years"),
        ([], "all-of: expected 1 to 100 triggers, got 0"),
        ([every(1)] * 101, "all-of: expected 1 to 100 triggers, got 101"),
        ("ab", "all-of: expected a list of triggers, got 'ab'"),
        (every(1), "all-of: expected a list of triggers, got IntervalTrigger("),
        (["cron"], "all-of: expected a trigger, got 'cron': make one, such as CronTrigger(hour=9)"),
    ],
)
def test_what_cannot_meet_is_refused_at_once(members: Any, message: str) -> None:
    began = perf_counter()

    with pytest.raises(TriggerError) as refused:
        AllOf(members)

    assert message in str(refused.value)
    assert perf_counter() - began < 2


def test_open_intervals_meet_when_they_are_anchored() -> None:
    trigger = AllOf([IntervalTrigger(seconds=4), IntervalTrigger(seconds=6)])

    assert seconds(trigger.anchored(START), 3) == [0, 12, 24]
    with pytest.raises(TriggerError, match="got none in 10000 steps or 100 years"):
        AllOf([IntervalTrigger(minutes=10), CronTrigger(minute="*")]).anchored(START + timedelta(microseconds=7))


def test_what_has_met_for_the_last_time_says_so_within_a_millisecond() -> None:
    trigger = AllOf([CronTrigger(hour="*"), IntervalTrigger(hours=1, start_date=START, end_date=START)])

    began = perf_counter()
    following = trigger.next_after(START)

    assert following is None
    assert perf_counter() - began < 0.001


def test_triggers_lie_so_deep_in_each_other_and_no_deeper() -> None:
    trigger: Any = every(60)
    for _ in range(9):
        trigger = AnyOf([trigger])

    with pytest.raises(TriggerError, match="at most 10 triggers within each other"):
        AnyOf([trigger])


def test_naive_instants_are_refused() -> None:
    for kind in (AnyOf, AllOf):
        with pytest.raises(TriggerError, match="got the naive"):
            kind([every(60)]).next_after(datetime(2026, 1, 1))


def test_its_texts() -> None:
    trigger = AllOf([CronTrigger("0 9 * * fri"), CronTrigger("0 9 13 * *")])

    assert str(trigger) == "all of (cron 0 9 * * fri, UTC; cron 0 9 13 * *, UTC)"
    assert str(AnyOf([every(60)])) == "any of (every 1 minute from 2026-01-01 00:00 UTC)".replace("1 minute", "minute")
    assert trigger.to_json()["kind"] == "all-of"
    assert [member["kind"] for member in trigger.to_json()["triggers"]] == ["cron", "cron"]


def test_what_another_member_fires_is_not_shown_as_left_out() -> None:
    """In an any-of, nor in an all-of of which the any-of is a member."""
    daily = CronTrigger(hour=9)
    some = AnyOf([FilteredTrigger(daily, exclude="sat-sun"), FilteredTrigger(daily, only="sat")])
    friday = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)

    for trigger in (some, AllOf([some, CronTrigger(minute=0)])):
        shown = [(tick.at.day, tick.excluded) for tick in islice(ticks(trigger, friday), 3)]

        assert shown == [(3, None), (4, "a Sunday"), (5, None)]
