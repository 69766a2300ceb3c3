"""Jobs and runs as the rows of the Redis store, and back.

A row is JSON; the scripts read its first fields, and name them in shared.lua.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring as quoted
from typing import Any, TypeAlias

from tickwork.backfill import Answered, Backfill
from tickwork.clock import from_micros, to_micros
from tickwork.codec import (
    read_definition,
    read_duration,
    read_given,
    read_instant,
    read_json,
    read_progress,
    read_trigger,
    to_text,
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
from tickwork.jobstate import Entry, StateChange, StoredState
from tickwork.moves import LedgerNote, Move, MoveState, PackedJob, PackedRun
from tickwork.node import Node
from tickwork.run import SUCCEEDED, Origin, Run, RunKey, RunState
from tickwork.stores.parts import is_ordinary, succeeds_plainly

Row: TypeAlias = Sequence[Any]
DueRow: TypeAlias = tuple[str, int, int, int, int | None, str]
"""Of a job that is due: its uid, version, revision, next and last fire time, and the end of its row."""

LETTERS = {Origin.SCHEDULE: "", Origin.MANUAL: "m", Origin.BACKFILL: "b"}


def written_job(job: Job, following: int | None, last: int | None, rest: str) -> str:
    """All but the definition, of which there is what a script asks for; with its next and its last fire time, and the
    end of its row.
    """
    paused_at = "null" if job.paused_at is None else to_micros(job.paused_at)
    return (
        f"[{job.version},{job.revision},{'null' if following is None else following},{paused_at},"
        f"{'null' if last is None else last},{rest}"
    )


def whole_job(job: Job) -> str:
    return written_job(job, write_instant(job.next_fire_time), write_instant(job.last_fire_time), written_rest(job))


def written_rest(job: Job) -> str:
    """The end of a job's row: what no fire changes, and so none reads."""
    keep = job.keep
    app = job.declared if job.retired_at is None else None
    if keep is None and job.pause_reason is None and job.paused_by is None:  # as nearly always
        return (
            f"{job.max_instances},{quoted(job.executor)},{'null' if app is None else quoted(app)},null,"
            f"{int(job.disposable)},{quoted(job.id)},{to_micros(job.anchored_at)},null,null]"
        )
    return to_text((
        job.max_instances, job.executor, app, None if keep is None else (write_duration(keep.age), keep.count),
        int(job.disposable), job.id, to_micros(job.anchored_at), job.pause_reason, job.paused_by,
    ))[1:]  # fmt: skip


def read_job(uid: str, row: Row, definition: str) -> Job:
    (
        version, revision, next_fire_time, paused_at, last_fire_time, _, _, _, _, _, id, anchored_at, pause_reason,
        paused_by, *_,
    ) = row  # fmt: skip
    return Job(
        uid=int(uid, 16), id=id, version=version, revision=revision, anchored_at=from_micros(anchored_at),
        next_fire_time=read_instant(next_fire_time), last_fire_time=read_instant(last_fire_time),
        paused_at=read_instant(paused_at), pause_reason=pause_reason, paused_by=paused_by,
        **read_definition(definition),
    )  # fmt: skip


def read_due(lines: bytes) -> list[DueRow]:
    """What `due.lua` tells of jobs: of each its uid and its row, whose end is not read."""
    return [_due_row(line) for line in lines.decode().split("\n")] if lines else []


def _due_row(line: str) -> DueRow:
    head, revision, next_fire_time, _, last_fire_time, rest = line.split(",", 5)
    job_uid, version = head.split("[")
    last = None if last_fire_time == "null" else int(last_fire_time)
    return job_uid, int(version), int(revision), int(next_fire_time), last, rest


def uid(job_uid: int) -> str:
    return f"{job_uid:x}"


def run_id(run: Run | RunKey) -> str:
    """As `Run.id` is; written once more, for speed."""
    return f"{run.job_uid:x}-{to_micros(run.fire_time)}{LETTERS[run.origin]}-{run.attempt}"


def asked_id(run_id_given: str) -> str:
    """The one way to write the id that *run_id_given* means; a RunNotFoundError if it cannot be a run's."""
    return run_id(RunKey.parse(run_id_given))


def ends_plainly(run: Run) -> bool:
    """Whether a run ends as nearly all do: it succeeds, is of the schedule, and nobody had asked it to end."""
    return run.state is SUCCEEDED and run.cancel_reason is None and run.backfill is None


