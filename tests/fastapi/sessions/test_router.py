"""The API and the page for operators: what they see of sessions, what they end, and who is let in."""

import re
from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from tests.fastapi.client import Client, anyone

from tickwork.errors import SchedulerError
from tickwork.fastapi import UnprotectedRoutesError
from tickwork.fastapi.sessions import create_sessions_router
from tickwork.sessions import Session, Sessions

SECRET = "my secret <img src=x onerror=alert(1)>"
STATIC = files("tickwork.fastapi").joinpath("static")
PAGE = "".join(STATIC.joinpath(name).read_text("utf-8") for name in ("frame.html", "sessions.html"))
SCRIPT = STATIC.joinpath("sessions.js").read_text("utf-8")


def may_read(x_role: str = Header("")) -> None:
    if x_role != "auditor":
        raise HTTPException(403, "not you")


def make_app(sessions: Sessions, **options: Any) -> FastAPI:
    app = FastAPI()
    options = {"dependencies": [Depends(anyone)], "prefix": "/ops"} | options
    app.include_router(create_sessions_router(sessions, **options))
    return app


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    (tmp_path / "data").mkdir()
    sessions = Sessions(f"sqlite:///{tmp_path}/data/sessions.db")
    yield sessions
    sessions.close()


@pytest.fixture
def anna(sessions: Sessions) -> Session:
    session = sessions.log_in("anna/b")
    session.append("user", SECRET)
    session.state.set("step", 1)
    return session


@pytest.fixture
def client(sessions: Sessions) -> Client:
    return Client(make_app(sessions))


# what is seen


def test_sessions_are_listed_without_content(client: Client, sessions: Sessions, anna: Session) -> None:
    sessions.create()

    answer = client.get("/ops/sessions")

    listing = answer.json()
    assert (listing["count"], listing["name"], listing["shows_content"]) == (2, "default", False)
    assert {session["user"] for session in listing["sessions"]} == {"anna/b", None}
    (hers,) = [session for session in listing["sessions"] if session["user"]]
    assert (hers["id"], hers["messages"]) == (anna.id, 1)
    assert hers["bytes"] > len(SECRET)
    for field in ("created_at", "seen_at", "expires_at", "ends_at"):
        assert datetime.fromisoformat(hers[field]).tzinfo is not None
    assert "secret" not in answer.text
    assert anna.token not in answer.text


def test_they_are_listed_by_user_and_page(client: Client, sessions: Sessions, anna: Session) -> None:
    for _ in range(4):
        sessions.log_in("bob")

    of_bob = client.get("/ops/sessions?user=bob&limit=3&offset=2").json()
    assert (of_bob["count"], len(of_bob["sessions"])) == (4, 2)
    assert client.get("/ops/sessions?limit=2").json()["count"] == 5
    assert len(client.get("/ops/sessions?limit=2&offset=4").json()["sessions"]) == 1


def test_one_session_is_seen_and_looking_on_puts_no_end_off(client: Client, anna: Session) -> None:
    seen = client.get(f"/ops/sessions/{anna.id}").json()

    assert (seen["id"], seen["user"]) == (anna.id, "anna/b")
    assert client.get(f"/ops/sessions/{'0' * 64}").status_code == 404


def test_the_token_of_a_session_is_no_id(client: Client, anna: Session) -> None:
    for refused in (client.get(f"/ops/sessions/{anna.token}"), client.delete(f"/ops/sessions/{anna.token}")):
        assert refused.status_code == 422
        assert anna.token not in refused.text


# content


def test_content_is_shown_to_nobody_unless_the_app_says_to_whom(client: Client, anna: Session) -> None:
    assert client.get(f"/ops/sessions/{anna.id}/content").status_code == 404


def test_content_is_shown_to_whom_the_app_names(sessions: Sessions, anna: Session) -> None:
    client = Client(make_app(sessions, content=Depends(may_read)))
    content = f"/ops/sessions/{anna.id}/content"

    assert client.get(content).status_code == 403
    shown = client.get(content, headers={"X-Role": "auditor"}).json()
    assert [(message["number"], message["role"], message["content"]) for message in shown["history"]] == [
        (1, "user", SECRET)
    ]
    assert shown["state"] == {"step": 1}
    assert client.get(f"/ops/sessions/{'0' * 64}/content", headers={"X-Role": "auditor"}).status_code == 404
    assert client.get("/ops/sessions").json()["shows_content"] is True


# ends


def test_a_session_is_ended(client: Client, sessions: Sessions, anna: Session) -> None:
    assert client.delete(f"/ops/sessions/{anna.id}").status_code == 204
    assert client.delete(f"/ops/sessions/{anna.id}").status_code == 404
    assert sessions.get(anna.token) is None


