"""The scheduler for programs with an event loop."""

from __future__ import annotations

import asyncio
from typing import final

from tickwork.awaitables import Awaitables
from tickwork.driver import Driver
from tickwork.errors import SchedulerError
from tickwork.executors.asyncio import AsyncIOExecutor
from tickwork.executors.base import Executor
from tickwork.executors.threads import ThreadExecutor
from tickwork.scheduler import Scheduler


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
        self._run_coroutines_here()
        super().start(paused=paused)

    def _run_coroutines_here(self) -> None:
        self._in_app.use(_running_loop())

    def _own_executors(self) -> dict[str, Executor]:
        self._in_app = AsyncIOExecutor()
        return {"threads": ThreadExecutor(), "asyncio": self._in_app}

    def _would_wait_for_itself(self, driver: Driver) -> bool:
        return super()._would_wait_for_itself(driver) or self._in_app.runs_here()


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise SchedulerError(
            "AsyncIOScheduler: expected to be started in a running event loop, got none: "
            "start it inside a coroutine (the app's lifespan), or use BackgroundScheduler"
        ) from None
