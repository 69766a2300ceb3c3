"""A filtered trigger fires what its calendars keep, shifts days to days that count, and says why it leaves out the rest."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, product
from time import perf_counter
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
    IntervalTrigger,
    Trigger,
    Weekdays,
)
from tickwork.triggers.ticks import fire_times, ticks

START = datetime(2026, 9, 20, 15, 0, tzinfo=UTC)  # Monday 21 September in Seoul, in the week of Chuseok
SEOUL = "Asia/Seoul"
NINE = CronTrigger(hour=9, timezone=SEOUL)


def days(trigger: Trigger, count: int, after: datetime = START) -> list[str]:
    zone = ZoneInfo(SEOUL)
    return [at.astimezone(zone).strftime("%a %d %H:%M") for at in islice(fire_times(trigger, after), count)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"exclude": "sat-sun"}, ["Mon 21", "Tue 22", "Wed 23", "Thu 24", "Fri 25", "Mon 28"]),
        ({"exclude": Holidays("KR")}, ["Mon 21", "Tue 22", "Wed 23", "Sun 27"]),
        ({"exclude": ["sat-sun", "holidays KR"]}, ["Mon 21", "Tue 22", "Wed 23", "Mon 28"]),
        ({"only": BusinessDays("KR")}, ["Mon 21", "Tue 22", "Wed 23", "Mon 28"]),
        ({"only": ["mon-fri", "2026-09-22/2026-09-29"]}, ["Tue 22", "Wed 23", "Thu 24", "Fri 25", "Mon 28", "Tue 29"]),
        ({"only": ["2026-09-22", "2026-09-27"]}, ["Tue 22", "Sun 27"]),
        ({"exclude": "sat-sun", "include": "2026-09-26"}, ["Mon 21", "Tue 22", "Wed 23", "Thu 24", "Fri 25", "Sat 26"]),
        ({"exclude": "2026-09-22 09:00/2026-09-24 09:00"}, ["Mon 21", "Thu 24", "Fri 25"]),
        ({"exclude": "2026-09-22/"}, ["Mon 21"]),
        ({"exclude": "08:00-10:00", "include": "tue"}, ["Tue 22", "Tue 29"]),
    ],
)
def test_what_is_kept(options: dict[str, Any], expected: list[str]) -> None:
    trigger = FilteredTrigger(NINE, **options)

    assert days(trigger, len(expected)) == [f"{day} 09:00" for day in expected]


@pytest.mark.parametrize(
    ("cron", "options", "expected"),
    [
        ({"day_of_week": "fri"}, {"exclude": "holidays KR", "shift": "next"}, ["Sun 27", "Fri 02", "Sat 10"]),
        ({"day_of_week": "fri"}, {"only": BusinessDays("KR"), "shift": "next"}, ["Mon 28", "Fri 02", "Mon 12"]),
        ({"day_of_week": "fri"}, {"only": BusinessDays("KR"), "shift": "previous"}, ["Wed 23", "Fri 02", "Thu 08"]),
        ({"day": 25}, {"only": BusinessDays("KR"), "shift": "previous"}, ["Wed 23", "Fri 23", "Wed 25"]),
        # what is shifted onto a fire time that is there already is one with it
        ({}, {"exclude": "sat-sun", "shift": "next"}, ["Mon 21", "Tue 22", "Wed 23", "Thu 24", "Fri 25", "Mon 28"]),
        # an hour that is left out is not shifted, and nothing is shifted into one
        ({"day": 26}, {"exclude": ["sat-sun", "08:00-10:00"], "include": "2026-10-26", "shift": "next"}, ["Mon 26"]),
    ],
)
def test_what_is_shifted(cron: dict[str, Any], options: dict[str, Any], expected: list[str]) -> None:
    trigger = FilteredTrigger(CronTrigger(**{"hour": 9, **cron}, timezone=SEOUL), **options)

    assert days(trigger, len(expected)) == [f"{day} 09:00" for day in expected]


@pytest.mark.parametrize("shift", ["next", "previous"])
@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Europe/Berlin", date(2026, 3, 20)),
        ("Europe/Berlin", date(2026, 10, 16)),
        ("America/Santiago", date(2026, 8, 28)),
        ("Asia/Beirut", date(2026, 10, 16)),
        ("Australia/Lord_Howe", date(2026, 3, 27)),
        ("Pacific/Apia", date(2011, 12, 23)),
        ("Antarctica/Troll", date(2026, 3, 20)),
    ],
)
@pytest.mark.parametrize("exclude", ["sat", "sun", "mon", "fri", "fri-sat", "sat-sun", "sat-mon"])
def test_shifts_agree_with_one_by_one_reckoning_across_clock_changes(
    zone: str, first: date, exclude: str, shift: str
) -> None:
    """Each fire time of a fortnight, moved by hand to the first instant at which the clock had come to its wall."""
    inner = CronTrigger("*/20 0,2,3,12,23 * * *", timezone=zone)
    trigger = FilteredTrigger(inner, exclude=exclude, shift=shift)  # type: ignore[arg-type]
    calendar, local, step = Weekdays(exclude), ZoneInfo(zone), timedelta(days=1 if shift == "next" else -1)
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    expected = set()
    for at in fire_times(inner, begin - timedelta(days=5)):
        if at > begin + timedelta(days=20):
            break
        shown = at.astimezone(local).replace(tzinfo=None, fold=0)
        moved = shown
        while calendar.stretch((moved - datetime(1970, 1, 1)) // timedelta(seconds=1)).covered:
            moved += step
        expected.add(at if moved == shown else first_showing(moved, local))

    end = begin + timedelta(days=14)
    found = [at for at in islice(fire_times(trigger, begin), 800) if at <= end]

    assert found == sorted(at for at in expected if begin < at <= end)


@pytest.mark.parametrize("shift", ["next", "previous"])
@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Europe/Berlin", date(2026, 3, 20)),
        ("Europe/Berlin", date(2026, 10, 16)),
        ("America/Santiago", date(2026, 8, 28)),
        ("Asia/Beirut", date(2026, 3, 20)),
        ("Australia/Lord_Howe", date(2026, 9, 25)),
        ("Antarctica/Troll", date(2026, 3, 20)),
    ],
)
@pytest.mark.parametrize("exclude", ["sat", "sun", "mon", "sat-sun", "sat-mon"])
@pytest.mark.parametrize("combined", [False, True])
def test_fixed_times_that_the_clock_left_out_are_shifted_from_where_they_lay(
    zone: str, first: date, exclude: str, shift: Any, combined: bool
) -> None:
    """The clock leaves out nothing on the day that they are moved to: there they fire at the times that are named."""
    inner: Trigger = CronTrigger("0,20,40 0,1,2,3,12,23 * * *", timezone=zone)
    if combined:
        inner = AnyOf(
            [
                CronTrigger("20,40 0,1,2,3,12,23 * * *", timezone=zone),
                CronTrigger("0 0,1,2,3,12,23 * * *", timezone=zone),
            ]
        )
    trigger = FilteredTrigger(inner, exclude=exclude, shift=shift)
    calendar, local, step = Weekdays(exclude), ZoneInfo(zone), timedelta(days=1 if shift == "next" else -1)
    midnight = datetime(first.year, first.month, first.day)
    expected = set()
    for day in range(-5, 20):
        for hour, minute in product((0, 1, 2, 3, 12, 23), (0, 20, 40)):
            wall = midnight + timedelta(days=day, hours=hour, minutes=minute)
            while calendar.stretch((wall - datetime(1970, 1, 1)) // timedelta(seconds=1)).covered:
                wall += step
            expected.add(first_showing(wall, local))

    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end = begin + timedelta(days=14)
    found = [at for at in islice(fire_times(trigger, begin), 800) if at <= end]

    assert found == sorted(at for at in expected if begin < at <= end)


@pytest.mark.parametrize("unit", ["cron", "calendar interval"])
def test_a_daily_time_that_was_left_out_and_shifted_is_that_of_the_next_day(unit: str) -> None:
    at = {"hour": 2, "minute": 30, "timezone": "Europe/Berlin"}
    daily = CronTrigger(**at) if unit == "cron" else CalendarIntervalTrigger(days=1, start_date="2026-01-01", **at)  # type: ignore[arg-type]
    trigger = FilteredTrigger(daily, exclude="sat-sun", shift="next")

    monday = [tick for tick in islice(ticks(trigger, datetime(2026, 3, 28, tzinfo=UTC)), 10) if tick.at.day == 30]

    assert [tick.at.astimezone(ZoneInfo("Europe/Berlin")).strftime("%a %d %H:%M") for tick in monday] == [
        "Mon 30 02:30"
    ]


AT_HALF_PAST_TWO = CronTrigger("30 2 * * *", timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("inner", "monday"),
    [
        (CronTrigger("0,30 2,3 * * sun", timezone="Europe/Berlin"), ["02:00", "02:30", "03:00", "03:30"]),
        (AnyOf([AT_HALF_PAST_TWO, CronTrigger("0 3 * * sun", timezone="Europe/Berlin")]), ["02:30", "03:00"]),
        (
            AnyOf(
                [AT_HALF_PAST_TWO, FilteredTrigger(CronTrigger("0 3 * * sun", timezone="Europe/Berlin"), only="sun")]
            ),
            ["02:30", "03:00"],
        ),
        (AllOf([AT_HALF_PAST_TWO, CronTrigger("30 2 * * *", timezone="Europe/Berlin")]), ["02:30"]),
        (FilteredTrigger(CronTrigger("30 2 * * sun", timezone="Europe/Berlin"), exclude="2030-01-01"), ["02:30"]),
        (AnyOf([AT_HALF_PAST_TWO, IntervalTrigger(weeks=52, start_date="2020-01-01T00:00Z")]), ["02:30"]),
    ],
)
def test_combined_fire_times_are_shifted_from_where_they_lay(inner: Trigger, monday: list[str]) -> None:
    trigger = FilteredTrigger(inner, exclude="sun", shift="next", timezone="Europe/Berlin")

    found = [
        at.astimezone(ZoneInfo("Europe/Berlin"))
        for at in islice(fire_times(trigger, datetime(2026, 3, 28, 12, tzinfo=UTC)), 8)
    ]

    assert [f"{at:%H:%M}" for at in found if at.day == 30] == monday


def test_what_is_kept_again_decades_later_is_found() -> None:
    again = ["2026-12-01/2026-12-31", "2045-01-01/2045-01-31"]
    trigger = FilteredTrigger(CronTrigger("0 9 * * *"), exclude="mon-sun", include=again)

    assert trigger.next_after(datetime(2026, 12, 31, 12, tzinfo=UTC)) == datetime(2045, 1, 1, 9, tzinfo=UTC)


def first_showing(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first minute at which the clock shows *wall* or later, searched from two days before."""
    at = wall.replace(tzinfo=UTC) - timedelta(days=2)
    for step in (timedelta(hours=1), timedelta(minutes=1)):
        while (at + step).astimezone(zone).replace(tzinfo=None) < wall:
            at += step
    return at + timedelta(minutes=1)


