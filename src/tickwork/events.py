"""What happened, as frozen values, and the listeners that are told.

The rule: a listener can slow down or break nothing but other listeners. They are called one after
another, in order, on a thread of their own; what they raise is logged.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from queue import Full, Queue
from typing import TypeAlias

from tickwork.errors import InvalidJobError
from tickwork.job import Job
from tickwork.run import Run

MAX_WAITING = 10_000
"""How many events may wait for slow listeners; further ones are dropped, and counted in the log."""

log = logging.getLogger("tickwork.events")


@dataclass(frozen=True, slots=True)
class SchedulerStarted:
    node: str


@dataclass(frozen=True, slots=True)
class SchedulerStopped:
    node: str


@dataclass(frozen=True, slots=True)
class JobAdded:
    job: Job


@dataclass(frozen=True, slots=True)
class JobChanged:
    """Modified, rescheduled, paused, resumed or retired, through this scheduler."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobRemoved:
    job: Job


@dataclass(frozen=True, slots=True)
class JobFired:
    """This node advanced a job past its fire time; what did not run is among the runs too, closed."""

    job: Job
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class JobOverdue:
    """A job has not succeeded for longer than its `expect_every`. Told once for each silence, by one of the nodes."""

    job: Job
    expected_by: datetime
    succeeded_at: datetime | None
    """When it last succeeded, since it is expected to. None: it has not."""


@dataclass(frozen=True, slots=True)
class JobRecovered:
    """A job that was overdue has succeeded."""

    job: Job
    overdue_at: datetime
    """When it was found to be overdue."""
    succeeded_at: datetime


@dataclass(frozen=True, slots=True)
class RunStarted:
    """This node handed a run to its executor."""

    run: Run


@dataclass(frozen=True, slots=True)
class RunSettled:
    """This node closed a run, or gave it back."""

    run: Run


@dataclass(frozen=True, slots=True)
class StoreLost:
    """The store cannot be used: nothing fires on this node until it can."""

    error: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StoreRecovered:
    since: datetime


Event: TypeAlias = (
    SchedulerStarted | SchedulerStopped | JobAdded | JobChanged | JobRemoved
    | JobFired | JobOverdue | JobRecovered | RunStarted | RunSettled | StoreLost | StoreRecovered
)  # fmt: skip
Listener: TypeAlias = Callable[[Event], object]

KINDS: tuple[type, ...] = (
    SchedulerStarted, SchedulerStopped, JobAdded, JobChanged, JobRemoved,
    JobFired, JobOverdue, JobRecovered, RunStarted, RunSettled, StoreLost, StoreRecovered,
)  # fmt: skip


class Listeners:
    """Who wants to know what. Telling costs nothing while there is nobody."""

    def __init__(self) -> None:
        self._wanted: list[tuple[Listener, tuple[type, ...]]] = []
        self._queue: Queue[Event] = Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self.dropped = 0
        """How many events nobody was told of, because listeners were too slow."""

    @property
    def waiting(self) -> int:
        """How many events have not been told yet."""
        return self._queue.qsize()

    def __bool__(self) -> bool:
        """Whether anybody listens: what happens often asks first, and makes no event for nobody."""
        return bool(self._wanted)

    def add(self, listener: Listener, *kinds: type) -> None:
        for kind in kinds:
            if kind not in KINDS:
                names = ", ".join(one.__name__ for one in KINDS)
                raise InvalidJobError(f"add_listener: expected event classes ({names}), got {kind!r}")
        if not callable(listener):
            raise InvalidJobError(f"add_listener: expected a callable that takes the event, got {listener!r}")
        self._wanted = [*self._wanted, (listener, kinds or KINDS)]
        self._ensure_thread()

    def remove(self, listener: Listener) -> None:
        kept = [(one, kinds) for one, kinds in self._wanted if one != listener]
        if len(kept) == len(self._wanted):
            raise InvalidJobError(f"remove_listener: expected a listener that was added, got {listener!r}")
        self._wanted = kept

    def tell(self, event: Event) -> None:
        if not self._wanted:
            return
        self._ensure_thread()
        try:
            self._queue.put_nowait(event)
        except Full:
            self.dropped += 1
            if self.dropped.bit_count() == 1:  # at 1, 2, 4, 8, ...: a flood of events is not a flood of lines
                log.warning("listeners are too slow: %d events were dropped", self.dropped)

    def called_from(self) -> bool:
        """Whether the calling thread is the listeners' own."""
        return threading.current_thread() is self._thread

    def _ensure_thread(self) -> None:
        """Start the thread: with the first listener, and again in a forked child, to which no thread comes along."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._queue = Queue(MAX_WAITING)
                self._thread = threading.Thread(
                    target=self._work, args=(self._queue,), name="tickwork-listeners", daemon=True
                )
                self._thread.start()

    def _work(self, queue: Queue[Event]) -> None:
        while True:
            event = queue.get()
            for listener, kinds in self._wanted:
                if isinstance(event, kinds):
                    try:
                        listener(event)
                    except BaseException:  # sys.exit() in a listener must not end the thread for the others
                        log.exception("listener %r raised on %s", listener, type(event).__name__)
