"""What retention may be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.samples import NOW

from tickwork import BackgroundScheduler, InvalidJobError, Retention
from tickwork.testing import ManualScheduler

DAY = timedelta(days=1)


def nothing() -> None: ...


def test_the_defaults_are_a_month_and_ten_thousand_rows() -> None:
    assert Retention() == Retention(age=30 * DAY, count=10_000)


@pytest.mark.parametrize(("age", "cutoff"), [(DAY, NOW - DAY), (86_400, NOW - DAY), (0, NOW), (None, None)])
def test_what_is_older_than_its_age_lies_before_the_cutoff(age: Any, cutoff: Any) -> None:
    assert Retention(age=age).cutoff(NOW) == cutoff


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"age": -DAY}, "Retention age: expected seconds, a timedelta or a text"),
        ({"age": -1}, "Retention age: expected seconds, a timedelta or a text"),
        ({"age": "30"}, "Retention age: expected seconds, a timedelta or a text"),
        ({"age": True}, "Retention age: expected seconds, a timedelta or a text"),
        ({"count": 0}, "Retention count: expected a whole number from 1 to"),
        ({"count": 1.5}, "Retention count: expected a whole number from 1 to"),
    ],
)
def test_what_is_no_retention(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        Retention(**options)


@pytest.mark.parametrize("keep", [None, 30, DAY, "30d"])
def test_a_scheduler_keeps_by_a_retention(keep: Any) -> None:
    with pytest.raises(InvalidJobError, match="keep: expected a tickwork.Retention, got"):
        BackgroundScheduler(keep=keep)


def test_one_prunes_by_a_retention_alone() -> None:
    with pytest.raises(InvalidJobError, match="keep: expected a tickwork.Retention, got 30"):
        BackgroundScheduler().prune(30)  # type: ignore[arg-type]


def test_a_job_may_have_its_own_and_change_it() -> None:
    scheduler = ManualScheduler()
    scheduler.start()
    scheduler.add_job(nothing, "interval", hours=1, id="job", keep=Retention(count=9))

    changed = scheduler.modify_job("job", keep=Retention(age=DAY))
    unset = scheduler.modify_job("job", keep=None)

    assert (changed.keep, unset.keep) == (Retention(age=DAY), None)
    with pytest.raises(InvalidJobError, match="keep: expected a tickwork.Retention or None, got 9"):
        scheduler.modify_job("job", keep=9)
    scheduler.shutdown()