def test_days_are_those_of_the_trigger_s_zone_or_of_another() -> None:
    late = CronTrigger(hour=20, timezone="UTC")  # five in the morning of the next day in Seoul

    in_utc, in_seoul = FilteredTrigger(late, exclude="sun"), FilteredTrigger(late, exclude="sun", timezone=SEOUL)

    assert days(in_utc, 7) == [
        f"{day} 05:00" for day in ("Tue 22", "Wed 23", "Thu 24", "Fri 25", "Sat 26", "Sun 27", "Tue 29")
    ]
    assert days(in_seoul, 7) == [
        f"{day} 05:00" for day in ("Mon 21", "Tue 22", "Wed 23", "Thu 24", "Fri 25", "Sat 26", "Mon 28")
    ]


def test_the_zone_that_all_parts_share_is_the_default() -> None:
    both = AnyOf([NINE, CronTrigger(hour=18, timezone=SEOUL)])

    assert FilteredTrigger(both, exclude="sat-sun").timezone == SEOUL
    assert FilteredTrigger(AnyOf([NINE, CronTrigger(hour=9)]), exclude="sat-sun").timezone == "UTC"


def test_what_is_left_out_has_its_reason() -> None:
    trigger = FilteredTrigger(NINE, exclude=["sat-sun", Holidays("KR")])

    shown = [(tick.at.astimezone(ZoneInfo(SEOUL)).day, tick.excluded) for tick in islice(ticks(trigger, START), 8)]

    assert shown == [
        (21, None),
        (22, None),
        (23, None),
        (24, "The day preceding Chuseok (KR)"),
        (25, "Chuseok (KR)"),
        (26, "a Saturday"),
        (27, "a Sunday"),
        (28, None),
    ]


