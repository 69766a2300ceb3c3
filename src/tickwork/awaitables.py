"""The verbs of a scheduler that touch the store, as awaitables: what `scheduler.aio` is.

The rule: each is the verb itself, made on a thread. There is no second implementation that could drift.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from tickwork.scheduler import Scheduler

P = ParamSpec("P")
T = TypeVar("T")


def _awaitable(
    verb: Callable[Concatenate[Scheduler, P], T],
) -> Callable[Concatenate[Awaitables, P], Coroutine[Any, Any, T]]:
    """The verb, made on a thread while the event loop goes on."""

    @wraps(verb)
    async def call(self: Awaitables, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(verb, self._scheduler, *args, **kwargs)

    return call


class Awaitables:
    """The verbs of a scheduler that touch the store, as awaitables."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def start(self, *, paused: bool = False) -> None:
        """As `Scheduler.start`; an AsyncIOScheduler's coroutines run in the event loop that this is awaited in."""
        self._scheduler._run_coroutines_here()  # noqa: SLF001  it is the scheduler's other face
        await asyncio.to_thread(Scheduler.start, self._scheduler, paused=paused)

    shutdown = _awaitable(Scheduler.shutdown)
    wait_stopped = _awaitable(Scheduler.wait_stopped)
    add_job = _awaitable(Scheduler.add_job)
    add_jobs = _awaitable(Scheduler.add_jobs)
    get_job = _awaitable(Scheduler.get_job)
    get_jobs = _awaitable(Scheduler.get_jobs)
    modify_job = _awaitable(Scheduler.modify_job)
    reschedule_job = _awaitable(Scheduler.reschedule_job)
    pause_job = _awaitable(Scheduler.pause_job)
    pause_jobs = _awaitable(Scheduler.pause_jobs)
    resume_jobs = _awaitable(Scheduler.resume_jobs)
    cancel_run = _awaitable(Scheduler.cancel_run)
    resume_job = _awaitable(Scheduler.resume_job)
    remove_job = _awaitable(Scheduler.remove_job)
    remove_all_jobs = _awaitable(Scheduler.remove_all_jobs)
    run_job_now = _awaitable(Scheduler.run_job_now)
    retry_run = _awaitable(Scheduler.retry_run)
    backfill_job = _awaitable(Scheduler.backfill_job)
    cancel_backfill = _awaitable(Scheduler.cancel_backfill)
    get_backfill = _awaitable(Scheduler.get_backfill)
    get_backfills = _awaitable(Scheduler.get_backfills)
    get_runs = _awaitable(Scheduler.get_runs)
    get_run = _awaitable(Scheduler.get_run)
    get_log = _awaitable(Scheduler.get_log)
    get_state = _awaitable(Scheduler.get_state)
    set_state = _awaitable(Scheduler.set_state)
    clear_state = _awaitable(Scheduler.clear_state)
    census = _awaitable(Scheduler.census)
    why = _awaitable(Scheduler.why)
    get_nodes = _awaitable(Scheduler.get_nodes)
    get_overdue = _awaitable(Scheduler.get_overdue)
    prune = _awaitable(Scheduler.prune)
