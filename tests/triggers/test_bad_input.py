"""Whatever a trigger is made of: what cannot be is a TriggerError of a bounded length, and no foreign exception."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tickwork.errors import TriggerError
from tickwork.triggers import (
    AllOf,
    AnyOf,
    BusinessDays,
    CalendarIntervalTrigger,
    CronTrigger,
    DateTrigger,
    FilteredTrigger,
    Holidays,
    Hours,
    IntervalTrigger,
    JitteredTrigger,
    Period,
    make_trigger,
    trigger_from_json,
)
from tickwork.triggers.clock_changes import clock_changes
from tickwork.triggers.preview import preview
from tickwork.triggers.zones import ABBREVIATIONS, find_zone

HOURLY = CronTrigger(minute=0)


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no text")

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


def many_hours() -> list[Hours]:
    return [Hours(f"00:{minute:02}:{second:02}", "23:59:59") for minute in range(2) for second in range(60)]


def many_dates() -> list[str]:
    return [str(date(2000, 1, 1) + timedelta(days=day)) for day in range(10_001)]


def nested(depth: int) -> JitteredTrigger:
    return JitteredTrigger(nested(depth - 1) if depth else HOURLY, 60)


def many_times(depth: int) -> AnyOf:
    inside = many_times(depth - 1) if depth else HOURLY
    return AnyOf([inside] * 10)


FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)
NAIVE = datetime(2026, 1, 1)

Made = Callable[[Any], object]
WITH_ANY: dict[str, Made] = {
    "date": lambda it: DateTrigger(it),
    "date zone": lambda it: DateTrigger("2026-01-01", timezone=it),
    "interval": lambda it: IntervalTrigger(days=it),
    "interval start": lambda it: IntervalTrigger(days=1, start_date=it),
    "months": lambda it: CalendarIntervalTrigger(months=it),
    "hour of a day": lambda it: CalendarIntervalTrigger(months=1, hour=it),
    "short month": lambda it: CalendarIntervalTrigger(months=1, short_month=it),
    "crontab": lambda it: CronTrigger(it),
    "year": lambda it: CronTrigger(year=it),
    "hour": lambda it: CronTrigger(hour=it),
    "zone": lambda it: CronTrigger(minute=0, timezone=it),
    "rule": lambda it: CronTrigger(minute=0, clock_changes=it),
    "dialect": lambda it: CronTrigger("0 0 * * *", dialect=it),
    "seconds": lambda it: CronTrigger("0 0 * * *", seconds=it),
    "seed": lambda it: CronTrigger("H 0 * * *", seed=it),
    "end": lambda it: CronTrigger(minute=0, end_date=it),
    "jitter": lambda it: JitteredTrigger(HOURLY, it),
    "jitter seed": lambda it: JitteredTrigger(HOURLY, 60, it),
    "jitter after": lambda it: JitteredTrigger(HOURLY, 60, after=it),
    "jitter of": lambda it: JitteredTrigger(it, 60),
    "exclude": lambda it: FilteredTrigger(HOURLY, exclude=it),
    "only": lambda it: FilteredTrigger(HOURLY, only=[it]),
    "shift": lambda it: FilteredTrigger(HOURLY, exclude="sat", shift=it),
    "region": lambda it: Holidays(it),
    "part of a region": lambda it: BusinessDays("DE", it),
    "filter zone": lambda it: FilteredTrigger(HOURLY, exclude="sat", timezone=it),
    "any of": lambda it: AnyOf(it),
    "all of": lambda it: AllOf([it]),
    "word": lambda it: make_trigger(it),
    "option": lambda it: make_trigger("interval", {"minutes": it}),
    "json": lambda it: trigger_from_json(it),
    "kind": lambda it: trigger_from_json({"kind": it}),
    "members": lambda it: trigger_from_json({"kind": "any-of", "triggers": it}),
    "member": lambda it: trigger_from_json({"kind": "filtered", "trigger": it, "exclude": ["sat"]}),
}
HOSTILE: dict[str, Any] = {
    "what has no text": Hostile(),
    "a number of thousands of digits": 10**5000,
    "the negative of it": -(10**5000),
    "infinity": float("inf"),
    "no number": float("nan"),
    "a long text": "x" * 100_000,
    "half a letter": "\ud800",
    "a null": "\x00",
    "a sign that moves the cursor": "3\x1b[2J",
    "nothing": [],
    "a dict": {},
    "bytes": b"0 0 * * *",
}
POSSIBLE = {
    ("exclude", "nothing"),  # then there are no calendars at all, which is refused elsewhere
    ("exclude", "a dict"),
    ("seed", "a null"),
    ("seed", "a sign that moves the cursor"),
    ("jitter seed", "a null"),
    ("jitter seed", "a sign that moves the cursor"),
}


@pytest.mark.parametrize(("made", "given"), [pair for pair in product(WITH_ANY, HOSTILE) if pair not in POSSIBLE])
def test_what_cannot_be_is_refused_in_a_few_words(made: str, given: str) -> None:
    with pytest.raises(TriggerError) as refused:
        WITH_ANY[made](HOSTILE[given])

    assert len(str(refused.value)) < 1500
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "make",
    [
        lambda: CalendarIntervalTrigger(months=1, start_date="0001-01-01", timezone="Asia/Seoul"),
        lambda: CalendarIntervalTrigger(months=1, start_date="9999-12-31", hour=1, timezone="America/New_York"),
        lambda: CalendarIntervalTrigger(years=9000, start_date="2026-01-01 01:00"),
        lambda: IntervalTrigger(days=3_000_000),
        lambda: FilteredTrigger(HOURLY, exclude=many_hours()),
        lambda: FilteredTrigger(HOURLY, exclude=many_dates()),
        lambda: FilteredTrigger(CronTrigger("30 9 * * mon"), only=["tue", "10:00-11:00"], shift="next"),
        lambda: nested(2),
        lambda: AllOf([HOURLY, AnyOf([AllOf([HOURLY, HOURLY])])]),
        lambda: many_times(7),
        lambda: FilteredTrigger(HOURLY, exclude="sat-sun", include="10:00-11:00", shift="next"),
        lambda: Period("2026-12-24 18:00", "9999-12-31"),
        lambda: Period(None, "0001-01-01 00:00"),
        lambda: CronTrigger.from_text("cron foo=3, UTC"),
        lambda: CronTrigger.from_text("cron hour=3 hour=4, UTC"),
        lambda: CronTrigger.from_text("cron 0 3 * * * (foo bar), UTC"),
        lambda: CronTrigger.from_text('cron H * * * *, UTC, seed "a"b"'),
        lambda: CronTrigger.from_text(3),  # type: ignore[arg-type]
        lambda: CalendarIntervalTrigger(days=1, start_date=FIRST, timezone="America/New_York"),
        lambda: CalendarIntervalTrigger(days=1, start_date=LAST, timezone="Asia/Seoul"),
        lambda: FilteredTrigger(HOURLY, exclude="sat", shift="next").next_after(NAIVE),
        lambda: FilteredTrigger(HOURLY, exclude="sat").excludes(NAIVE),
        lambda: preview(HOURLY, NAIVE, 1),
        lambda: clock_changes(HOURLY, NAIVE),
        lambda: AnyOf([JitteredTrigger(AnyOf([nested(1)]), 60)]),
        lambda: trigger_from_json({"kind": "filtered"}),
        lambda: trigger_from_json({"kind": "jittered", "jitter": 5}),
        lambda: trigger_from_json({"kind": "any-of"}),
        lambda: trigger_from_json({"kind": "any-of", "triggers": 10**5000}),
    ],
)
def test_what_can_never_be_or_would_take_long_is_refused_at_once(make: Callable[[], object]) -> None:
    with pytest.raises(TriggerError):
        make()


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Seoul")),
        datetime(9999, 12, 31, 23, tzinfo=ZoneInfo("America/New_York")),
    ],
)
def test_the_ends_of_the_calendar_are_asked_about_in_any_zone(instant: datetime) -> None:
    hourly = IntervalTrigger(hours=1)
    for trigger in (hourly, JitteredTrigger(hourly, 60), JitteredTrigger(HOURLY, 60), HOURLY):
        fire_time = trigger.next_after(instant)
        assert fire_time is None or fire_time.year < 2000
        assert trigger.anchored(instant, "job").anchored(instant) is not None


@pytest.mark.parametrize(
    ("written", "meant"), [("KST", "Asia/Seoul"), ("PST", "America/Los_Angeles"), ("seoul", "Asia/Seoul")]
)
def test_an_abbreviation_is_no_zone_and_a_hint_says_which_may_be_meant(written: str, meant: str) -> None:
    with pytest.raises(TriggerError, match=rf"got '{written}' \(did you mean '{meant}'\?\)"):
        find_zone(written)


def test_what_abbreviations_hint_at_are_zones() -> None:
    for abbreviation, meant in ABBREVIATIONS.items():
        assert find_zone(meant).key == meant
        with pytest.raises(TriggerError):
            find_zone(abbreviation)