def test_many_that_are_left_out_for_one_reason_are_one_tick() -> None:
    trigger = FilteredTrigger(IntervalTrigger(seconds=1, start_date=START), exclude="00:00-06:00")

    kept, left_out, again = islice(ticks(trigger, START.replace(hour=23, minute=59, second=58)), 3)

    assert kept.excluded is None
    assert (left_out.at.hour, left_out.at.minute, left_out.excluded) == (0, 0, "within 00:00-06:00")
    assert left_out.through == datetime(2026, 9, 21, 5, 59, 59, tzinfo=UTC)
    assert again.at == datetime(2026, 9, 21, 6, 0, tzinfo=UTC)


def test_what_was_shifted_says_from_where_and_why() -> None:
    trigger = FilteredTrigger(CronTrigger(day=25, hour=9, timezone=SEOUL), only=BusinessDays("KR"), shift="previous")

    first, second, third = islice(ticks(trigger, START), 3)

    assert first.at == datetime(2026, 9, 23, tzinfo=UTC)
    assert first.shifted_from == datetime(2026, 9, 25, tzinfo=UTC)
    assert first.why == "Chuseok (KR)"
    assert second.why == "a Sunday"
    assert third.shifted_from is None


def test_a_day_without_a_near_one_that_counts_is_left_out() -> None:
    trigger = FilteredTrigger(
        CronTrigger(month=2, day=1, timezone="UTC"), exclude="2027-01-15/2027-03-31", shift="next"
    )

    left_out, kept = islice(ticks(trigger, START), 2)

    assert left_out.excluded == "within 2027-01-15/2027-03-31, and no day to shift to within 31 days"
    assert kept.at == datetime(2028, 2, 1, tzinfo=UTC)


