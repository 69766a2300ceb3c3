"""Triggers: the values that say when.

    DateTrigger("2026-12-24 18:00", timezone="Asia/Seoul")      once
    IntervalTrigger(minutes=10)                                 after the same elapsed time, without drift
    CronTrigger("0 3 * * mon-fri", timezone="Asia/Seoul")       when the clock on the wall shows it

`make_trigger` makes one from the word and the options given to `add_job`, `trigger_from_json` from what
a store kept. A trigger is checked when it is made: a wrong field or zone, or a cron that can never
fire, is a TriggerError there and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any

from tickwork.errors import TriggerError, did_you_mean
from tickwork.triggers.base import Trigger
from tickwork.triggers.cron import CronTrigger
from tickwork.triggers.date import DateTrigger
from tickwork.triggers.interval import IntervalTrigger

__all__ = ["CronTrigger", "DateTrigger", "IntervalTrigger", "Trigger", "make_trigger", "trigger_from_json"]

TRIGGERS: Mapping[str, type[DateTrigger | IntervalTrigger | CronTrigger]] = {
    trigger.kind: trigger for trigger in (DateTrigger, IntervalTrigger, CronTrigger)
}

MIN_FIELDS = 5
"""What has so many words is a crontab and no word for a trigger."""
OPTIONS = {kind: signature(trigger).parameters for kind, trigger in TRIGGERS.items()}


def make_trigger(
    trigger: Trigger | str, options: Mapping[str, Any] | None = None, *, timezone: str | None = None
) -> Trigger:
    """The trigger that *trigger* is, or that this word makes of *options*.

    *timezone* stands in where the options name none.
    """
    options = options or {}
    if not isinstance(trigger, str):
        return _finished(trigger, options)
    if trigger not in TRIGGERS and len(trigger.split()) >= MIN_FIELDS:
        raise TriggerError(
            f'trigger: expected a trigger or its word, got {trigger!r}: write "cron", crontab={trigger!r}'
        )
    if trigger not in TRIGGERS:
        raise TriggerError(f"trigger: expected a trigger or its word, got {trigger!r}{did_you_mean(trigger, TRIGGERS)}")
    _check_options(trigger, options)
    if options.get("timezone") is None:
        options = {**options, "timezone": timezone}
    return TRIGGERS[trigger](**options)


def trigger_from_json(value: Mapping[str, Any]) -> Trigger:
    """The trigger that its `to_json` wrote down."""
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in TRIGGERS:
        raise TriggerError(f"trigger: expected a kind in JSON, got {kind!r}{did_you_mean(str(kind), TRIGGERS)}")
    _check_options(kind, value.keys() - {"kind"})
    return TRIGGERS[kind].from_json(value)


def _finished(trigger: Trigger, options: Mapping[str, Any]) -> Trigger:
    if not callable(getattr(trigger, "next_after", None)):
        raise TriggerError(f"trigger: expected a trigger or its word, got {trigger!r}{did_you_mean('', TRIGGERS)}")
    if options:
        names = ", ".join(sorted(options))
        raise TriggerError(
            f"trigger: expected no options beside a finished trigger, got {names}: put them into {trigger!r}"
        )
    return trigger


def _check_options(kind: str, given: Iterable[str]) -> None:
    known = OPTIONS[kind]
    for name in sorted(set(given) - known.keys()):
        raise TriggerError(f"{kind}: expected an option of this trigger, got {name!r}{did_you_mean(name, known)}")
