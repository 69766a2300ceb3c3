"""Jobs and runs as rows of the SQLite store's tables, and back."""

from __future__ import annotations

from collections.abc import Sequence
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
from tickwork.run import Origin, Run, RunKey, RunState
from tickwork.runlog import RunLog
from tickwork.stores.sqlite import statements as sql

Row: TypeAlias = Sequence[Any]
Change: TypeAlias = tuple[str, Row]
"""A statement that changes one row, and its parameters."""

RUNNING, SUCCEEDED = RunState.RUNNING, RunState.SUCCEEDED


def inserted_job(job: Job) -> Row:
    return (
        job.uid, job.id, job.version, job.revision, job.executor, job.max_instances,
        to_micros(job.anchored_at), write_instant(job.next_fire_time), write_instant(job.last_fire_time),
        write_instant(job.paused_at), job.pause_reason, job.paused_by,
    )  # fmt: skip


def definition(job: Job) -> Row:
    return job.uid, write_definition(job)


def updated_job(job: Job) -> Row:
    """Ends with the version that was read, as the updates of runs do."""
    return (
        job.version, job.revision, job.executor, job.max_instances, to_micros(job.anchored_at),
        write_instant(job.next_fire_time), write_instant(job.last_fire_time), write_instant(job.paused_at),
        job.pause_reason, job.paused_by, job.uid, job.version - 1,
    )  # fmt: skip


def advanced_job(job: Job) -> Row:
    return write_instant(job.next_fire_time), write_instant(job.last_fire_time), job.uid, job.version - 1


def read_job(row: Row) -> Job:
    (
        uid, id, version, revision, anchored_at, next_fire_time, last_fire_time, paused_at, pause_reason,
        paused_by, definition,
    ) = row  # fmt: skip
    return Job(
        uid=uid, id=id, version=version, revision=revision, anchored_at=from_micros(anchored_at),
        next_fire_time=read_instant(next_fire_time), last_fire_time=read_instant(last_fire_time),
        paused_at=read_instant(paused_at), pause_reason=pause_reason, paused_by=paused_by,
        **read_definition(definition),
    )  # fmt: skip


def birth(run: Run) -> Change:
    """The statement that writes down a run that was just born, and its row.

    What runs at its fire time is held plainly (see `is_held_plainly`): `plan.fire` makes no other. A shorter question.
    """
    if run.state is RUNNING and run.available_at is run.fire_time and run.expires_at is None:
        assert run.lease_until is not None
        lease_until = to_micros(run.lease_until)
        return sql.INSERT_HELD_RUN, (run.job_id, run.job_uid, to_micros(run.fire_time), run.node, lease_until)
    return sql.INSERT_RUN, inserted_run(run)


def inserted_run(run: Run) -> Row:
    (
        job_id, job_uid, fire_time, available_at, through, attempt, origin, state, version, node, lease_until,
        started_at, ended_at, reason, error, result, progress, cancel_reason, asked_by, given,
        counted_from, backfill, expires_at,
    ) = run  # fmt: skip
    instant = to_micros(fire_time)
    return (
        job_id, job_uid, instant, instant if available_at is fire_time else to_micros(available_at),
        None if through is None else to_micros(through), attempt, origin._value_, state._value_, version, node,
        None if lease_until is None else to_micros(lease_until), None if started_at is None else to_micros(started_at),
        None if ended_at is None else to_micros(ended_at), reason, error,
        None if result is None else write_json(result), None if progress is None else write_progress(progress),
        cancel_reason, asked_by, write_given(given), counted_from, backfill,
        None if expires_at is None else to_micros(expires_at),
    )  # fmt: skip


def cancelled_run(run: Run) -> Row:
    return (
        run.state._value_, run.version, write_instant(run.lease_until), write_instant(run.ended_at), run.reason,
        run.cancel_reason, *run_key(run), run.version - 1,
    )  # fmt: skip


def claimed_run(run: Run) -> Row:
    return (run.version, run.node, write_instant(run.lease_until), *run_key(run), run.version - 1)


def renewed_run(run: Run) -> Row:
    return (
        run.version, write_instant(run.lease_until), write_instant(run.started_at), write_progress(run.progress),
        run.reason, *run_key(run), run.version - 1,
    )  # fmt: skip


def ending(run: Run) -> Change:
    """The statement that closes a run or gives it back, and its row."""
    plainly = run.result is None and run.reason is None and run.progress is None and run.cancel_reason is None
    if run.state is SUCCEEDED and plainly and run.ended_at is not None:
        started_at = None if run.started_at is None else to_micros(run.started_at)
        return sql.SETTLE_SUCCEEDED_RUN, (started_at, to_micros(run.ended_at), *run_key(run), run.version - 1)
    return sql.SETTLE_RUN, settled_run(run)