def test_a_shift_across_a_long_stretch_that_is_left_out_is_found_by_a_leap() -> None:
    every_second = FilteredTrigger(CronTrigger(second="*"), exclude="2027-01-01/2090-12-31", shift="next")

    assert every_second.next_after(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)) == datetime(2091, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("shift", ["next", "previous"])
def test_what_is_shifted_ends_with_its_trigger_and_with_its_calendars(shift: Any) -> None:
    ending = FilteredTrigger(CronTrigger(hour=9, end_date="2026-09-27 12:00"), exclude="sat", shift=shift)
    closed = FilteredTrigger(CronTrigger(hour=9), exclude="2026-09-25/", shift=shift)
    always = datetime(2026, 9, 24, 12, 0, tzinfo=UTC)

    assert [at.day for at in fire_times(ending, always)] == [25, 27]
    assert list(fire_times(closed, always)) == []
    assert ending.next_after(datetime.max.replace(tzinfo=UTC)) is None


def test_an_hour_that_is_left_out_on_a_day_that_counts_is_leapt_over() -> None:
    trigger = FilteredTrigger(CronTrigger("*/10 * * * *"), exclude=["sat-sun", "00:00-08:55"], shift="next")

    assert trigger.next_after(datetime(2026, 9, 20, 12, 0, tzinfo=UTC)) == datetime(2026, 9, 21, 9, 0, tzinfo=UTC)
    left_out = next(ticks(trigger, datetime(2026, 9, 21, 23, 55, tzinfo=UTC)))
    assert left_out.excluded == "within 00:00-08:55"


def test_what_will_never_fire_again_says_so_within_a_millisecond() -> None:
    trigger = FilteredTrigger(CronTrigger("* * * * *"), only=["2026-09-21"])
    last = datetime(2026, 9, 21, 23, 59, tzinfo=UTC)

    assert trigger.next_after(last - timedelta(minutes=1)) == last
    began = perf_counter()
    following = trigger.next_after(last)

    assert following is None
    assert perf_counter() - began < 0.001


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "filtered: expected exclude or only, got neither: write exclude='sat-sun'"),
        ({"include": "sat"}, "filtered: expected exclude or only, got only include, which makes exceptions from them"),
        (
            {"exclude": "sat-sun", "only": "sat-sun"},
            "exclude: expected a calendar that only does not name, got sat-sun in both",
        ),
        (
            {"exclude": "sat", "include": "sat"},
            "exclude: expected a calendar that include does not name, got sat in both",
        ),
        ({"exclude": "mon-sun"}, "filtered: expected a trigger that fires, got one whose every fire time is left out"),
        ({"exclude": "mon-sun", "shift": "next"}, "filtered: expected a trigger that fires"),
        ({"only": "10:00-11:00"}, "filtered: expected a trigger that fires"),
        ({"only": ["mon", "tue"]}, "filtered: expected a trigger that fires"),
        ({"only": "1969-12-31"}, "filtered: expected a trigger that fires"),
        ({"exclude": "sat", "shift": "nearest"}, "shift: expected 'next' or 'previous', got 'nearest'"),
        (
            {"exclude": "22:00-06:00", "shift": "next"},
            "shift: expected exclude or only with whole days, got 22:00-06:00",
        ),
        ({"exclude": "holidays XX"}, "holidays: expected a country or an exchange"),
        ({"exclude": "sat", "timezone": "Asia/Seul"}, "timezone: expected an IANA name"),
    ],
)
def test_what_cannot_be_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    began = perf_counter()

    with pytest.raises(TriggerError) as refused:
        FilteredTrigger(NINE, **options)

    assert str(refused.value).startswith(message)
    assert perf_counter() - began < 2


