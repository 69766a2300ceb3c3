"""Calls as tasks of an event loop: the application's own, or one that is kept here.

Calls are handed over in batches: one wake-up of the loop for all that start together.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from tickwork.checks import check_whole
from tickwork.executors.base import Report
from tickwork.executors.call import Call, begin, failure, invoke, success
from tickwork.run import Lost, Outcome

MAX_TASKS = 100_000


class AsyncIOExecutor:
    """Up to *max_tasks* coroutines at once, in *loop*; without one, in a loop on a thread of its own.

    A plain function goes to the loop's thread pool, so it cannot block the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, *, max_tasks: int = 1_000) -> None:
        check_whole("AsyncIOExecutor max_tasks", max_tasks, most=MAX_TASKS)
        self.max_tasks = max_tasks
        self._given = loop
        self._loop: asyncio.AbstractEventLoop | None = None

    def use(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run what is submitted from the next start on in *loop*."""
        self._given = loop

    def runs_here(self) -> bool:
        """Whether the calling thread is inside the loop that runs the coroutines."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def start(self, report: Report) -> None:
        self._report = report
        self._loop = self._given
        self._queue: deque[Call] = deque()
        self._tasks: dict[Call, asyncio.Task[None]] = {}

    def free(self) -> int:
        return self.max_tasks - len(self._queue) - len(self._tasks)

    def submit(self, calls: Sequence[Call]) -> None:
        if self._loop is None:
            self._loop = _loop_on_a_thread()
        self._queue.extend(calls)
        with suppress(RuntimeError):  # the loop was closed: nothing begins any more, and `take_back` finds the calls
            self._loop.call_soon_threadsafe(self._begin)

    def take_back(self) -> Sequence[Call]:
        calls: list[Call] = []
        while True:
            try:
                calls.append(self._queue.popleft())
            except IndexError:
                return calls

    def cancel(self, call: Call) -> bool:
        task = self._tasks.get(call)
        if task is None or self._loop is None or self._loop.is_closed():
            return False
        try:
            self._loop.call_soon_threadsafe(task.cancel)
        except RuntimeError:  # closed this moment
            return False
        return True

    def stop(self) -> None:
        if self._given is None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop = None

    def _begin(self) -> None:
        """In the loop: make a task of each call that waits."""
        loop, queue, tasks = asyncio.get_running_loop(), self._queue, self._tasks
        while queue:
            try:
                call = queue.popleft()
            except IndexError:  # taken back this moment
                return
            tasks[call] = loop.create_task(self._run(call))

    async def _run(self, call: Call) -> None:
        outcome: Outcome
        try:
            if inspect.iscoroutinefunction(call.func):
                outcome = await invoke_async(call)
            else:
                outcome = await asyncio.to_thread(invoke, call)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            asked = task is not None and task.cancelling() > 0
            outcome = Lost("its task was cancelled before it ended") if asked else failure(call, error)
        self._tasks.pop(call, None)  # not there if it outlived a shutdown
        self._report(call, outcome)


async def invoke_async(call: Call) -> Outcome:
    """Make the call in this task; only a cancellation passes through."""
    begin(call)
    try:
        result = call.func(*call.args, **call.kwargs)
        if inspect.isawaitable(result):
            result = await result
        return success(result)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  whatever the function does is an outcome
        return failure(call, error)


def _loop_on_a_thread() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()

    def work() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    threading.Thread(target=work, name="tickwork-asyncio", daemon=True).start()
    return loop
