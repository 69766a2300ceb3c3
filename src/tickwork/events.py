"""What happened, as frozen values and as JSON.

The rule: each says at which instant, by the store's clock; those of one run come in their order. What a run was given
and what it returned may be for fewer eyes than its times, so JSON shows them only on demand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from tickwork.job import Job
from tickwork.run import Run


@dataclass(frozen=True, slots=True)
class SchedulerStarted:
    node: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SchedulerStopped:
    node: str
    at: datetime


@dataclass(frozen=True, slots=True)
class JobAdded:
    job: Job
    at: datetime


@dataclass(frozen=True, slots=True)
class JobChanged:
    """Modified, rescheduled, paused, resumed or retired, through this scheduler."""

    job: Job
    at: datetime


@dataclass(frozen=True, slots=True)
class JobRemoved:
    job: Job
    at: datetime


@dataclass(frozen=True, slots=True)
class JobFired:
    """This node advanced a job past its fire time; what did not run is among the runs too, closed."""

    job: Job
    runs: tuple[Run, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class JobOverdue:
    """A job has not succeeded for longer than its `expect_every`. Told once for each silence, by one of the nodes."""

    job: Job
    expected_by: datetime
    succeeded_at: datetime | None
    """When it last succeeded, since it is expected to. None: it has not."""
    at: datetime


@dataclass(frozen=True, slots=True)
class JobRecovered:
    """A job that was overdue has succeeded."""

    job: Job
    overdue_at: datetime
    """When it was found to be overdue."""
    succeeded_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class RunStarted:
    """This node handed a run to its executor."""

    run: Run
    at: datetime


@dataclass(frozen=True, slots=True)
class RunSettled:
    """This node closed a run, or gave it back: then its state is PENDING."""

    run: Run
    at: datetime


@dataclass(frozen=True, slots=True)
class StoreLost:
    """The store cannot be used: nothing fires on this node until it can."""

    error: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StoreRecovered:
    since: datetime
    """When it was lost."""
    at: datetime


Event: TypeAlias = (
    SchedulerStarted | SchedulerStopped | JobAdded | JobChanged | JobRemoved
    | JobFired | JobOverdue | JobRecovered | RunStarted | RunSettled | StoreLost | StoreRecovered
)  # fmt: skip
Listener: TypeAlias = Callable[[Event], object]

KINDS: tuple[type, ...] = (
    SchedulerStarted, SchedulerStopped, JobAdded, JobChanged, JobRemoved,
    JobFired, JobOverdue, JobRecovered, RunStarted, RunSettled, StoreLost, StoreRecovered,
)  # fmt: skip

_INNER_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def name_of(kind: type) -> str:
    """What a class of events is called outside of Python: `run.settled`, `store.lost`."""
    return _INNER_WORD.sub(".", kind.__name__).lower()


def as_json(event: Event, *, full: bool = False) -> dict[str, Any]:
    """The event as plain JSON: `{"type": "run.settled", "timestamp": ..., "data": {"run": {...}}}`.

    Instants are ISO 8601 in UTC, durations are seconds. Only with *full* it shows arguments, results and tracebacks.
    """
    told = ((field.name, getattr(event, field.name)) for field in fields(event) if field.name != "at")
    return {
        "type": name_of(type(event)),
        "timestamp": _instant(event.at),
        "data": {name: _plain(value, full=full) for name, value in told},
    }


def subject_of(event: Event) -> str:
    """What it is about, in a line of the log: `run 18c5-17...-1 of job 'refresh'`."""
    run, job, node = (getattr(event, name, None) for name in ("run", "job", "node"))
    if run is not None:
        return f"run {run.id} of job {run.job_id!r}"
    if job is not None:
        return f"job {job.id!r}"
    return "the store" if node is None else f"node {node}"


def _plain(value: Any, *, full: bool) -> Any:
    match value:
        case Job():
            return _job(value) | ({"args": [*value.args], "kwargs": dict(value.kwargs)} if full else {})
        case Run():
            return _run(value) | ({"error": value.error, "result": value.result} if full else {})
        case tuple():
            return [_plain(one, full=full) for one in value]
        case datetime():
            return _instant(value)
        case timedelta():
            return value.total_seconds()
        case _:
            return value


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id, "name": job.name, "func": job.func, "trigger": str(job.trigger), "executor": job.executor,
        "next_fire_time": _instant(job.next_fire_time), "last_fire_time": _instant(job.last_fire_time),
        "paused": job.paused, "paused_at": _instant(job.paused_at), "pause_reason": job.pause_reason,
        "paused_by": job.paused_by, "ended": job.ended, "tags": [*job.tags], "metadata": {**job.metadata},
    }  # fmt: skip


def _run(run: Run) -> dict[str, Any]:
    progress = run.progress
    return {
        "id": run.id, "key": run.key, "job_id": run.job_id, "fire_time": _instant(run.fire_time),
        "through": _instant(run.through), "attempt": run.attempt, "origin": str(run.origin), "state": str(run.state),
        "node": run.node, "started_at": _instant(run.started_at), "ended_at": _instant(run.ended_at),
        "lateness": _seconds(run.lateness), "duration": _seconds(run.duration), "reason": run.reason,
        "progress": progress and {"done": progress.done, "total": progress.total, "message": progress.message},
        "cancel_reason": run.cancel_reason, "asked_by": run.asked_by, "backfill": run.backfill,
    }  # fmt: skip


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
