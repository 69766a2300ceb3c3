"""A scheduler that starts and stops with the app."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from typing import Any, TypeAlias

from tickwork.asyncio import AsyncIOScheduler
from tickwork.durations import Duration, read_duration
from tickwork.errors import SchedulerError, SchedulerNotRunningError
from tickwork.fastapi.checks import check_inner
from tickwork.scheduler import BlockingScheduler, Scheduler, check_scheduler

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]

TIME_TO_END = timedelta(seconds=10)

log = logging.getLogger("tickwork.fastapi")


def lifespan(
    scheduler: Scheduler, inner: Lifespan | None = None, *, timeout: Duration | None = TIME_TO_END
) -> Lifespan:
    """The `lifespan` of an app: start *scheduler* with it, and shut it down with it.

    *inner* is the app's own lifespan, if it has one: it is entered before the first job fires and left
    after the last one ended, and the state it yields is passed on. *timeout* is how long (in seconds)
    running jobs may take to end; then coroutines are cancelled, and threads left behind. None: as long as they like.

        app = FastAPI(lifespan=lifespan(scheduler))
        app = FastAPI(lifespan=lifespan(scheduler, open_database))

    Meanwhile jobs and their dependencies reach the app: a parameter `app: FastAPI` receives it, and `state: State`
    what *inner* yields, as `request.state` does.

    A BlockingScheduler, whose `start` does not return, is a SchedulerError here. The app may shut the scheduler down
    earlier, or fail to start: what was entered is left again, in the right order.
    """
    check_scheduler("lifespan", scheduler, "FastAPI(lifespan=lifespan(scheduler))")
    if isinstance(scheduler, BlockingScheduler):
        raise SchedulerError(
            "lifespan: expected a scheduler whose start returns, got a BlockingScheduler, which would hold up the app: "
            "use AsyncIOScheduler, or BackgroundScheduler"
        )

    check_inner(inner)
    if timeout is not None:
        read_duration("timeout", timeout)

    @asynccontextmanager
    async def scheduled(app: Any) -> AsyncIterator[Mapping[str, Any] | None]:
        async with inner(app) if inner is not None else nullcontext() as state:
            surroundings = scheduler.surroundings
            surroundings.app, surroundings.state = app, state if state is not None else {}
            try:
                await _start(scheduler)
                try:
                    yield state
                finally:
                    await asyncio.to_thread(_stop, scheduler, timeout)
            finally:
                surroundings.app = surroundings.state = None

    return scheduled


def warn_of_idleness(scheduler: Scheduler) -> Lifespan:
    """The lifespan of a router, which is entered after that of its app: is the scheduler running by then?"""

    @asynccontextmanager
    async def started(app: Any) -> AsyncIterator[None]:
        if not scheduler.running:
            log.warning(
                "the app has started, and its router's scheduler has not: its jobs do not fire in this process. "
                "Write FastAPI(lifespan=lifespan(scheduler)), unless another process runs them"
            )
        yield

    return started


def _stop(scheduler: Scheduler, timeout: Duration | None) -> None:
    try:
        scheduler.shutdown(timeout=timeout)
    except SchedulerNotRunningError:  # the app has shut it down itself, and its last runs may still be ending
        scheduler.wait_stopped(timeout)


async def _start(scheduler: Scheduler) -> None:
    if isinstance(scheduler, AsyncIOScheduler):
        await scheduler.aio.start()
    else:
        await asyncio.to_thread(scheduler.start)
