"""Listeners are told in order, and hurt nobody but themselves."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from queue import Queue
from typing import Any
from unittest.mock import Mock

import pytest
from tests import deeds
from tests.deeds import PATIENCE
from tests.samples import NOW, make_job, make_run

from tickwork import AsyncIOScheduler, BackgroundScheduler, listeners
from tickwork.events import Event, JobAdded, JobRemoved, RunSettled, RunStarted, SchedulerStarted, SchedulerStopped
from tickwork.listeners import Listeners
from tickwork.testing import ManualScheduler

STARTED = SchedulerStarted("a", NOW)
ADDED = JobAdded(make_job(), NOW)
REMOVED = JobRemoved(make_job(), NOW)


class Hanging:
    """A listener that goes on when it is told to."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.heard: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.entered.set()
        assert self.go.wait(PATIENCE)
        self.heard.append(event)


def test_listeners_hear_what_they_asked_for_in_order() -> None:
    told = Listeners()
    all_heard: list[Event] = []
    some_heard: list[Event] = []
    told.add(all_heard.append)
    told.add(some_heard.append, JobAdded)

    for event in (STARTED, ADDED, REMOVED):
        told.tell(event)

    assert told.wait_told(PATIENCE) == []
    assert all_heard == [STARTED, ADDED, REMOVED]
    assert some_heard == [ADDED]


def test_a_listener_that_hangs_holds_up_nothing_but_itself() -> None:
    told, hanging = Listeners(), Hanging()
    heard: Queue[Event] = Queue()
    told.add(hanging)
    told.add(heard.put)

    told.tell(ADDED)
    told.tell(REMOVED)

    assert [heard.get(timeout=PATIENCE), heard.get(timeout=PATIENCE)] == [ADDED, REMOVED]
    assert told.wait_told(0) == [hanging]
    assert told.waiting == 2
    hanging.go.set()
    assert told.wait_told(PATIENCE) == []
    assert (hanging.heard, told.waiting, told.dropped) == ([ADDED, REMOVED], 0, 0)


@pytest.mark.parametrize(
    "error", [ValueError("broken"), SystemExit(3), KeyboardInterrupt()], ids=lambda error: type(error).__name__
)
def test_a_listener_that_raises_is_logged_and_hears_the_next_event(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    told = Listeners()
    heard: list[Event] = []
    run = make_run(make_job())

    def broken(event: Event) -> None:
        heard.append(event)
        raise error

    told.add(broken)
    told.tell(RunStarted(run, NOW))
    told.tell(REMOVED)

    assert told.wait_told(PATIENCE) == []
    assert len(heard) == 2
    assert f"raised on run.started, run {run.id} of job 'job'" in caplog.text
    assert type(error).__name__ in caplog.text


def test_without_listeners_nothing_is_kept() -> None:
    told = Listeners()

    told.tell(STARTED)

    assert not told
    assert (told.waiting, told.dropped) == (0, 0)


def test_events_for_a_listener_that_is_too_slow_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listeners, "MAX_WAITING", 2)
    told, slow = Listeners(), Hanging()
    quick: list[Event] = []
    told.add(slow)
    told.add(quick.append)
    told.tell(STARTED)
    assert slow.entered.wait(PATIENCE)

    with caplog.at_level(logging.WARNING):
        for number in range(1, 7):
            told.tell(STARTED)
            while len(quick) < number + 1:  # it keeps up, and loses nothing
                threading.Event().wait(0.001)

    assert [record.getMessage().partition("is too slow: ")[2] for record in caplog.records] == [
        f"{dropped} events were dropped" for dropped in (1, 2, 4)
    ]
    assert (told.dropped, told._lines[0].waiting, len(quick)) == (4, 3, 7)
    told.remove(slow)
    assert told.dropped == 4  # what was lost stays lost
    slow.go.set()


def test_health_tells_what_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "MAX_WAITING", 0)
    scheduler = BackgroundScheduler()
    scheduler.add_listener(print, SchedulerStarted)

    before = scheduler.health().events_dropped
    scheduler.start()
    after = scheduler.health().events_dropped
    scheduler.shutdown()

    assert (before, after) == (0, 1)


