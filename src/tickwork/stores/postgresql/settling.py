"""A run that is settled in a transaction of the user's own: it has succeeded if and when that is committed.

async def bill(run: RunContext) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("insert into bills ...")
        await settle_run_async(connection, run)

What is asked and written stands here once, as a row of steps that either kind of connection takes.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Protocol, Self, TypeAlias

from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor

from tickwork.codec import write_instant
from tickwork.expectation import Expectation
from tickwork.plan import Settlement
from tickwork.run import Run
from tickwork.stores.postgresql import statements as sql
from tickwork.stores.postgresql.joining import in_schema, users_connection
from tickwork.stores.postgresql.rows import (
    Row,
    expectation_arrays,
    integers,
    read_expectation,
    read_run,
    run_key,
    settled_runs,
)

Step: TypeAlias = tuple[bytes, Sequence[Any]]
Steps: TypeAlias = Generator[Step, list[Row], None]
"""Statements with their parameters, each of which is answered with its rows."""


class Settling(Protocol):
    """How a run is settled from outside; while it is entered, its lease is left alone."""

    run: Run

    def __enter__(self) -> Self: ...

    def __exit__(self, *raised: object) -> None: ...

    def ending(self, current: Run | None) -> tuple[Settlement, Sequence[Expectation]]:
        """How it succeeds, now that *current* is its row, and what that fulfils. None: there is no open one.

        Raises what forbids it.
        """
        ...

    def end(self, recovered: Sequence[Expectation]) -> None:
        """It was written; these were overdue until then."""
        ...


class GoingOn(Protocol):
    """A run, as its function has it: a `RunContext`."""

    @property
    def settling(self) -> Settling: ...


def settle_run(connection: Connection[Any], run: GoingOn, *, schema: str | None = None) -> None:
    """Let *run*, in whose function this is called, succeed with the transaction that *connection* is in.

    What was written in it and the run's success are there together, or neither is. It belongs at the end: until the
    commit the run's lease is not renewed. What the function returns then counts no more; if the transaction is undone
    the run ends as its function does. *schema* is that of the store's URL; None: the first of the search path.

    Raises RunLostError if the run was taken over (or its store is another database), RunCancelledError if it was asked
    to end, RunClosedError if it was settled before, SchedulerError if it has changed `run.state`, which
    `run.transaction()` can write along, StoreUnusableError if our tables are not there; and psycopg's own errors.
    """
    with (
        users_connection(connection, Connection, schema), run.settling as settling,
        RawCursor(connection) as cursor, connection.transaction(),
    ):  # fmt: skip
        steps = _steps(settling, schema)
        step = next(steps, None)
        while step is not None:
            cursor.execute(*step)
            step = _next(steps, cursor.fetchall() if cursor.description is not None else [])


async def settle_run_async(connection: AsyncConnection[Any], run: GoingOn, *, schema: str | None = None) -> None:
    """The same on an asynchronous connection."""
    with users_connection(connection, AsyncConnection, schema), run.settling as settling:
        async with AsyncRawCursor(connection) as cursor, connection.transaction():
            steps = _steps(settling, schema)
            step = next(steps, None)
            while step is not None:
                await cursor.execute(*step)
                step = _next(steps, await cursor.fetchall() if cursor.description is not None else [])


def _next(steps: Steps, rows: list[Row]) -> Step | None:
    """What follows a step that was answered with these rows."""
    try:
        return steps.send(rows)
    except StopIteration:
        return None


def _steps(settling: Settling, schema: str | None) -> Steps:
    """Lock the run's row, and write what becomes of it."""
    rows = yield in_schema(sql.LOCK_RUN, schema), run_key(settling.run)
    settlement, fulfilled = settling.ending(read_run(rows[0]) if rows else None)
    ((places,),) = yield in_schema(sql.SETTLE_RUNS, schema), settled_runs([settlement.run])
    assert places, "a run changed under its lock"
    recovered: list[Expectation] = []
    if fulfilled:
        uids, by = expectation_arrays(fulfilled)
        rows = yield in_schema(sql.LOCK_EXPECTATIONS, schema), (uids,)
        recovered = [one for one in map(read_expectation, rows) if one.overdue_at is not None]
        at = integers(write_instant(one.succeeded_at) for one in fulfilled)
        yield in_schema(sql.FULFIL_EXPECTATIONS, schema), (uids, by, at)
    settling.end(recovered)
