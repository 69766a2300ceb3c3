"""What every trigger obeys, whatever it is made of."""

from __future__ import annotations

import copy
import json
import pickle
import random
import threading
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from tickwork.errors import TriggerError
from tickwork.triggers import (
    AllOf,
    AnyOf,
    BusinessDays,
    Calendar,
    CalendarIntervalTrigger,
    CronTrigger,
    Dates,
    DateTrigger,
    FilteredTrigger,
    Holidays,
    Hours,
    IntervalTrigger,
    JitteredTrigger,
    Period,
    Trigger,
    Weekdays,
    trigger_from_json,
)
from tickwork.triggers.base import is_open
from tickwork.triggers.filtered import SINCE
from tickwork.triggers.ticks import ticks

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


plain_crontabs = st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 31), numbers(1, 12), numbers(0, 7)).map(" ".join)
days = numbers(1, 31) | st.sampled_from(["L", "L-3", "LW", "15W", "1W,31W", "L-2W", "28-3", "H", "H/9", "1,L"])
weekdays = numbers(0, 7) | st.sampled_from(["fri#2", "5L", "sunl", "fri-mon", "6-2", "mon#1,wed#3", "H", "7"])
hours = numbers(0, 23) | st.sampled_from(["22-3", "H", "H(0-7)", "23-1/2", "H/5"])
minutes = numbers(0, 59) | st.sampled_from(["H", "H/15", "H(10-40)/7", "58-2"])
full_crontabs = st.tuples(minutes, hours, days, numbers(1, 12) | st.just("oct-mar"), weekdays).map(" ".join)
crontabs = plain_crontabs | full_crontabs
RULES = ["debian", "first", "second", "both", "skip", "skip second", "skip both"]
strings = st.one_of(
    crontabs.map(lambda crontab: {"crontab": crontab}),
    st.sampled_from(["@daily", "@hourly", "@weekly", "@monthly", "@yearly"]).map(lambda name: {"crontab": name}),
    st.tuples(numbers(0, 59), crontabs).map(lambda both: {"crontab": " ".join(both), "seconds": "first"}),
    st.tuples(crontabs, numbers(0, 59)).map(lambda both: {"crontab": " ".join(both), "seconds": "last"}),
    st.tuples(minutes, hours, days, numbers(1, 12), numbers(0, 6))
    .map(" ".join)
    .flatmap(
        lambda crontab: st.sampled_from(["apscheduler", "celery"]).map(
            lambda dialect: {"crontab": crontab, "dialect": dialect}
        )
    ),
    st.tuples(numbers(0, 59), minutes, hours, days, numbers(1, 12)).map(
        lambda fields: {"crontab": " ".join([*fields, "?"]), "dialect": "quartz"}
    ),
)
named_fields = st.fixed_dictionaries(
    {"minute": numbers(0, 59)},
    optional={
        "month": numbers(1, 12),
        "day": days | st.sampled_from(["last", "2nd fri", "last sun, 1st mon", "5th wed"]),
        "week": numbers(1, 53),
        "day_of_week": numbers(0, 6),
        "hour": numbers(0, 23),
        "second": numbers(0, 59),
    },
)


instant_zero = datetime(2026, 1, 1, tzinfo=UTC)


@st.composite
def crons(draw: st.DrawFn) -> CronTrigger:
    fields = draw(named_fields | strings)
    start, end = draw(optional_instants), draw(optional_instants)
    try:
        trigger = CronTrigger(
            **fields, start_date=start, end_date=end, timezone=draw(zones), clock_changes=draw(st.sampled_from(RULES))
        )
        return trigger.anchored(instant_zero, draw(st.sampled_from(["", "nightly", 'a "job", seed']) | st.text()))
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


@st.composite
def calendar_intervals(draw: st.DrawFn) -> CalendarIntervalTrigger:
    units = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "years": st.integers(0, 5),
                "months": st.integers(0, 30),
                "weeks": st.integers(0, 6),
                "days": st.integers(0, 40),
            },
        ).filter(lambda units: any(units.values()))
    )
    time = {"hour": draw(st.integers(0, 23)), "minute": draw(st.integers(0, 59)), "second": draw(st.integers(0, 59))}
    return CalendarIntervalTrigger(
        **units,
        **time,
        short_month=draw(st.sampled_from(["skip", "last"])),
        start_date=draw(optional_instants),
        timezone=draw(zones),
    )


walls = st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1)).map(lambda wall: wall.replace(microsecond=0))
dates = st.dates(date(2020, 1, 1), date(2030, 1, 1))
times = st.times().map(lambda time: time.replace(microsecond=0, second=0))


@st.composite
def periods(draw: st.DrawFn) -> Period:
    start = draw(walls)
    return Period(start, start + timedelta(seconds=draw(st.integers(1, 60 * 86_400))))


day_calendars: st.SearchStrategy[Calendar] = st.one_of(
    st.lists(dates, min_size=1, max_size=20).map(lambda some: Dates(*some)),
    st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1, max_size=3).map(
        lambda names: Weekdays(*names)
    ),
    st.sampled_from([Holidays("KR"), Holidays("DE", "BY"), Holidays("XNYS")]),
    st.tuples(dates, st.integers(0, 50)).map(lambda pair: Period(pair[0], pair[0] + timedelta(days=pair[1]))),
)
calendars: st.SearchStrategy[Calendar] = st.one_of(
    day_calendars,
    st.tuples(times, times).filter(lambda pair: pair[0] != pair[1] and pair[1].hour > 0).map(lambda pair: Hours(*pair)),
    periods(),
)
plain_triggers: st.SearchStrategy[Trigger] = st.one_of(intervals(), crons(), calendar_intervals())


