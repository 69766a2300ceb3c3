"""An expectation: that a job succeeds at least once in so long (`expect_every`), and where that stands."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Expectation(NamedTuple):
    job_id: str
    job_uid: int
    expect_by: datetime | None
    """When the job is overdue, unless it succeeds before. None: somebody paused it, or it has done its last work."""
    succeeded_at: datetime | None = None
    """When it last succeeded, since it is expected to. None: it has not."""
    overdue_at: datetime | None = None
    """When it was found to be overdue, which is told once. None: it is not."""
    told_by: str | None = None
    """The node that found it, and tells of it."""