def test_all_sessions_of_a_user_are_ended(client: Client, sessions: Sessions, anna: Session) -> None:
    bob = sessions.log_in("bob")

    assert client.delete("/ops/users/anna%2Fb/sessions").json() == {"ended": 1}
    assert client.delete("/ops/users/anna/b/sessions").json() == {"ended": 0}
    assert sessions.get(bob.token) is not None


# who is let in


def test_without_a_word_on_who_may_call_it_is_not_made(sessions: Sessions) -> None:
    for options in ({}, {"dependencies": []}, {"dependencies": [Depends(anyone)], "unprotected": True}):
        with pytest.raises(UnprotectedRoutesError, match=r"create_sessions_router: expected dependencies=\[Depends"):
            create_sessions_router(sessions, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"dependencies": anyone},
        {"dependencies": [anyone]},
        {"dependencies": [Depends(anyone)], "content": may_read},
        {"dependencies": [Depends(anyone)], "prefix": "ops"},
    ],
)
def test_what_it_cannot_be_made_of_is_said_at_once(sessions: Sessions, options: Any) -> None:
    with pytest.raises(SchedulerError, match="expected"):
        create_sessions_router(sessions, **options)


def test_the_dependencies_guard_every_route(sessions: Sessions, anna: Session) -> None:
    client = Client(make_app(sessions, dependencies=[Depends(may_read)], content=Depends(anyone)))

    for path in ("/", "/sessions.js", "/page.js", "/sessions", f"/sessions/{anna.id}", f"/sessions/{anna.id}/content"):
        assert client.get(f"/ops{path}").status_code == 403, path
    assert client.delete(f"/ops/sessions/{anna.id}").status_code == 403
    assert client.delete("/ops/users/anna%2Fb/sessions").status_code == 403


def test_without_protection_it_answers_to_local_names_alone(sessions: Sessions) -> None:
    app = make_app(sessions, dependencies=None, unprotected=True)

    assert Client(app).get("/ops/sessions").status_code == 200
    assert Client(app, base_url="http://evil.com").get("/ops/sessions").status_code == 403
    assert Client(app).get("/ops/sessions", headers={"Origin": "http://evil.com"}).status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "offset=-1",
        f"offset={10**30}",
        "usr=anna",
        "user=",
        f"user={'x' * 300}",
        "user=%00",
    ],
)
def test_what_cannot_be_asked_is_refused(client: Client, query: str) -> None:
    assert client.get(f"/ops/sessions?{query}").status_code == 422


@pytest.mark.parametrize("id", ["x" * 201, "%00", "%ED%A0%80"])
def test_what_no_id_can_be_is_refused(client: Client, id: str) -> None:
    assert client.get(f"/ops/sessions/{id}").status_code == 422
    assert client.delete(f"/ops/sessions/{id}").status_code == 422


def test_a_store_that_is_away_is_503(client: Client, anna: Session, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "away")

    assert client.get("/ops/sessions").status_code == 503
    assert client.delete(f"/ops/sessions/{anna.id}").status_code == 503


# the page


@pytest.mark.parametrize("prefix", ["", "/ops", "/a/b"])
def test_all_that_the_page_names_is_there_below_any_prefix(sessions: Sessions, prefix: str) -> None:
    client = Client(make_app(sessions, prefix=prefix))
    base = httpx.URL(f"http://localhost{prefix}/")
    named = [
        name
        for name in re.findall(
            r'(?:src|href|from) ?=?"([^"]+)"', client.get(f"{prefix}/").text + SCRIPT.replace('from "', 'from="')
        )
        if not name.startswith("data:")
    ]

    assert sorted(named) == ["./page.js", "page.css", "sessions.js"]
    for name in (*named, "sessions", ""):
        answer = client.get(str(base.join(name)))
        assert answer.status_code == 200, name
    assert (
        client.get(f"{prefix}/").headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    )


def test_the_page_holds_no_script_and_data_is_never_markup() -> None:
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", PAGE)
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "srcdoc"):
        assert word not in SCRIPT, word


def test_the_script_finds_every_element_that_it_looks_for() -> None:
    ids, fields = set(re.findall(r'id="([^"]+)"', PAGE)), set(re.findall(r'data-field="([^"]+)"', PAGE))
    shared = STATIC.joinpath("page.js").read_text("utf-8")

    assert set(re.findall(r'element\("([^"]+)"\)', SCRIPT + shared)) <= ids
    assert set(re.findall(r'confirm\("([^"]+)"', SCRIPT)) <= ids
    assert set(re.findall(r"fields\.(\w+)", SCRIPT)) | set(re.findall(r'fields\["([\w-]+)"\]', SCRIPT)) <= fields
    assert {"user", "id", "messages", "bytes", "expand", "content"} <= fields


def test_the_page_stays_out_of_the_documentation_of_the_api(sessions: Sessions) -> None:
    assert sorted(make_app(sessions).openapi()["paths"]) == [
        "/ops/rights",
        "/ops/sessions",
        "/ops/sessions/{id}",
        "/ops/users/{user}/sessions",
    ]
