"""Jobs and runs as rows of the PostgreSQL store's tables, and back; and many rows as arrays, one for each column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from tickwork.clock import from_micros, to_micros
from tickwork.codec import (
    read_definition,
    read_instant,
    read_json,
    read_progress,
    write_definition,
    write_instant,
    write_json,
    write_progress,
)
from tickwork.job import Job
from tickwork.run import Origin, Run, RunState

Row: TypeAlias = Sequence[Any]
Arrays: TypeAlias = Sequence[str]
"""The columns of many rows, each in PostgreSQL's notation of an array: `{1,2,null}`."""

RUNNING, SUCCEEDED, SCHEDULE = RunState.RUNNING, RunState.SUCCEEDED, Origin.SCHEDULE


def job_arrays(jobs: Sequence[Job]) -> Arrays:
    return (
        integers(job.uid for job in jobs), texts(job.id for job in jobs), integers(job.version for job in jobs),
        integers(job.revision for job in jobs), texts(job.executor for job in jobs),
        integers(job.max_instances for job in jobs), integers(to_micros(job.anchored_at) for job in jobs),
        integers(write_instant(job.next_fire_time) for job in jobs),
        integers(write_instant(job.last_fire_time) for job in jobs),
        integers(write_instant(job.paused_at) for job in jobs), texts(job.pause_reason for job in jobs),
    )  # fmt: skip


def definitions(jobs: Sequence[Job]) -> Arrays:
    return integers(job.uid for job in jobs), texts(write_definition(job) for job in jobs)


def updated_job(job: Job) -> Row:
    return (
        job.uid, job.version, job.revision, text(job.executor), job.max_instances, to_micros(job.anchored_at),
        write_instant(job.next_fire_time), write_instant(job.last_fire_time), write_instant(job.paused_at),
        text(job.pause_reason),
    )  # fmt: skip


def advanced_jobs(jobs: Sequence[Job]) -> Arrays:
    """With the versions that were read."""
    return (
        integers(job.uid for job in jobs), integers(job.version - 1 for job in jobs),
        integers(write_instant(job.next_fire_time) for job in jobs),
        integers(write_instant(job.last_fire_time) for job in jobs),
    )  # fmt: skip


def read_job(row: Row) -> Job:
    uid, id, version, revision, anchored_at, next_fire_time, last_fire_time, paused_at, pause_reason, definition = row
    return Job(
        uid=uid, id=id, version=version, revision=revision, anchored_at=from_micros(anchored_at),
        next_fire_time=read_instant(next_fire_time), last_fire_time=read_instant(last_fire_time),
        paused_at=read_instant(paused_at), pause_reason=read_text(pause_reason), **read_definition(definition),
    )  # fmt: skip


def is_held_plainly(run: Run) -> bool:
    """Whether a run is born as nearly all are: running, at its fire time, under the hold of the node that fires it."""
    return (
        run.state is RUNNING and run.available_at is run.fire_time and run.attempt == 1 and run.version == 1
        and run.origin is SCHEDULE and run.started_at is None and run.through is None and run.cancel_reason is None
    )  # fmt: skip


def run_arrays(runs: Sequence[Run]) -> Arrays:
    """All columns, in the order of the fields."""
    return (
        texts(run.job_id for run in runs), integers(run.job_uid for run in runs),
        integers(to_micros(run.fire_time) for run in runs), integers(to_micros(run.available_at) for run in runs),
        integers(write_instant(run.through) for run in runs), integers(run.attempt for run in runs),
        texts(run.origin._value_ for run in runs), texts(run.state._value_ for run in runs),
        integers(run.version for run in runs), texts(run.node for run in runs),
        integers(write_instant(run.lease_until) for run in runs),
        integers(write_instant(run.started_at) for run in runs),
        integers(write_instant(run.ended_at) for run in runs), texts(run.reason for run in runs),
        texts(run.error for run in runs), texts(write_json(run.result) for run in runs),
        texts(write_progress(run.progress) for run in runs), texts(run.cancel_reason for run in runs),
    )  # fmt: skip


def run_keys(runs: Sequence[Run]) -> Arrays:
    return (
        integers([run.job_uid for run in runs]), integers([to_micros(run.fire_time) for run in runs]),
        plain_texts([run.origin._value_ for run in runs]), integers([run.attempt for run in runs]),
    )  # fmt: skip


