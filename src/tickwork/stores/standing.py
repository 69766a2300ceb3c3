"""Where the schedule of a job stands, as a store has read it."""

from __future__ import annotations

from functools import lru_cache

from tickwork.clock import from_micros
from tickwork.job import Job

_instant = lru_cache(maxsize=64)(from_micros)
"""What is due together is due at the same instant, nearly always: that is made once."""


def standing(job: Job, version: int, next_fire_time: int | None, last_fire_time: int | None) -> Job:
    """A job of the same definition, which is not paused; instants in microseconds since 1970."""
    following = None if next_fire_time is None else _instant(next_fire_time)
    return job.standing_at(version, following, None if last_fire_time is None else _instant(last_fire_time))
