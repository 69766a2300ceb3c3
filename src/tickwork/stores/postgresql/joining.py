"""Jobs that are added in a transaction of the user's own: they are there, and fire, if and when it is committed.

with psycopg.connect(url) as connection:
    connection.execute("insert into orders ...")
    add_jobs(connection, [scheduler.new_job(remind, "date", run_date=tomorrow, args=[order])])
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor
from psycopg.errors import UndefinedTable

from tickwork.errors import ConflictError, JobExistsError, SchedulerError, StoreUnusableError
from tickwork.job import Job, check_jobs
from tickwork.moves import refusal
from tickwork.plan import anchored, expect
from tickwork.stores.postgresql import statements as sql
from tickwork.stores.postgresql.doorbell import channel_of, may_be_due_soon
from tickwork.stores.postgresql.rows import Row, definitions, expectation_arrays, integers, job_arrays, read_move, texts
from tickwork.stores.postgresql.server import quoted

TABLE = re.compile(r"\btickwork_\w+")
CURRENT_SCHEMA = "select current_schema()"
"""Asked first: a connection that was in no transaction is in one from then on, and what follows is a part of it."""
NOBODY = "a user's transaction"
"""Who rings: no node, so that every node hears it."""


def add_jobs(connection: Connection[Any], jobs: Iterable[Job], *, schema: str | None = None) -> Sequence[Job]:
    """Add jobs that `scheduler.new_job` made, all or none, in the transaction that *connection* is in.

    Nodes are woken when it is committed. *schema* is that of the store's URL; None: the first of the search path, as
    there. The tables must be there: a scheduler has started on them before, or they were made by hand. Raises
    JobExistsError, StoreMovedError if the jobs have moved elsewhere, StoreUnusableError if there are no tables; what
    else the database refuses raises psycopg's own errors, as everything on your connection does.
    """
    new = [anchored(job) for job in check_jobs(jobs)]
    with users_connection(connection, Connection, schema), RawCursor(connection) as cursor:
        ((found,),) = cursor.execute(CURRENT_SCHEMA).fetchall()
        with connection.transaction():
            _check_takes_changes(cursor.execute(in_schema(sql.HOLD_MOVE, schema)).fetchone(), schema or found)
            for statement, rows in _additions(new, schema):
                if cursor.execute(statement, rows).rowcount < len(new):
                    raise _taken(cursor.execute(*_question(new, schema)).fetchall(), new)
            cursor.execute(*_expectations(new, schema))
        if any(may_be_due_soon(job, datetime.now(UTC)) for job in new):
            cursor.execute(sql.RING.encode(), (channel_of(schema or found), NOBODY))
    return new


async def add_jobs_async(
    connection: AsyncConnection[Any], jobs: Iterable[Job], *, schema: str | None = None
) -> Sequence[Job]:
    """The same on an asynchronous connection."""
    new = [anchored(job) for job in check_jobs(jobs)]
    with users_connection(connection, AsyncConnection, schema):
        async with AsyncRawCursor(connection) as cursor:
            ((found,),) = await (await cursor.execute(CURRENT_SCHEMA)).fetchall()
            async with connection.transaction():
                held = await (await cursor.execute(in_schema(sql.HOLD_MOVE, schema))).fetchone()
                _check_takes_changes(held, schema or found)
                for statement, rows in _additions(new, schema):
                    if (await cursor.execute(statement, rows)).rowcount < len(new):
                        raise _taken(await (await cursor.execute(*_question(new, schema))).fetchall(), new)
                await cursor.execute(*_expectations(new, schema))
            if any(may_be_due_soon(job, datetime.now(UTC)) for job in new):
                await cursor.execute(sql.RING.encode(), (channel_of(schema or found), NOBODY))
    return new


@contextmanager
def users_connection(connection: object, kind: type, schema: str | None) -> Iterator[None]:
    """A connection of the user's, which is of that *kind*, and on which our tables are found."""
    if not isinstance(connection, kind):
        raise SchedulerError(
            f"connection: expected a psycopg.{kind.__name__}, got {type(connection).__name__}: the function whose name "
            f"ends in _async takes a psycopg.AsyncConnection; of SQLAlchemy's connection pass its driver_connection"
        )
    try:
        yield
    except UndefinedTable:
        where = "the first schema of the search path" if schema is None else f"the schema {schema}"
        raise StoreUnusableError(
            f"expected the tables of jobs in {where}, got none: pass schema=, as in the store's URL, and a connection "
            f"to its database"
        ) from None


def taken(ids: Iterable[str], jobs: Sequence[Job]) -> JobExistsError | ConflictError:
    """What is wrong with a batch that could not be added: an id of *ids*, or one that stands in it twice."""
    seen = {*ids}
    for job in jobs:
        if job.id in seen:
            return JobExistsError(job.id)
        seen.add(job.id)
    return ConflictError("expected new jobs, got some that were added before: make them again with new_job")


def _check_takes_changes(row: Row | None, schema: str) -> None:
    move = None if row is None else read_move(row)
    if move is not None and move.refuses:
        raise refusal(f"the tables in the schema {schema}", move)


def _additions(jobs: Sequence[Job], schema: str | None) -> list[tuple[bytes, Sequence[str]]]:
    """The statements that add jobs, each with its parameters."""
    return [
        (in_schema(sql.INSERT_JOBS, schema), job_arrays(jobs)),
        (in_schema(sql.INSERT_DEFINITIONS, schema), definitions(jobs)),
    ]


def _expectations(jobs: Sequence[Job], schema: str | None) -> tuple[bytes, Sequence[str]]:
    """What notes by when those with `expect_every` are to succeed."""
    now = datetime.now(UTC)
    expected = [one for job in jobs if (one := expect(job, now)) is not None]
    return in_schema(sql.WRITE_EXPECTATIONS, schema), expectation_arrays(expected)


def _question(jobs: Sequence[Job], schema: str | None) -> tuple[bytes, Sequence[str]]:
    """Which of the ids are taken."""
    rows = texts(job.id for job in jobs), integers(job.uid for job in jobs)
    return in_schema(sql.TAKEN_IDS, schema), rows


def _taken(rows: Iterable[tuple[str]], jobs: Sequence[Job]) -> JobExistsError | ConflictError:
    return taken([id for (id,) in rows], jobs)


def in_schema(statement: str, schema: str | None) -> bytes:
    """A statement whose tables are named in full: a user's connection has a search path of its own."""
    named = statement if schema is None else TABLE.sub(lambda table: f"{quoted(schema)}.{table[0]}", statement)
    return named.encode()
