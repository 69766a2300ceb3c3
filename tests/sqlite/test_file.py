"""The file: a fault passes when its cause does, and what this process cannot read stays visible."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.nodes import Node, advance
from tests.samples import NOW, SECOND, make_job

from tickwork.errors import StoreUnavailableError
from tickwork.sqlite import file
from tickwork.stores.sqlite import SQLiteStore
from tickwork.testing import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    store.open()
    yield store
    store.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are waited for only briefly."""
    monkeypatch.setattr(file, "PATIENCE", 0.05)


def test_the_ledger_is_written_as_safely_as_sqlite_can(store: SQLiteStore) -> None:
    with store._file.writing() as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
        assert connection.execute("pragma synchronous").fetchone() == (2,)


def test_a_file_that_another_process_locks_is_unavailable_until_it_is_released(
    impatient: None, tmp_path: Path, clock: VirtualClock
) -> None:
    store = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    store.open()
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("begin exclusive")

    with pytest.raises(
        StoreUnavailableError, match="got OperationalError: database is locked: it works again as soon as the file does"
    ):
        store.add([make_job()])
    other.execute("rollback")
    other.close()
    store.add([make_job()])

    assert len(store.jobs()) == 1
    store.close()


def test_a_file_that_vanishes_is_not_made_anew_behind_its_users_back(store: SQLiteStore, tmp_path: Path) -> None:
    store.add([make_job()])
    (tmp_path / "jobs.db").rename(tmp_path / "away.db")

    for verb in (store.jobs, lambda: store.add([make_job("b")])):
        with pytest.raises(StoreUnavailableError):
            verb()

    assert not (tmp_path / "jobs.db").exists()
    (tmp_path / "away.db").rename(tmp_path / "jobs.db")
    assert [job.id for job in store.jobs()] == ["job"]


def test_a_file_that_was_replaced_is_noticed(store: SQLiteStore, tmp_path: Path, clock: VirtualClock) -> None:
    """SQLite would go on writing into the old one, which nobody sees any more."""
    store.add([make_job("old")])
    for leftover in tmp_path.glob("jobs.db*"):
        if leftover.is_file():
            leftover.unlink()
    other = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    other.open()
    other.add([make_job("new")])

    with pytest.raises(StoreUnavailableError, match="was replaced by another file"):
        store.jobs()

    assert [job.id for job in store.jobs()] == ["new"]
    other.close()


def test_the_store_of_a_closed_handle_opens_again_by_itself_or_says_so(store: SQLiteStore) -> None:
    store.add([make_job()])
    store.close()

    store.open()

    assert len(store.jobs()) == 1


def test_a_job_that_this_version_cannot_read_stays_visible_and_stops_no_other(
    store: SQLiteStore, clock: VirtualClock
) -> None:
    """Promise 11, in a rolling deployment: it waits for a node that can."""
    store.add([make_job("newer"), make_job("known")])
    with store._file.writing() as connection:
        (table, column) = _definition_column(connection)
        for rowid, text in connection.execute(f"select rowid, {column} from {table}").fetchall():
            fields = json.loads(text)
            if fields["name"] == "newer":
                fields["trigger"] = {"kind": "lunar", "phase": "full"}
                connection.execute(f"update {table} set {column} = ? where rowid = ?", (json.dumps(fields), rowid))
    fresh = SQLiteStore(store.path, clock=clock)
    fresh.open()
    node = Node(fresh)

    advance(clock, 5 * SECOND, node)

    assert [call.job.id for call in node.executor.started] == ["known"]
    assert [job.id for job in fresh.jobs()] == ["known", "newer"]
    assert fresh.get("newer").next_fire_time == NOW
    assert fresh.get("newer").trigger.to_json() == {"kind": "lunar", "phase": "full"}
    assert clock.now() == NOW + timedelta(seconds=5)
    fresh.close()


def _definition_column(connection: sqlite3.Connection) -> tuple[str, str]:
    """Where the schema keeps definitions."""
    for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
        for column in connection.execute(f"select name from pragma_table_info('{table}')").fetchall():
            if column[0] == "definition":
                return table, column[0]
    raise AssertionError("expected a column 'definition'")
