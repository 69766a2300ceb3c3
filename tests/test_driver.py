"""The thread that drives a loop, on a real bell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.deeds import PATIENCE
from tests.nodes import FlakyStore, Record
from tests.samples import HOUR, make_node

from tickwork.clock import SystemClock
from tickwork.driver import Driver
from tickwork.loop import Loop
from tickwork.stores.memory import MemoryStore
from tickwork.timing import Timing


class MachineClock(SystemClock):
    """A clock that can be set."""

    set_by = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.set_by


def test_a_clock_that_is_set_back_during_a_tick_delays_the_next_one_by_no_more_than_a_poll_or_a_second() -> None:
    """Found by the simulation: what was planned by the old clock was waited for by the new one, up to a minute."""
    clock = MachineClock()
    store: Any = FlakyStore(MemoryStore(clock=clock))
    ticks = threading.Semaphore(0)

    def after(verb: str) -> None:
        if verb == "outlook":
            clock.set_by -= HOUR
            ticks.release()

    def make_loop(wake: Callable[[], None]) -> Loop:
        listeners: Any = Record()
        timing = Timing(poll=timedelta(milliseconds=100))
        return Loop(store, {}, node=make_node("a", clock.now()), timing=timing, listeners=listeners, wake=wake)

    driver = Driver(make_loop, lambda: None)
    store.between = after
    driver.start()

    ticked = [ticks.acquire(timeout=PATIENCE) for _ in range(2)]
    store.between = lambda verb: None
    driver.loop.stop(None)

    assert ticked == [True, True]
    assert driver.wait_finished(PATIENCE)
