"""The commands that change jobs, runs and the ledger: each is a verb of the scheduler."""

from __future__ import annotations

import argparse

from tickwork.cli.reading import read_time, zone_for
from tickwork.cli.targets import import_from_here, open_store
from tickwork.cli.words import say_state, say_time
from tickwork.retention import Retention


def pause(options: argparse.Namespace) -> int:
    """Fire a job no more, in any process, until it is resumed; what runs goes on."""
    with open_store(options.store) as scheduler:
        job = scheduler.pause_job(options.job, reason=options.reason, by=options.by)
    print(f"{job.id} is {say_state(job)}")
    return 0


def resume(options: argparse.Namespace) -> int:
    """Fire a paused job again; what fell into the pause is not made up."""
    with open_store(options.store) as scheduler:
        job = scheduler.resume_job(options.job, by=options.by)
    print(f"{job.id} is {say_state(job)}, next fire time {say_time(job.next_fire_time)}")
    return 0


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
        run = scheduler.cancel_run(options.run, reason=options.reason, by=options.by)
    print(f"{run.id} of {run.job_id} is {'cancelled' if run.state.closed else 'asked to end'}")
    return 0


def retry(options: argparse.Namespace) -> int:
    """Try a run again that has ended: a next attempt at the same fire time, in a process that runs its scheduler."""
    with open_store(options.store) as scheduler:
        run = scheduler.retry_run(options.run, even_if_succeeded=options.even_if_succeeded, by=options.by)
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
