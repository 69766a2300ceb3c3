"""tickwork as it is measured: both faces, all stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from benchmarks import postgresql, redis
from tickwork import AsyncIOScheduler, BackgroundScheduler
from tickwork.scheduler import Scheduler

Face: TypeAlias = Literal["threads", "event loop"]
Kept: TypeAlias = Literal["memory", "SQLite", "PostgreSQL", "Redis"]

T = TypeVar("T")


def store_url(kept: Kept, folder: Path) -> str | None:
    if kept == "PostgreSQL":
        return postgresql.database_url()
    if kept == "Redis":
        return redis.database_url()
    return None if kept == "memory" else f"sqlite:///{folder / 'jobs.db'}"


def with_scheduler(face: Face, url: str | None, body: Callable[[Scheduler], T], *, paused: bool = False) -> T:
    """What *body* returns, called with a started scheduler; with an event loop, beside it and not in it."""
    if face == "threads":
        scheduler = BackgroundScheduler(url)
        scheduler.start(paused=paused)
        return body(scheduler)

    async def serve() -> T:
        in_loop = AsyncIOScheduler(url)
        await in_loop.aio.start(paused=paused)
        return await asyncio.to_thread(body, in_loop)

    return asyncio.run(serve())
