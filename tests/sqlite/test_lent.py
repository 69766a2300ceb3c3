"""The connection that a job is lent: it can do everything but end its transaction."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.samples import make_job

from tickwork.errors import SchedulerError, StoreUnavailableError
from tickwork.sqlite import file as database_file
from tickwork.stores.sqlite import SQLiteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "jobs.db")
    store.open()
    with store.lend() as connection:
        connection.execute("create table notes (note text unique)")
    yield store
    store.close()


def notes(store: SQLiteStore) -> list[str]:
    with sqlite3.connect(store.path) as connection:
        found = [note for (note,) in connection.execute("select note from notes order by note")]
    connection.close()
    return found


@pytest.mark.parametrize(
    "ends_it",
    [
        lambda connection: connection.commit(),
        lambda connection: connection.rollback(),
        lambda connection: connection.close(),
        lambda connection: connection.executescript("select 1"),
        lambda connection: connection.__enter__(),
    ],
)
def test_what_would_end_the_transaction_is_refused(store: SQLiteStore, ends_it: Callable[[Any], None]) -> None:
    with store.lend() as connection:
        connection.execute("insert into notes values ('mine')")
        with pytest.raises(SchedulerError, match="expected its connection to be left as it is, got"):
            ends_it(connection)
        assert notes(store) == []

    assert notes(store) == ["mine"]


@pytest.mark.parametrize("statement", ["commit", "END", "rollback", "begin", "/**/ COMMIT transaction"])
def test_so_are_statements_that_would(store: SQLiteStore, statement: str) -> None:
    with store.lend() as connection:
        connection.execute("insert into notes values ('mine')")
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            connection.execute(statement)
        assert notes(store) == []

    assert notes(store) == ["mine"]


def test_savepoints_are_the_borrowers_own(store: SQLiteStore) -> None:
    with store.lend() as connection:
        connection.execute("savepoint mine")
        connection.execute("insert into notes values ('undone')")
        connection.execute("rollback to mine")
        connection.execute("insert into notes values ('kept')")

    assert notes(store) == ["kept"]


def test_a_transaction_that_sqlite_rolled_back_by_itself_commits_nothing_afterwards(store: SQLiteStore) -> None:
    """As it does when the disk is full: what follows in the block must not be committed alone."""
    store.add([make_job("before")])

    with pytest.raises(StoreUnavailableError, match="rolled back"), store.lend() as connection:
        connection.execute("insert into notes values ('a')")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("insert or rollback into notes values ('a')")
        store.add([make_job("after")])

    assert [job.id for job in store.jobs()] == ["before"]
    with pytest.raises(StoreUnavailableError, match="no transaction is active"), store.lend() as connection:
        connection.execute("insert into notes values ('a')")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("insert or rollback into notes values ('a')")
    assert notes(store) == []


def test_it_cannot_be_used_after_its_end(store: SQLiteStore) -> None:
    with store.lend() as connection:
        cursor = connection.execute("select 1 union select 2")
        cursor.fetchone()

    for late in (lambda: connection.execute("select 1"), cursor.fetchone):
        with pytest.raises(sqlite3.ProgrammingError):
            late()


def test_other_threads_of_the_process_wait_for_its_end(store: SQLiteStore) -> None:
    with store.lend() as connection:
        other = threading.Thread(target=store.add, args=([make_job("waits")],))
        other.start()
        connection.execute("insert into notes values ('first')")
        seen = [job.id for job in store.jobs()]
    other.join()

    assert seen == []
    assert [job.id for job in store.jobs()] == ["waits"]
    assert notes(store) == ["first"]


def test_who_gets_no_turn_is_told(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_file, "PATIENCE", 0.05)
    other = SQLiteStore(store.path)
    other.open()

    with store.lend(), pytest.raises(StoreUnavailableError, match="expected to read and write .* got"), other.lend():
        pass

    other.close()


def test_a_file_that_cannot_be_opened_is_said_to_be_so(store: SQLiteStore) -> None:
    store.path.rename(store.path.with_suffix(".moved"))
    with pytest.raises(StoreUnavailableError, match="unable to open database file"), store.lend():
        pass

    store.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreUnavailableError, match="not a database|replaced by another file"), store.lend():
        pass
