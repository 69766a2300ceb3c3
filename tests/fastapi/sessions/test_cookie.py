"""The cookie: what is given to a browser, whom it lets in, and what pages elsewhere cannot do with it."""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Response, WebSocket
from fastapi.responses import StreamingResponse
from tests.fastapi.client import Client

from tickwork.errors import InvalidSessionError
from tickwork.fastapi.sessions import SessionCookie, SessionHeader
from tickwork.sessions import Session, Sessions
from tickwork.testing import VirtualClock

HERE = "https://app.example.com"
NAME = "__Host-session"
FORGED = "A" * 43


def make_app(sessions: Sessions, **options: Any) -> FastAPI:
    cookie, header = SessionCookie(sessions, **options), SessionHeader(sessions)
    app = FastAPI()

    @app.get("/me")
    async def me(session: Annotated[Session, Depends(cookie)]) -> str | None:
        return session.user

    @app.get("/perhaps")
    def perhaps(session: Annotated[Session | None, Depends(cookie.optional)]) -> str:
        return "nobody" if session is None else session.user or "somebody"

    @app.post("/ask")
    def ask(question: str, session: Annotated[Session, Depends(cookie.begun)]) -> int:
        return session.append("user", question)

    @app.post("/stream")
    def stream(session: Annotated[Session, Depends(cookie.begun)]) -> StreamingResponse:
        response = StreamingResponse(iter(["one", "two"]))
        cookie.set(response, session)
        return response

    @app.post("/login")
    def login(
        user: str, response: Response, session: Annotated[Session | None, Depends(cookie.optional)]
    ) -> str:  # fmt: skip
        cookie.set(response, sessions.log_in(user, session))
        return user

    @app.post("/logout")
    def logout(response: Response, session: Annotated[Session, Depends(cookie)]) -> None:
        sessions.destroy(session)
        cookie.delete(response)

    @app.post("/elsewhere")
    def ends_elsewhere(session: Annotated[Session, Depends(cookie)]) -> None:
        sessions.destroy(session)
        session.append("user", "late")

    @app.get("/api/me")
    async def api_me(session: Annotated[Session, Depends(header)]) -> str | None:
        return session.user

    @app.get("/api/perhaps")
    async def api_perhaps(session: Annotated[Session | None, Depends(header.optional)]) -> str:
        return "nobody" if session is None else session.user or "somebody"

    @app.websocket("/talk")
    async def talk(socket: WebSocket, session: Annotated[Session, Depends(cookie)]) -> None:
        await socket.accept()
        await socket.send_json(await session.aio.append("user", await socket.receive_text()))

    return app


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def sessions(tmp_path: Path, clock: VirtualClock) -> Iterator[Sessions]:
    sessions = Sessions(f"sqlite:///{tmp_path}/data/sessions.db", idle="30m", max_value_bytes=1_000, clock=clock)
    (tmp_path / "data").mkdir()
    yield sessions
    sessions.close()


@pytest.fixture
def client(sessions: Sessions) -> Client:
    return Client(make_app(sessions), base_url=HERE)


def shown(token: str, **headers: str) -> dict[str, str]:
    return {"Cookie": f"{NAME}={token}", **headers}


def given(response: httpx.Response) -> str:
    """The token that a response gives to the browser."""
    return SimpleCookie(response.headers["set-cookie"])[NAME].value


# what is given


def test_the_cookie_is_for_this_host_alone_and_no_script_reads_it(client: Client, sessions: Sessions) -> None:
    response = client.post("/login?user=anna")

    token = given(response)
    assert response.headers["set-cookie"].removeprefix(f"{NAME}={token}; ").split("; ") == [
        "HttpOnly", "Max-Age=43200", "Path=/", "SameSite=lax", "Secure",
    ]  # fmt: skip
    assert response.headers["cache-control"] == "no-store"
    assert client.get("/me", headers=shown(token)).json() == "anna"


def test_a_session_begins_when_it_is_needed_and_goes_on(client: Client, sessions: Sessions) -> None:
    first = client.post("/ask?question=a")
    again = client.post("/ask?question=b", headers=shown(given(first)))

    assert (first.json(), again.json()) == (1, 2)
    assert "set-cookie" not in again.headers
    assert sessions.count() == 1


