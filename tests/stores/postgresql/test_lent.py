"""A connection that is lent to a job has everything but the end of its transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from tests.samples import held_run, make_job, next_version

from tickwork.errors import JobNotFoundError, SchedulerError
from tickwork.stores.postgresql import PostgreSQLStore


@pytest.fixture
def store(postgresql_url: str) -> Iterator[PostgreSQLStore]:
    store = PostgreSQLStore(postgresql_url)
    store.open()
    yield store
    store.close()


@pytest.mark.parametrize("end", ["commit", "rollback", "close", "__enter__"])
def test_what_would_end_its_transaction_is_refused(store: PostgreSQLStore, end: str) -> None:
    with pytest.raises(SchedulerError, match="left as it is"), store.lend() as connection:
        store.add([make_job()])
        getattr(connection, end)()

    with pytest.raises(JobNotFoundError):
        store.get("job")


@pytest.mark.parametrize(
    "end",
    [
        lambda connection: connection.execute("commit"),
        lambda connection: connection.execute("rollback"),
        lambda connection: (connection.execute("commit"), connection.execute("begin")),
    ],
)
def test_a_statement_that_ended_it_is_noticed_before_the_store_writes_more(
    store: PostgreSQLStore, end: Callable[[psycopg.Connection[Any]], object]
) -> None:
    store.add([job := make_job()])
    store.save([next_version(job, run := held_run(job))])

    with pytest.raises(SchedulerError, match="left as it is"), store.lend() as connection:
        end(connection)
        store.cancel([run._replace(version=2, cancel_reason="too late")])

    assert store.run(run.id) == run


def test_a_part_of_it_can_be_undone(store: PostgreSQLStore) -> None:
    with store.lend() as connection:
        connection.execute("create table notes (note text unique)")
        connection.execute("insert into notes values ('once')")
        with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
            connection.execute("insert into notes values ('once')")
        store.add([make_job()])

    assert store.get("job").id == "job"


def test_tables_of_the_search_path_are_found_behind_those_of_the_store(store: PostgreSQLStore) -> None:
    with store.lend() as connection:
        (path,) = connection.execute("select current_setting('search_path')").fetchone() or ("",)

    assert path.startswith('"test_')
    assert path.endswith("public")
