"""The rules for clock changes: what becomes of times that the clock leaves out, and of those it shows twice.

    rule           a time in a gap                  a time that comes twice
    debian         fixed times: as `first`; wildcards (hour or minute begins with a star): as `skip both`
    first          once, right after the gap        the first time
    second         once, right after the gap        the second time
    both           once, right after the gap        both times
    skip           not at all                       the first time
    skip second    not at all                       the second time
    skip both      not at all                       both times

However many times lie in a gap, right after it is one instant, and so one fire time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tickwork.checks import shown
from tickwork.errors import TriggerError, did_you_mean

DEBIAN_RULE = "debian"


class ClockRule(NamedTuple):
    after_gap: bool
    """Whether what a gap left out fires right after it."""
    first: bool
    """Whether a time that comes twice fires the first time."""
    second: bool


FIXED_TIMES = ClockRule(after_gap=True, first=True, second=False)
AS_THE_CLOCK_RUNS = ClockRule(after_gap=False, first=True, second=True)

RULES: Mapping[str, ClockRule | None] = {
    DEBIAN_RULE: None,  # depends on the cron
    "first": FIXED_TIMES,
    "second": ClockRule(after_gap=True, first=False, second=True),
    "both": ClockRule(after_gap=True, first=True, second=True),
    "skip": ClockRule(after_gap=False, first=True, second=False),
    "skip second": ClockRule(after_gap=False, first=False, second=True),
    "skip both": AS_THE_CLOCK_RUNS,
}


def find_rule(name: str, *, fixed: bool) -> ClockRule:
    """The rule of that name, for a cron of fixed times or for one with wildcards; or a TriggerError."""
    if not isinstance(name, str) or name not in RULES:
        raise TriggerError(f"clock_changes: expected the name of a rule, got {shown(name)}{did_you_mean(name, RULES)}")
    return RULES[name] or (FIXED_TIMES if fixed else AS_THE_CLOCK_RUNS)
