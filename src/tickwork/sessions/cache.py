"""Values that are costly to come by: kept for a while, and computed once, however many want them at the same time.

The rule: who computes a value holds a lease on its key. It ends by itself, so the death of a computer holds nobody up,
and a value is kept only under the lease that it was begun with: one that was deleted meanwhile does not come back old.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from threading import Lock
from typing import Any

from tickwork.checks import shown
from tickwork.durations import Duration
from tickwork.errors import InvalidSessionError, StoreError, StoreUnavailableError
from tickwork.face import Face, awaitable
from tickwork.sessions.limits import Limits, read_length
from tickwork.sessions.stores.base import CacheStore
from tickwork.sessions.values import check_name, read, write

LEASE = timedelta(seconds=30)
SHORTEST_NAP, LONGEST_NAP, GROWTH = 0.005, 0.1, 1.5
"""Seconds between two looks at what another computes, and by how much the next one is longer."""

log = logging.getLogger("tickwork.sessions")


class Cache:
    """Values under keys, each with a time to live. They are what JSON can write, and come back as JSON reads them.

    Keys are 1 to 200 printable characters, *ttl* is a timedelta, a number of seconds, or a text such as "5m". Verbs
    raise InvalidSessionError, and StoreError when the store cannot be used; `get_or_set` then computes all the same.
    """

    def __init__(self, store: Callable[[], CacheStore], limits: Limits) -> None:
        self._store = store
        self._limits = limits

    @property
    def aio(self) -> AwaitableCache:
        """The same verbs, as awaitables."""
        return AwaitableCache(self)

    def get(self, key: str, default: Any = None) -> Any:
        check_name("key", key)
        written = self._store().get(key)
        return default if written is None else read(written)

    def set(self, key: str, value: Any, *, ttl: Duration) -> None:
        """Keep *value* for *ttl*, in place of what is there or is just being computed."""
        check_name("key", key)
        lives, written = read_length("ttl", ttl), write("value", value, most=self._limits.max_cached_bytes)
        self._store().set(key, written, lives)

    def delete(self, key: str) -> bool:
        """Forget the value, and what is just being computed for it; whether there was one."""
        check_name("key", key)
        return self._store().delete(key)

    def get_or_set(self, key: str, compute: Callable[[], Any], *, ttl: Duration, lease: Duration = LEASE) -> Any:
        """The value, which *compute* makes if there is none; then it is kept for *ttl*.

        Of all threads and processes that miss it at the same time, one computes and the others wait for it. If it has
        not come to an end within *lease* (it died, or takes longer), the next one computes; if it raises, that is
        passed on to its own caller, and the next one computes. Nobody waits longer than a *lease* of their own.
        """
        computation = Computation(self._store, self._limits, key, ttl, lease)
        try:
            while (nap := computation.look()) is not None:
                time.sleep(nap)
            if computation.found is not None:
                return read(computation.found)
            value = compute()
            if inspect.isawaitable(value):
                raise InvalidSessionError("compute: expected a value, got an awaitable: use cache.aio.get_or_set")
            return computation.keep(value)
        except BaseException:
            computation.give_up()
            raise


class AwaitableCache(Face[Cache]):
    """The verbs of a cache, as awaitables."""

    get = awaitable(Cache.get)
    set = awaitable(Cache.set)
    delete = awaitable(Cache.delete)

    async def get_or_set(
        self, key: str, compute: Callable[[], Awaitable[Any] | Any], *, ttl: Duration, lease: Duration = LEASE
    ) -> Any:
        """As `Cache.get_or_set`; a coroutine function computes in the event loop, a plain function on a thread."""
        behind = self._behind
        computation = Computation(behind._store, behind._limits, key, ttl, lease)  # noqa: SLF001
        try:
            while (nap := await asyncio.to_thread(computation.look)) is not None:  # noqa: ASYNC110  others compute elsewhere
                await asyncio.sleep(nap)
            if computation.found is not None:
                return read(computation.found)
            in_loop = inspect.iscoroutinefunction(compute)
            value = compute() if in_loop else await asyncio.to_thread(compute)
            return await asyncio.to_thread(computation.keep, await value if inspect.isawaitable(value) else value)
        except BaseException:  # also when the task is cancelled
            await asyncio.to_thread(computation.give_up)
            raise


class Computation:
    """One caller's way to a value: found, or waited for, or computed by the caller. The same for both faces."""

    def __init__(
        self, store: Callable[[], CacheStore], limits: Limits, key: str, ttl: Duration, lease: Duration
    ) -> None:
        self._store = store
        self._limits = limits
        self._key = check_name("key", key)
        self._ttl = read_length("ttl", ttl)
        self._lease = read_length("lease", lease)
        self._owner = secrets.token_hex(8)
        self._nap = SHORTEST_NAP
        self._waits_until = time.monotonic() + self._lease.total_seconds()
        self._looking = Lock()
        self._begun = False
        self.found: bytes | None = None

    def look(self) -> float | None:
        """Seconds until the next look is worth it; None: the value is `found`, or the caller is to compute it."""
        with self._looking:
            try:
                answer = self._store().begin(self._key, self._owner, self._lease)
            except StoreUnavailableError as error:
                log.warning("the cache cannot be asked, so %s is computed: %s", shown(self._key), error)
                return None
            match answer:
                case timedelta():
                    return self._next_nap(answer.total_seconds())
                case None:
                    self._begun = True
                case bytes():
                    self.found = answer
            return None

    def _next_nap(self, lasts: float) -> float | None:
        left = self._waits_until - time.monotonic()
        if left <= 0:  # whoever is at it fails or dies, and others are quicker to follow: go on without a lease
            return None
        nap, self._nap = self._nap, min(self._nap * GROWTH, LONGEST_NAP)
        return max(SHORTEST_NAP, min(nap, lasts, left))

    def keep(self, value: Any) -> Any:
        """Keep what was computed under this lease. The value as all the others will read it."""
        written = write("value", value, most=self._limits.max_cached_bytes)
        if self._begun:
            try:
                self._store().finish(self._key, self._owner, written, self._ttl)
            except StoreUnavailableError as error:
                log.warning("the value of %s cannot be kept in the cache: %s", shown(self._key), error)
        return read(written)

    def give_up(self) -> None:
        """Let the next one compute. A look that a cancelled task has left behind is waited for."""
        with self._looking:
            if not self._begun:
                return
            try:
                self._store().give_up(self._key, self._owner)
            except StoreError as error:
                log.warning("the lease on %s cannot be given back, and ends by itself: %s", shown(self._key), error)