def settled_run(run: Run) -> Row:
    (
        _, job_uid, fire_time, _, _, attempt, origin, state, version, node, lease_until,
        started_at, ended_at, reason, error, result, progress, *_,
    ) = run  # fmt: skip
    return (
        state._value_, version, node, None if lease_until is None else to_micros(lease_until),
        None if started_at is None else to_micros(started_at), None if ended_at is None else to_micros(ended_at),
        reason, error, None if result is None else write_json(result),
        None if progress is None else write_progress(progress),
        job_uid, to_micros(fire_time), origin._value_, attempt, version - 1,
    )  # fmt: skip


def written_log(run: Run, log: RunLog) -> Row:
    """Ends with the version that the run has now."""
    return write_log(log), *run_key(run), run.version


def run_key(run: Run | RunKey) -> Row:
    return run.job_uid, to_micros(run.fire_time), run.origin._value_, run.attempt


def read_run(row: Row) -> Run:
    (
        job_id, job_uid, fire_time, available_at, through, attempt, origin, state, version, node, lease_until,
        started_at, ended_at, reason, error, result, progress, cancel_reason, asked_by, given,
        counted_from, backfill, expires_at,
    ) = row  # fmt: skip
    return Run(
        job_id, job_uid, from_micros(fire_time), from_micros(available_at), read_instant(through), attempt,
        Origin(origin), RunState(state), version, node, read_instant(lease_until), read_instant(started_at),
        read_instant(ended_at), reason, error, read_json(result), read_progress(progress),
        cancel_reason, asked_by, read_given(given), counted_from, backfill, read_instant(expires_at),
    )  # fmt: skip


def inserted_backfill(backfill: Backfill) -> Row:
    return (
        backfill.id, backfill.job_uid, backfill.job_id, write_json(backfill.trigger.to_json()),
        to_micros(backfill.start), to_micros(backfill.end), write_instant(backfill.cursor),
        to_micros(backfill.asked_at), backfill.max_instances, backfill.everything, backfill.newest_first,
        write_given(backfill.given), backfill.asked_by, backfill.born, backfill.passed_over, backfill.version,
        write_instant(backfill.ended_at), backfill.reason,
    )  # fmt: skip


def updated_backfill(backfill: Backfill) -> Row:
    return (
        write_instant(backfill.cursor), backfill.born, backfill.passed_over, backfill.version,
        write_instant(backfill.ended_at), backfill.reason, backfill.id, backfill.version - 1,
    )  # fmt: skip


def read_backfill(row: Row) -> Backfill:
    (
        id, job_uid, job_id, trigger, start, end, cursor, asked_at, max_instances, everything, newest_first, given,
        asked_by, born, passed_over, version, ended_at, reason,
    ) = row  # fmt: skip
    return Backfill(
        id, job_id, job_uid, read_trigger(read_json(trigger)), from_micros(start), from_micros(end),
        read_instant(cursor), from_micros(asked_at), max_instances, bool(everything), bool(newest_first),
        read_given(given), asked_by, born, passed_over, version, read_instant(ended_at), reason,
    )  # fmt: skip


def read_expectation(row: Row) -> Expectation:
    job_id, job_uid, expect_by, succeeded_at, overdue_at, told_by = row
    return Expectation(
        job_id, job_uid, read_instant(expect_by), read_instant(succeeded_at), read_instant(overdue_at), told_by
    )


def written_node(node: Node) -> Row:
    return (
        node.id, node.host, node.pid, node.version, to_micros(node.started_at), to_micros(node.seen_since),
        to_micros(node.seen_at), to_micros(node.lease_until), write_instant(node.stopped_at), node.paused, node.runs,
        write_duration(node.lateness), node.declaration, write_duration(node.clock_error),
        node.lifeline,
    )  # fmt: skip


def read_node(row: Row) -> Node:
    (
        id, host, pid, version, started_at, seen_since, seen_at, lease_until, stopped_at, paused, runs, lateness,
        declaration, clock_error, lifeline,
    ) = row  # fmt: skip
    return Node(
        id, host, pid, version, from_micros(started_at), from_micros(seen_since), from_micros(seen_at),
        from_micros(lease_until), read_instant(stopped_at), bool(paused), runs,
        read_duration(lateness), declaration, read_duration(clock_error), lifeline,
    )  # fmt: skip


def written_move(move: Move) -> Row:
    return move.id, move.state._value_, move.other, to_micros(move.since), move.mover, to_micros(move.lease_until)


def read_move(row: Row) -> Move:
    id, state, other, since, mover, lease_until = row
    return Move(id, MoveState(state), other, from_micros(since), mover, from_micros(lease_until))