def test_a_word_is_no_trigger() -> None:
    with pytest.raises(TriggerError, match="filtered: expected a trigger, got 'cron'"):
        FilteredTrigger("cron", exclude="sat")  # type: ignore[arg-type]


def test_an_open_trigger_is_checked_when_it_is_anchored() -> None:
    weekly = FilteredTrigger(IntervalTrigger(weeks=1), only="mon")

    assert weekly.anchored(START.replace(day=21)).next_after(START) is not None
    with pytest.raises(TriggerError, match="every fire time is left out"):
        weekly.anchored(START)  # a Sunday in UTC
    with pytest.raises(TriggerError, match="every fire time is left out"):
        FilteredTrigger(DateTrigger(), exclude="sun").anchored(START)


def test_its_texts() -> None:
    trigger = FilteredTrigger(NINE, exclude=["sat-sun", "2026-12-25"], include="2026-12-26", shift="next")

    assert str(trigger) == (
        "cron hour=9 minute=0, Asia/Seoul; exclude 2026-12-25, sat-sun; include 2026-12-26; shift to the next day"
    )
    assert trigger.to_json() == {
        "kind": "filtered",
        "trigger": NINE.to_json(),
        "exclude": ["2026-12-25", "sat-sun"],
        "include": ["2026-12-26"],
        "shift": "next",
        "timezone": "Asia/Seoul",
    }


@pytest.mark.parametrize(
    ("zone", "only"),
    [
        ("UTC", "holidays DE"),
        ("UTC", "holidays XLON"),
        ("America/New_York", "2075-05-05"),
        ("Asia/Seoul", "holidays KR"),
    ],
)
def test_what_fires_lately_or_late_is_not_taken_for_what_never_does(zone: str, only: str) -> None:
    """Not every library knows the holidays of 1970, and a search has bounds."""
    pytest.importorskip("holidays", reason="the extra is not installed: pip install 'tickwork[holidays]'")

    trigger = FilteredTrigger(CronTrigger("0 9 * * *", timezone=zone), only=only)

    assert trigger.next_after(datetime(2026, 1, 1, tzinfo=UTC)) is not None


def test_what_is_shifted_into_a_gap_counts_as_what_the_clock_shows_then() -> None:
    """Pyongyang went from 23:30 on 4 May 2018 to 00:00 on the 5th; so 23:40 came to lie within the hours that are kept."""
    trigger = FilteredTrigger(
        CronTrigger("40 * * * *", timezone="Asia/Pyongyang"), exclude="2018-05-05", only="00:00-02:00", shift="previous"
    )
    evening = datetime(2018, 5, 4, 12, 0, tzinfo=UTC)

    assert trigger.next_after(evening) == datetime(2018, 5, 4, 15, 0, tzinfo=UTC)
