"""Jobs and runs as rows of the PostgreSQL store's tables, and back; and many rows as arrays, one for each column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from tickwork.backfill import Backfill
from tickwork.clock import from_micros, to_micros
from tickwork.codec import (
    read_definition,
    read_duration,
    read_given,
    read_instant,
    read_json,
    read_progress,
    read_trigger,
    write_definition,
    write_duration,
    write_given,
    write_instant,
    write_json,
    write_log,
    write_progress,
)
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.moves import Move, MoveState
from tickwork.node import Node
from tickwork.plan import Change, Settlement
from tickwork.run import Origin, Run, RunKey, RunState
from tickwork.runlog import RunLog
from tickwork.stores.parts import is_held_plainly, succeeds_plainly

Row: TypeAlias = Sequence[Any]
Arrays: TypeAlias = Sequence[str]
"""The columns of many rows, each in PostgreSQL's notation of an array: `{1,2,null}`."""


def job_arrays(jobs: Sequence[Job]) -> Arrays:
    return (
        integers(job.uid for job in jobs), texts(job.id for job in jobs), integers(job.version for job in jobs),
        integers(job.revision for job in jobs), texts(job.executor for job in jobs),
        integers(job.max_instances for job in jobs), integers(to_micros(job.anchored_at) for job in jobs),
        integers(write_instant(job.next_fire_time) for job in jobs),
        integers(write_instant(job.last_fire_time) for job in jobs),
        integers(write_instant(job.paused_at) for job in jobs), texts(job.pause_reason for job in jobs),
        texts(job.paused_by for job in jobs),
    )  # fmt: skip


def definitions(jobs: Sequence[Job]) -> Arrays:
    return (
        integers(job.uid for job in jobs), texts(write_definition(job) for job in jobs),
        texts(_app(job) for job in jobs),
    )  # fmt: skip


def updated_definition(job: Job) -> Row:
    return job.uid, write_definition(job), text(_app(job))


def _app(job: Job) -> str | None:
    """The application by which a job is to be declared; a retired one is not."""
    return job.declared if job.retired_at is None else None


def updated_job(job: Job) -> Row:
    return (
        job.uid, job.version, job.revision, text(job.executor), job.max_instances, to_micros(job.anchored_at),
        write_instant(job.next_fire_time), write_instant(job.last_fire_time), write_instant(job.paused_at),
        text(job.pause_reason), text(job.paused_by),
    )  # fmt: skip


def advanced_jobs(jobs: Sequence[Job]) -> Arrays:
    """With the versions that were read."""
    return (
        integers([job.uid for job in jobs]), integers([job.version - 1 for job in jobs]),
        integers([write_instant(job.next_fire_time) for job in jobs]),
        integers([write_instant(job.last_fire_time) for job in jobs]),
    )  # fmt: skip


def read_job(row: Row) -> Job:
    (
        uid, id, version, revision, anchored_at, next_fire_time, last_fire_time, paused_at, pause_reason,
        paused_by, definition,
    ) = row  # fmt: skip
    return Job(
        uid=uid, id=id, version=version, revision=revision, anchored_at=from_micros(anchored_at),
        next_fire_time=read_instant(next_fire_time), last_fire_time=read_instant(last_fire_time),
        paused_at=read_instant(paused_at), pause_reason=read_text(pause_reason), paused_by=read_text(paused_by),
        **read_definition(definition),
    )  # fmt: skip


def held_births(changes: Sequence[Change]) -> Row | None:
    """The columns of these changes, if they are what nearly all are: each advances its job past the fire time at which
    one run is born, and all these runs are under one hold. None: they are not.
    """
    hold: tuple[str | None, datetime | None] | None = None
    for job, runs, cancelled in changes:
        if cancelled or len(runs) != 1 or not is_held_plainly(job, runs[0]):
            return None
        its_hold = runs[0].node, runs[0].lease_until
        if hold is not None and its_hold != hold:
            return None
        hold = its_hold
    if hold is None:
        return None
    node, lease_until = hold
    return *advanced_jobs([change.job for change in changes]), text(node), write_instant(lease_until)


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
        texts(run.asked_by for run in runs), texts(write_given(run.given) for run in runs),
        integers(run.counted_from for run in runs), texts(run.backfill for run in runs),
        integers(write_instant(run.expires_at) for run in runs),
    )  # fmt: skip


def run_keys(runs: Sequence[Run]) -> Arrays:
    return (
        integers([run.job_uid for run in runs]), integers([to_micros(run.fire_time) for run in runs]),
        plain_texts([run.origin._value_ for run in runs]), integers([run.attempt for run in runs]),
    )  # fmt: skip


def read_versions(runs: Sequence[Run]) -> str:
    """The versions on which what these runs become was decided."""
    return integers([run.version - 1 for run in runs])


def succeeded_runs(settlements: Sequence[Settlement]) -> Arrays | None:
    """The columns of these endings, if they are what nearly all are: a success, and no more to say or to keep. None:
    they are not.
    """
    for run, attempt, log, state in settlements:
        if attempt is not None or log is not None or state is not None or not succeeds_plainly(run):
            return None
    runs = [settlement.run for settlement in settlements]
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
        texts(run.reason for run in runs), texts(run.state._value_ for run in runs),
    )  # fmt: skip