def test_a_removed_listener_hears_nothing_of_what_waits() -> None:
    told, hanging = Listeners(), Hanging()
    told.add(hanging)
    told.tell(ADDED)
    told.tell(REMOVED)
    assert hanging.entered.wait(PATIENCE)
    line = told._lines[0]

    told.remove(hanging)
    hanging.go.set()

    assert line.wait_told(PATIENCE)
    assert hanging.heard == [ADDED]


def test_a_listener_knows_that_it_is_one() -> None:
    told = Listeners()
    known: list[bool] = []
    told.add(lambda event: known.append(told.called_from()))

    told.tell(STARTED)

    assert told.wait_told(PATIENCE) == []
    assert known == [True]
    assert not told.called_from()


def test_a_listener_may_say_itself_what_it_wants_to_hear() -> None:
    class Choosy(list[Event]):
        kinds = (JobAdded,)
        __call__ = list.append

    told, choosy, told_otherwise = Listeners(), Choosy(), Choosy()
    told.add(choosy)
    told.add(told_otherwise, JobRemoved)

    for event in (STARTED, ADDED, REMOVED):
        told.tell(event)

    assert told.wait_told(PATIENCE) == []
    assert (choosy, told_otherwise) == ([ADDED], [REMOVED])


def test_a_mock_is_a_listener_like_any_other() -> None:
    """Whatever attribute it is asked for, it has one."""
    told, mock = Listeners(), Mock()
    told.add(mock)

    told.tell(STARTED)

    assert told.wait_told(PATIENCE) == []
    mock.assert_called_once_with(STARTED)


def test_its_thread_stays_from_start_to_shutdown() -> None:
    told = Listeners()
    threads: Queue[threading.Thread] = Queue()
    told.add(lambda event: threads.put(threading.current_thread()))

    told.stand_by()
    told.tell(STARTED)
    first = threads.get(timeout=PATIENCE)
    assert told.wait_told(PATIENCE) == []
    told.tell(STARTED)
    assert threads.get(timeout=PATIENCE) is first
    told.rest()
    first.join(PATIENCE)

    assert not first.is_alive()
    assert not told.called_from()


def test_what_is_told_before_the_start_or_after_a_shutdown_has_a_thread_for_that_long() -> None:
    told = Listeners()
    threads: Queue[threading.Thread] = Queue()
    told.add(lambda event: threads.put(threading.current_thread()))

    for _ in range(2):
        told.tell(STARTED)
        thread = threads.get(timeout=PATIENCE)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_telling_starts_no_thread_while_the_scheduler_runs() -> None:
    scheduler = BackgroundScheduler()
    heard = Hanging()
    scheduler.add_listener(heard, JobAdded)
    scheduler.start()
    scheduler.add_listener(print, JobRemoved)

    ready = [line._is_at_work() for line in scheduler._listeners._lines]  # type: ignore[attr-defined]
    heard.go.set()
    scheduler.shutdown()

    assert ready == [True, True]


def test_a_function_that_returns_a_coroutine_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    told = Listeners()

    async def listen(event: Event) -> None: ...

    told.add(lambda event: listen(event))
    told.tell(STARTED)

    assert told.wait_told(PATIENCE) == []
    assert "a function that returns a coroutine, which nobody awaits: add the async def itself" in caplog.text


class Awaited:
    """A coroutine listener: it says where it runs, and waits between two events."""

    def __init__(self) -> None:
        self.heard: Queue[tuple[Event, asyncio.AbstractEventLoop]] = Queue()

    async def __call__(self, event: Event) -> None:
        await asyncio.sleep(0)
        self.heard.put((event, asyncio.get_running_loop()))

    async def method(self, event: Event) -> None:
        await self(event)

    def events(self, count: int) -> list[Event]:
        return [self.heard.get(timeout=PATIENCE)[0] for _ in range(count)]


@pytest.mark.parametrize("shape", [lambda one: one, lambda one: one.method, lambda one: partial(one.method)])
def test_a_coroutine_listens_in_the_apps_event_loop(shape: Callable[[Awaited], Any]) -> None:
    listener = Awaited()
    scheduler = AsyncIOScheduler()
    scheduler.add_listener(shape(listener), RunStarted, RunSettled)

    async def app() -> None:
        scheduler.start()
        await scheduler.aio.add_job(deeds.nothing)
        for _ in range(2):
            _, loop = await asyncio.to_thread(listener.heard.get, timeout=PATIENCE)
            assert loop is asyncio.get_running_loop()
        await scheduler.aio.shutdown()

    asyncio.run(app())