def ended_run(run: Run) -> tuple[str, str]:
    """The id and the row of a run that has ended, or is given back; with little work if it ends as nearly all do."""
    if run.lease_until is not None or not (succeeds_plainly(run) and is_ordinary(run)):
        return run_id(run), written_run(run)
    at = to_micros(run.fire_time)
    available_at = at if run.available_at is run.fire_time else to_micros(run.available_at)
    return f"{run.job_uid:x}-{at}-{run.attempt}", (
        f'["succeeded",{run.version},{_text_or_null(run.node)},null,{available_at},null,null,null,1,'
        f"{_number(run.ended_at)},null,{quoted(run.job_id)},null,{_number(run.started_at)},null,null,null,null,null]"
    )


def written_run(run: Run) -> str:
    """All but its key."""
    return to_text((
        run.state._value_, run.version, run.node, write_instant(run.lease_until), to_micros(run.available_at),
        write_instant(run.expires_at), run.cancel_reason, run.backfill, run.counted_from, write_instant(run.ended_at),
        run.reason, run.job_id, write_instant(run.through), write_instant(run.started_at), run.error,
        write_json(run.result), write_progress(run.progress), run.asked_by, write_given(run.given),
    ))  # fmt: skip


def begin_of_held_run(run: Run, lease_until: int | None) -> str:
    """The row of one that is held plainly, up to when it is available: the same for all of one hold."""
    return f'["running",1,{_text_or_null(run.node)},{lease_until},'


def end_of_held_run(run: Run) -> str:
    """What follows when it is available."""
    return f",null,null,null,1,null,null,{quoted(run.job_id)},null,null,null,null,null,null,null]"


def _text_or_null(text: str | None) -> str:
    return "null" if text is None else quoted(text)


def _number(instant: Any) -> str:
    return "null" if instant is None else str(to_micros(instant))


def read_run(id: str, row: Row) -> Run:
    (
        state, version, node, lease_until, available_at, expires_at, cancel_reason, backfill, counted_from, ended_at,
        reason, job_id, through, started_at, error, result, progress, asked_by, given, *_,
    ) = row  # fmt: skip
    key = RunKey.parse(id)
    return Run(
        job_id, key.job_uid, key.fire_time, from_micros(available_at), read_instant(through), key.attempt, key.origin,
        RunState(state), version, node, read_instant(lease_until), read_instant(started_at), read_instant(ended_at),
        reason, error, read_json(result), read_progress(progress), cancel_reason, asked_by, read_given(given),
        counted_from, backfill, read_instant(expires_at),
    )  # fmt: skip


def read_runs(rows: Iterable[Row]) -> list[Run]:
    return [read_run(id, row) for id, row in rows]


def read_version(run: Run) -> str:
    """The version on which what the run becomes was decided."""
    return str(run.version - 1)


def changed_run(run: Run) -> Row:
    """A run as it becomes, with the version that was read."""
    return run_id(run), read_version(run), written_run(run)


def born_run(run: Run) -> Row:
    return run_id(run), written_run(run)


def written_change(change: StateChange) -> dict[str, Any]:
    return {
        "read": {key: str(version) for key, version in change.read.items()},
        "written": {key: to_text(value) for key, value in change.written.items()},
    }


def read_state(flat: Sequence[bytes]) -> StoredState:
    """What HGETALL answers of a job's state."""
    entries: dict[str, Entry] = {}
    version = 0
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        if name == b"version":
            version = int(value)
        else:
            written_with, _, text = value.partition(b" ")
            entries[name[1:].decode()] = Entry(int(written_with), read_json(text.decode()))
    return StoredState(version, entries)


def written_backfill(backfill: Backfill) -> str:
    """Its instants are text, so that a script can write it again."""
    return to_text({
        "version": backfill.version, "job_uid": uid(backfill.job_uid), "job_id": backfill.job_id, "id": backfill.id,
        "trigger": write_json(backfill.trigger.to_json()), "start": str(to_micros(backfill.start)),
        "end": str(to_micros(backfill.end)), "cursor": _text(backfill.cursor),
        "asked_at": str(to_micros(backfill.asked_at)), "max_instances": backfill.max_instances,
        "everything": backfill.everything, "newest_first": backfill.newest_first, "given": write_given(backfill.given),
        "asked_by": backfill.asked_by, "born": backfill.born, "passed_over": backfill.passed_over,
        "ended_at": _text(backfill.ended_at), "reason": backfill.reason,
    })  # fmt: skip


def read_backfill(row: dict[str, Any]) -> Backfill:
    return Backfill(
        row["id"], row["job_id"], int(row["job_uid"], 16), read_trigger(read_json(row["trigger"])),
        from_micros(int(row["start"])), from_micros(int(row["end"])), _instant(row["cursor"]),
        from_micros(int(row["asked_at"])), row["max_instances"], row["everything"], row["newest_first"],
        read_given(row["given"]), row["asked_by"], row["born"], row["passed_over"], row["version"],
        _instant(row["ended_at"]), row["reason"],
    )  # fmt: skip


