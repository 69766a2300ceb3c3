"""Durations as people write them: 90 (seconds), "10m", "1h 30m", a timedelta.

The rule: there is this one reading, for jobs, sessions, documents and the command line; each says what is wrong as an
error of its own.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TypeAlias

from tickwork.checks import LONGEST, shown
from tickwork.errors import InvalidJobError

Duration: TypeAlias = timedelta | float | str
"""A timedelta, a number of seconds, or a text with units: w, d, h, m, s, or their words."""

NO_TIME = timedelta(0)
UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(weeks?|days?|hours?|minutes?|seconds?|[wdhms])(?![a-z])", re.ASCII)
WHOLE = re.compile(rf"\s*(?:{PART.pattern}\s*)+", re.ASCII)
LONGEST_TEXT = 200


def read_duration(
    name: str, written: object, *,
    least: timedelta = NO_TIME, most: timedelta = LONGEST, error: type[ValueError] = InvalidJobError,
) -> timedelta:  # fmt: skip
    """The duration that was *written*, from *least* to *most*; otherwise an *error* that names it."""
    length = parse_duration(written)
    if length is None or not least <= length <= most:
        raise error(
            f"{name}: expected seconds, a timedelta or a text such as '10m' or '1h 30m', "
            f"from {format_duration(least)} to {format_duration(most)}, got {shown(written)}"
        )
    return length


def parse_duration(written: object) -> timedelta | None:
    """The duration that was written, none longer than 10,000 days. None: it is not written like one."""
    if isinstance(written, timedelta):
        return written
    if isinstance(written, int | float) and not isinstance(written, bool):
        return timedelta(seconds=written) if 0 <= written <= LONGEST.total_seconds() else None
    if not isinstance(written, str) or len(written) > LONGEST_TEXT or not WHOLE.fullmatch(written):
        return None
    total = NO_TIME
    for number, unit in PART.findall(written):
        if float(number) > LONGEST.total_seconds():
            return None
        total += float(number) * timedelta(**{UNITS[unit[0]]: 1})
        if total > LONGEST:
            return None
    return total


def format_duration(length: timedelta) -> str:
    """The largest unit of which it is a whole number, as `parse_duration` reads it: '10000d', '90m', '0.001s'."""
    for unit in ("d", "h", "m"):
        count, rest = divmod(length, timedelta(**{UNITS[unit]: 1}))
        if count and not rest:
            return f"{count}{unit}"
    return f"{length.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
