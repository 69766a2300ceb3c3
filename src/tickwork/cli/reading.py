"""The commands that read: `jobs` and `runs`; they start nothing and make no file."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from tickwork.cli.records import job_record, print_json, run_record
from tickwork.cli.tables import print_table
from tickwork.cli.targets import open_store
from tickwork.cli.words import say_duration, say_ending, say_note, say_state, say_time, say_took
from tickwork.errors import JobNotFoundError
from tickwork.job import Job
from tickwork.scheduler import Scheduler


def show_jobs(options: argparse.Namespace) -> int:
    """List the jobs of a store: the next to fire first."""
    with open_store(options.store) as scheduler:
        jobs = scheduler.get_jobs()
    if options.json:
        return print_json([job_record(job) for job in jobs])
    zone = "UTC" if options.utc else None
    return print_table(
        ("JOB", "NEXT FIRE TIME", "STATE", "TRIGGER"),
        [(job.id, say_time(job.next_run_time, zone), say_state(job), str(job.trigger)) for job in jobs],
    )


def show_runs(options: argparse.Namespace) -> int:
    """List the newest rows of the ledger: what ran and how it ended, what did not run and why."""
    with open_store(options.store) as scheduler:
        runs = scheduler.get_runs(options.job, states=options.state, limit=options.limit)
        if not runs and options.job is not None:
            find_job(scheduler, options.job)  # a typing error is more likely than a job that never fired
    if options.json:
        return print_json([run_record(run) for run in runs])
    zone, now = "UTC" if options.utc else None, datetime.now(UTC)
    return print_table(
        ("FIRE TIME", "JOB", "STATE", "LATE", "TOOK", "NOTE"),
        [
            (
                say_time(run.fire_time, zone), run.job_id, say_ending(run), say_duration(run.lateness),
                say_took(run, now), say_note(run, zone),
            )
            for run in runs
        ],
    )  # fmt: skip


def find_job(scheduler: Scheduler, job_id: str) -> Job:
    """The job of that id; JobNotFoundError if there is none."""
    job = scheduler.get_job(job_id)
    if job is None:
        raise JobNotFoundError(job_id, (known.id for known in scheduler.get_jobs()))
    return job
