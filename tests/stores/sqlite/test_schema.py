"""The tables' version: made, brought up to date step by step, or refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.samples import make_hold, make_job

from tickwork.errors import StoreSchemaError, StoreUnusableError
from tickwork.policies import Overlap, Retry
from tickwork.retention import Retention
from tickwork.run import RunState
from tickwork.stores.sqlite import SQLiteStore
from tickwork.stores.sqlite import statements as sql
from tickwork.stores.sqlite.rows import definition, inserted_job
from tickwork.stores.sqlite.schema import FOLDER, SCRIPTS, upgrade

STEPS = [
    "-- Version 1; with a comment.\ncreate table a (x text);\ncreate trigger t after insert on a begin select 1; select 2; end;\n",
    "alter table a add column y text default ';';\n",
    "create table b (x text);\ninsert into b select y from a;\n",
]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    yield connection
    connection.close()


def version(connection: sqlite3.Connection) -> list[tuple[int]]:
    return connection.execute("select version from tickwork_schema").fetchall()


def upgrade_in_a_transaction(connection: sqlite3.Connection, steps: list[str]) -> None:
    connection.execute("begin immediate")
    try:
        upgrade(connection, "here", steps)
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def test_a_new_file_gets_all_steps(connection: sqlite3.Connection) -> None:
    upgrade_in_a_transaction(connection, STEPS)

    assert version(connection) == [(3,)]
    assert connection.execute("select * from b").fetchall() == []


def test_an_older_file_gets_the_steps_that_it_lacks(connection: sqlite3.Connection) -> None:
    upgrade_in_a_transaction(connection, STEPS[:1])
    connection.execute("insert into a (x) values ('kept')")

    upgrade_in_a_transaction(connection, STEPS)
    upgrade_in_a_transaction(connection, STEPS)

    assert version(connection) == [(3,)]
    assert connection.execute("select x, y from a").fetchall() == [("kept", ";")]
    assert connection.execute("select x from b").fetchall() == [(";",)]


def test_an_upgrade_that_fails_leaves_the_older_file_as_it_was(connection: sqlite3.Connection) -> None:
    upgrade_in_a_transaction(connection, STEPS[:1])

    with pytest.raises(sqlite3.OperationalError):
        upgrade_in_a_transaction(connection, [STEPS[0], "create table c (x text);\ncreate tabel d (x text);\n"])

    assert version(connection) == [(1,)]
    assert connection.execute("select count(*) from sqlite_master where name = 'c'").fetchone() == (0,)


def test_a_newer_file_is_refused(connection: sqlite3.Connection) -> None:
    upgrade_in_a_transaction(connection, STEPS)

    with pytest.raises(
        StoreSchemaError,
        match="expected tables of version 1 or older in here, got version 3: a newer tickwork wrote them",
    ):
        upgrade_in_a_transaction(connection, STEPS[:1])


def test_a_store_refuses_a_newer_file_and_changes_nothing(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    store.open()
    store.add([make_job()])
    store.close()
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        connection.execute("update tickwork_schema set version = ?", (len(SCRIPTS) + 1,))
    connection.close()

    with pytest.raises(StoreSchemaError, match="install that version here too"):
        store.open()

    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        assert connection.execute("select count(*) from tickwork_jobs").fetchone() == (1,)
    connection.close()


def test_a_file_of_the_first_version_is_brought_up_to_date_and_keeps_what_it_has(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    upgrade_in_a_transaction(connection, [(FOLDER / "schema.sql").read_text("utf-8")])
    job = make_job()
    connection.execute(sql.INSERT_JOB.replace(", paused_by)", ")").replace(", ?)", ")", 1), inserted_job(job)[:-1])
    connection.execute(
        sql.INSERT_DEFINITION, (job.uid, definition(job)[1].replace(',"keep":null,"disposable":false', ""))
    )
    connection.close()

    store = SQLiteStore(tmp_path / "jobs.db")
    store.open()

    assert store.jobs() == [job]
    assert store.prune(Retention(), after=-1, jobs=9, rows=9).after is None
    store.close()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("a letter, and not a database\n" * 100)

    with pytest.raises(StoreUnusableError, match="file is not a database"):
        SQLiteStore(tmp_path / "jobs.db").open()

    assert (tmp_path / "jobs.db").read_text().startswith("a letter")


def test_a_file_of_the_first_version_keeps_its_jobs_and_their_open_runs(tmp_path: Path) -> None:
    """As that version wrote them: without what later versions added."""
    definition = (
        '{"func":"tests.samples:work","trigger":{"kind":"date","run_date":"2026-01-01T00:00:00+00:00"},"args":[1],"kwargs":{},'
        '"name":"job","executor":"threads","coalesce":true,"misfire_grace_time":null,"max_instances":2,'
        '"retry":{"max_attempts":3,"delay":2500000}}'
    )
    connection = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    upgrade_in_a_transaction(connection, [(FOLDER / SCRIPTS[0]).read_text()])
    connection.execute(
        "insert into tickwork_jobs (uid, id, version, revision, executor, max_instances, anchored_at) values (7, 'job', 1, 1, 'threads', 2, 0)"
    )
    connection.execute("insert into tickwork_definitions (uid, definition) values (7, ?)", (definition,))
    connection.execute(
        "insert into tickwork_runs (job_id, job_uid, fire_time, available_at, attempt, origin, state, version)"
        " values ('job', 7, 0, 0, 1, 'schedule', 'pending', 1)"
    )
    connection.close()
    store = SQLiteStore(tmp_path / "jobs.db")

    store.open()

    job, (run,) = store.get("job"), store.runs()
    assert (job.retry, job.overlap, job.timeout, job.pause_after) == (Retry(3, 2.5), Overlap.SKIP, None, None)
    assert (run.state, run.cancel_reason) == (RunState.PENDING, None)
    assert store.claim(make_hold(), executor="threads", limit=1)
    store.close()
