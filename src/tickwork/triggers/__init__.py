"""Triggers: the values that say when.

    DateTrigger("2026-12-24 18:00", timezone="Asia/Seoul")      once
    IntervalTrigger(minutes=10)                                 after the same elapsed time, without drift
    CronTrigger("0 3 * * mon-fri", timezone="Asia/Seoul")       when the clock on the wall shows it
    CalendarIntervalTrigger(months=1, hour=9)                   at one time on the wall, every so many months or days
    AnyOf([...]), AllOf([...])                                  when any of several triggers fires, or all at once

Each of them can be spread by jitter, and keep to calendars, as options of `add_job` or as a trigger around it:

    JitteredTrigger(trigger, 30)                                jitter=30
    FilteredTrigger(trigger, exclude=Holidays("KR"))            exclude=..., only=..., include=..., shift=...

`make_trigger` makes one from the word and the options given to `add_job`, `trigger_from_json` from what
a store kept. A trigger is checked when it is made: a wrong field or zone, or a trigger that can never
fire, is a TriggerError there and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeAlias

from tickwork.checks import shown
from tickwork.errors import TriggerError, did_you_mean
from tickwork.triggers.base import Trigger, zone_of
from tickwork.triggers.calendar_interval import CalendarIntervalTrigger
from tickwork.triggers.calendars import Calendar, Dates, Hours, Period, Weekdays
from tickwork.triggers.combining import AllOf, AnyOf
from tickwork.triggers.cron import CronTrigger
from tickwork.triggers.date import DateTrigger
from tickwork.triggers.filtered import FilteredTrigger
from tickwork.triggers.interval import IntervalTrigger
from tickwork.triggers.jittered import JitteredTrigger

if TYPE_CHECKING:
    from tickwork.triggers.holidays import BusinessDays, Holidays

__all__ = [
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

AnyKind: TypeAlias = type[
    DateTrigger
    | IntervalTrigger
    | CronTrigger
    | CalendarIntervalTrigger
    | AnyOf
    | AllOf
    | FilteredTrigger
    | JitteredTrigger
]

TRIGGERS: Mapping[str, AnyKind] = {
    trigger.kind: trigger
    for trigger in (
        DateTrigger, IntervalTrigger, CronTrigger, CalendarIntervalTrigger,
        AnyOf, AllOf, FilteredTrigger, JitteredTrigger,
    )
}  # fmt: skip

WORDS = tuple(kind for kind in TRIGGERS if kind not in (FilteredTrigger.kind, JitteredTrigger.kind))
"""What stands for a trigger in `add_job`; the other two are made by options."""
FILTERS = ("exclude", "only", "include", "shift")
"""The options of every trigger that put a FilteredTrigger around it."""
EXTRAS = (*FILTERS, "jitter")
"""The options of every trigger."""
OWN_OPTIONS = {kind: (*signature(trigger).parameters,) for kind, trigger in TRIGGERS.items()}
OPTIONS = {kind: (*OWN_OPTIONS[kind], *EXTRAS) for kind in WORDS}
MIN_FIELDS = 5
"""What has so many words is a crontab and no word for a trigger."""


def make_trigger(
    trigger: Trigger | str, options: Mapping[str, Any] | None = None, *, timezone: str | None = None
) -> Trigger:
    """The trigger that *trigger* is, or that this word makes of *options*; and around it what EXTRAS make.

    *timezone* stands in where the options name none.
    """
    given = options or {}
    extras = {name: option for name, option in given.items() if name in EXTRAS and option is not None}
    own = {name: option for name, option in given.items() if name not in EXTRAS}
    if own.get("timezone") is not None:
        timezone = own["timezone"]
    made = _made(trigger, own, timezone) if isinstance(trigger, str) else _finished(trigger, own)
    if filters := {name: option for name, option in extras.items() if name in FILTERS}:
        made = FilteredTrigger(made, **filters, timezone=zone_of(made) or timezone)
    return JitteredTrigger(made, extras["jitter"]) if "jitter" in extras else made


def trigger_from_json(value: Mapping[str, Any]) -> Trigger:
    """The trigger that its `to_json` wrote down."""
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or kind not in TRIGGERS:
        raise TriggerError(f"trigger: expected a kind in JSON, got {shown(kind)}{did_you_mean(kind, TRIGGERS)}")
    _check_options(kind, value.keys() - {"kind"}, OWN_OPTIONS[kind])
    try:
        return TRIGGERS[kind].from_json(value)
    except KeyError as error:
        raise TriggerError(f"{kind}: expected {error} in its JSON, got {shown(value)}") from None


def __getattr__(name: str) -> Any:
    """Holidays and BusinessDays are imported when they are asked for: their library is an extra."""
    if name in ("BusinessDays", "Holidays"):
        from tickwork.triggers import holidays  # noqa: PLC0415

        return getattr(holidays, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _made(word: str, options: Mapping[str, Any], timezone: str | None) -> Trigger:
    if word not in WORDS and len(word.split()) >= MIN_FIELDS:
        raise TriggerError(
            f'trigger: expected a trigger or its word, got {shown(word)}: write "cron", crontab={shown(word)}'
        )
    if word not in WORDS:
        raise TriggerError(f"trigger: expected a trigger or its word, got {shown(word)}{did_you_mean(word, WORDS)}")
    _check_options(word, options, OPTIONS[word])
    if "timezone" in OWN_OPTIONS[word]:
        options = {**options, "timezone": timezone}
    return TRIGGERS[word](**options)


def _finished(trigger: Trigger, options: Mapping[str, Any]) -> Trigger:
    if not callable(getattr(trigger, "next_after", None)):
        raise TriggerError(f"trigger: expected a trigger or its word, got {shown(trigger)}{did_you_mean('', WORDS)}")
    if options:
        names = ", ".join(sorted(options))
        raise TriggerError(
            f"trigger: expected {', '.join(EXTRAS)} or nothing beside a finished trigger, got {names}: "
            f"put them into {shown(trigger)}"
        )
    return trigger


def _check_options(kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    for name in sorted(set(given) - set(known)):
        raise TriggerError(f"{kind}: expected an option of this trigger, got {shown(name)}{did_you_mean(name, known)}")
