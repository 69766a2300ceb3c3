"""The scheduler for programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, final

from tickwork.driver import Driver
from tickwork.errors import SchedulerError
from tickwork.executors.asyncio import AsyncIOExecutor
from tickwork.executors.base import Executor
from tickwork.executors.threads import ThreadExecutor
from tickwork.scheduler import Scheduler

P = ParamSpec("P")
T = TypeVar("T")


@final
class AsyncIOScheduler(Scheduler):
    """A scheduler whose coroutines run in the application's event loop; plain functions run on threads.

    The schedule has a thread of its own: a slow store never blocks the loop, and a busy loop never costs
    a lease. The verbs have their usual names; those of `scheduler.aio` are the same ones as
    awaitables, for code in the loop that should not wait for the store.

    `shutdown` called in the loop cannot wait for coroutines that need the loop to go on: it does its
    work in the background, and `await scheduler.aio.shutdown()` waits.
    """

    @property
    def aio(self) -> Awaitables:
        """The verbs that touch the store, as awaitables."""
        return Awaitables(self)

    def start(self, *, paused: bool = False) -> None:
        """As `Scheduler.start`; to be called in the event loop that is to run the coroutines."""
        self.run_coroutines_here()
        super().start(paused=paused)

    def run_coroutines_here(self) -> None:
        """Let coroutines run in the event loop that this is called in, from the next start on."""
        self._in_app.use(_running_loop())

    def _own_executors(self) -> dict[str, Executor]:
        self._in_app = AsyncIOExecutor()
        return {"threads": ThreadExecutor(), "asyncio": self._in_app}

    def _would_wait_for_itself(self, driver: Driver) -> bool:
        return super()._would_wait_for_itself(driver) or self._in_app.runs_here()


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

    def __init__(self, scheduler: AsyncIOScheduler) -> None:
        self._scheduler = scheduler

    async def start(self, *, paused: bool = False) -> None:
        """As `Scheduler.start`; coroutines run in the event loop that this is awaited in."""
        self._scheduler.run_coroutines_here()
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


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise SchedulerError(
            "AsyncIOScheduler: expected to be started in a running event loop, got none: "
            "start it inside a coroutine (the app's lifespan), or use BackgroundScheduler"
        ) from None
