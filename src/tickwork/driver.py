"""The one thread that drives a loop, and the bell that wakes it."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from tickwork.clock import Clock
from tickwork.loop import Loop
from tickwork.node import say_clock_error

LONGEST_WAIT = timedelta(seconds=60)
"""A wait that is cut short costs an idle tick."""
LONG_TICK = 5.0
"""Seconds; a tick that takes longer is hung up in something, and health says so."""
STUCK = 60.0
"""Seconds; a tick that is so late, or fails for so long, will not come by itself: a restart is what helps."""
AFTER_A_BUG = timedelta(seconds=1)

log = logging.getLogger("tickwork.driver")


class Driver:
    """Clear the bell, tick, wait for the bell or the time; until the loop has finished.

    The bell is cleared before looking and never after: a ring during the tick survives to the wait.
    """

    def __init__(self, make_loop: Callable[[Callable[[], None]], Loop], finished: Callable[[], None]) -> None:
        self._bell = threading.Event()
        self.loop = make_loop(self._bell.set)
        self._clock: Clock = self.loop.clock
        self._finished = finished
        self.fault: str | None = None
        """What the last tick died of: a bug, since everything else is dealt with inside. None: it did not."""
        self.ticking_since: float | None = None
        """When the tick that goes on began, on the monotonic clock. None: the thread waits."""
        self.expected_by = math.inf
        """When the next tick will have ended well if all is, on the monotonic clock. Infinite: nobody waits for one."""
        self._process: int | None = None
        self._thread = threading.Thread(target=self._drive, name="tickwork", daemon=True)

    def start(self) -> None:
        self._process = os.getpid()
        self.expected_by = time.monotonic() + STUCK
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def is_this_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def is_stuck(self) -> bool:
        """Whether no tick has ended well for so long that none will. In a forked child nobody waits for one."""
        return time.monotonic() > self.expected_by and self._process == os.getpid()

    def trouble(self) -> str | None:
        """Why nothing fires on this node although its thread is alive. None: all is well."""
        began = self.ticking_since
        if self.loop.outage is not None:
            return self.loop.outage.error
        if self.loop.clock_error is not None:
            return f"this node fires nothing: {say_clock_error(self.loop.clock_error)}; set it, by NTP for example"
        if self.loop.leaving is not None:
            return f"{self.loop.store.location} {self.loop.leaving.told()}"
        if began is not None and time.monotonic() - began > LONG_TICK:
            return f"a tick has been going on for {time.monotonic() - began:.0f} s"
        return self.fault

    def wait_finished(self, timeout: float | None) -> bool:
        """Wait for the loop to finish; whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _drive(self) -> None:
        # No loop asks for more than a poll; if it seems so, the clock was set back while it ticked.
        longest = min(max(self.loop.timing.poll, AFTER_A_BUG), LONGEST_WAIT)
        try:
            while not self.loop.finished:
                self._bell.clear()
                wait = min(self._tick() - self._clock.now(), longest).total_seconds()
                if self.fault is None:
                    self.expected_by = time.monotonic() + max(wait, 0.0) + STUCK
                if wait > 0 and not self.loop.finished:
                    self._bell.wait(wait)
            self.expected_by = math.inf
        finally:
            self._finished()

    def _tick(self) -> datetime:
        """When to tick again. Even a bug does not end the schedule."""
        self.ticking_since = time.monotonic()
        try:
            look_at = self.loop.tick()
        except BaseException as error:  # whatever it was, it must not end the schedule
            log.exception("a tick failed; the next one follows in %s", AFTER_A_BUG)
            self.fault = f"a tick failed: {type(error).__name__}: {error}"
            return self._clock.now() + AFTER_A_BUG
        finally:
            ticking, self.ticking_since = self.ticking_since, None
            if (took := time.monotonic() - ticking) > LONG_TICK:
                log.warning("a tick took %.1f s: nothing was fired by this node meanwhile", took)
        self.fault = None
        return look_at
