"""Calls as tasks of an event loop: the application's own, or one that is kept here.

Calls are handed over in batches: one wake-up of the loop for all that start together.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from types import coroutine

from tickwork.checks import check_whole
from tickwork.executors.around import enter, invoke_surrounded, leave
from tickwork.executors.base import Report
from tickwork.executors.call import (
    Call,
    begin,
    failure,
    given,
    is_async,
    refusal,
    success,
    uses_state,
    wants_of,
)
from tickwork.run import Lost, Outcome

MAX_TASKS = 100_000
LAST_WORDS = 1.0
"""Seconds for what still goes on in a loop of ours when it is stopped."""

log = logging.getLogger("tickwork.run")


class AsyncIOExecutor:
    """Up to *max_tasks* coroutines at once, in *loop*; without one, in a loop on a thread of its own.

    A plain function goes to the loop's thread pool, so it cannot block the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, *, max_tasks: int = 1_000) -> None:
        check_whole("AsyncIOExecutor max_tasks", max_tasks, most=MAX_TASKS)
        self.max_tasks = max_tasks
        self._given = loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own: OwnLoop | None = None
        self._stopped = True
        self._lock = threading.Lock()

    def use(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run what is submitted from the next start on in *loop*."""
        self._given = loop

    def runs_here(self) -> bool:
        """Whether the calling thread is inside the loop that runs the coroutines."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def event_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs the coroutines, for what else belongs in it; from any thread. RuntimeError if stopped."""
        with self._lock:
            if self._stopped:
                raise RuntimeError("expected an executor that runs coroutines, got one that has stopped")
            if self._loop is None:
                self._own = OwnLoop()
                self._loop = self._own.loop
            return self._loop

    def start(self, report: Report) -> None:
        self._report = report
        self._stopped = False
        self._loop = self._given
        self._queue: deque[Call] = deque()
        self._tasks: dict[Call, asyncio.Task[None]] = {}

    def free(self) -> int:
        if self._loop is not None and self._loop.is_closed():
            return 0
        return self.max_tasks - len(self._queue) - len(self._tasks)

    def submit(self, calls: Sequence[Call]) -> None:
        self._queue.extend(calls)
        with suppress(RuntimeError):  # the loop was closed: nothing begins any more, and `take_back` finds the calls
            self.event_loop().call_soon_threadsafe(self._begin)

    def take_back(self) -> Sequence[Call]:
        calls: list[Call] = []
        while True:
            try:
                calls.append(self._queue.popleft())
            except IndexError:
                return calls

    def cancel(self, call: Call) -> bool:
        """Cancel its task. A plain function is on a thread, which would go on without it, beside the job's next run."""
        task = self._tasks.get(call) if is_async(call.func) else None
        if task is None or self._loop is None or self._loop.is_closed():
            return False
        try:
            self._loop.call_soon_threadsafe(task.cancel)
        except RuntimeError:  # closed this moment
            return False
        return True

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._own is not None:
                self._own.stop()
                self._own = None
            self._loop = None

    def _begin(self) -> None:
        """In the loop: make a task of each call that waits."""
        loop, queue, tasks = asyncio.get_running_loop(), self._queue, self._tasks
        while queue:
            try:
                call = queue.popleft()
            except IndexError:  # taken back this moment
                return
            running = self._run(call)
            running.send(None)  # to where it stands by: a task that is cancelled before its first step reports, too
            tasks[call] = loop.create_task(running, name=call.job.id)

    async def _run(self, call: Call) -> None:
        """Make the call and report what became of it, whatever happens to its task."""
        outcome: Outcome = Lost("its task was cancelled before it began")
        try:
            await _stand_by()
            if is_async(call.func):
                outcome = await invoke_surrounded_async(call)
            else:
                outcome = await asyncio.to_thread(invoke_surrounded, call)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if call.started_at is not None:
                asked = task is not None and task.cancelling() > 0
                outcome = Lost("its task was cancelled before it ended") if asked else failure(call, error)
        finally:
            self._tasks.pop(call, None)  # not there if it outlived a shutdown
            self._report(call, outcome)


@coroutine
def _stand_by() -> Generator[None]:
    """Hand over once, and go on as a task."""
    yield


async def invoke_surrounded_async(call: Call) -> Outcome:
    """`invoke_async`, within what is put around it."""
    if not call.surroundings.around or refusal(call, call.clock.now()) is not None:
        return await invoke_async(call)
    left = enter(call)
    outcome: Outcome = Lost("its task was cancelled before it ended")
    try:
        outcome = await invoke_async(call)
    finally:
        leave(left, call, outcome)
    return outcome


async def invoke_async(call: Call) -> Outcome:
    """Make the call in this task; only a cancellation passes through."""
    now = call.clock.now()
    if (refused := refusal(call, now)) is not None:
        return refused
    _, context = begin(call, now)
    try:
        wants = wants_of(call.func)
        args, kwargs = (call.args, call.kwargs) if wants.nothing else given(call, wants, context)
        if uses_state(call):
            await asyncio.to_thread(context.state.load)
        if wants.injector is None:
            result = call.func(*args, **kwargs)
            return success(call, await result if inspect.isawaitable(result) else result)
        async with wants.injector.in_loop(context, call.surroundings) as values:
            result = call.func(*args, **kwargs, **values)
            return success(call, await result if inspect.isawaitable(result) else result)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  whatever the function does is an outcome
        return failure(call, error)


class OwnLoop:
    """An event loop on a thread of its own, which goes on until it is stopped from here, whatever a job does to it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._stopping = False
        threading.Thread(target=self._work, name="tickwork-asyncio", daemon=True).start()

    def stop(self) -> None:
        self._stopping = True
        self.loop.call_soon_threadsafe(self.loop.stop)

    def _work(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._stopping:
            try:
                self.loop.run_forever()
            except BaseException:
                log.exception("a job ended the event loop, which goes on")
        if left := asyncio.all_tasks(self.loop):  # they close what they have open, and nothing resumes them later
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(left, timeout=LAST_WORDS))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