def read_versions(runs: Sequence[Run]) -> str:
    """The versions on which what these runs become was decided."""
    return integers([run.version - 1 for run in runs])


def ends_plainly(run: Run) -> bool:
    """Whether a run ends as nearly all do: it succeeded, and there is no more to say."""
    return (
        run.state is SUCCEEDED and run.result is None and run.progress is None and run.cancel_reason is None
        and run.reason is None and run.error is None and run.ended_at is not None
    )  # fmt: skip


def succeeded_runs(runs: Sequence[Run]) -> Arrays:
    return (
        *run_keys(runs), read_versions(runs),
        integers([None if run.started_at is None else to_micros(run.started_at) for run in runs]),
        integers([None if run.ended_at is None else to_micros(run.ended_at) for run in runs]),
    )  # fmt: skip


def settled_runs(runs: Sequence[Run]) -> Arrays:
    return (
        *run_keys(runs), read_versions(runs), texts(run.state._value_ for run in runs), texts(run.node for run in runs),
        integers(write_instant(run.lease_until) for run in runs),
        integers(write_instant(run.started_at) for run in runs),
        integers(write_instant(run.ended_at) for run in runs), texts(run.reason for run in runs),
        texts(run.error for run in runs), texts(write_json(run.result) for run in runs),
        texts(write_progress(run.progress) for run in runs),
    )  # fmt: skip


def cancelled_running(runs: Sequence[Run]) -> Arrays:
    return *run_keys(runs), read_versions(runs), texts(run.cancel_reason for run in runs)


def cancelled_waiting(runs: Sequence[Run]) -> Arrays:
    return (
        *cancelled_running(runs), integers(write_instant(run.ended_at) for run in runs),
        texts(run.reason for run in runs),
    )  # fmt: skip


def renewed_runs(runs: Sequence[Run]) -> Arrays:
    return (
        integers(write_instant(run.started_at) for run in runs), texts(write_progress(run.progress) for run in runs),
        texts(run.reason for run in runs),
    )  # fmt: skip


def read_run(row: Row) -> Run:
    (
        job_id, job_uid, fire_time, available_at, through, attempt, origin, state, version, node, lease_until,
        started_at, ended_at, reason, error, result, progress, cancel_reason,
    ) = row  # fmt: skip
    return Run(
        job_id, job_uid, from_micros(fire_time), from_micros(available_at), read_instant(through), attempt,
        Origin(origin), RunState(state), version, node, read_instant(lease_until), read_instant(started_at),
        read_instant(ended_at), read_text(reason), read_text(error), read_json(result), read_progress(progress),
        read_text(cancel_reason),
    )  # fmt: skip


# arrays, put together here: the driver would ask for the type of each value by itself


def integers(values: Iterable[int | None]) -> str:
    return "{" + ",".join(map(str, values)).replace("None", "null") + "}"


def plain_texts(values: Sequence[str]) -> str:
    """Many texts of which hardly any has a character that must be escaped: nearly always it is seen at one look."""
    together = "".join(values)
    if not values or any(special in together for special in ('"', "\\", SUBSTITUTE, "\0")):
        return texts(values)
    return '{"' + '","'.join(values) + '"}'


def texts(values: Iterable[str | None]) -> str:
    return "{" + ",".join(["null" if value is None else _in_array(value) for value in values]) + "}"


def _in_array(value: str) -> str:
    written: str = text(value)
    return '"' + written.replace("\\", "\\\\").replace('"', '\\"') + '"'


# texts: all that Python has, although PostgreSQL knows no character 0

SUBSTITUTE = "\x1a"
"""Stands before a 0 for the character 0, and before a 1 for itself."""


def text(value: Any) -> Any:
    """A text as it is written; None is None."""
    if value is None or ("\0" not in value and SUBSTITUTE not in value):
        return value
    return value.replace(SUBSTITUTE, SUBSTITUTE + "1").replace("\0", SUBSTITUTE + "0")


def read_text(value: str | None) -> str | None:
    if value is None or SUBSTITUTE not in value:
        return value
    return value.replace(SUBSTITUTE + "0", "\0").replace(SUBSTITUTE + "1", SUBSTITUTE)
