"""`tickwork sessions`: what operators type, and what they do not get to see."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.sessions.server import redis_url  # noqa: F401

from tickwork.cli import main
from tickwork.sessions import Session, Sessions
from tickwork.testing import VirtualClock

APP = """
from tickwork.sessions import Sessions
sessions = Sessions("sqlite:///sessions.db")
number = 42
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "made_sessions.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    sys.modules.pop("made_sessions", None)


@pytest.fixture
def anna(folder: Path) -> Iterator[Session]:
    """A session of Anna's, beside one of nobody."""
    sessions = Sessions("sqlite:///sessions.db")
    session = sessions.log_in("anna")
    session.append("user", "my secret")
    sessions.create()
    yield session
    sessions.close()


@pytest.fixture
def tickwork(capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    def run(*arguments: str) -> SimpleNamespace:
        code = main(["sessions", *arguments])
        printed = capsys.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err)

    return run


@pytest.mark.parametrize("store", ["sqlite:///sessions.db", "made_sessions:sessions"])
def test_sessions_are_listed_without_content(anna: Session, tickwork, store: str) -> None:
    listed = tickwork("list", store, "--utc")

    assert listed.code == 0
    header, *rows, count = listed.out.splitlines()
    assert header.split("  ")[0] == "USER"
    assert sorted(row.split()[0] for row in rows) == ["-", "anna"]
    assert anna.id in listed.out
    assert count == "2 of 2 sessions"
    assert "secret" not in listed.out
    assert anna.token not in listed.out


def test_programs_read_json(anna: Session, tickwork) -> None:
    listed = json.loads(tickwork("list", "sqlite:///sessions.db", "--user", "anna", "--json").out)

    (record,) = listed["sessions"]
    assert listed["count"] == 1
    assert (record["id"], record["user"], record["messages"]) == (anna.id, "anna", 1)
    assert datetime.fromisoformat(record["expires_at"]) > datetime.now(UTC)
    assert json.loads(tickwork("list", "sqlite:///sessions.db", "--limit", "1", "--json").out)["count"] == 2


def test_one_session_is_ended(anna: Session, tickwork) -> None:
    assert tickwork("destroy", "sqlite:///sessions.db", anna.id).out == "the session has ended\n"
    again = tickwork("destroy", "sqlite:///sessions.db", anna.id)

    assert again.code == 2
    assert "expected the id of a session that goes on" in again.err
    assert Sessions("sqlite:///sessions.db").get(anna.token) is None


def test_all_sessions_of_a_user_are_ended(anna: Session, tickwork) -> None:
    assert tickwork("destroy-user", "sqlite:///sessions.db", "anna").out == "1 session has ended\n"
    assert tickwork("destroy-user", "sqlite:///sessions.db", "anna").out == "0 sessions have ended\n"


def test_what_has_expired_is_swept(tickwork) -> None:
    clock = VirtualClock(datetime.now(UTC) - timedelta(days=1))
    Sessions("sqlite:///sessions.db", clock=clock).create()

    assert tickwork("sweep", "sqlite:///sessions.db").out == "1 was swept\n"
    assert tickwork("sweep", "sqlite:///sessions.db").out == "0 were swept\n"


def test_a_server_is_asked_too(redis_url: str, tickwork) -> None:  # noqa: F811
    sessions = Sessions(redis_url, name="shop")
    session = sessions.create("anna")

    assert session.id in tickwork("list", redis_url, "--name", "shop", "--user", "anna").out
    assert tickwork("destroy-user", redis_url, "anna", "--name", "shop").code == 0
    assert sessions.get(session.token) is None
    sessions.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "sqlite:///nowhere.db"], "expected a SQLite file at"),
        (["list", "sqlite:///made_sessions.py"], "expected a SQLite file with tickwork's tables"),
        (["list", "mysql://h"], "sessions: expected 'sqlite:///sessions.db'"),
        (["list", "redis://u:secret@127.0.0.1:1"], "expected an answer from redis://127.0.0.1:1/0"),
        (
            ["list", "made_sessions:number"],
            "expected sessions at 'made_sessions:number', got int: name the sessions itself",
        ),
        (["list", "made_sessions:session"], "expected sessions in made_sessions, got nothing called 'session'"),
        (["list", "made_sessions"], "expected MODULE:SESSIONS"),
        (["list", "made_sessions:sessions", "--name", "shop"], "expected --name only with the URL"),
        (["list", "redis://127.0.0.1:1", "--name", "a b"], "name: expected"),
        (["list", "sqlite:///s.db", "--limit", "0"], "expected a whole number from 1"),
        (["destroy", "sqlite:///s.db"], "expected SESSION"),
        (["destroy", "redis://127.0.0.1:1", "A" * 43], "id: expected the id of a session, 64 hexadecimal digits"),
        (["lits", "sqlite:///s.db"], "lits"),
        ([], "expected COMMAND"),
    ],
)
def test_what_cannot_be_is_one_line_on_stderr(folder: Path, tickwork, arguments: list[str], said: str) -> None:
    refused = tickwork(*arguments)

    assert refused.code == 2
    assert refused.out == ""
    assert said in refused.err
    assert refused.err.count("\n") == 1
    assert "secret" not in refused.err
    assert not (folder / "nowhere.db").exists()
