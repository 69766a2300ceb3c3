"""The event loop is an executor: its own on a thread, or the application's."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests import deeds
from tests.deeds import PATIENCE, Stage
from tests.executors.laws import LawsOfThisProcess, Reports, make_call

from tickwork.errors import InvalidJobError
from tickwork.executors.asyncio import AsyncIOExecutor
from tickwork.executors.base import Executor
from tickwork.run import Failed, Lost, RunState, Succeeded


class TestAsyncIOExecutor(LawsOfThisProcess):
    @pytest.fixture
    def executor(self) -> Executor:
        return AsyncIOExecutor(max_tasks=2)


async def where() -> str:
    return threading.current_thread().name


async def cancels_itself() -> None:
    raise asyncio.CancelledError("my own")


def test_coroutines_run_in_the_loop_that_is_given() -> None:
    async def story() -> None:
        executor, reports = AsyncIOExecutor(asyncio.get_running_loop()), Reports()
        executor.start(reports)

        executor.submit([make_call(where)])
        _, outcome = await asyncio.to_thread(reports.next)

        assert outcome == Succeeded(threading.current_thread().name)
        assert executor.runs_here()
        executor.stop()
        assert not executor.runs_here()

    asyncio.run(story())


def test_a_function_does_not_block_the_loop() -> None:
    async def story() -> None:
        stage = Stage("does-not-block")
        executor, reports = AsyncIOExecutor(asyncio.get_running_loop()), Reports()
        executor.start(reports)

        executor.submit([make_call(deeds.hold, stage.name), make_call(where)])
        _, first = await asyncio.to_thread(reports.next)
        stage.go.set()
        _, second = await asyncio.to_thread(reports.next)

        assert first == Succeeded(threading.current_thread().name)
        assert second == Succeeded("went on")
        executor.stop()

    asyncio.run(story())


def test_a_coroutine_that_is_cancelled_is_lost_and_one_that_cancels_itself_has_failed() -> None:
    stage = Stage("cancelled")
    executor, reports = AsyncIOExecutor(), Reports()
    executor.start(reports)
    call = make_call(deeds.hold_async, stage.name)
    executor.submit([call])
    assert stage.begun.wait(PATIENCE)

    asked = executor.cancel(call)
    reported = reports.next()
    executor.submit([make_call(cancels_itself)])
    _, own = reports.next()

    assert asked
    assert reported == (call, Lost("its task was cancelled before it ended"))
    assert stage.see() == "cleaned up"
    assert isinstance(own, Failed)
    assert own.reason == "CancelledError: my own"
    assert executor.cancel(call) is False
    executor.stop()


def test_a_plain_function_cannot_be_cancelled_and_ends_when_it_returns() -> None:
    """It is on a thread, which would go on unseen beside the next run if its task was cancelled."""
    stage = Stage("held")
    executor, reports = AsyncIOExecutor(), Reports()
    executor.start(reports)
    executor.submit([call := make_call(deeds.hold, stage.name)])
    assert stage.begun.wait(PATIENCE)

    asked = executor.cancel(call)
    early = not reports.no_more()
    free = executor.free()
    stage.go.set()
    reported, outcome = reports.next()
    executor.stop()

    assert (asked, early, free) == (False, False, executor.max_tasks - 1)
    assert (reported, outcome) == (call, Succeeded("went on"))


@pytest.mark.parametrize(("deed", "seen"), [(deeds.hold_async, "cleaned up"), (deeds.hold, "went on")])
def test_what_still_goes_on_when_its_own_loop_stops_is_cancelled(
    deed: Callable[..., Any], seen: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a coroutine would stand still for ever with what it has open, and asyncio complain of tasks that are pending."""
    stage = Stage("left")
    executor, reports = AsyncIOExecutor(), Reports()
    executor.start(reports)
    executor.submit([call := make_call(deed, stage.name)])
    assert stage.begun.wait(PATIENCE)

    executor.stop()
    reported = reports.next()
    stage.go.set()
    gc.collect()

    assert reported == (call, Lost("its task was cancelled before it ended"))
    assert stage.see() == seen
    assert caplog.text == ""


def test_an_outcome_that_comes_after_a_restart_is_reported_all_the_same() -> None:
    async def story() -> None:
        go = asyncio.Event()
        begun = asyncio.Event()

        async def outlives() -> str:
            begun.set()
            await go.wait()
            return "late"

        executor, first, second = AsyncIOExecutor(asyncio.get_running_loop()), Reports(), Reports()
        executor.start(first)
        executor.submit([make_call(outlives)])
        await begun.wait()
        executor.stop()
        executor.start(second)

        go.set()
        late = asyncio.create_task(asyncio.to_thread(lambda: (second if first.no_more() else first).next()))
        _, outcome = await late

        assert outcome == Succeeded("late")
        executor.stop()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_when_the_applications_loop_is_closed_calls_can_be_taken_back() -> None:
    loop = asyncio.new_event_loop()
    executor, reports = AsyncIOExecutor(loop), Reports()
    executor.start(reports)
    loop.close()

    executor.submit([call := make_call(where)])

    assert [*executor.take_back()] == [call]
    assert executor.cancel(call) is False
    assert reports.no_more()
    executor.stop()


def test_the_state_of_a_lost_run_is_lost() -> None:
    assert Lost("silent").state is RunState.LOST


@pytest.mark.parametrize("tasks", [0, "5", 100_001])
def test_an_impossible_number_of_tasks_is_refused(tasks: int) -> None:
    with pytest.raises(
        InvalidJobError, match="AsyncIOExecutor max_tasks: expected a whole number from 1 to 100000, got"
    ):
        AsyncIOExecutor(max_tasks=tasks)


async def stops_the_loop() -> None:
    asyncio.get_running_loop().stop()


def test_a_job_cannot_end_the_loop_for_the_others() -> None:
    executor, reports = AsyncIOExecutor(), Reports()
    executor.start(reports)

    executor.submit([make_call(stops_the_loop)])
    _, first = reports.next()
    executor.submit([make_call(where)])
    _, second = reports.next()

    assert (first, second) == (Succeeded(), Succeeded("tickwork-asyncio"))
    executor.stop()


def test_a_task_that_is_cancelled_before_its_first_step_is_reported() -> None:
    async def story() -> None:
        executor, reports = AsyncIOExecutor(asyncio.get_running_loop()), Reports()
        executor.start(reports)
        call = make_call(where)

        executor.submit([call])
        executor._begin()
        executor._tasks[call].cancel()
        reported, outcome = await asyncio.to_thread(reports.next)

        assert (reported, outcome.state) == (call, RunState.LOST)
        assert executor.free() == executor.max_tasks
        executor.stop()

    asyncio.run(story())
