"""Rules: how calendars decide together whether a time is kept.

The rule: what a calendar of `include` covers is kept; of the rest, what all of `only` and none of `exclude` cover.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from tickwork.checks import shown
from tickwork.errors import TriggerError
from tickwork.triggers.calendars import Calendar
from tickwork.triggers.pattern import NEVER

Shift: TypeAlias = Literal["next", "previous"]


class Rules(NamedTuple):
    """Calendars, and how they decide together."""

    exclude: tuple[Calendar, ...] = ()
    only: tuple[Calendar, ...] = ()
    include: tuple[Calendar, ...] = ()

    def judge(self, wall: int) -> tuple[str | None, int]:
        """Why this second of the wall is left out (None: it is kept), and the second until which that holds."""
        unless = NEVER
        for calendar in self.include:
            covered, _, until = calendar.stretch(wall)
            if covered:
                return None, until
            unless = min(unless, until)
        kept_until = unless
        for wanted, calendars in ((True, self.only), (False, self.exclude)):
            for calendar in calendars:
                covered, reason, until = calendar.stretch(wall)
                if covered is not wanted:
                    return reason, min(until, unless)
                kept_until = min(kept_until, until)
        return None, kept_until

    def of_days(self) -> Rules:
        """The part that speaks of whole days."""
        return Rules(*(tuple(calendar for calendar in part if calendar.whole_days) for part in self))

    def of_hours(self) -> Rules:
        """The part that speaks of hours; a day that is included is, with all its hours."""
        exclude, only = (
            tuple(calendar for calendar in part if not calendar.whole_days) for part in (self.exclude, self.only)
        )
        return Rules(exclude, only, self.include)


def check_rules(rules: Rules, shift: object) -> None:
    """TriggerError for rules that say nothing, or contradict each other."""
    if not rules.exclude and not rules.only:
        left = "only include, which makes exceptions from them" if rules.include else "neither"
        raise TriggerError(f"filtered: expected exclude or only, got {left}: write exclude='sat-sun'")
    for calendar in rules.exclude:
        if calendar in rules.only or calendar in rules.include:
            other = "only" if calendar in rules.only else "include"
            raise TriggerError(f"exclude: expected a calendar that {other} does not name, got {calendar} in both")
    if shift is None:
        return
    if not isinstance(shift, str) or shift not in ("next", "previous"):
        raise TriggerError(f"shift: expected 'next' or 'previous', got {shown(shift)}")
    for calendar in rules.include:
        if not calendar.whole_days:
            raise TriggerError(f"include: expected whole days beside shift, got {calendar}: an hour is not shifted")
    days = rules.of_days()
    if not days.exclude and not days.only:
        raise TriggerError(
            f"shift: expected exclude or only with whole days, got {', '.join(map(str, rules.exclude + rules.only))}: "
            "an hour that is left out is not shifted; name days, such as 'sat-sun'"
        )
