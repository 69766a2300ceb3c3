"""Dialects, special days, `H` and the rules at clock changes, by example."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tickwork.errors import TriggerError
from tickwork.triggers import CronTrigger

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday


def days_after(trigger: CronTrigger, count: int) -> list[str]:
    found, at = [], NEW_YEAR
    while len(found) < count and (following := trigger.next_after(at)) is not None:
        found.append(f"{following:%m-%d}")
        at = following
    return found


@pytest.mark.parametrize(
    ("trigger", "days"),
    [
        (CronTrigger("0 0 L * *"), ["01-31", "02-28", "03-31", "04-30"]),
        (CronTrigger("0 0 L-3 * *"), ["01-28", "02-25"]),
        (CronTrigger("0 0 LW * *"), ["01-30", "02-27", "03-31"]),
        (CronTrigger("0 0 15W * *"), ["01-15", "02-16", "03-16"]),
        (CronTrigger("0 0 1W * *"), ["02-02", "03-02", "04-01", "05-01", "06-01"]),
        (CronTrigger("0 0 * * fri#2"), ["01-09", "02-13"]),
        (CronTrigger("0 0 * * 5L"), ["01-30", "02-27"]),
        (CronTrigger(day="2nd fri"), ["01-09", "02-13"]),
        (CronTrigger(day="last sun"), ["01-25", "02-22"]),
        (CronTrigger(day="last, 1st mon"), ["01-05", "01-31", "02-02", "02-28"]),
        (CronTrigger("0 0 * * fri-mon"), ["01-02", "01-03", "01-04", "01-05", "01-09"]),
        (CronTrigger("0 0 30-2 * *"), ["01-02", "01-30", "01-31", "02-01"]),
        (CronTrigger("0 0 * * 1"), ["01-05", "01-12"]),
        (CronTrigger("0 0 * * 1", dialect="apscheduler"), ["01-06", "01-13"]),
        (CronTrigger("0 0 13 * 5", dialect="celery"), ["02-13", "03-13"]),
        (CronTrigger("0 0 0 ? * 1", dialect="quartz"), ["01-04", "01-11"]),
        (CronTrigger("0 0 0 ? * L", dialect="quartz"), ["01-03", "01-10"]),
        (CronTrigger("0 0 0 ? * 6#2 2026", dialect="quartz"), ["01-09", "02-13"]),
        (CronTrigger("0 0 0 1 * *", seconds="first"), ["02-01", "03-01"]),
        (CronTrigger("0 0 1 * * 0", seconds="last"), ["02-01", "03-01"]),
        (CronTrigger("@weekly", dialect="apscheduler"), ["01-04", "01-11"]),
    ],
    ids=str,
)
def test_days_by_example(trigger: CronTrigger, days: list[str]) -> None:
    assert days_after(trigger, len(days)) == days


@pytest.mark.parametrize(
    ("rule", "in_gap", "in_repeated_hour"),
    [
        ("debian", ["01:00"], ["00:30"]),
        ("first", ["01:00"], ["00:30"]),
        ("second", ["01:00"], ["01:30"]),
        ("both", ["01:00"], ["00:30", "01:30"]),
        ("skip", [], ["00:30"]),
        ("skip second", [], ["01:30"]),
        ("skip both", [], ["00:30", "01:30"]),
    ],
)
def test_each_rule_at_half_past_two_in_berlin(rule: str, in_gap: list[str], in_repeated_hour: list[str]) -> None:
    trigger = CronTrigger("30 2 * * *", timezone="Europe/Berlin", clock_changes=rule)

    for day, expected in (
        (datetime(2026, 3, 29, tzinfo=UTC), in_gap),
        (datetime(2026, 10, 25, tzinfo=UTC), in_repeated_hour),
    ):
        found, at = [], day
        while (at := trigger.next_after(at) or at).date() == day.date():
            found.append(f"{at:%H:%M}")
        assert found == expected


def test_a_hash_is_the_jobs_own_and_never_moves() -> None:
    trigger = CronTrigger("H H(0-7) * * *")

    assert [trigger.anchored(NEW_YEAR, name).next_after(NEW_YEAR) for name in ("a", "b")] == [
        CronTrigger("H H(0-7) * * *", seed=name).next_after(NEW_YEAR) for name in ("a", "b")
    ]
    hours = {trigger.anchored(NEW_YEAR, f"job {n}").next_after(NEW_YEAR).hour for n in range(200)}  # type: ignore[union-attr]
    assert hours == set(range(8))
    assert len({trigger.anchored(NEW_YEAR, f"job {n}").next_after(NEW_YEAR) for n in range(200)}) > 100


@pytest.mark.parametrize(
    "trigger",
    [
        CronTrigger(year=2026, month=2),
        CronTrigger("0 0 29 2 *", end_date="2028-12-31"),
        CronTrigger("0 0 0 ? 1 1 2025-2026", dialect="quartz"),
    ],
    ids=str,
)
def test_what_will_never_fire_again_says_so_at_once(trigger: CronTrigger) -> None:
    began = time.perf_counter()
    for _ in range(100):
        assert trigger.next_after(datetime(2030, 1, 1, tzinfo=UTC)) is None

    assert time.perf_counter() - began < 0.1


@pytest.mark.parametrize("options", [{"dialect": []}, {"seconds": []}, {"dialect": 7}])
def test_what_is_no_word_is_refused(options: Any) -> None:
    with pytest.raises(TriggerError, match="dialect, seconds: expected words or None, got"):
        CronTrigger("* * * * *", **options)


def test_a_text_that_is_too_long_is_not_read() -> None:
    with pytest.raises(TriggerError, match="expected a text of at most 5000 characters, got 'cron a"):
        CronTrigger.from_text("cron " + "a" * 20_000 + ", UTC")