def test_a_coroutine_listens_in_the_loop_of_a_background_scheduler_to_the_last_event() -> None:
    listener = Awaited()
    scheduler = BackgroundScheduler()
    scheduler.add_listener(listener, SchedulerStarted, SchedulerStopped)

    scheduler.start()
    scheduler.shutdown()

    (first, loop), (last, same) = (listener.heard.get(timeout=PATIENCE) for _ in range(2))
    assert (type(first), type(last)) == (SchedulerStarted, SchedulerStopped)
    assert loop is same


def test_a_coroutine_that_raises_or_is_cancelled_hears_the_next_event(caplog: pytest.LogCaptureFixture) -> None:
    heard: Queue[Event] = Queue()

    async def broken(event: Event) -> None:
        heard.put(event)
        raise asyncio.CancelledError if heard.qsize() == 1 else SystemExit(3)

    async def app() -> None:
        told = Listeners(asyncio.get_running_loop)
        told.add(broken)
        for _ in range(3):
            told.tell(STARTED)
        assert await asyncio.to_thread(told.wait_told, PATIENCE) == []

    asyncio.run(app())

    assert heard.qsize() == 3
    assert caplog.text.count("raised on scheduler.started") == 3


def test_a_coroutine_that_hangs_holds_up_neither_the_loop_nor_others_nor_the_shutdown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hang(event: Event) -> None:
        await asyncio.Event().wait()

    async def app() -> None:
        scheduler, heard = AsyncIOScheduler(), Awaited()
        scheduler.add_listener(hang)
        scheduler.add_listener(heard, SchedulerStopped)
        scheduler.start()
        await scheduler.aio.shutdown()
        await asyncio.to_thread(heard.events, 1)

    asyncio.run(app())

    assert "the scheduler stops before listener" in caplog.text


def test_a_coroutine_listens_in_the_next_loop_to_what_the_last_one_left() -> None:
    """As in an app's tests: one scheduler, and an event loop for each of them."""
    heard: list[Event] = []
    loops: list[asyncio.AbstractEventLoop] = []
    entered = threading.Event()

    async def listen(event: Event) -> None:
        entered.set()
        if len(loops) == 1:
            await asyncio.Event().wait()
        heard.append(event)

    told = Listeners(lambda: loops[-1])
    told.add(listen)

    async def first() -> None:
        loops.append(asyncio.get_running_loop())
        told.tell(STARTED)
        told.tell(ADDED)
        await asyncio.to_thread(entered.wait, PATIENCE)

    async def second() -> None:
        loops.append(asyncio.get_running_loop())
        told.tell(REMOVED)
        assert await asyncio.to_thread(told.wait_told, PATIENCE) == []

    asyncio.run(first())  # which cancels the listener that hangs
    asyncio.run(second())

    assert heard == [ADDED, REMOVED]


def test_events_wait_while_there_is_no_event_loop() -> None:
    def stopped() -> asyncio.AbstractEventLoop:
        raise RuntimeError("stopped")

    told = Listeners(stopped)
    told.add(Awaited())

    told.tell(STARTED)

    assert len(told.wait_told(PATIENCE)) == 1  # and at once
    assert told.waiting == 1


@pytest.mark.parametrize("asynchronous", [False, True])
def test_under_a_virtual_clock_all_is_heard_before_time_moves_on(asynchronous: bool) -> None:
    scheduler = ManualScheduler()
    heard: list[Event] = []

    async def listen(event: Event) -> None:
        heard.append(event)

    scheduler.add_listener(listen if asynchronous else heard.append, RunStarted, RunSettled)
    scheduler.start()
    scheduler.add_job(deeds.nothing, "date")

    scheduler.run_due()

    assert [type(event) for event in heard] == [RunStarted, RunSettled]
    assert {event.at for event in heard} == {scheduler.clock.now()}


def test_a_decorated_function_listens_and_stays_a_function() -> None:
    scheduler = ManualScheduler()
    heard: list[str] = []

    @scheduler.on(RunSettled)
    def note(event: RunSettled) -> None:
        heard.append(event.run.id)

    scheduler.start()
    scheduler.add_job(deeds.nothing, "date", id="job")
    scheduler.run_due()
    note(RunSettled(make_run(make_job(uid=1)), NOW))

    assert heard == [scheduler.get_runs("job")[0].id, "1-1767225600000000-1"]
