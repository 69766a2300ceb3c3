"""The verbs of a scheduler that touch the store, as awaitables: what `scheduler.aio` is.

The rule: each is the verb itself, made on a thread. There is no second implementation that could drift.
"""

from __future__ import annotations

import asyncio

from tickwork.face import Face, awaitable
from tickwork.scheduler import Scheduler


class Awaitables(Face[Scheduler]):
    """The verbs of a scheduler that touch the store, as awaitables."""

    async def start(self, *, paused: bool = False) -> None:
        """As `Scheduler.start`; an AsyncIOScheduler's coroutines run in the event loop that this is awaited in."""
        self._behind._run_coroutines_here()  # noqa: SLF001  it is the scheduler's other face
        await asyncio.to_thread(Scheduler.start, self._behind, paused=paused)

    shutdown = awaitable(Scheduler.shutdown)
    wait_stopped = awaitable(Scheduler.wait_stopped)
    add_job = awaitable(Scheduler.add_job)
    add_jobs = awaitable(Scheduler.add_jobs)
    get_job = awaitable(Scheduler.get_job)
    get_jobs = awaitable(Scheduler.get_jobs)
    modify_job = awaitable(Scheduler.modify_job)
    reschedule_job = awaitable(Scheduler.reschedule_job)
    pause_job = awaitable(Scheduler.pause_job)
    pause_jobs = awaitable(Scheduler.pause_jobs)
    resume_jobs = awaitable(Scheduler.resume_jobs)
    cancel_run = awaitable(Scheduler.cancel_run)
    resume_job = awaitable(Scheduler.resume_job)
    remove_job = awaitable(Scheduler.remove_job)
    remove_all_jobs = awaitable(Scheduler.remove_all_jobs)
    run_job_now = awaitable(Scheduler.run_job_now)
    retry_run = awaitable(Scheduler.retry_run)
    backfill_job = awaitable(Scheduler.backfill_job)
    cancel_backfill = awaitable(Scheduler.cancel_backfill)
    get_backfill = awaitable(Scheduler.get_backfill)
    get_backfills = awaitable(Scheduler.get_backfills)
    get_runs = awaitable(Scheduler.get_runs)
    get_run = awaitable(Scheduler.get_run)
    get_log = awaitable(Scheduler.get_log)
    get_state = awaitable(Scheduler.get_state)
    set_state = awaitable(Scheduler.set_state)
    clear_state = awaitable(Scheduler.clear_state)
    census = awaitable(Scheduler.census)
    why = awaitable(Scheduler.why)
    get_move = awaitable(Scheduler.get_move)
    get_nodes = awaitable(Scheduler.get_nodes)
    get_overdue = awaitable(Scheduler.get_overdue)
    prune = awaitable(Scheduler.prune)