def test_a_response_of_the_route_s_own_carries_it_too(client: Client, sessions: Sessions) -> None:
    response = client.post("/stream")

    assert response.text == "onetwo"
    assert sessions.get(given(response)) is not None


def test_login_makes_the_old_token_worthless_and_logout_the_new_one(client: Client) -> None:
    before = given(client.post("/ask?question=a"))
    after = given(client.post("/login?user=anna", headers=shown(before)))

    assert client.get("/me", headers=shown(before)).status_code == 401
    assert client.get("/me", headers=shown(after)).json() == "anna"

    out = client.post("/logout", headers=shown(after))
    assert SimpleCookie(out.headers["set-cookie"])[NAME]["max-age"] == "0"
    assert client.get("/me", headers=shown(after)).status_code == 401


# whom it lets in


@pytest.mark.parametrize("token", ["", FORGED, "x" * 100_000, "%00", "한", '"', "null", "0"])
def test_a_forged_token_is_nobody_s_and_becomes_no_session(client: Client, sessions: Sessions, token: str) -> None:
    cookie = {"Cookie": f"{NAME}={token}".encode()}

    assert client.get("/me", headers=cookie).status_code == 401
    assert client.get("/perhaps", headers=cookie).json() == "nobody"
    assert sessions.count() == 0
    assert given(client.post("/ask?question=a", headers=cookie)) not in ("", token)


def test_no_token_is_nobody_s(client: Client) -> None:
    refused = client.get("/me")

    assert refused.status_code == 401
    assert refused.json() == {"detail": "expected a session that goes on, got none: log in"}
    assert client.get("/perhaps").json() == "nobody"


def test_a_session_that_has_ended_is_nobody_s(client: Client, clock: VirtualClock) -> None:
    token = given(client.post("/login?user=anna"))
    clock.advance(timedelta(minutes=31))

    assert client.get("/me", headers=shown(token)).status_code == 401
    assert client.get("/perhaps", headers=shown(token)).json() == "nobody"


def test_a_token_of_another_app_in_the_same_store_is_nobody_s(client: Client, tmp_path: Path) -> None:
    theirs = Sessions(f"sqlite:///{tmp_path}/data/sessions.db", name="theirs")
    token = theirs.log_in("anna").token
    theirs.close()

    assert client.get("/me", headers=shown(token)).status_code == 401


def test_only_the_cookie_with_the_prefix_counts(client: Client) -> None:
    """A page on a subdomain may set `session`, but not `__Host-session`."""
    token = given(client.post("/login?user=anna"))

    assert client.get("/me", headers={"Cookie": f"session={token}"}).status_code == 401
    assert client.get("/me", headers={"Cookie": f"session={FORGED}; {NAME}={token}"}).json() == "anna"


def test_a_refused_cookie_is_left_in_the_browser(client: Client) -> None:
    """The answer may come after that of a login, whose new cookie it would take away."""
    assert "set-cookie" not in client.get("/me", headers=shown(FORGED)).headers


def test_a_session_that_ends_while_it_is_used_is_answered(client: Client) -> None:
    token = given(client.post("/login?user=anna"))

    assert client.post("/elsewhere", headers=shown(token)).status_code == 401


def test_what_cannot_be_kept_is_answered(client: Client) -> None:
    refused = client.post(f"/ask?question={'x' * 1_000}")

    assert refused.status_code == 422
    assert "expected at most 1,000 bytes" in refused.json()["detail"]


# when the store is away


