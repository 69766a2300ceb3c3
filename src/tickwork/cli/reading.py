"""The commands that read: `jobs`, `runs`, `backfills`, `why`, `nodes` and `health`; they make no file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from tickwork.cli.arguments import UsageError
from tickwork.cli.records import (
    answer_record,
    backfill_record,
    job_record,
    move_record,
    node_record,
    print_json,
    run_record,
)
from tickwork.cli.tables import plain_text, print_table
from tickwork.cli.targets import open_store
from tickwork.cli.words import (
    say_duration,
    say_ending,
    say_filled,
    say_node_state,
    say_nodes,
    say_note,
    say_state,
    say_time,
    say_took,
)
from tickwork.errors import JobNotFoundError
from tickwork.job import Job
from tickwork.moves import MoveState
from tickwork.run import Run
from tickwork.scheduler import Scheduler
from tickwork.triggers.base import zone_of
from tickwork.triggers.instants import on_this_day, read_instant
from tickwork.triggers.zones import find_zone


def show_jobs(options: argparse.Namespace) -> int:
    """List the jobs of a store: the next to fire first."""
    with open_store(options.store) as scheduler:
        jobs = scheduler.get_jobs(tags=options.tag, metadata=dict(options.metadata))
        overdue_at = {one.job_uid: one.overdue_at for one in scheduler.get_overdue()}
    if options.json:
        return print_json([job_record(job, overdue_at.get(job.uid)) for job in jobs])
    zone = "UTC" if options.utc else None
    return print_table(
        ("JOB", "NEXT FIRE TIME", "STATE", "TRIGGER"),
        [
            (job.id, say_time(job.next_run_time, zone), say_state(job, overdue_at.get(job.uid)), str(job.trigger))
            for job in jobs
        ],
    )


def show_runs(options: argparse.Namespace) -> int:
    """List the newest rows of the ledger: what ran and how it ended, what did not run and why."""
    with open_store(options.store) as scheduler:
        runs = scheduler.get_runs(options.job, states=options.state, limit=options.limit)
        if not runs and options.job is not None:
            find_job(scheduler, options.job)  # a typing error is more likely than a job that never fired
    if options.json:
        return print_json([run_record(run) for run in runs])
    return _print_runs(runs, "UTC" if options.utc else None)


def show_schema(options: argparse.Namespace) -> int:
    """Print the SQL that makes the tables of a PostgreSQL store ("postgresql") or of documents in PostgreSQL
    ("documents"), or brings older ones up to date.
    """
    if options.kind not in ("postgresql", "documents"):
        raise UsageError(
            f"expected postgresql or documents, got {options.kind!r}: a SQLite file makes its tables itself"
        )
    try:
        from tickwork.stores.postgresql import schema  # noqa: PLC0415  only who asks for it needs psycopg

        if options.kind == "postgresql":
            print(schema.script(options.schema, options.after), end="")
        else:
            from tickwork.documents.catalogue.postgresql import SCRIPTS, VERSION_TABLE  # noqa: PLC0415  so do they

            print(schema.script(options.schema, options.after, scripts=SCRIPTS, table=VERSION_TABLE), end="")
    except ImportError as error:
        raise UsageError(f"expected psycopg 3, got {error}: pip install 'tickwork[postgresql]'") from None
    return 0


def show_why(options: argparse.Namespace) -> int:
    """Say what became of a job at one time, past or future, and why; or what will.

    TIME is such as '2026-12-24 18:00', or '18:00' for today. It is read and shown in --tz, or else in the zone of the
    job's trigger or scheduler, or else in the local one. A time without a fraction of a second stands for all of that
    second.
    """
    with open_store(options.store) as scheduler:
        zone = zone_for(scheduler, options.job, options.tz)
        at = read_time(options.time, "TIME", zone)
        answer = scheduler.why(options.job, at, say=None if options.json else partial(say_time, zone=zone))
    if options.json:
        return print_json(answer_record(answer))
    print(plain_text(f"{answer.job_id} at {say_time(answer.fire_time or at, zone)}: {answer.sentence}"))
    if answer.runs:
        print()
        return _print_runs(answer.runs, zone)
    return 0


def show_nodes(options: argparse.Namespace) -> int:
    """List the nodes of a store, the last heard of first: which are alive, which stopped, and which died."""
    with open_store(options.store) as scheduler:
        nodes = scheduler.get_nodes(alive=options.alive)
    if options.json:
        return print_json([node_record(node) for node in nodes])
    zone = "UTC" if options.utc else None
    return print_table(
        ("NODE", "STATE", "HOST", "PID", "VERSION", "STARTED", "LAST HEARD OF", "RUNS", "LATE"),
        [
            (
                node.id, say_node_state(node), node.host, str(node.pid), node.version, say_time(node.started_at, zone),
                say_time(node.seen_at, zone), str(node.runs), say_duration(node.lateness),
            )
            for node in nodes
        ],
    )  # fmt: skip


def show_backfills(options: argparse.Namespace) -> int:
    """List backfills, the newest first: what is run after all, and how far that has come."""
    with open_store(options.store) as scheduler:
        found = scheduler.get_backfills(options.job, limit=options.limit)
    if options.json:
        return print_json([backfill_record(one) for one in found])
    zone = "UTC" if options.utc else None
    return print_table(
        ("BACKFILL", "JOB", "FROM", "TO", "STATE", "RUNS", "BY"),
        [
            (
                one.id, one.job_id, say_time(one.start, zone), say_time(one.end, zone), say_filled(one, zone),
                f"{one.born:,}", one.asked_by or "-",
            )
            for one in found
        ],
    )  # fmt: skip


def show_health(options: argparse.Namespace) -> int:
    """Say whether a store is looked after; exit code 1 if no living node fires, or a job is overdue, or it has moved.

    A job is overdue that has not succeeded for longer than its `expect_every`.
    """
    with open_store(options.store) as scheduler:
        nodes, overdue = scheduler.get_nodes(alive=True), scheduler.get_overdue()
        moving, place = scheduler.get_move(), scheduler.health().store
    fires = moving is None or moving.fires
    healthy = fires and any(node.firing for node in nodes) and not overdue
    if options.json:
        listed = [node_record(node) for node in nodes]
        told = None if moving is None else move_record(moving)
        print_json({"healthy": healthy, "nodes": listed, "overdue": [one.job_id for one in overdue], "move": told})
    else:
        if moving is not None and moving.state is not MoveState.ARRIVED:
            print(plain_text(f"{place} {moving.told(say_time)}"))
        print(say_nodes(nodes))
        for one in overdue:
            print(plain_text(f"{one.job_id} is overdue: it was to succeed by {say_time(one.expect_by)}"))
    return 0 if healthy else 1


def find_job(scheduler: Scheduler, job_id: str) -> Job:
    """The job of that id; JobNotFoundError if there is none."""
    job = scheduler.get_job(job_id)
    if job is None:
        raise JobNotFoundError(job_id, (known.id for known in scheduler.get_jobs()))
    return job


def run_id_of(scheduler: Scheduler, written: str) -> str:
    """*written* itself; UsageError if it is the id of a job, with that of its newest run."""
    if scheduler.get_job(written) is None:
        return written
    newest = [f"its newest run is {run.id}" for run in scheduler.get_runs(written, limit=1)] or ["it has no run yet"]
    raise UsageError(
        f"expected the id of a run, got that of a job: {newest[0]}, and `tickwork runs STORE --job {written}` shows all"
    )


def _print_runs(runs: Sequence[Run], zone: str | None) -> int:
    now = datetime.now(UTC)
    return print_table(
        ("FIRE TIME", "JOB", "STATE", "LATE", "TOOK", "NOTE"),
        [
            (
                say_time(run.fire_time, zone), run.job_id, say_ending(run), say_duration(run.lateness),
                say_took(run, now), say_note(run, zone),
            )
            for run in runs
        ],
        keys=["RUN", *(run.id for run in runs)],
    )  # fmt: skip


def zone_for(scheduler: Scheduler, job_id: str, asked_for: str | None) -> str | None:
    """The zone to speak in of a job. None: the local one."""
    if asked_for is not None:
        return find_zone(asked_for).key
    job = scheduler.get_job(job_id)
    return (None if job is None else zone_of(job.trigger)) or scheduler.timezone


def read_time(written: str, name: str, zone: str | None) -> datetime:
    """The instant that someone typed as *name*, by the rule of docs/times.md."""
    dated = on_this_day(written, datetime.now(UTC), zone)
    if zone is None:
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(dated.strip()).astimezone(UTC)
    return read_instant(dated, name, zone or "UTC")
