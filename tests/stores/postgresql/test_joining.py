"""Jobs added in a user's own transaction: there, and rung for, if and when it is committed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import psycopg
import pytest
from tests import deeds

from tickwork import BackgroundScheduler, JobExistsError
from tickwork.errors import InvalidJobError, SchedulerError, StoreUnusableError
from tickwork.stores.postgresql import PostgreSQLStore, add_jobs, add_jobs_async

PATIENCE = 5.0


@pytest.fixture
def store(postgresql_url: str) -> Iterator[PostgreSQLStore]:
    store = PostgreSQLStore(postgresql_url)
    store.open()
    yield store
    store.close()


@pytest.fixture
def schema(postgresql_url: str) -> str:
    return postgresql_url.rpartition("=")[2]


def new_job(store: PostgreSQLStore, id: str) -> object:
    return BackgroundScheduler(store).new_job(deeds.nothing, "interval", hours=1, id=id)


def test_they_are_there_when_it_is_committed_and_nodes_are_woken_then(
    store: PostgreSQLStore, postgresql_database: str, schema: str
) -> None:
    rung = threading.Event()
    store.open(rung.set)

    with psycopg.connect(postgresql_database) as connection:
        (job,) = add_jobs(connection, [new_job(store, "mine")], schema=schema)
        assert store.jobs() == []
        assert not rung.is_set()

    assert store.jobs() == [job]
    assert rung.wait(PATIENCE)


@pytest.mark.parametrize("first", ["select 1", None])
def test_they_are_gone_when_it_is_undone(
    store: PostgreSQLStore, postgresql_database: str, schema: str, first: str | None
) -> None:
    """Also when nothing was done before on the connection, which had begun no transaction then."""
    with psycopg.connect(postgresql_database) as connection:
        if first is not None:
            connection.execute(first.encode())
        add_jobs(connection, [new_job(store, "mine")], schema=schema)
        connection.rollback()

    assert store.jobs() == []


def test_an_id_that_is_taken_adds_none_and_leaves_the_transaction_whole(
    store: PostgreSQLStore, postgresql_database: str, schema: str
) -> None:
    store.add([new_job(store, "taken")])

    with psycopg.connect(postgresql_database) as connection:
        connection.execute(f"create table {schema}.orders ()".encode())
        with pytest.raises(JobExistsError) as raised:
            add_jobs(connection, [new_job(store, "new"), new_job(store, "taken")], schema=schema)

    assert raised.value.job_id == "taken"
    assert [job.id for job in store.jobs()] == ["taken"]
    with psycopg.connect(postgresql_database) as connection:
        assert connection.execute(f"select count(*) from {schema}.orders".encode()).fetchone() == (0,)


def test_an_asynchronous_connection_does_the_same(
    store: PostgreSQLStore, postgresql_database: str, schema: str
) -> None:
    store.add([new_job(store, "taken")])

    async def story() -> None:
        async with await psycopg.AsyncConnection.connect(postgresql_database) as connection:
            await connection.execute(f'set search_path to "{schema}"'.encode())  # then no schema need be named
            await add_jobs_async(connection, [new_job(store, "mine")])
            with pytest.raises(JobExistsError):
                await add_jobs_async(connection, [new_job(store, "more"), new_job(store, "taken")])

    asyncio.run(story())

    assert [job.id for job in store.jobs()] == ["mine", "taken"]


def test_where_there_are_no_tables_it_is_said_what_to_pass(
    store: PostgreSQLStore, postgresql_database: str, schema: str
) -> None:
    async def story() -> None:
        async with await psycopg.AsyncConnection.connect(postgresql_database) as connection:
            with pytest.raises(
                StoreUnusableError, match="tables of jobs in the schema nowhere, got none: pass schema="
            ):
                await add_jobs_async(connection, [new_job(store, "mine")], schema="nowhere")

    asyncio.run(story())
    with (
        psycopg.connect(postgresql_database) as connection,
        pytest.raises(
            StoreUnusableError, match=r"in the first schema of the search path, got none: pass schema="
        ) as told,
    ):
        connection.execute("set search_path to pg_temp")
        add_jobs(connection, [new_job(store, "mine")])

    assert told.value.__suppress_context__


def test_a_connection_of_the_other_kind_is_refused(store: PostgreSQLStore, postgresql_database: str) -> None:
    async def story() -> None:
        async with await psycopg.AsyncConnection.connect(postgresql_database) as connection:
            with pytest.raises(
                SchedulerError, match="expected a psycopg.Connection, got AsyncConnection: the function"
            ):
                add_jobs(connection, [new_job(store, "mine")])  # type: ignore[arg-type]
        with (
            psycopg.connect(postgresql_database) as connection,
            pytest.raises(SchedulerError, match="expected a psycopg.AsyncConnection, got Connection: the function"),
        ):
            await add_jobs_async(connection, [new_job(store, "mine")])  # type: ignore[arg-type]

    asyncio.run(story())


@pytest.mark.parametrize("jobs", [None, 5, ["x"], [None]])
def test_what_is_no_job_is_refused(postgresql_database: str, jobs: object) -> None:
    with psycopg.connect(postgresql_database) as connection, pytest.raises(InvalidJobError, match="pass .new_job"):
        add_jobs(connection, jobs)  # type: ignore[arg-type]