def renewed_runs(runs: Sequence[Run]) -> Arrays:
    return (
        integers(write_instant(run.started_at) for run in runs), texts(write_progress(run.progress) for run in runs),
        texts(run.reason for run in runs),
    )  # fmt: skip


def read_run(row: Row) -> Run:
    (
        job_id, job_uid, fire_time, available_at, through, attempt, origin, state, version, node, lease_until,
        started_at, ended_at, reason, error, result, progress, cancel_reason, asked_by, given,
        counted_from, backfill, expires_at,
    ) = row  # fmt: skip
    return Run(
        job_id, job_uid, from_micros(fire_time), from_micros(available_at), read_instant(through), attempt,
        Origin(origin), RunState(state), version, node, read_instant(lease_until), read_instant(started_at),
        read_instant(ended_at), read_text(reason), read_text(error), read_json(result), read_progress(progress),
        read_text(cancel_reason), read_text(asked_by), read_given(given), counted_from, read_text(backfill),
        read_instant(expires_at),
    )  # fmt: skip


def run_key(run: Run | RunKey) -> Row:
    return run.job_uid, to_micros(run.fire_time), run.origin._value_, run.attempt


def written_logs(logs: Sequence[tuple[Run, RunLog]]) -> Arrays:
    """With the versions that the runs have now."""
    runs = [run for run, _ in logs]
    return *run_keys(runs), integers(run.version for run in runs), texts(write_log(log) for _, log in logs)


def inserted_backfill(backfill: Backfill) -> Row:
    return (
        backfill.id, backfill.job_uid, text(backfill.job_id), write_json(backfill.trigger.to_json()),
        to_micros(backfill.start), to_micros(backfill.end), write_instant(backfill.cursor),
        to_micros(backfill.asked_at), backfill.max_instances, backfill.everything, backfill.newest_first,
        write_given(backfill.given), text(backfill.asked_by), backfill.born, backfill.passed_over, backfill.version,
        write_instant(backfill.ended_at), text(backfill.reason),
    )  # fmt: skip


def updated_backfill(backfill: Backfill) -> Row:
    """With the version that was read."""
    return (
        backfill.id, backfill.version - 1, write_instant(backfill.cursor), backfill.born, backfill.passed_over,
        write_instant(backfill.ended_at), text(backfill.reason),
    )  # fmt: skip


def read_backfill(row: Row) -> Backfill:
    (
        id, job_uid, job_id, trigger, start, end, cursor, asked_at, max_instances, everything, newest_first, given,
        asked_by, born, passed_over, version, ended_at, reason,
    ) = row  # fmt: skip
    return Backfill(
        id, job_id, job_uid, read_trigger(read_json(trigger)), from_micros(start), from_micros(end),
        read_instant(cursor), from_micros(asked_at), max_instances, everything, newest_first, read_given(given),
        read_text(asked_by), born, passed_over, version, read_instant(ended_at), read_text(reason),
    )  # fmt: skip


def expectation_arrays(expected: Sequence[Expectation]) -> Arrays:
    return integers(one.job_uid for one in expected), integers(write_instant(one.expect_by) for one in expected)


def read_expectation(row: Row) -> Expectation:
    job_id, job_uid, expect_by, succeeded_at, overdue_at, told_by = row
    return Expectation(
        job_id, job_uid, read_instant(expect_by), read_instant(succeeded_at), read_instant(overdue_at),
        read_text(told_by),
    )  # fmt: skip


def written_node(node: Node) -> Row:
    return (
        text(node.id), text(node.host), node.pid, text(node.version), to_micros(node.started_at),
        to_micros(node.seen_since), to_micros(node.seen_at), to_micros(node.lease_until),
        write_instant(node.stopped_at), node.paused, node.runs,
        write_duration(node.lateness), text(node.declaration), write_duration(node.clock_error),
        text(node.lifeline),
    )  # fmt: skip


def read_node(row: Row) -> Node:
    (
        id, host, pid, version, started_at, seen_since, seen_at, lease_until, stopped_at, paused, runs, lateness,
        declaration, clock_error, lifeline,
    ) = row  # fmt: skip
    return Node(
        read_text(id) or "", read_text(host) or "", pid, read_text(version) or "", from_micros(started_at),
        from_micros(seen_since), from_micros(seen_at), from_micros(lease_until), read_instant(stopped_at), paused,
        runs, read_duration(lateness), read_text(declaration) or "", read_duration(clock_error),
        read_text(lifeline) or "",
    )  # fmt: skip


def written_move(move: Move | None) -> Row:
    if move is None:
        return None, None, None, None, None, None
    return (
        move.id, move.state._value_, text(move.other), to_micros(move.since), move.mover, to_micros(move.lease_until)
    )  # fmt: skip


def read_move(row: Row) -> Move | None:
    id, state, other, since, mover, lease_until = row
    if state is None:
        return None
    return Move(id, MoveState(state), read_text(other) or "", from_micros(since), mover, from_micros(lease_until))


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
