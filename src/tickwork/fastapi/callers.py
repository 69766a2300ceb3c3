"""How a run calls its dependencies: in an event loop that must not be blocked, or on a thread of its own.

The rule: what is written for either is written once, as coroutines. On a thread none of them ever waits: a function
is called there and then, and a coroutine is made to its end elsewhere. So a thread needs no event loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from time import monotonic
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import anyio
import anyio.to_thread

from tickwork.executors.asyncio import OwnLoop
from tickwork.executors.injection import Surroundings

GLANCE = 1.0
"""Seconds between two looks whether the event loop that is waited for still exists."""

T = TypeVar("T")

log = logging.getLogger("tickwork.run")


class OverdueError(Exception):
    """The limit of a call was reached before it had ended."""


class Caller(Protocol):
    """How steps are made; after *limit* seconds they are left alone, if they can be: OverdueError."""

    async def call(self, func: Callable[[], T], *, limit: float | None = None) -> T:
        """Call a function that may block."""
        ...

    async def wait(self, coroutine: Coroutine[Any, Any, T], *, limit: float | None = None) -> T:
        """Await a coroutine."""
        ...


class InLoop:
    """In the running event loop; functions go to FastAPI's pool of threads."""

    async def call(self, func: Callable[[], T], *, limit: float | None = None) -> T:
        # What cleans up has a thread beside the pool: those in it may all wait for what it gives back.
        limiter = None if limit is None else anyio.CapacityLimiter(1)
        return await _uninterrupted(anyio.to_thread.run_sync(func, limiter=limiter), limit)

    async def wait(self, coroutine: Coroutine[Any, Any, T], *, limit: float | None = None) -> T:
        async with _no_longer_than(limit):
            return await coroutine


class OnThread:
    """On this thread, for functions, which no limit can end; coroutines run in the scheduler's event loop."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own: OwnLoop | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._own is not None:
            self._own.stop()

    async def call(self, func: Callable[[], T], *, limit: float | None = None) -> T:
        return func()

    async def wait(self, coroutine: Coroutine[Any, Any, T], *, limit: float | None = None) -> T:
        try:
            loop = self._event_loop()
            running = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except BaseException:
            coroutine.close()
            raise
        deadline = None if limit is None else monotonic() + limit
        while not concurrent.futures.wait([running], GLANCE if limit is None else min(GLANCE, limit)).done:
            if loop.is_closed():
                with suppress(RuntimeError):
                    coroutine.close()
                raise RuntimeError("expected the event loop to end what was begun in it, got it closed")
            if deadline is not None and monotonic() >= deadline:
                running.cancel()
                raise OverdueError
        return running.result()

    @staticmethod
    def to_its_end(coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine whose steps are made by this: it never waits."""
        try:
            coroutine.send(None)
        except StopIteration as end:
            result: T = end.value
            return result
        raise AssertionError(f"expected {coroutine} to wait for nothing")

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        """The one in which the scheduler's coroutines run: what they share, as a pool of connections, belongs to it."""
        if self._loop is None:
            if self._surroundings.event_loop is not None:
                self._loop = self._surroundings.event_loop()
            else:  # a ManualScheduler gives each run its own
                self._own = OwnLoop()
                self._loop = self._own.loop
        return self._loop


async def _uninterrupted(coroutine: Coroutine[Any, Any, T], limit: float | None) -> T:
    """Await what a thread does; a cancellation waits for it, since what it began can be cleaned up only after it."""
    working = asyncio.ensure_future(coroutine)
    try:
        await asyncio.wait([working], timeout=limit)
    except asyncio.CancelledError:
        await asyncio.wait([working], timeout=limit)
        if working.done() and not working.cancelled() and (error := working.exception()) is not None:
            log.warning("what was cancelled failed besides", exc_info=error)
        raise
    finally:
        working.cancel()  # nothing, if it is done
    if not working.done():
        raise OverdueError
    return working.result()


@asynccontextmanager
async def _no_longer_than(limit: float | None) -> AsyncIterator[None]:
    patience = asyncio.timeout(limit)
    try:
        async with patience:
            yield
    except TimeoutError:
        if patience.expired():
            raise OverdueError from None
        raise
