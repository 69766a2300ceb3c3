"""The clock changes of the next 400 days that touch a trigger, and what becomes of its fire times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tickwork.triggers import (
    AllOf,
    AnyOf,
    CalendarIntervalTrigger,
    CronTrigger,
    DateTrigger,
    FilteredTrigger,
    IntervalTrigger,
    JitteredTrigger,
    Trigger,
    make_trigger,
)
from tickwork.triggers.clock_changes import clock_changes

START = datetime(2026, 1, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def found(trigger: Trigger) -> list[tuple[str, str]]:
    return [(f"{change.time:%m-%d %H:%M}", change.outcome) for change in clock_changes(trigger, START)]


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (CronTrigger("30 2 * * *", timezone=BERLIN), [("03-29 02:30", "moved"), ("10-25 02:30", "first")]),
        (CronTrigger("30 2 * * *", timezone="Asia/Seoul"), []),
        (FilteredTrigger(CronTrigger("30 2 * * *", timezone=BERLIN), exclude="sun", shift="next"), []),
        (FilteredTrigger(CronTrigger("30 2 * * sat", timezone=BERLIN), exclude="2026-03-28", shift="next"), [("03-29 02:30", "moved")]),
        (FilteredTrigger(CronTrigger("30 2 * * fri,sat", timezone=BERLIN), exclude="2026-03-27/2026-03-28", shift="next"), [("03-29 02:30", "moved")]),
        (FilteredTrigger(CronTrigger("30 2 * * mon", timezone=BERLIN), exclude="2026-10-26", shift="previous"), [("10-25 02:30", "first")]),
        (FilteredTrigger(CronTrigger("45 2 1 * *", timezone=BERLIN), exclude="2026-10-26/2026-11-01", shift="previous"), [("10-25 02:45", "first")]),
        (FilteredTrigger(CronTrigger("30 3 * * sat", timezone=BERLIN), exclude="2026-03-28", shift="next"), []),
        (FilteredTrigger(CronTrigger("30 2 * * sat", timezone=BERLIN), exclude=["2026-03-28", "03:00-03:01"], shift="next"), []),
        (FilteredTrigger(CronTrigger("30 2,5 * * *", timezone=BERLIN), exclude="02:15-02:45"), [("03-29 02:30", "moved")]),
        (FilteredTrigger(CronTrigger("30 2 * * *", timezone=BERLIN), exclude="02:00-02:15"), [("03-29 02:30", "moved"), ("10-25 02:30", "first")]),
        (AllOf([CronTrigger("30 2 * * *", timezone=BERLIN), CronTrigger("30 2 13 * *", timezone=BERLIN)]), []),
        (CronTrigger("30 2 * * *"), []),
        (CronTrigger("30 3 * * *", timezone=BERLIN), []),
        (CronTrigger("0 3 * * *", timezone=BERLIN), []),
        (CronTrigger("30 2 * * mon-fri", timezone=BERLIN), []),
        (CronTrigger("0 1,2,3 * * *", timezone=BERLIN), [("03-29 02:00", "left out"), ("10-25 02:00", "first")]),
        (CronTrigger("*/30 2 * * *", timezone=BERLIN), [("03-29 02:00", "left out"), ("10-25 02:00", "both")]),
        (CronTrigger("30 * * * *", timezone=BERLIN), []),
        (CronTrigger("0 0 * * *", timezone="America/Santiago"), [("09-06 00:00", "moved")]),
        (CronTrigger("15 2 * * *", timezone="Australia/Lord_Howe"), [("10-04 02:15", "moved")]),
        (CronTrigger("30 2 * * *", timezone=BERLIN, end_date="2026-06-01"), [("03-29 02:30", "moved")]),
        (CronTrigger("30 2 * * *", timezone=BERLIN, start_date="2026-06-01"), [("10-25 02:30", "first")]),
        (
            CalendarIntervalTrigger(days=1, hour=2, minute=30, timezone=BERLIN),
            [("03-29 02:30", "moved"), ("10-25 02:30", "first")],
        ),
        (CalendarIntervalTrigger(days=2, hour=2, start_date="2026-03-28", timezone=BERLIN), []),
        (IntervalTrigger(hours=1), []),
        (DateTrigger(START), []),
        (JitteredTrigger(CronTrigger("30 2 * * *", timezone=BERLIN), 5), [("03-29 02:30", "moved"), ("10-25 02:30", "first")]),
        (make_trigger("cron", {"hour": 2, "minute": 30, "exclude": "sat-sun"}, timezone=BERLIN), []),
        (make_trigger("cron", {"hour": 2, "minute": 30, "exclude": "2026-03-29"}, timezone=BERLIN), [("10-25 02:30", "first")]),
        (
            AnyOf([CronTrigger("30 2 * * *", timezone=BERLIN), CronTrigger("0 0 * * *", timezone="America/Santiago")]),
            [("03-29 02:30", "moved"), ("09-06 00:00", "moved"), ("10-25 02:30", "first")],
        ),
    ],
)  # fmt: skip
def test_what_is_touched(trigger: Trigger, expected: Any) -> None:
    assert found(trigger) == expected


def test_a_change_says_what_the_wall_shows() -> None:
    gap, repeated = clock_changes(CronTrigger("30 2 * * *", timezone=BERLIN), START)

    assert (gap.before.hour, gap.after.hour, gap.repeats) == (2, 3, False)
    assert (repeated.before.hour, repeated.after.hour, repeated.repeats) == (3, 2, True)
    assert gap.at == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_four_hundred_days_are_looked_at() -> None:
    trigger = CronTrigger("30 2 * * *", timezone=BERLIN)

    assert len(clock_changes(trigger, datetime(2026, 3, 1, tzinfo=UTC))) == 3
    assert clock_changes(trigger, START, days=30) == []
