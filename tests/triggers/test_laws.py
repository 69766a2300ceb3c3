"""What every trigger obeys, whatever it is made of."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tickwork.errors import TriggerError
from tickwork.triggers import CronTrigger, DateTrigger, IntervalTrigger, Trigger, trigger_from_json

HARD_ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "America/Santiago",
    "Asia/Beirut",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Seoul",
]

zones = st.sampled_from(HARD_ZONES)
instants = st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
optional_instants = st.none() | instants


def numbers(lowest: int, highest: int) -> st.SearchStrategy[str]:
    """A field: a star, a step, a number, a range, or a list of them."""
    number = st.integers(lowest, highest)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, highest - lowest).map(lambda n: f"*/{n}")
    part = st.one_of(number.map(str), span, step)
    return st.just("*") | st.lists(part, min_size=1, max_size=3).map(",".join)


crontabs = st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 31), numbers(1, 12), numbers(0, 7)).map(" ".join)
named_fields = st.fixed_dictionaries(
    {"minute": numbers(0, 59)},
    optional={
        "month": numbers(1, 12),
        "day": numbers(1, 31),
        "week": numbers(1, 53),
        "day_of_week": numbers(0, 6),
        "hour": numbers(0, 23),
        "second": numbers(0, 59),
    },
)


@st.composite
def crons(draw: st.DrawFn) -> CronTrigger:
    fields = draw(named_fields | crontabs.map(lambda crontab: {"crontab": crontab}))
    start, end = draw(optional_instants), draw(optional_instants)
    try:
        return CronTrigger(**fields, start_date=start, end_date=end, timezone=draw(zones))
    except TriggerError:
        return CronTrigger(hour=3, timezone=draw(zones))


@st.composite
def intervals(draw: st.DrawFn) -> IntervalTrigger:
    every = draw(st.timedeltas(timedelta(milliseconds=1), timedelta(days=400)))
    start = draw(optional_instants)
    length = draw(st.none() | st.timedeltas(timedelta(0), timedelta(days=400)))
    end = None if start is None or length is None else start + length
    return IntervalTrigger(
        days=every.days, seconds=every.seconds + every.microseconds / 1e6, start_date=start, end_date=end
    )


triggers = st.one_of(instants.map(DateTrigger), intervals(), crons())


@given(triggers, instants)
def test_fire_times_strictly_increase(trigger: Trigger, instant: datetime) -> None:
    for _ in range(20):
        fire_time = trigger.next_after(instant)
        if fire_time is None:
            break
        assert fire_time > instant
        assert fire_time.tzinfo is UTC
        instant = fire_time


@given(triggers, instants, st.floats(0, 1))
def test_the_answer_is_the_same_until_it_comes_true(trigger: Trigger, instant: datetime, part: float) -> None:
    """So nothing lies between an instant and the fire time named for it."""
    fire_time = trigger.next_after(instant)
    if fire_time is None:
        assert trigger.next_after(instant + timedelta(days=1000) * part) is None
        return

    between = instant + (fire_time - instant) * part
    just_before = fire_time - timedelta(microseconds=1)

    assert trigger.next_after(min(between, just_before)) == fire_time
    assert trigger.next_after(just_before) == fire_time


@given(triggers, instants)
def test_the_zone_of_the_instant_does_not_matter(trigger: Trigger, instant: datetime) -> None:
    assert trigger.next_after(instant.astimezone()) == trigger.next_after(instant)


@given(triggers)
def test_json_and_back_is_the_same_trigger(trigger: Trigger) -> None:
    again = trigger_from_json(json.loads(json.dumps(trigger.to_json())))

    assert again == trigger
    assert hash(again) == hash(trigger)
    assert again.to_json() == trigger.to_json()


@given(triggers)
def test_the_repr_makes_the_same_trigger(trigger: Trigger) -> None:
    assert eval(repr(trigger)) == trigger


@given(triggers, instants, instants)
def test_an_anchored_trigger_is_not_moved_by_another_anchor(trigger: Trigger, at: datetime, later: datetime) -> None:
    anchored = trigger.anchored(at)

    assert anchored.anchored(later) is anchored


@given(triggers)
@settings(max_examples=50)
def test_the_ends_of_all_years_are_no_trouble(trigger: Trigger) -> None:
    first = trigger.next_after(datetime.min.replace(tzinfo=UTC))

    assert first is not None
    assert trigger.next_after(datetime.max.replace(tzinfo=UTC)) is None
