"""A trigger is made of a word and its options, or of the JSON that it became."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import tickwork.triggers
from tickwork.errors import TriggerError
from tickwork.triggers import CronTrigger, DateTrigger, IntervalTrigger, Trigger, make_trigger, trigger_from_json

WORDS = "(there are: 'all-of', 'any-of', 'calendarinterval', 'cron', 'date', 'interval')"
KINDS = "(there are: 'all-of', 'any-of', 'calendarinterval', 'cron', 'date', 'filtered', 'interval', 'jittered')"


def test_the_public_names() -> None:
    assert tickwork.triggers.__all__ == [
        "AllOf",
        "AnyOf",
        "BusinessDays",
        "Calendar",
        "CalendarIntervalTrigger",
        "CronTrigger",
        "DateTrigger",
        "Dates",
        "FilteredTrigger",
        "Holidays",
        "Hours",
        "IntervalTrigger",
        "JitteredTrigger",
        "Period",
        "Trigger",
        "Weekdays",
        "make_trigger",
        "trigger_from_json",
    ]


@pytest.mark.parametrize(
    ("word", "options", "trigger"),
    [
        ("date", {"run_date": "2026-12-24T18:00+09:00"}, DateTrigger("2026-12-24T18:00+09:00")),
        ("date", {}, DateTrigger()),
        ("interval", {"minutes": 10}, IntervalTrigger(minutes=10)),
        ("cron", {"hour": 3, "timezone": "Asia/Seoul"}, CronTrigger(hour=3, timezone="Asia/Seoul")),
        ("cron", {"crontab": "0 3 * * *"}, CronTrigger.from_crontab("0 3 * * *")),
    ],
)
def test_a_word_and_options_make_a_trigger(word: str, options: dict[str, Any], trigger: Trigger) -> None:
    assert make_trigger(word, options) == trigger


def test_a_finished_trigger_is_its_own_answer() -> None:
    trigger = IntervalTrigger(minutes=10)

    assert make_trigger(trigger, {}) is trigger


def test_the_default_zone_is_used_where_the_options_name_none() -> None:
    seoul = make_trigger("cron", {"hour": 3}, timezone="Asia/Seoul")
    berlin = make_trigger("cron", {"hour": 3, "timezone": "Europe/Berlin"}, timezone="Asia/Seoul")
    unset = make_trigger("cron", {"hour": 3, "timezone": None}, timezone="Asia/Seoul")
    once = make_trigger("date", {"run_date": "2026-12-24 18:00"}, timezone="Asia/Seoul")

    assert seoul == unset == CronTrigger(hour=3, timezone="Asia/Seoul")
    assert berlin == CronTrigger(hour=3, timezone="Europe/Berlin")
    assert once.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 12, 24, 9, 0, tzinfo=UTC)


def test_options_are_not_changed() -> None:
    options = {"hour": 3}

    make_trigger("cron", options, timezone="Asia/Seoul")

    assert options == {"hour": 3}


@pytest.mark.parametrize(
    ("trigger", "options", "message"),
    [
        ("corn", {}, "trigger: expected a trigger or its word, got 'corn' (did you mean 'cron'?)"),
        ("x", {}, "trigger: expected a trigger or its word, got 'x' " + WORDS),
        (None, {}, "trigger: expected a trigger or its word, got None " + WORDS),
        (
            "interval",
            {"minute": 10},
            "interval: expected an option of this trigger, got 'minute' (did you mean 'minutes'?)",
        ),
        ("cron", {"hours": 3}, "cron: expected an option of this trigger, got 'hours' (did you mean 'hour'?)"),
        (
            IntervalTrigger(minutes=10),
            {"minutes": 5, "jitter": 3},
            (
                "trigger: expected exclude, only, include, shift, jitter or nothing beside a finished trigger, "
                "got minutes: "
                "put them into IntervalTrigger(minutes=10)"
            ),
        ),
    ],
)
def test_what_makes_no_trigger_is_refused(trigger: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TriggerError) as refused:
        make_trigger(trigger, options)

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, f"trigger: expected a kind in JSON, got None {KINDS}"),
        ([], f"trigger: expected a kind in JSON, got None {KINDS}"),
        ({"kind": "crons"}, "trigger: expected a kind in JSON, got 'crons' (did you mean 'cron'?)"),
        ({"kind": ["cron"]}, f"trigger: expected a kind in JSON, got ['cron'] {KINDS}"),
        (
            {"kind": "interval", "minutes": 10, "jitter": 3},
            "interval: expected an option of this trigger, got 'jitter'",
        ),
    ],
)
def test_json_that_is_no_trigger_is_refused(value: dict[str, Any], message: str) -> None:
    with pytest.raises(TriggerError) as refused:
        trigger_from_json(value)

    assert str(refused.value).startswith(message)
