"""The scheduler in an application's event loop."""

from __future__ import annotations

import asyncio
import inspect
import secrets
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from tests import deeds
from tests.deeds import PATIENCE, Ledger, Stage

from tickwork import AsyncIOScheduler, CronTrigger, JobNotFoundError
from tickwork.awaitables import Awaitables
from tickwork.errors import SchedulerError
from tickwork.events import SchedulerStopped
from tickwork.run import Run, RunState
from tickwork.scheduler import Scheduler

TOUCH_NO_STORE = {
    "progressing",
    "pause",
    "resume",
    "running",
    "timezone",
    "health",
    "new_job",
    "scheduled_job",
    "add_listener",
    "remove_listener",
    "around_runs",
    "on",
}
"""The verbs that an event loop can call as they are; `scheduled_job` stands where nothing can be awaited."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage(secrets.token_hex(4))
    yield stage
    stage.go.set()
    del deeds.STAGES[stage.name]


@pytest.fixture
def scheduler(store_url: str | None, stage: Stage) -> Iterator[AsyncIOScheduler]:
    scheduler = AsyncIOScheduler(store_url)
    stage.scheduler = scheduler
    yield scheduler
    scheduler._store.close()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, PATIENCE))


async def next_run(ledger: Ledger) -> Run:
    return await asyncio.to_thread(ledger.next)


def test_each_verb_that_touches_the_store_is_an_awaitable_too() -> None:
    verbs = {name for name in vars(Scheduler) if not name.startswith("_")} - TOUCH_NO_STORE

    assert {name for name in vars(Awaitables) if not name.startswith("_")} == verbs
    for name in verbs:
        awaitable, verb = getattr(Awaitables, name), getattr(AsyncIOScheduler, name)
        assert inspect.iscoroutinefunction(awaitable), name
        assert inspect.signature(awaitable) == inspect.signature(verb), name
        assert awaitable.__doc__, name


def test_a_coroutine_runs_in_the_applications_loop_and_a_function_on_a_thread(
    scheduler: AsyncIOScheduler, stage: Stage
) -> None:
    async def story() -> None:
        ledger = Ledger(scheduler)
        scheduler.start()

        await scheduler.aio.add_job(deeds.show_async, args=[stage.name], id="coroutine")
        first = await next_run(ledger)
        await scheduler.aio.add_job(deeds.show, args=[stage.name], id="function")
        second = await next_run(ledger)

        assert stage.see() == threading.current_thread().name
        assert (first.job_id, first.state, second.job_id, second.state) == (
            "coroutine", RunState.SUCCEEDED, "function", RunState.SUCCEEDED,
        )  # fmt: skip
        await scheduler.aio.shutdown()
        assert not scheduler.running

    run(story())


def test_the_awaitable_verbs_do_what_the_others_do(scheduler: AsyncIOScheduler) -> None:
    async def story() -> None:
        aio = scheduler.aio
        await aio.start(paused=True)

        await aio.add_job(deeds.nothing, "interval", hours=1, id="a")
        await aio.add_jobs([scheduler.new_job(deeds.nothing, "interval", hours=1, id="b")])
        await aio.pause_job("a", reason="moved")
        await aio.modify_job("b", max_instances=3)
        await aio.reschedule_job("b", "cron", hour=3)
        born = await aio.run_job_now("b")

        a, b = await aio.get_job("a"), await aio.get_job("b")
        assert a is not None
        assert b is not None
        assert (a.pause_reason, b.max_instances, b.trigger) == ("moved", 3, CronTrigger(hour=3))
        assert await aio.get_runs("b") == [born] == [await aio.get_run(born.id)]
        assert not (await aio.resume_job("a")).paused
        await aio.cancel_run(born.id)
        assert (await aio.retry_run(born.id)).attempt == 2
        assert await aio.get_backfills() == []
        await aio.remove_job("a")
        assert [job.id for job in await aio.get_jobs()] == ["b"]
        await aio.remove_all_jobs()
        with pytest.raises(JobNotFoundError):
            await aio.remove_job("a")
        await aio.shutdown()

    run(story())


def test_it_is_started_in_a_running_loop() -> None:
    with pytest.raises(
        SchedulerError, match="expected to be started in a running event loop, got none: start it inside a coroutine"
    ):
        AsyncIOScheduler().start()


def test_shutdown_in_the_loop_does_not_wait_for_the_loop(scheduler: AsyncIOScheduler, stage: Stage) -> None:
    """It returns at once, its coroutines go on to their end, and then it has stopped."""

    async def story() -> None:
        stopped = threading.Event()
        scheduler.add_listener(lambda event: stopped.set(), SchedulerStopped)
        scheduler.start()
        await scheduler.aio.add_job(deeds.hold_async, args=[stage.name], id="job")
        await asyncio.to_thread(stage.begun.wait, PATIENCE)

        scheduler.shutdown(timeout=0.01)

        assert not scheduler.running
        assert await asyncio.to_thread(stage.see) == "cleaned up"
        assert await asyncio.to_thread(stopped.wait, PATIENCE)
        assert [one.state for one in await scheduler.aio.get_runs("job")] == [RunState.LOST]

    run(story())


def test_awaiting_the_shutdown_waits_for_coroutines(scheduler: AsyncIOScheduler, stage: Stage) -> None:
    async def story() -> None:
        scheduler.start()
        await scheduler.aio.add_job(deeds.hold, args=[stage.name], id="job", executor="asyncio")
        await asyncio.to_thread(stage.begun.wait, PATIENCE)
        ending = asyncio.create_task(scheduler.aio.shutdown())
        stage.go.set()

        await ending

        assert [one.state for one in await scheduler.aio.get_runs("job")] == [RunState.SUCCEEDED]

    run(story())


def test_a_coroutine_can_shut_its_scheduler_down(scheduler: AsyncIOScheduler, stage: Stage) -> None:
    async def story() -> None:
        stopped = threading.Event()
        scheduler.add_listener(lambda event: stopped.set(), SchedulerStopped)
        scheduler.start()

        await scheduler.aio.add_job(deeds.shut_down_async, args=[stage.name], id="last")

        assert await asyncio.to_thread(stage.see) == "returned"
        assert await asyncio.to_thread(stopped.wait, PATIENCE)
        assert [one.state for one in await scheduler.aio.get_runs("last")] == [RunState.SUCCEEDED]

    run(story())


def test_it_can_be_started_again_in_another_loop(scheduler: AsyncIOScheduler, stage: Stage) -> None:
    ledger = Ledger(scheduler)

    async def story() -> None:
        scheduler.start()
        await scheduler.aio.add_job(deeds.show_async, args=[stage.name])
        assert (await next_run(ledger)).state is RunState.SUCCEEDED
        await scheduler.aio.shutdown()

    run(story())
    run(story())


def test_a_busy_loop_stops_no_schedule(scheduler: AsyncIOScheduler, stage: Stage) -> None:
    """While the event loop is blocked, functions run on their threads and are settled."""

    async def story() -> None:
        ledger = Ledger(scheduler)
        scheduler.start()

        scheduler.add_job(deeds.show, args=[stage.name])
        settled = ledger.next()  # blocks the loop

        assert settled.state is RunState.SUCCEEDED
        await scheduler.aio.shutdown()

    run(story())