def test_while_the_store_is_away_who_shows_a_token_is_not_nobody(client: Client, tmp_path: Path, caplog: Any) -> None:
    token = given(client.post("/login?user=anna"))
    (tmp_path / "data").rename(tmp_path / "away")

    for path in ("/me", "/perhaps", "/api/me", "/api/perhaps"):
        headers = {"Authorization": f"Bearer {token}"} if "api" in path else shown(token)
        answer = client.get(path, headers=headers)
        assert answer.status_code == 503, path
        assert answer.headers["retry-after"] == "1"
        assert str(tmp_path) not in answer.text
    assert client.post("/ask?question=a", headers=shown(token)).status_code == 503
    assert client.post("/ask?question=a").status_code == 503
    assert str(tmp_path) in caplog.text

    (tmp_path / "away").rename(tmp_path / "data")
    assert client.get("/me", headers=shown(token)).json() == "anna"


def test_a_store_that_is_away_from_the_start_lets_nobody_in(client: Client, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "data")

    assert client.get("/perhaps", headers=shown(FORGED)).status_code == 503


# from where


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": HERE},
        {"Origin": HERE, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://front.example.com", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://front.example.com"},
    ],
)
def test_pages_of_our_own_may_change_something(sessions: Sessions, headers: dict[str, str]) -> None:
    client = Client(make_app(sessions, allowed_origins=["https://front.example.com"]), base_url=HERE)
    token = sessions.create().token

    assert client.post("/ask?question=a", headers=shown(token, **headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.com", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.com"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": f"{HERE}:8443"},
        {"Origin": HERE.replace("https", "http")},
        {"Origin": f"{HERE}.evil.com"},
    ],
)
@pytest.mark.parametrize("path", ["/ask?question=a", "/login?user=mallory", "/logout"])
def test_pages_elsewhere_change_nothing(client: Client, sessions: Sessions, headers: dict[str, str], path: str) -> None:
    session = sessions.log_in("anna")

    refused = client.post(path, headers=shown(session.token, **headers))

    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers
    assert session.history() == []
    assert [record.user for record in sessions.records()] == ["anna"]


def test_pages_elsewhere_may_link_to_here(client: Client, sessions: Sessions) -> None:
    token = sessions.log_in("anna").token

    assert client.get("/me", headers=shown(token, **{"Sec-Fetch-Site": "cross-site"})).json() == "anna"


def test_a_proxy_may_have_taken_the_tls_off(sessions: Sessions) -> None:
    client = Client(make_app(sessions), base_url=HERE.replace("https", "http"))

    assert client.post("/ask?question=a", headers={"Origin": HERE}).status_code == 200


@pytest.mark.parametrize(
    "origins",
    [
        "https://a.com",
        [""],
        ["a.com"],
        ["https://a.com/"],
        ["https://"],
        ["*"],
        ["HTTPS://a.com"],
        ["https://A.com"],
        [None],
        [7],
        ["https://u@a.com"],
        ["ftp://a.com"],
        7,
        None,
    ],
)
def test_what_no_origin_can_be_is_refused(sessions: Sessions, origins: Any) -> None:
    with pytest.raises(InvalidSessionError, match="allowed_origins: expected"):
        SessionCookie(sessions, allowed_origins=origins)


@pytest.mark.parametrize("name", ["", "a b", "a;b", "x" * 65, "__Host-session", None, 7, "é"])
def test_names_that_cannot_be_are_refused(sessions: Sessions, name: Any) -> None:
    with pytest.raises(InvalidSessionError, match="name: expected"):
        SessionCookie(sessions, name=name)


@pytest.mark.parametrize("make", [SessionCookie, SessionHeader])
@pytest.mark.parametrize("given", ["sqlite:///sessions.db", None, Sessions])
def test_what_are_no_sessions_is_refused(make: Any, given: Any) -> None:
    with pytest.raises(InvalidSessionError, match=r"Session(Cookie|Header): expected Sessions, got a"):
        make(given)


# in development


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "app.localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_on_this_machine_it_can_do_without_tls(sessions: Sessions, host: str) -> None:
    client = Client(make_app(sessions, secure=False), base_url=f"http://{host}")
    response = client.post("/ask?question=a", headers={"Origin": f"http://{host}"})

    assert response.status_code == 200
    assert response.headers["set-cookie"].startswith("session=")
    assert "Secure" not in response.headers["set-cookie"]


