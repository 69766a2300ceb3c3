"""A trigger that never fires again says so at once, however long a search for its next fire time would take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tickwork.triggers import AllOf, AnyOf, CronTrigger, DateTrigger, FilteredTrigger, IntervalTrigger, Trigger
from tickwork.triggers.calendars import Stretch, Weekdays

ENOUGH = 12
"""How often a calendar may be asked for one answer."""
MONDAYS = CronTrigger("0 9 * * mon", timezone="Asia/Seoul")
TUESDAYS = CronTrigger("0 9 * * tue", timezone="Asia/Seoul")


class Asked(Weekdays):
    """Mondays, which count how often they are asked."""

    __slots__ = ()
    count = 0

    def stretch(self, wall: int) -> Stretch:
        Asked.count += 1
        return Weekdays.stretch(self, wall)


def filtered(trigger: Trigger, **options: object) -> FilteredTrigger:
    return FilteredTrigger(trigger, only=Asked("mon"), **options)  # type: ignore[arg-type]


DEAD: dict[str, Callable[[], Trigger]] = {
    "after a period": lambda: filtered(TUESDAYS, include="2020-01-01/2020-12-31"),
    "after dates": lambda: filtered(TUESDAYS, include=["2020-01-07", "2024-01-02"]),
    "after a period without an end began": lambda: filtered(MONDAYS, exclude="2024-01-01/"),
    "shifted until then": lambda: FilteredTrigger(
        filtered(TUESDAYS, include="2020-01-01/2020-12-31"), only="mon-thu", shift="next"
    ),
    "with an interval": lambda: filtered(
        IntervalTrigger(days=7, start_date="2019-12-31T00:00:00+00:00"), include="2020-01-01/2020-12-31"
    ),
    "members that met": lambda: AllOf(
        [AnyOf([filtered(MONDAYS), DateTrigger("2025-01-07T09:00:00+09:00")]), TUESDAYS]
    ),
    "years that are over": lambda: AllOf(
        [AnyOf([filtered(MONDAYS), CronTrigger(year="2020-2022", day_of_week="tue", hour=9, timezone="Asia/Seoul")]),
         TUESDAYS]
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", DEAD.values(), ids=DEAD.keys())
def test_what_never_fires_again_says_so_without_a_search(make: Callable[[], Trigger]) -> None:
    trigger = make()
    for year in range(2026, 2126, 9):
        Asked.count = 0
        assert trigger.next_after(datetime(year, 6, 15, tzinfo=UTC)) is None
        assert Asked.count <= ENOUGH


@pytest.mark.parametrize("make", DEAD.values(), ids=DEAD.keys())
def test_until_its_last_fire_time_it_has_them_all(make: Callable[[], Trigger]) -> None:
    """The last one is found from before and is the last from anywhere."""
    trigger = make()
    fire_times = []
    at = trigger.next_after(datetime(2015, 1, 1, tzinfo=UTC))
    while at is not None and at.year < 2030:
        fire_times.append(at)
        at = trigger.next_after(at)
    assert fire_times
    assert at is None
    assert trigger.next_after(fire_times[-1] - timedelta(seconds=1)) == fire_times[-1]
    assert trigger.next_after(fire_times[-1]) is None


def test_what_comes_again_after_the_last_date_is_not_dead() -> None:
    """A 29 February that is a Monday: 2016, 2044, 2072."""
    trigger = filtered(CronTrigger("0 9 29 2 *"), exclude="2044-01-01/2044-12-31")
    assert trigger.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2072, 2, 29, 9, tzinfo=UTC)


def test_a_calendar_that_does_not_say_when_it_last_changes_is_asked_on_and_on() -> None:
    class Once:
        whole_days = True

        def __str__(self) -> str:
            return "once"

        def stretch(self, wall: int) -> Stretch:
            day = wall // 86_400
            return Stretch(day == 29_220, "once", (day + 1) * 86_400)  # 1 January 2050

    trigger = FilteredTrigger(CronTrigger("0 9 * * *"), only=Once())
    assert trigger.next_after(datetime(2040, 1, 1, tzinfo=UTC)) == datetime(2050, 1, 1, 9, tzinfo=UTC)
