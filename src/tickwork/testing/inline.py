"""Calls on the thread that drives the scheduler: a test has all of a job's work done when it goes on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tickwork.executors.around import invoke_surrounded
from tickwork.executors.asyncio import invoke_surrounded_async
from tickwork.executors.base import Report
from tickwork.executors.call import Call, is_async
from tickwork.run import Outcome


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
            self._report(call, make_call(call))

    def take_back(self) -> Sequence[Call]:
        calls = [*self._calls]
        self._calls.clear()
        return calls

    def cancel(self, call: Call) -> bool:
        return False

    def stop(self) -> None:
        """Nothing goes on here."""


def make_call(call: Call) -> Outcome:
    """Make the call here and now; a coroutine in an event loop of its own, on a thread as there may be one here."""
    if not is_async(call.func):
        return invoke_surrounded(call)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(invoke_surrounded_async(call))).result()