@st.composite
def filtered(draw: st.DrawFn) -> Trigger:
    trigger = draw(plain_triggers)
    shift = draw(st.none() | st.sampled_from(["next", "previous"]))
    exclude = [draw(day_calendars), *draw(st.lists(calendars, max_size=2))]
    only = draw(st.lists(st.sampled_from([BusinessDays(), BusinessDays("KR"), Weekdays("mon-sat")]), max_size=1))
    include = draw(st.lists(calendars.filter(lambda calendar: calendar not in exclude), max_size=1))
    try:
        return FilteredTrigger(
            trigger, exclude=exclude, only=only, include=include, shift=shift, timezone=draw(st.none() | zones)
        )
    except TriggerError:
        return FilteredTrigger(CronTrigger(hour=3, timezone=draw(zones)), exclude="sat-sun", shift=shift)


@st.composite
def meeting_intervals(draw: st.DrawFn) -> AllOf:
    start = draw(instants)
    every = draw(st.lists(st.integers(1, 10_000), min_size=1, max_size=4))
    before = draw(st.lists(st.integers(0, 1000), min_size=len(every), max_size=len(every)))
    members = [
        IntervalTrigger(seconds=length, start_date=start - timedelta(seconds=length * count))
        for length, count in zip(every, before, strict=True)
    ]
    return AllOf(members)


@st.composite
def meetings(draw: st.DrawFn) -> Trigger:
    try:
        return AllOf(draw(st.lists(plain_triggers, min_size=1, max_size=3)))
    except TriggerError:
        return draw(meeting_intervals())


unjittered: st.SearchStrategy[Trigger] = st.one_of(
    instants.map(DateTrigger),
    plain_triggers,
    filtered(),
    meetings(),
    meeting_intervals(),
    st.lists(plain_triggers | filtered(), min_size=1, max_size=3).map(AnyOf),
)
jitters = st.floats(0.001, 100_000) | st.timedeltas(timedelta(milliseconds=1), timedelta(days=3))
jittered = st.tuples(unjittered, jitters, st.none() | st.text(max_size=5)).map(lambda args: JitteredTrigger(*args))
triggers = unjittered | jittered


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


@given(triggers, instants)
def test_a_copy_is_the_same_trigger(trigger: Trigger, instant: datetime) -> None:
    """Also one that went to another process, without the tables that were filled here."""
    answer = trigger.next_after(instant)

    for again in (copy.deepcopy(trigger), pickle.loads(pickle.dumps(trigger))):
        assert again == trigger
        assert hash(again) == hash(trigger)
        assert again.next_after(instant) == answer


@given(crons())
def test_a_cron_is_read_back_from_its_text(trigger: CronTrigger) -> None:
    again = CronTrigger.from_text(str(trigger))

    assert again == trigger
    assert str(again) == str(trigger)


@given(crons(), instants)
def test_nothing_happens_within_a_second(trigger: CronTrigger, instant: datetime) -> None:
    """The answer is that of the whole second below, which is the next whole second's if nothing fires there."""
    below = instant.replace(microsecond=0)

    assert trigger.next_after(instant) == trigger.next_after(below)


@given(crons(), instants)
@settings(max_examples=200)
def test_an_answer_does_not_depend_on_what_was_asked_before(trigger: CronTrigger, instant: datetime) -> None:
    """Tables and shortcuts are only that: a search without them finds the same."""
    second = int((instant.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    searched = trigger._fire_from(max(second + 1, trigger._first))

    for _ in range(2):
        fire_time = trigger.next_after(instant)
        assert (None if fire_time is None else int(fire_time.timestamp())) == searched


@given(triggers, instants, instants)
def test_an_anchored_trigger_is_not_moved_by_another_anchor(trigger: Trigger, at: datetime, later: datetime) -> None:
    try:
        anchored = trigger.anchored(at, "job")
    except TriggerError:  # its members do not meet on the grid that begins there
        return

    assert anchored.anchored(later, "another job") is anchored
    assert trigger_from_json(anchored.to_json()) == anchored


@given(triggers, instants)
def test_a_preview_shows_what_fires(trigger: Trigger, instant: datetime) -> None:
    shown = [tick.at for tick in islice(ticks(trigger, instant), 30) if tick.excluded is None]

    for at in shown:
        assert trigger.next_after(instant) == at
        instant = at


@given(triggers, instants)
def test_a_preview_is_in_order_and_after_its_instant(trigger: Trigger, instant: datetime) -> None:
    shown = [tick.at for tick in islice(ticks(trigger, instant), 30)]

    assert shown == sorted(shown)
    assert all(at > instant for at in shown)


@given(triggers)
@settings(max_examples=50)
def test_the_ends_of_all_years_are_no_trouble(trigger: Trigger) -> None:
    first = [trigger.next_after(since) for since in (datetime.min.replace(tzinfo=UTC), *SINCE)]

    assert any(first) or is_open(trigger)  # a search has bounds: perhaps not from the first year on
    assert trigger.next_after(datetime.max.replace(tzinfo=UTC)) is None


@given(triggers, st.lists(instants, min_size=5, max_size=20), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_threads_that_share_a_trigger_get_the_same_answers(
    trigger: Trigger, asked: list[datetime], dice: random.Random
) -> None:
    """What it remembers is no more than what it would find."""
    fresh = trigger_from_json(trigger.to_json())
    expected = {instant: trigger.next_after(instant) for instant in asked}
    wrong: list[datetime] = []

    def ask(order: list[datetime]) -> None:
        wrong.extend(instant for instant in order if fresh.next_after(instant) != expected[instant])

    threads = [threading.Thread(target=ask, args=(dice.sample(asked, len(asked)),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
