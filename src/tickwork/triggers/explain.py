"""A trigger in one plain sentence, in English or Korean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from tickwork.checks import shown
from tickwork.errors import TriggerError, did_you_mean
from tickwork.triggers import english, korean
from tickwork.triggers.base import Trigger
from tickwork.triggers.calendar_interval import CalendarIntervalTrigger
from tickwork.triggers.combining import AllOf, AnyOf
from tickwork.triggers.cron import CronTrigger
from tickwork.triggers.date import DateTrigger
from tickwork.triggers.filtered import FilteredTrigger
from tickwork.triggers.instants import say_instant
from tickwork.triggers.interval import IntervalTrigger
from tickwork.triggers.jittered import JitteredTrigger
from tickwork.triggers.said import Said, UnsaidError, read_said
from tickwork.triggers.ticks import Tick


class Words(Protocol):
    """A language: the parts of a sentence, and how they are put together."""

    def cron(self, said: Said) -> str: ...
    def interval(self, every: timedelta) -> str: ...
    def calendar_interval(
        self, units: Sequence[tuple[int, str]], time: str, first: str, *, short: str | None
    ) -> str: ...
    def once(self, at: str | None) -> str: ...
    def bounds(self, start: str | None, end: str | None) -> str: ...
    def any_of(self, sentences: Sequence[str]) -> str: ...
    def all_of(self, sentences: Sequence[str]) -> str: ...
    def filtered(self, sentence: str, rules: dict[str, list[str]], shift: str | None) -> str: ...
    def jittered(self, sentence: str, seconds: float) -> str: ...
    def reason(self, text: str) -> str: ...


LANGUAGES: Mapping[str, Words] = {"en": english, "ko": korean}


def explain(trigger: Trigger, language: str = "en") -> str:
    """The sentence that says when *trigger* fires: 'every weekday at 09:00, Asia/Seoul'.

    A cron that no plain sentence says rightly, and a trigger of your own, are shown as they are written.
    """
    return _explain(trigger, _find_words(language))


def explain_tick(tick: Tick, language: str = "en") -> Tick:
    """The tick with its reasons in that language: 'a Saturday', '토요일'."""
    words = _find_words(language)
    if language == "en":
        return tick
    excluded, why = (
        None if reason is None else words.reason(_holiday_in(language, reason, at))
        for reason, at in ((tick.excluded, tick.at), (tick.why, tick.shifted_from or tick.at))
    )
    return tick._replace(excluded=excluded, why=why)


def _find_words(language: str) -> Words:
    if not isinstance(language, str) or language not in LANGUAGES:
        raise TriggerError(f"language: expected 'en' or 'ko', got {shown(language)}{did_you_mean(language, LANGUAGES)}")
    return LANGUAGES[language]


def _holiday_in(language: str, reason: str, at: datetime) -> str:
    """The reason, with the name of a holiday in it as that language has it."""
    if ")" not in reason:
        return reason
    try:
        from tickwork.triggers.holidays import in_language  # noqa: PLC0415  (its library is an extra)
    except TriggerError:  # then it is no holiday, but what a calendar of the user's own says
        return reason
    return in_language(reason, at, language)


def _explain(trigger: Trigger, words: Words) -> str:
    match trigger:
        case CronTrigger():
            return _cron(trigger, words)
        case IntervalTrigger():
            return words.interval(trigger.every) + _bounds(trigger.start_date, trigger.end_date, words)
        case DateTrigger():
            return words.once(None if trigger.run_date is None else say_instant(trigger.run_date))
        case CalendarIntervalTrigger():
            return _calendar_interval(trigger, words)
        case AnyOf():
            return words.any_of([_explain(part, words) for part in trigger.triggers])
        case AllOf():
            return words.all_of([_explain(part, words) for part in trigger.triggers])
        case FilteredTrigger():
            rules = {name: list(map(str, part)) for name, part in trigger.rules._asdict().items()}
            return words.filtered(_explain(trigger.trigger, words), rules, trigger.shift)
        case JitteredTrigger():
            return words.jittered(_explain(trigger.trigger, words), trigger.jitter.total_seconds())
        case _:
            return str(trigger)


def _cron(trigger: CronTrigger, words: Words) -> str:
    try:
        sentence = words.cron(read_said(dict(trigger.fields.written)))
    except (UnsaidError, ValueError, KeyError, IndexError):  # an element that this file does not know
        return str(trigger)
    return f"{sentence}, {trigger.timezone}{_bounds(trigger.start_date, trigger.end_date, words)}"


def _calendar_interval(trigger: CalendarIntervalTrigger, words: Words) -> str:
    first = "" if trigger.start_date is None else str(trigger.first_day)
    may_be_short = trigger.months and trigger.first_day.day > 28
    sentence = words.calendar_interval(
        trigger.units, trigger.time, first, short=trigger.short_month if may_be_short else None
    )
    return f"{sentence}, {trigger.timezone}{_bounds(None, trigger.end_date, words)}"


def _bounds(start: datetime | None, end: datetime | None, words: Words) -> str:
    return words.bounds(
        None if start is None else say_instant(start),
        None if end is None else say_instant(end),
    )
