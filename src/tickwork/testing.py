"""For tests of schedules: a clock that is moved by hand, and a scheduler that runs on it.

scheduler = ManualScheduler(start=datetime(2026, 3, 1, tzinfo=UTC))
scheduler.add_job("app.jobs:refresh", "cron", hour=3, id="refresh")
scheduler.start()
scheduler.advance(timedelta(days=31))        # a month in a moment, no thread and no sleep
assert len(scheduler.get_runs("refresh")) == 31
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import final

from tickwork.driver import Driver
from tickwork.errors import InvalidJobError
from tickwork.executors.around import invoke_surrounded
from tickwork.executors.asyncio import invoke_surrounded_async
from tickwork.executors.base import Executor, Report
from tickwork.executors.call import Call, is_async
from tickwork.loop import Loop, Timing
from tickwork.retention import FOREVER, Retention
from tickwork.run import Outcome
from tickwork.scheduler import Scheduler
from tickwork.stores.base import Store

MAX_TICKS_AT_ONE_INSTANT = 100_000
PATIENCE = 10.0
"""Seconds that listeners have to hear what happened at one instant."""
A_LONG_TIME = timedelta(days=10_000)
NO_TIME = timedelta(0)
HOUR = timedelta(hours=1)


class VirtualClock:
    """A clock that stands still until it is moved, and only moves forward."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, duration: timedelta) -> None:
        self.move_to(self._now + duration)

    def move_to(self, instant: datetime) -> None:
        if instant < self._now:
            raise InvalidJobError(f"move_to: expected an instant from {self._now} on, got {instant}")
        self._now = instant.astimezone(UTC)


class InlineExecutor:
    """Makes its calls on the thread that drives the scheduler, between two ticks."""

    def start(self, report: Report) -> None:
        self._report = report
        self._calls: deque[Call] = deque()

    def free(self) -> int:
        return 1_000 - len(self._calls)

    def submit(self, calls: Sequence[Call]) -> None:
        self._calls.extend(calls)

    def run_submitted(self) -> None:
        """Make the calls that wait, in their order; a call may lead to others."""
        while self._calls:
            call = self._calls.popleft()
            self._report(call, _await(call) if is_async(call.func) else invoke_surrounded(call))

    def take_back(self) -> Sequence[Call]:
        calls = [*self._calls]
        self._calls.clear()
        return calls

    def cancel(self, call: Call) -> bool:
        return False

    def stop(self) -> None:
        """Nothing goes on here."""


def _await(call: Call) -> Outcome:
    """Make a call of a coroutine in an event loop of its own; also from within one, where that takes a thread."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(invoke_surrounded_async(call))).result()


@final
class ManualScheduler(Scheduler):
    """A scheduler without a thread, on a virtual clock: nothing happens until `advance`.

    The production loop and stores, driven by hand. Calls are made on the thread that advances. The ledger keeps
    all that happened, unless *keep* says otherwise.
    """

    def __init__(
        self, store: str | Store | None = None, *, start: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        clock: VirtualClock | None = None, timezone: str | None = None, keep: Retention = FOREVER,
    ) -> None:  # fmt: skip
        self.clock = clock or VirtualClock(start)
        super().__init__(store, clock=self.clock, timezone=timezone, keep=keep)
        if self._store.clock is not self.clock:
            raise InvalidJobError(
                "ManualScheduler: expected a store on its own clock, got one on another: "
                "pass the same VirtualClock to both, as clock="
            )
        self._timing = Timing(
            lease=A_LONG_TIME, poll=A_LONG_TIME, ahead=NO_TIME, rest=NO_TIME, short_rest=NO_TIME,
            prune=A_LONG_TIME if keep == FOREVER else HOUR,
        )  # fmt: skip

    def advance(self, duration: timedelta = timedelta(0)) -> None:
        """Move the clock by *duration*, from one instant at which something is due to the next."""
        driver = self._running_driver()
        assert isinstance(driver, _ManualDriver)
        until = self.clock.now() + duration
        ticks = 0
        while (look_at := driver.tick()) <= until:
            ticks = ticks + 1 if look_at <= self.clock.now() else 0
            if ticks > MAX_TICKS_AT_ONE_INSTANT:
                raise AssertionError(f"expected time to move on, got {ticks} ticks at {self.clock.now()}")
            self.clock.move_to(max(look_at, self.clock.now()))
        self.clock.move_to(until)

    def run_due(self) -> None:
        """Do what is due now, to the end, without moving the clock."""
        self.advance()

    def _own_executors(self) -> dict[str, Executor]:
        return {"threads": InlineExecutor(), "asyncio": InlineExecutor()}

    def _make_driver(self, make_loop: Callable[[Callable[[], None]], Loop], finished: Callable[[], None]) -> Driver:
        return _ManualDriver(make_loop, finished, self.clock, self._wait_told)

    def _wait_told(self) -> None:
        """Let listeners hear what happened before time moves on, unless one of them is what moves it."""
        if self._listeners and not self._listeners.called_from() and (busy := self._listeners.wait_told(PATIENCE)):
            raise AssertionError(f"expected listeners to return within {PATIENCE:.0f} s, got {busy}, which still go on")


class _ManualDriver(Driver):
    """Drives a loop only as far as it is asked to."""

    def __init__(
        self, make_loop: Callable[[Callable[[], None]], Loop], finished: Callable[[], None], clock: VirtualClock,
        wait_told: Callable[[], None],
    ) -> None:  # fmt: skip
        super().__init__(make_loop, finished)
        self._virtual_clock = clock
        self._wait_told = wait_told

    def start(self) -> None:
        """No thread."""

    def tick(self) -> datetime:
        """Tick once, and make the calls that this began; when to tick again."""
        self.loop.tick()
        for executor in self.loop.executors.values():
            if isinstance(executor, InlineExecutor):
                executor.run_submitted()
        self._wait_told()
        return self.loop.next_tick()

    def is_alive(self) -> bool:
        return not self.loop.finished

    def wait_finished(self, timeout: float | None) -> bool:
        """Tick to the end, and move the clock as far as that takes (when the store is out, as long as a lease)."""
        for _ in range(MAX_TICKS_AT_ONE_INSTANT):
            look_at = self.tick()
            if self.loop.finished:
                self._finished()
                return True
            self._virtual_clock.move_to(max(look_at, self._virtual_clock.now()))
        raise AssertionError(f"expected the loop to finish, got {MAX_TICKS_AT_ONE_INSTANT} ticks: a job goes on")
