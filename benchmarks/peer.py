"""APScheduler 3.11 as it is measured: in memory, on PostgreSQL and Redis, and on SQLite as it comes and tuned.

As it comes is `SQLAlchemyJobStore("sqlite:///jobs.db")`: a rollback journal, `synchronous=FULL`.
Tuned is what its users may do about it: WAL, `synchronous=NORMAL`, which may lose the last writes in a power cut.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

from benchmarks import postgresql, redis
from benchmarks.ours import Face

Kept: TypeAlias = Literal["memory", "SQLite default", "SQLite WAL", "PostgreSQL", "Redis"]

BATCH = 5_000
"""How many rows are put into a store at once."""

T = TypeVar("T")


def job_store(kept: Kept, folder: Path) -> BaseJobStore:
    if kept == "memory":
        return MemoryJobStore()
    if kept == "Redis":
        from apscheduler.jobstores.redis import RedisJobStore

        return RedisJobStore(**redis.place())
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from sqlalchemy import create_engine, event

    if kept == "PostgreSQL":
        return SQLAlchemyJobStore(postgresql.sqlalchemy_url())
    engine = create_engine(f"sqlite:///{folder / 'jobs.db'}")
    if kept == "SQLite WAL":

        @event.listens_for(engine, "connect")
        def tune(connection: Any, record: Any) -> None:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")

    return SQLAlchemyJobStore(engine=engine)


def options(kept: Kept, folder: Path) -> dict[str, Any]:
    """For any of its schedulers: like ours, nothing is too late to run, and times are UTC."""
    return {
        "jobstores": {"default": job_store(kept, folder)},
        "job_defaults": {"misfire_grace_time": None},
        "timezone": UTC,
    }


def with_scheduler(
    face: Face, kept: Kept, folder: Path, body: Callable[[BaseScheduler], T], *, paused: bool = False
) -> T:
    """What *body* returns, called with a started scheduler; with an event loop, beside it and not in it."""
    if face == "threads":
        scheduler = BackgroundScheduler(**options(kept, folder))
        scheduler.start(paused=paused)
        return body(scheduler)

    async def serve() -> T:
        in_loop = AsyncIOScheduler(**options(kept, folder))
        in_loop.start(paused=paused)
        return await asyncio.to_thread(body, in_loop)

    return asyncio.run(serve())


def fill(scheduler: BaseScheduler, function: Callable[[], object], stored: int, *, far: datetime) -> None:
    """So many jobs, `job-0` and on, due from *far* on; on SQLite all but the first as rows, as adding takes minutes."""

    def add(number: int) -> Job:
        start = far + timedelta(seconds=number)
        return scheduler.add_job(function, "interval", hours=1, start_date=start, id=f"job-{number}")

    first = add(0)
    store = scheduler._lookup_jobstore("default")
    if isinstance(store, MemoryJobStore):
        for number in range(1, stored):
            add(number)
        return
    state = first.__getstate__()
    with store.engine.begin() as connection:
        for begin in range(1, stored, BATCH):
            rows = []
            for number in range(begin, min(stored, begin + BATCH)):
                at = far + timedelta(seconds=number)
                of_this = {**state, "id": f"job-{number}", "next_run_time": at}
                rows.append({
                    "id": f"job-{number}",
                    "next_run_time": at.timestamp(),
                    "job_state": pickle.dumps(of_this, store.pickle_protocol),
                })  # fmt: skip
            connection.execute(store.jobs_t.insert(), rows)
