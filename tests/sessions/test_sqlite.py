"""The SQLite store keeps the laws of sessions, and what has expired is swept."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.sessions.cache_laws import CacheLaws
from tests.sessions.laws import MINUTE, Advance, Make, SessionLaws

from tickwork.errors import StoreSchemaError, StoreUnavailableError, StoreUnusableError
from tickwork.sessions import Sessions
from tickwork.sessions.stores.sqlite import statements as sql
from tickwork.testing import ManualScheduler, VirtualClock


class TestSQLiteSessions(SessionLaws, CacheLaws):
    @pytest.fixture
    def clock(self) -> VirtualClock:
        return VirtualClock()

    @pytest.fixture
    def make(self, tmp_path: Path, clock: VirtualClock, request: pytest.FixtureRequest) -> Make:
        def make(**options: Any) -> Sessions:
            sessions = Sessions(f"sqlite:///{tmp_path / 'sessions.db'}", clock=clock, **options)
            request.addfinalizer(sessions.close)
            return sessions

        return make

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'shared.db'}"

    @pytest.fixture
    def advance(self, clock: VirtualClock) -> Advance:
        return clock.advance

    def test_what_has_expired_is_swept(self, make: Make, advance: Advance) -> None:
        sessions = make(idle="30m")
        ended = sessions.create()
        ended.append("user", "hello")
        advance(20 * MINUTE)
        going_on = sessions.create()
        advance(20 * MINUTE)

        assert sessions.sweep() == 1
        assert sessions.sweep() == 0
        assert sessions.get(going_on.token) is not None


def test_a_file_that_is_away_is_an_error_that_passes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    sessions = Sessions(f"sqlite:///{tmp_path}/data/sessions.db")
    session = sessions.log_in("anna")

    (tmp_path / "data").rename(tmp_path / "away")
    for verb in (
        lambda: sessions.get(session.token),
        lambda: session.append("user", 1),
        lambda: sessions.cache.get("key"),
    ):
        with pytest.raises(StoreUnavailableError, match="works again as soon as the file does"):
            verb()
    assert sessions.cache.get_or_set("key", lambda: 7, ttl=60) == 7
    (tmp_path / "away").rename(tmp_path / "data")

    found = sessions.get(session.token)
    assert found is not None
    assert found.append("user", "after") == 1


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere/sessions.db", "expected an existing folder"),
        ("folder", "expected a file, got the folder"),
        ("text", "file is not a database"),
    ],
)
def test_a_place_that_cannot_be_used_is_said_at_open(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("this is no database, and longer than a header of one would be: " * 20)
    sessions = Sessions(f"sqlite:///{tmp_path / place}")

    for verb in (sessions.open, sessions.create, lambda: sessions.get("A" * 43)):
        with pytest.raises(StoreUnusableError, match=said):
            verb()


def test_tables_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sessions.db"
    with closing(Sessions(url)) as sessions:
        sessions.create()
    with closing(sqlite3.connect(tmp_path / "sessions.db")) as connection, connection:
        connection.execute("update tickwork_sessions_schema set version = 99")

    with pytest.raises(StoreSchemaError, match="got version 99"):
        Sessions(url).open()


def test_jobs_and_sessions_share_a_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    scheduler = ManualScheduler(url)
    scheduler.add_job(print, "interval", hours=1, id="one")
    scheduler.start()
    session = Sessions(url).create("anna")

    assert [job.id for job in scheduler.get_jobs()] == ["one"]
    found = Sessions(url).get(session.token)
    assert found is not None
    scheduler.shutdown()


def test_no_token_is_in_the_file(tmp_path: Path) -> None:
    """What is looked up is a hash: who can read the file, or measure how long a look takes, learns no token."""
    sessions = Sessions(f"sqlite:///{tmp_path}/sessions.db")
    session = sessions.log_in("anna", sessions.create())
    session.append("user", "hello")
    sessions.close()

    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert session.token.encode() not in written
    assert session.id.encode() in written


@pytest.mark.parametrize(
    "statement",
    [sql.SELECT, sql.TOUCH, sql.SELECT_NUMBER, sql.SELECT_ROOM, sql.SELECT_CACHED, sql.TAKE_LEASE, sql.SELECT_USER],
)
def test_each_look_goes_by_an_index(tmp_path: Path, statement: str) -> None:
    with closing(Sessions(f"sqlite:///{tmp_path}/sessions.db")) as sessions:
        sessions.open()
    given = [None] * 9 if "?" in statement else dict.fromkeys(re.findall(r":(\w+)", statement))
    with closing(sqlite3.connect(tmp_path / "sessions.db")) as connection:
        plan = connection.execute(
            f"explain query plan {statement}", given[: statement.count("?")] if "?" in statement else given
        )

        assert not [row[3] for row in plan if row[3].startswith("SCAN") and "CONSTANT" not in row[3]]


def test_sweeping_goes_in_small_steps_and_takes_what_hangs_on_it(tmp_path: Path) -> None:
    clock = VirtualClock()
    sessions = Sessions(f"sqlite:///{tmp_path}/sessions.db", clock=clock)
    for number in range(250):
        session = sessions.create()
        session.append("user", "hello")
        session.state.set("step", 1)
        sessions.cache.set(str(number), number, ttl="5m")
    sessions.cache._store().begin("dead", "somebody", MINUTE)
    clock.advance(60 * MINUTE)

    assert sessions.sweep() == 500

    with closing(sqlite3.connect(tmp_path / "sessions.db")) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_schema where type = 'table'")]
        left = {name: connection.execute(f"select count(*) from {name}").fetchone()[0] for name in tables}
    assert left == dict.fromkeys(left, 0) | {"tickwork_sessions_schema": 1}