@pytest.mark.parametrize("host", ["app.example.com", "10.0.0.1", "localhost.evil.com", "[::2]", "app"])
def test_elsewhere_it_does_not_do_without_tls(sessions: Sessions, host: str) -> None:
    client = Client(make_app(sessions, secure=False), base_url=f"http://{host}")

    refused = client.post("/login?user=anna")

    assert refused.status_code == 403
    assert "secure=False" in refused.json()["detail"]
    assert sessions.count() == 0


# web sockets


def talk(app: FastAPI, text: str, **headers: str) -> list[Any]:
    """What *app* sends over a WebSocket on which a browser says one thing."""
    said = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": text}])
    sent: list[Any] = []
    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "path": "/talk", "scheme": "wss", "query_string": b"", "subprotocols": [],
        "headers": [(name.lower().encode(), value.encode()) for name, value in {"Host": "app.example.com", **headers}.items()],
    }  # fmt: skip

    async def receive() -> Any:
        return next(said, {"type": "websocket.disconnect", "code": 1000})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def test_a_web_socket_has_the_session_of_its_browser(sessions: Sessions) -> None:
    session = sessions.create()

    accepted, answer, *_ = talk(make_app(sessions), "hello", Origin=HERE, **shown(session.token))

    assert (accepted["type"], answer["text"]) == ("websocket.accept", "1")
    assert [message.content for message in session.history()] == ["hello"]


@pytest.mark.parametrize(
    ("token", "origin", "code"),
    [
        (FORGED, HERE, 1008),
        ("", HERE, 1008),
        ("good", "https://evil.com", 1008),
        ("good", "null", 1008),
        ("away", HERE, 1013),
    ],
)
def test_a_web_socket_is_refused_as_a_request_is(
    sessions: Sessions, tmp_path: Path, token: str, origin: str, code: int
) -> None:
    good = sessions.create().token
    if token == "away":
        (tmp_path / "data").rename(tmp_path / "away")

    (closed,) = talk(make_app(sessions), "hello", Origin=origin, **shown(good if token in ("good", "away") else token))

    assert (closed["type"], closed["code"]) == ("websocket.close", code)
    assert 0 < len(closed["reason"].encode()) < 124


# in a header


def test_a_program_shows_its_token_in_a_header(client: Client, sessions: Sessions) -> None:
    token = sessions.log_in("anna").token

    assert client.get("/api/me", headers={"Authorization": f"Bearer {token}"}).json() == "anna"
    assert client.get("/api/me", headers={"Authorization": f"bearer  {token}"}).json() == "anna"
    assert client.get("/api/perhaps").json() == "nobody"


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", f"Bearer {FORGED}", "Basic {token}", "{token}", "Bearer {token} x"]
)
def test_what_is_no_token_in_a_header_is_refused(client: Client, sessions: Sessions, value: str) -> None:
    headers = {"Authorization": value.replace("{token}", sessions.log_in("anna").token)}

    assert client.get("/api/me", headers=headers).status_code == 401
    assert client.get("/api/perhaps", headers=headers).json() == "nobody"


def test_the_cookie_opens_no_route_that_wants_the_header(client: Client, sessions: Sessions) -> None:
    """It would be sent along by pages elsewhere, which that route does not ask about."""
    assert client.get("/api/me", headers=shown(sessions.log_in("anna").token)).status_code == 401


# all of it


def test_the_description_of_the_api_says_what_routes_want(sessions: Sessions) -> None:
    schemes = make_app(sessions).openapi()["components"]["securitySchemes"]

    assert {"type": "apiKey", "in": "cookie", "name": NAME} in schemes.values()


def test_a_hundred_requests_at_once_are_a_hundred_messages(sessions: Sessions) -> None:
    many = Sessions(sessions.location, max_messages=200)
    session = many.create()
    transport = httpx.ASGITransport(make_app(many))

    async def ask_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=transport, base_url=HERE, headers=shown(session.token)) as client:
            return await asyncio.gather(*(client.post(f"/ask?question={n}") for n in range(100)))

    answers = asyncio.run(ask_all())

    assert sorted(answer.json() for answer in answers) == [*range(1, 101)]
    assert len(session.history()) == 100
