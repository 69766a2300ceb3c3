"""Durations as people write them: "15m", "1h30m", seconds, a timedelta."""

from __future__ import annotations

import re
from datetime import timedelta

from tickwork.checks import LONGEST, shown
from tickwork.documents.errors import InvalidDocumentError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
PART = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,6})?)(?P<unit>[smhdw])")
WHOLE = re.compile(rf"(?:{PART.pattern.replace('?P<number>', '?:').replace('?P<unit>', '')}\s*)+")


def duration(name: str, written: object) -> timedelta:
    """The positive duration that was written; InvalidDocumentError for anything else."""
    length: timedelta | None = None
    if isinstance(written, timedelta):
        length = written
    elif isinstance(written, int | float) and not isinstance(written, bool) and 0 < written <= LONGEST.total_seconds():
        length = timedelta(seconds=written)
    elif isinstance(written, str) and WHOLE.fullmatch(written.strip()):
        parts = [float(part["number"]) * timedelta(**{UNITS[part["unit"]]: 1}) for part in PART.finditer(written)]
        length = sum(parts, timedelta())
    if length is None or not timedelta() < length <= LONGEST:
        raise InvalidDocumentError(
            f"{name}: expected a duration such as '15m', '1h30m', 90 (seconds) or a timedelta, got {shown(written)}"
        )
    return length
