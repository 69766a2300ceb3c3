"""However triggers lie in each other, a search ends soon."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import thread_time

import pytest

from tickwork.errors import TriggerError
from tickwork.triggers import AllOf, AnyOf, CronTrigger, FilteredTrigger, Hours, JitteredTrigger
from tickwork.triggers.searching import MAX_STEPS, OutOfStepsError, Search, steps, take

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTELY, DAILY = CronTrigger("* * * * *"), CronTrigger("0 9 * * *")
FORTY_MINUTES = [Hours(f"{start // 60:02}:{start % 60:02}:01", f"{(start + 40) // 60:02}:{(start + 40) % 60:02}") for start in range(0, 1200, 40)]  # fmt: skip
MANY_STEPS = FilteredTrigger(MINUTELY, exclude=FORTY_MINUTES, only="sat")
SHIFTED = FilteredTrigger(FilteredTrigger(DAILY, exclude="sat-sun", shift="next"), exclude="fri", shift="previous")
DAYS_LATER = JitteredTrigger(JitteredTrigger(MINUTELY, timedelta(days=3)), timedelta(days=3))
SECONDS = [CronTrigger(second=f"{second}") for second in range(60)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: FilteredTrigger(MANY_STEPS, only="23:59:30-24:00"),
        lambda: FilteredTrigger(AnyOf([MANY_STEPS] * 100), only="23:59:30-24:00"),
        lambda: FilteredTrigger(SHIFTED, exclude="mon", only="10:00-11:00", shift="next"),
        lambda: FilteredTrigger(DAYS_LATER, only="sat", exclude=["00:00-12:00", "12:00-24:00"]),
        lambda: AllOf([AnyOf(SECONDS[::2]), AnyOf(SECONDS[1::2])]),
        lambda: AllOf([JitteredTrigger(SHIFTED, 30, "one"), JitteredTrigger(SHIFTED, 30, "other")]),
    ],
    ids=range(6),
)
def test_what_would_be_searched_for_long_is_refused_soon(make: Callable[[], object]) -> None:
    """Without steps that are counted together, some of these take minutes. CPU time, on a machine that is busy."""
    began = thread_time()
    with pytest.raises(TriggerError, match="10000 steps or 100 years"):
        make()

    assert thread_time() - began < 1


def test_calendars_in_calendars_keep_what_all_keep() -> None:
    trigger = FilteredTrigger(FilteredTrigger(MANY_STEPS, exclude="00:00-23:59"), only="2077-01-02")

    assert trigger.next_after(START) == datetime(2077, 1, 2, 23, 59, tzinfo=UTC)


def test_the_steps_of_searches_within_a_search_are_its_own() -> None:
    count = 0
    with Search():
        for _ in steps(MAX_STEPS // 100):
            with Search():
                for step in steps():
                    count += 1
                    if step == 99:
                        break

    assert count == MAX_STEPS // 2


def test_a_search_begins_anew_after_each_end() -> None:
    """Found or not, or left by an error of its own."""
    for error in (OutOfStepsError, LookupError):
        try:
            with Search():
                take(MAX_STEPS)
                raise error
        except LookupError:
            pass
        with Search():
            assert [step for step, _ in zip(steps(), range(MAX_STEPS), strict=False)][-1] == MAX_STEPS - 1


def test_outside_of_a_search_nobody_counts() -> None:
    take(2 * MAX_STEPS)


def test_threads_search_by_themselves() -> None:
    answers = []
    with Search():
        take(MAX_STEPS)
        other = threading.Thread(target=lambda: answers.append(SHIFTED.next_after(START)))
        other.start()
        other.join()

    assert answers == [SHIFTED.next_after(START)]
    assert answers[0] is not None
