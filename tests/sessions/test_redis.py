"""The Redis store keeps the laws of sessions, on a real server; what is wrong with the server is said."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sessions.cache_laws import CacheLaws
from tests.sessions.laws import Advance, Make, SessionLaws
from tests.sessions.server import Outage, grow_older, redis_url  # noqa: F401

from tickwork.errors import StoreUnavailableError, StoreUnusableError, StoreURLError
from tickwork.sessions import Sessions
from tickwork.sessions.stores.redis.server import PATIENCE, check_version
from tickwork.testing import VirtualClock


class TestRedisSessions(SessionLaws, CacheLaws):
    @pytest.fixture
    def namespace(self) -> str:
        return secrets.token_hex(8)

    @pytest.fixture
    def clock(self) -> VirtualClock:
        return VirtualClock()

    @pytest.fixture
    def make(self, redis_url: str, namespace: str, clock: VirtualClock, request: pytest.FixtureRequest) -> Make:  # noqa: F811
        def make(**options: object) -> Sessions:
            sessions = Sessions(redis_url, clock=clock, **{"name": namespace, **options})  # type: ignore[arg-type]
            request.addfinalizer(sessions.close)
            return sessions

        return make

    @pytest.fixture
    def url(self, redis_url: str) -> str:  # noqa: F811
        return redis_url

    @pytest.fixture
    def advance(self, redis_url: str, namespace: str, clock: VirtualClock) -> Advance:  # noqa: F811
        def advance(duration) -> None:
            clock.advance(duration)
            grow_older(redis_url, namespace, int(duration.total_seconds() * 1000))

        return advance


@pytest.fixture
def outage(tmp_path: Path) -> Iterator[Outage]:
    outage = Outage(tmp_path)
    yield outage
    outage.kill()


@pytest.mark.processes
def test_after_the_death_of_the_server_all_goes_on_with_all_that_was_answered_for(outage: Outage) -> None:
    sessions = Sessions(outage.url)
    session = sessions.log_in("anna")
    session.append("user", "before")

    outage.kill()
    for verb in (
        lambda: sessions.get(session.token),
        lambda: session.append("user", "meanwhile"),
        session.history,
        session.state.all,
        sessions.count,
        lambda: sessions.cache.set("key", 1, ttl=60),
    ):
        with pytest.raises(StoreUnavailableError):
            verb()
    assert sessions.cache.get_or_set("key", lambda: 7, ttl=60) == 7
    outage.come_back()

    found = sessions.get(session.token)
    assert found is not None
    assert found.user == "anna"
    assert session.append("user", "after") == 2
    assert [message.content for message in session.history()] == ["before", "after"]
    assert sessions.cache.get("key") is None
    sessions.close()


@pytest.mark.processes
def test_appends_from_threads_while_the_server_dies_keep_each_that_was_answered_for(outage: Outage) -> None:
    """A message whose reply was lost may be there; one that was answered for is, and none is there twice."""
    sessions = Sessions(outage.url, max_messages=100_000, max_bytes=100_000_000)
    session = sessions.create()
    answered: list[str] = []
    dead = threading.Event()

    def append(thread: int) -> None:
        for number in range(100_000):
            try:
                session.append("user", f"{thread}/{number}")
            except StoreUnavailableError:
                if dead.is_set():
                    return
            else:
                answered.append(f"{thread}/{number}")

    threads = [threading.Thread(target=append, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    while len(answered) < 200:
        threading.Event().wait(0.001)
    outage.kill()
    dead.set()
    for thread in threads:
        thread.join(60)
    outage.come_back()

    kept = [message.content for message in session.history()]
    assert len(kept) == len(set(kept))
    assert set(answered) <= set(kept)
    assert [message.number for message in session.history()] == [*range(1, len(kept) + 1)]
    sessions.close()


@pytest.mark.processes
def test_a_frozen_server_holds_nobody_up_for_long(outage: Outage) -> None:
    sessions = Sessions(outage.url)
    session = sessions.create()
    outage.freeze()
    began = time.monotonic()

    with pytest.raises(StoreUnavailableError, match="Timeout"):
        sessions.get(session.token)

    assert time.monotonic() - began < 2 * PATIENCE
    outage.thaw()
    assert sessions.get(session.token) is not None
    sessions.close()


def test_a_server_that_is_down_is_an_error_that_passes() -> None:
    with pytest.raises(StoreUnavailableError, match="expected an answer from redis://127.0.0.1:1/0"):
        Sessions("redis://:secret@127.0.0.1:1").create()


def test_a_wrong_password_is_said_and_not_shown(redis_url: str) -> None:  # noqa: F811
    with pytest.raises(StoreUnusableError, match="expected a user and password") as raised:
        Sessions(redis_url.replace("://", "://nobody:secret@")).create()

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://h:x",
        "redis://u:secret@h/0?decode_responses=1",
        "redis://h/a",
        "mysql://u:secret@h",
        None,
        7,
    ],
)
def test_an_address_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(StoreURLError, match="expected") as raised:
        Sessions(url)

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("server", [{"redis_version": "5.0.14"}, {"redis_version": "x"}, {}])
def test_an_old_server_is_refused(server: dict[str, str]) -> None:
    with pytest.raises(StoreUnusableError, match="Redis 6 or newer"):
        check_version(server)
