"""What programs read: jobs and runs as JSON, with the words of the HTTP API."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from tickwork.backfill import Backfill
from tickwork.job import Job
from tickwork.moves import Move
from tickwork.node import Node
from tickwork.policies import Retry
from tickwork.run import Given, Run
from tickwork.runlog import RunLog
from tickwork.triggers.clock_changes import ClockChange
from tickwork.triggers.explain import explain
from tickwork.triggers.ticks import Tick
from tickwork.why import Answer


def print_json(records: object) -> int:
    written = json.dumps(records, indent=2, ensure_ascii=False)
    print("".join(letter if letter.isprintable() or letter == "\n" else _escape(letter) for letter in written))
    return 0


def move_record(move: Move) -> dict[str, Any]:
    return {"state": move.state, "other": move.other, "since": iso(move.since)}


def job_record(job: Job, overdue_at: datetime | None) -> dict[str, Any]:
    """A job with the words of the HTTP API: instants in ISO 8601, durations in seconds."""
    return {
        "id": job.id, "name": job.name, "func": job.func,
        "trigger": str(job.trigger), "explanation": explain(job.trigger), "trigger_kind": job.trigger.kind,
        "executor": job.executor,
        "next_fire_time": iso(job.next_fire_time), "last_fire_time": iso(job.last_fire_time),
        "paused": job.paused, "paused_at": iso(job.paused_at), "pause_reason": job.pause_reason,
        "paused_by": job.paused_by, "ended": job.ended,
        "declared": job.declared, "retired_at": iso(job.retired_at),
        "coalesce": job.coalesce, "catch_up": job.catch_up, "misfire_grace_time": _in_seconds(job.misfire_grace_time),
        "max_instances": job.max_instances, "overlap": job.overlap, "max_waiting": job.max_waiting,
        "timeout": _in_seconds(job.timeout), "retry": _retry_record(job.retry), "pause_after": job.pause_after,
        "expect_every": _in_seconds(job.expect_every), "overdue_at": iso(overdue_at),
        "expire_after": _in_seconds(job.expire_after),
        "tags": job.tags, "metadata": job.metadata,
        "keep": job.keep and {"age": _in_seconds(job.keep.age), "count": job.keep.count},
    }  # fmt: skip


def run_record(run: Run) -> dict[str, Any]:
    """A run with the words of the HTTP API."""
    progress = run.progress
    return {
        "id": run.id, "job_id": run.job_id, "fire_time": iso(run.fire_time), "through": iso(run.through),
        "attempt": run.attempt, "origin": run.origin, "state": run.state, "available_at": iso(run.available_at),
        "node": run.node, "started_at": iso(run.started_at), "ended_at": iso(run.ended_at),
        "lateness": _in_seconds(run.lateness), "duration": _in_seconds(run.duration), "reason": run.reason,
        "progress": progress and {"done": progress.done, "total": progress.total, "message": progress.message},
        "cancel_reason": run.cancel_reason, "asked_by": run.asked_by, "backfill": run.backfill,
        "expires_at": iso(run.expires_at),
        "given": _given_record(run.given),
        "error": run.error, "result": run.result,
    }  # fmt: skip


def node_record(node: Node) -> dict[str, Any]:
    """A node with the words of the HTTP API."""
    return {
        "id": node.id, "state": node.state, "host": node.host, "pid": node.pid, "version": node.version,
        "started_at": iso(node.started_at), "seen_since": iso(node.seen_since), "seen_at": iso(node.seen_at),
        "lease_until": iso(node.lease_until), "stopped_at": iso(node.stopped_at), "paused": node.paused,
        "runs": node.runs, "lateness": _in_seconds(node.lateness), "declaration": node.declaration,
        "clock_error": _in_seconds(node.clock_error),
    }  # fmt: skip


def backfill_record(backfill: Backfill) -> dict[str, Any]:
    """A backfill with the words of the HTTP API."""
    return {
        "id": backfill.id, "job_id": backfill.job_id, "start": iso(backfill.start), "end": iso(backfill.end),
        "cursor": iso(backfill.cursor), "asked_at": iso(backfill.asked_at), "asked_by": backfill.asked_by,
        "max_instances": backfill.max_instances, "everything": backfill.everything,
        "newest_first": backfill.newest_first, "given": _given_record(backfill.given), "born": backfill.born,
        "passed_over": backfill.passed_over, "ended_at": iso(backfill.ended_at), "reason": backfill.reason,
    }  # fmt: skip


def _given_record(given: Given | None) -> dict[str, Any] | None:
    return None if given is None else {"args": given.args, "kwargs": given.kwargs}


def _retry_record(retry: Retry) -> dict[str, Any]:
    return {
        "max_attempts": retry.max_attempts, "delay": _in_seconds(retry.delay), "backoff": retry.backoff,
        "max_delay": _in_seconds(retry.max_delay), "jitter": retry.jitter,
        "on": [*retry.on], "give_up_on": [*retry.give_up_on],
    }  # fmt: skip


def tick_record(tick: Tick) -> dict[str, Any]:
    """A fire time that is to come, or one that is left out."""
    return {
        "at": iso(tick.at), "excluded": tick.excluded, "through": iso(tick.through),
        "shifted_from": iso(tick.shifted_from), "why": tick.why, "jitter": _in_seconds(tick.jitter),
    }  # fmt: skip


def change_record(change: ClockChange) -> dict[str, Any]:
    """A clock change that touches a fire time; what the wall shows is without an offset."""
    return {
        "at": iso(change.at), "timezone": change.timezone, "before": iso(change.before), "after": iso(change.after),
        "time": iso(change.time), "outcome": change.outcome,
    }  # fmt: skip


def answer_record(answer: Answer) -> dict[str, Any]:
    """An answer with the words of the HTTP API."""
    return {
        "job_id": answer.job_id, "instant": iso(answer.instant), "verdict": answer.verdict,
        "sentence": answer.sentence, "fire_time": iso(answer.fire_time), "manual": answer.manual,
        "before": iso(answer.before), "after": iso(answer.after), "runs": [run_record(run) for run in answer.runs],
    }  # fmt: skip


def log_record(log: RunLog) -> dict[str, Any]:
    """A log with the words of the HTTP API."""
    beginning, end = (
        [{"at": iso(line.at), "level": line.level, "logger": line.logger, "text": line.text} for line in lines]
        for lines in (log.beginning, log.end)
    )
    return {"beginning": beginning, "end": end, "left_out": log.left_out, "left_out_length": log.left_out_length}


def _escape(letter: str) -> str:
    """As JSON may write any character of a string: `json` itself leaves C1 controls as they are, and more."""
    return json.dumps(letter)[1:-1]


def iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _in_seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
