"""Who is told what happened.

The rule: whatever a listener does, it hurts none but itself. Each has its own line of events and is told of them one
after another: a function on a thread of its own, a coroutine in the event loop. So many events may wait for it;
further ones are dropped, and counted.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tickwork.errors import InvalidJobError
from tickwork.events import KINDS, Event, Listener, name_of, subject_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

MAX_WAITING = 10_000
"""How many events may wait for one listener."""

EventLoop = Callable[[], "AbstractEventLoop"]
"""Gives the event loop in which coroutines run. RuntimeError: there is none any more."""

log = logging.getLogger("tickwork.events")


class Listeners:
    """Who wants to know what. Telling costs nothing while there is nobody.

    Coroutines are awaited in *event_loop*; without one, on threads like all others.
    """

    def __init__(self, event_loop: EventLoop | None = None) -> None:
        self._event_loop = event_loop
        self._lines: Sequence[Line] = ()
        self._changing = threading.Lock()
        self._standing_by = False
        self._dropped = 0
        """Of listeners that were removed."""

    def __bool__(self) -> bool:
        """Whether anybody listens: what happens often asks first, and makes no event for nobody."""
        return bool(self._lines)

    @property
    def waiting(self) -> int:
        """How many events have not reached their listeners."""
        return sum(line.waiting for line in self._lines)

    @property
    def dropped(self) -> int:
        """How many events will never do so, as too many were waiting."""
        return self._dropped + sum(line.dropped for line in self._lines)

    def add(self, listener: Listener, *kinds: type) -> None:
        """Tell *listener* of these kinds of events; without any of those that it has as `kinds`, or of all."""
        own = getattr(listener, "kinds", ())
        if not kinds and isinstance(own, tuple):
            kinds = own
        check_kinds("add_listener", kinds)
        if not callable(listener):
            raise InvalidJobError(f"add_listener: expected a callable that takes the event, got {listener!r}")
        kinds = kinds or KINDS
        line: Line
        if not _is_coroutine_function(listener):
            line = OnThread(listener, kinds)
        elif self._event_loop is None:
            line = OnThread(_to_its_end(listener), kinds, named=listener)
        else:
            line = InLoop(listener, kinds, self._event_loop)
        with self._changing:
            self._lines = (*self._lines, line)
            if self._standing_by:
                line.stand_by()

    def remove(self, listener: Listener) -> None:
        with self._changing:
            removed = [line for line in self._lines if line.listener == listener]
            if not removed:
                raise InvalidJobError(f"remove_listener: expected a listener that was added, got {listener!r}")
            self._lines = tuple(line for line in self._lines if line not in removed)
            self._dropped += sum(line.dropped for line in removed)
        for line in removed:
            line.forget()
            line.rest()

    def tell(self, event: Event) -> None:
        for line in self._lines:
            if isinstance(event, line.kinds):
                line.put(event)

    def stand_by(self) -> None:
        """Have threads ready, so that telling starts none: whoever tells has more urgent things to do."""
        with self._changing:
            self._standing_by = True
            for line in self._lines:
                line.stand_by()

    def rest(self) -> None:
        """Let threads end that have nothing to tell."""
        with self._changing:
            self._standing_by = False
            for line in self._lines:
                line.rest()

    def wait_told(self, timeout: float) -> Sequence[Listener]:
        """Wait up to *timeout* seconds until all events have reached their listeners; those that are still busy."""
        until = time.monotonic() + timeout
        return [line.listener for line in self._lines if not line.wait_told(until - time.monotonic())]

    def called_from(self) -> bool:
        """Whether the calling thread is one that tells a listener."""
        return any(line.works_on == threading.get_ident() for line in self._lines)


class Line:
    """The events that wait for one listener, and whoever takes them there."""

    def __init__(self, listener: Listener, kinds: tuple[type, ...]) -> None:
        self.listener = listener
        self.kinds = kinds
        self.dropped = 0
        self.works_on: int | None = None
        """The thread on which the listener is told. None: nobody is at work."""
        self._events: deque[Event] = deque()
        self._changed = threading.Condition()
        self._telling = False
        self._stays = False
        """Whether somebody is at work also while nothing waits."""

    @property
    def waiting(self) -> int:
        return len(self._events) + self._telling

    def put(self, event: Event) -> None:
        with self._changed:
            if len(self._events) >= MAX_WAITING:
                self.dropped += 1
                if self.dropped.bit_count() == 1:  # at 1, 2, 4, 8, ...: a flood of events is not a flood of lines
                    log.warning("listener %r is too slow: %d events were dropped", self.listener, self.dropped)
                return
            self._events.append(event)
            self._changed.notify_all()
            self._ensure_work()

    def stand_by(self) -> None:
        """Be ready for events."""

    def rest(self) -> None:
        """Be ready no more: who is at work leaves when nothing waits."""
        with self._changed:
            self._stays = False
            self._changed.notify_all()

    def forget(self) -> None:
        """Tell nothing of what waits."""
        with self._changed:
            self._events.clear()
            self._changed.notify_all()

    def wait_told(self, timeout: float) -> bool:
        """Whether nothing waits any more; if nobody is at work, nobody is waited for."""
        with self._changed:
            self._changed.wait_for(lambda: not self.waiting or not self._is_at_work(), max(0.0, timeout))
            return not self.waiting

    def _take(self) -> Event | None:
        """The next event; None if the work is over."""
        with self._changed:
            self.works_on = threading.get_ident()
            self._telling = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._events or not self._stays)
            if not self._events:
                self._leave()
                return None
            self._telling = True
            return self._events.popleft()

    def _ensure_work(self) -> None:
        if self._is_at_work():
            return
        try:
            self._begin()
        except RuntimeError as error:  # no event loop, or no thread at the end of the process: they wait
            log.debug("listener %r cannot be told for now: %s", self.listener, error)

    def _leave(self) -> None:
        self.works_on = None
        self._telling = False
        self._changed.notify_all()

    def _blame(self, event: Event, error: BaseException) -> None:
        kind = name_of(type(event))
        log.error("listener %r raised on %s, %s", self.listener, kind, subject_of(event), exc_info=error)

    def _is_at_work(self) -> bool:
        raise NotImplementedError

    def _begin(self) -> None:
        raise NotImplementedError


class OnThread(Line):
    """Tells a function, on a thread of its own."""

    def __init__(self, call: Listener, kinds: tuple[type, ...], *, named: Listener | None = None) -> None:
        super().__init__(named or call, kinds)
        self._call = call
        self._thread: threading.Thread | None = None

    def stand_by(self) -> None:
        with self._changed:
            self._stays = True
            self._ensure_work()

    def _is_at_work(self) -> bool:
        return self._thread is not None and self._thread.is_alive()  # to a forked child no thread comes along

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._work, name="tickwork-listener", daemon=True)
        self._thread.start()

    def _leave(self) -> None:
        super()._leave()
        self._thread = None

    def _work(self) -> None:
        while (event := self._take()) is not None:
            try:
                _refuse_coroutine(self._call(event))
            except BaseException as error:  # noqa: BLE001  sys.exit() in a listener must not end its thread
                self._blame(event, error)


class InLoop(Line):
    """Tells a coroutine function, in a task of the event loop; the loop has its turn after each event."""

    def __init__(self, listener: Listener, kinds: tuple[type, ...], event_loop: EventLoop) -> None:
        super().__init__(listener, kinds)
        self._event_loop = event_loop
        self._loop: AbstractEventLoop | None = None
        self._task: Any = None
        """Kept, as an event loop forgets tasks that nobody else knows."""

    def _is_at_work(self) -> bool:
        return self._loop is not None and not self._loop.is_closed()

    def _begin(self) -> None:
        loop = self._event_loop()
        loop.call_soon_threadsafe(self._make_task, loop)
        self._loop = loop

    def _make_task(self, loop: AbstractEventLoop) -> None:
        self._task = loop.create_task(self._work(loop), name="tickwork-listener")

    def _leave(self) -> None:
        super()._leave()
        self._loop = self._task = None

    async def _work(self, loop: AbstractEventLoop) -> None:
        import asyncio  # noqa: PLC0415  where there is an event loop it is imported; others need not pay for it

        try:
            while (event := self._take()) is not None:
                try:
                    await self.listener(event)  # type: ignore[misc]  # it is a coroutine function
                except BaseException as error:
                    task = asyncio.current_task()
                    if task is None or task.cancelling():  # the loop ends: what waits is for the next one
                        raise
                    self._blame(event, error)
                await asyncio.sleep(0)
        except BaseException:
            with self._changed:
                if self._loop is loop:  # and not another one by now
                    self._leave()
            raise


def check_kinds(name: str, kinds: Iterable[object]) -> None:
    """InvalidJobError unless all *kinds* are classes of events."""
    for kind in kinds:
        if kind not in KINDS:
            names = ", ".join(one.__name__ for one in KINDS)
            raise InvalidJobError(f"{name}: expected event classes ({names}), got {kind!r}")


def _is_coroutine_function(listener: Listener) -> bool:
    return inspect.iscoroutinefunction(listener) or inspect.iscoroutinefunction(
        getattr(type(listener), "__call__", None)  # noqa: B004  an object may be called asynchronously
    )


def _to_its_end(listener: Listener) -> Listener:
    """A function that awaits *listener* in an event loop made for it."""

    def call(event: Event) -> object:
        import asyncio  # noqa: PLC0415  for those few that have no event loop and want one

        return asyncio.run(listener(event))  # type: ignore[arg-type]  # it is a coroutine function

    return call


def _refuse_coroutine(result: object) -> None:
    if inspect.iscoroutine(result):
        result.close()
        raise InvalidJobError(
            "add_listener: expected a function or an async def, got a function that returns a coroutine, "
            "which nobody awaits: add the async def itself"
        )
