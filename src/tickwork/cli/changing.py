"""The commands that change jobs, runs and the ledger: each is a verb of the scheduler."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tickwork.cli.arguments import UsageError
from tickwork.cli.reading import find_job, read_time, run_id_of, zone_for
from tickwork.cli.tables import plain_text
from tickwork.cli.targets import import_from_here, open_store
from tickwork.cli.words import say_state, say_time
from tickwork.job import Job
from tickwork.retention import Retention
from tickwork.scheduler import Scheduler


def pause(options: argparse.Namespace) -> int:
    """Fire a job no more, in any process, until it is resumed; what runs goes on.

    In place of JOB --tag and --metadata name several: those that have all of these.
    """
    with open_store(options.store) as scheduler:
        jobs = _named_jobs(scheduler, options)
        already = {job.id for job in jobs if job.paused}
        paused = [scheduler.pause_job(job.id, reason=options.reason, by=options.by) for job in jobs]
    for job in paused:
        was = " (it was paused already)" if job.id in already else ""
        print(plain_text(f"{job.id} is {say_state(job)}{was}"))
    return 0


def resume(options: argparse.Namespace) -> int:
    """Fire a paused job again; what fell into the pause is not made up.

    In place of JOB --tag and --metadata name several: those that have all of these.
    """
    with open_store(options.store) as scheduler:
        jobs = _named_jobs(scheduler, options)
        already = {job.id for job in jobs if not job.paused}
        resumed = [scheduler.resume_job(job.id, by=options.by) for job in jobs]
    for job in resumed:
        was = " (it was not paused)" if job.id in already else ""
        print(plain_text(f"{job.id} is {say_state(job)}, next fire time {say_time(job.next_fire_time)}{was}"))
    return 0


def _named_jobs(scheduler: Scheduler, options: argparse.Namespace) -> Sequence[Job]:
    """The job that is named, or those that have the labels."""
    labels = bool(options.tag or options.metadata)
    if (options.job is None) is not labels:
        got = "neither" if options.job is None else "both"
        raise UsageError(f"expected JOB, or --tag or --metadata, got {got}: see `tickwork {options.command} --help`")
    if options.job is not None:
        return [find_job(scheduler, options.job)]
    found = scheduler.get_jobs(tags=options.tag, metadata=dict(options.metadata))
    if not found:
        raise UsageError(
            "expected jobs with these labels, got none: `tickwork jobs STORE --json` shows which there are"
        )
    return found


def run_now(options: argparse.Namespace) -> int:
    """Run a job once outside its schedule, in a process that runs its scheduler.

    With --args or --kwargs the job's function is imported from the working directory, to check them by its annotations.
    """
    import_from_here()
    with open_store(options.store) as scheduler:
        expire_after = {} if options.expire_after is None else {"expire_after": options.expire_after}
        run = scheduler.run_job_now(
            options.job, args=options.args, kwargs=options.kwargs, by=options.by, **expire_after
        )
    print(f"{run.job_id} will run in the next process with room; the run is {run.id}")
    return 0


def cancel(options: argparse.Namespace) -> int:
    """Cancel a run: one that waits is closed, one that goes on is asked to end, in whatever process."""
    with open_store(options.store) as scheduler:
        run = scheduler.cancel_run(run_id_of(scheduler, options.run), reason=options.reason, by=options.by)
    print(f"{run.id} of {run.job_id} is {'cancelled' if run.state.closed else 'asked to end'}")
    return 0


def retry(options: argparse.Namespace) -> int:
    """Try a run again that has ended: a next attempt at the same fire time, in a process that runs its scheduler."""
    with open_store(options.store) as scheduler:
        run_id = run_id_of(scheduler, options.run)
        run = scheduler.retry_run(run_id, even_if_succeeded=options.even_if_succeeded, by=options.by)
    print(f"{run.job_id} will run in the next process with room; attempt {run.attempt} is {run.id}")
    return 0


def backfill(options: argparse.Namespace) -> int:
    """Run the fire times of a job within a range of the past after all, a few at a time: those that never ran.

    START and END are such as '2026-12-24 18:00', in --tz or else in the zone of the job's trigger or scheduler, or else
    in the local one; both count. The processes that run the scheduler do it, beside the schedule; `tickwork backfills`
    shows how far they are.
    """
    import_from_here()
    with open_store(options.store) as scheduler:
        zone = zone_for(scheduler, options.job, options.tz)
        asked = scheduler.backfill_job(
            options.job, read_time(options.start, "START", zone), read_time(options.end, "END", zone),
            max_instances=options.max_instances, everything=options.everything, newest_first=options.newest_first,
            args=options.args, kwargs=options.kwargs, by=options.by,
        )  # fmt: skip
    print(f"{asked.job_id} is run from {say_time(asked.start, zone)} to {say_time(asked.end, zone)}: {asked.id}")
    return 0


def cancel_backfill(options: argparse.Namespace) -> int:
    """End a backfill: its waiting runs are closed, those that go on are asked to end."""
    with open_store(options.store) as scheduler:
        ended = scheduler.cancel_backfill(options.backfill, reason=options.reason, by=options.by)
    print(f"{ended.id} of {ended.job_id} is cancelled")
    return 0


def remove(options: argparse.Namespace) -> int:
    """Remove a job; its runs stay in the ledger. One that the code declares comes back with the next start."""
    with open_store(options.store) as scheduler:
        scheduler.remove_job(options.job)
    print(f"{options.job} is removed")
    return 0


def prune(options: argparse.Namespace) -> int:
    """Delete closed rows of the ledger that are older than --age, or beyond the newest --count of their job.

    Without either: what the scheduler keeps (30 days, 10,000 rows a job unless it says otherwise). A job that has its
    own `keep` is pruned by that. A running scheduler does this by itself, and goes on meanwhile.
    """
    asked = options.age is not None or options.count is not None
    with open_store(options.store) as scheduler:
        deleted = scheduler.prune(Retention(age=options.age, count=options.count) if asked else None)
    print(f"{deleted:,} {'row is' if deleted == 1 else 'rows are'} deleted")
    return 0