def _text(instant: Any) -> str | None:
    return None if instant is None else str(to_micros(instant))


def _instant(text: str | None) -> Any:
    return None if text is None else from_micros(int(text))


def read_answered(rows: Iterable[Sequence[str]]) -> dict[Any, Answered]:
    """By fire time; each row has it, the rest of a run's id, and the run's state."""
    by_fire_time: dict[int, list[tuple[str, RunState]]] = {}
    for at, rest, state in rows:
        by_fire_time.setdefault(int(at), []).append((rest, RunState(state)))
    return {from_micros(at): _answered(runs) for at, runs in by_fire_time.items()}


def _answered(runs: Sequence[tuple[str, RunState]]) -> Answered:
    return Answered(
        ran=any(state not in (RunState.MISSED, RunState.SKIPPED) for _, state in runs),
        open=any(not state.closed for _, state in runs),
        backfilled=max((int(rest.rpartition("-")[2]) for rest, _ in runs if "b" in rest), default=0),
    )


def read_expectation(job_uid: str, job_id: str, row: Row) -> Expectation:
    expect_by, succeeded_at, overdue_at, told_by = row
    return Expectation(
        job_id, int(job_uid, 16), read_instant(expect_by), read_instant(succeeded_at), read_instant(overdue_at), told_by
    )


def stretch_of(node: Node) -> str:
    """The name of a stretch: a node that comes back begins another."""
    return to_text((node.id, to_micros(node.seen_since)))


def written_node(node: Node) -> str:
    return to_text({
        "id": node.id, "host": node.host, "pid": node.pid, "version": node.version,
        "started_at": to_micros(node.started_at), "seen_since": to_micros(node.seen_since),
        "seen_at": to_micros(node.seen_at), "lease_until": to_micros(node.lease_until),
        "stopped_at": write_instant(node.stopped_at), "paused": node.paused, "runs": node.runs,
        "lateness": write_duration(node.lateness), "declaration": node.declaration,
        "clock_error": write_duration(node.clock_error), "lifeline": node.lifeline,
    })  # fmt: skip


def read_node(row: dict[str, Any]) -> Node:
    return Node(
        row["id"], row["host"], row["pid"], row["version"], from_micros(row["started_at"]),
        from_micros(row["seen_since"]), from_micros(row["seen_at"]), from_micros(row["lease_until"]),
        read_instant(row["stopped_at"]), row["paused"], row["runs"],
        read_duration(row["lateness"]), row["declaration"], read_duration(row["clock_error"]), row["lifeline"],
    )  # fmt: skip


def written_move(move: Move | None) -> str:
    """Empty: none."""
    if move is None:
        return ""
    return to_text(move._asdict() | {"since": to_micros(move.since), "lease_until": to_micros(move.lease_until)})


def read_move(text: bytes | str | None) -> Move | None:
    if not text:
        return None
    row = json.loads(text)
    return Move(
        row["id"], MoveState(row["state"]), row["other"], from_micros(row["since"]), row["mover"],
        from_micros(row["lease_until"]),
    )  # fmt: skip


def packed_job(packed: PackedJob) -> Row:
    job, one, state = packed
    expectation = one and [
        write_instant(one.expect_by),
        write_instant(one.succeeded_at),
        write_instant(one.overdue_at),
        one.told_by,
    ]
    fields = ["version", str(state.version)] if state.version else []
    for key, entry in state.entries.items():
        fields += [f"k{key}", f"{entry.version} {to_text(entry.value)}"]
    return uid(job.uid), job.id, whole_job(job), write_definition(job), expectation or False, fields


def packed_run(packed: PackedRun) -> Row:
    number, run, log = packed
    return run_id(run), number, written_run(run), False if log is None else write_log(log)


def packed_backfill(backfill: Backfill) -> Row:
    return backfill.id, written_backfill(backfill), write_instant(backfill.ended_at) or False


def packed_note(note: LedgerNote) -> Row:
    removed_at, pruned_through = write_instant(note.removed_at), write_instant(note.pruned_through)
    return uid(note.job_uid), note.job_id, False if removed_at is None else removed_at, (
        False if pruned_through is None else pruned_through
    )  # fmt: skip


def packed_node(node: Node) -> Row:
    lease_until = to_micros(node.lease_until) if node.stopped_at is None else False
    return stretch_of(node), written_node(node), to_micros(node.seen_at), lease_until


# lists as JSON, of texts that need no escape


def ids_json(ids: Sequence[str]) -> str:
    return '["' + '","'.join(ids) + '"]' if ids else "[]"


def numbers_json(values: Iterable[int | None]) -> str:
    return "[" + ",".join(map(str, values)).replace("None", "null") + "]"
