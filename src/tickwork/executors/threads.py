"""Calls on a pool of threads.

Hand-kept: a deque and its threads cost half a microsecond a call, where a future costs thirty times that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from queue import SimpleQueue

from tickwork.checks import check_whole
from tickwork.executors.around import invoke_surrounded
from tickwork.executors.base import Report
from tickwork.executors.call import Call

MAX_THREADS = 1_000
QUEUE_AHEAD = 0.02
"""Seconds of work that may wait in the queue: enough to keep the threads busy between two ticks."""
MAX_QUEUED = 50
"""How many calls may wait for each thread, however short they are."""


class ThreadExecutor:
    """*max_workers* threads, started with the scheduler; an idle one costs next to nothing."""

    def __init__(self, max_workers: int = 10) -> None:
        check_whole("ThreadExecutor max_workers", max_workers, most=MAX_THREADS)
        self.max_workers = max_workers
        self._workers: list[Worker] = []

    def start(self, report: Report) -> None:
        self._calls: deque[Call] = deque()
        self._wakes: SimpleQueue[bool] = SimpleQueue()
        self._submitted = 0
        self._typical = Typical()
        # All at once: a thread that is started while others work waits for its turn to begin.
        self._workers = [Worker(self._calls, self._wakes, report, number) for number in range(self.max_workers)]

    def free(self) -> int:
        """Idle threads, and as many calls more as the threads will get to within QUEUE_AHEAD.

        Unless calls are known to be short none is taken to wait: it might wait here behind a long
        one while another node is idle.
        """
        finished = sum(worker.finished for worker in self._workers)
        busy = sum(worker.busy for worker in self._workers)
        ahead = min(MAX_QUEUED, self._typical.calls_within(QUEUE_AHEAD, finished, busy))
        in_hand = self._submitted - finished
        if in_hand >= self.max_workers and self._typical.has_stalled(QUEUE_AHEAD):
            ahead = 0
        return self.max_workers + self.max_workers * ahead - in_hand

    def submit(self, calls: Sequence[Call]) -> None:
        self._calls.extend(calls)
        self._submitted += len(calls)
        for _ in range(min(len(calls), self.max_workers)):
            self._wakes.put(True)

    def take_back(self) -> Sequence[Call]:
        calls: list[Call] = []
        while (call := _pop(self._calls)) is not None:
            calls.append(call)
        self._submitted -= len(calls)
        return calls

    def cancel(self, call: Call) -> bool:
        """A thread cannot be stopped from outside."""
        return False

    def stop(self) -> None:
        for _ in self._workers:
            self._wakes.put(False)


class Worker:
    """One thread, and its own counters: no other thread writes them, so they need no lock."""

    __slots__ = ("busy", "finished")

    def __init__(self, calls: deque[Call], wakes: SimpleQueue[bool], report: Report, number: int) -> None:
        self.finished = 0
        self.busy = 0.0
        threading.Thread(target=self._work, args=(calls, wakes, report), name=f"tickwork-{number}", daemon=True).start()

    def _work(self, calls: deque[Call], wakes: SimpleQueue[bool], report: Report) -> None:
        """At each wake, make calls until there are none; a wake that finds none is one that others were faster for."""
        while wakes.get():
            while (call := _pop(calls)) is not None:
                began = time.perf_counter()
                outcome = invoke_surrounded(call)
                self.busy += time.perf_counter() - began
                self.finished += 1
                report(call, outcome)


def _pop(calls: deque[Call]) -> Call | None:
    try:
        return calls.popleft()
    except IndexError:
        return None


class Typical:
    """How long a call takes of late: a mean in which each earlier glance counts for half."""

    def __init__(self) -> None:
        self._finished = 0
        self._busy = 0.0
        self._seconds: float | None = None
        self._ended_at = 0.0

    def calls_within(self, seconds: float, finished: int, busy: float) -> int:
        """How many calls one thread makes in that time; 0 as long as nothing is known."""
        if finished > self._finished:
            self._ended_at = time.monotonic()
            latest = (busy - self._busy) / (finished - self._finished)
            self._seconds = latest if self._seconds is None else (self._seconds + latest) / 2
            self._finished, self._busy = finished, busy
        if self._seconds is None:
            return 0
        return int(seconds / max(self._seconds, 1e-6))

    def has_stalled(self, seconds: float) -> bool:
        """Whether nothing ended for so long: the calls that run now are not like those before."""
        return time.monotonic() - self._ended_at > seconds
