"""The functions that the measured jobs call, and what they leave behind in their process."""

from __future__ import annotations

import threading
import time
from itertools import count

from tickwork import current_run

PATIENCE = 120.0
"""Seconds to wait for the last call."""


class Countdown:
    """Tells when the wanted number of calls has been made, at next to no cost for each."""

    def __init__(self) -> None:
        self._calls = count(1)
        self._wanted = 0
        self._done = threading.Event()

    def expect(self, calls: int) -> None:
        self._wanted = calls

    def call(self) -> None:
        if next(self._calls) == self._wanted:  # one step of the interpreter: threads need no lock
            self._done.set()

    def wait_done(self) -> None:
        if not self._done.wait(PATIENCE):
            raise TimeoutError(f"expected {self._wanted} calls within {PATIENCE} s, got {next(self._calls) - 1}")


countdown = Countdown()
fires: list[tuple[float, float]] = []
"""Of each call: when it began, and its fire time; both in seconds since 1970."""


def nothing() -> None:
    pass


def count_down() -> None:
    countdown.call()


async def count_down_async() -> None:
    countdown.call()


def note_run() -> None:
    """For tickwork, which tells a function its fire time."""
    now = time.time()
    fires.append((now, current_run().fire_time.timestamp()))


async def note_run_async() -> None:
    note_run()


def note_call(start: float) -> None:
    """For APScheduler, which does not: it is the last one before, on the grid of whole seconds from *start*."""
    now = time.time()
    fires.append((now, now - (now - start) % 1))


async def note_call_async(start: float) -> None:
    note_call(start)
