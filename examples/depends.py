"""A job with the session that the routes use, an argument, a retry and a timeout: `python examples/depends.py`."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from threading import Event
from typing import Annotated

from fastapi import Depends, FastAPI

from tickwork import AsyncIOScheduler, Retry, RunContext
from tickwork.fastapi import lifespan

scheduler = AsyncIOScheduler("sqlite:///jobs.db")
done = Event()


def get_session() -> Iterator[sqlite3.Connection]:
    """A session for one request or one run: committed if that ends well, rolled back if not, and closed."""
    with closing(sqlite3.connect("shop.db", check_same_thread=False)) as session, session:
        session.execute("create table if not exists orders (day text, total integer)")
        yield session


Session = Annotated[sqlite3.Connection, Depends(get_session)]


@scheduler.scheduled_job(
    "cron", hour=3, id="order", kwargs={"day": date(2026, 3, 1)}, retry=Retry(max_attempts=3), timeout=60
)  # fmt: skip
def order(run: RunContext, session: Session, day: date) -> str:
    session.execute("insert into orders values (?, ?)", (day.isoformat(), 5))
    if run.attempt == 1:
        raise ConnectionError("the other side is down")  # what was written is rolled back
    done.set()
    return f"ordered for {day:%A}"


app = FastAPI(lifespan=lifespan(scheduler))


@app.get("/orders")
def orders(session: Session) -> list[tuple[str, int]]:
    return session.execute("select * from orders").fetchall()


async def main() -> None:
    async with app.router.lifespan_context(app):  # as a server does
        await scheduler.aio.run_job_now("order")
        await asyncio.to_thread(done.wait, 10)
    for run in reversed(scheduler.get_runs("order")):  # the app waited until they were in the ledger
        print(f"attempt {run.attempt}: {run.state} {run.reason or run.result}")
    with closing(sqlite3.connect("shop.db")) as session:
        print(orders(session))


if __name__ == "__main__":
    asyncio.run(main())
