"""The job that sweeps: sessions and cached values that have expired leave the SQLite file, a few at a time."""

from __future__ import annotations

from contextlib import closing

from tickwork.durations import Duration
from tickwork.errors import StoreURLError
from tickwork.job import Job
from tickwork.scheduler import Scheduler, check_scheduler
from tickwork.sessions.limits import read_length
from tickwork.sessions.sessions import Sessions, check_sessions

EVERY = "10m"


def add_sweep_job(scheduler: Scheduler, sessions: Sessions, *, every: Duration = EVERY) -> Job | None:
    """Declare the job that deletes what has expired, a job as any other: `sweep-sessions-<name>`, in its ledger.

    None, and no job, if the store expires by itself (Redis, Valkey). On a scheduler that runs already the job is added,
    or brought up to date. Raises InvalidSessionError, SchedulerError.
    """
    check_scheduler("add_sweep_job", scheduler, "add_sweep_job(scheduler, sessions)")
    check_sessions("add_sweep_job", sessions)
    length = read_length("every", every)
    if not sessions.sweeps:
        return None
    return scheduler.add_job(
        sweep_sessions,
        "interval",
        seconds=length.total_seconds(),
        id=f"sweep-sessions-{sessions.name}",
        kwargs={"location": sessions.location, "name": sessions.name},
        replace_existing=scheduler.running,
    )


def sweep_sessions(location: str, name: str) -> dict[str, int]:
    """Sweep the sessions of *name* at *location*: the function of the job. Raises StoreError."""
    if not location.startswith("sqlite:"):
        raise StoreURLError(f"location: expected a SQLite file to sweep, got {location.partition(':')[0]!r}")
    with closing(Sessions(location, name=name)) as sessions:
        return {"swept": sessions.sweep()}
