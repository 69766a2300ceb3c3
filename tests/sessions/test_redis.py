"""The Redis store keeps the laws of sessions, on a real server; what is wrong with the server is said."""

from __future__ import annotations

import secrets

import pytest
from tests.sessions.cache_laws import CacheLaws
from tests.sessions.laws import Advance, Make, SessionLaws
from tests.sessions.server import grow_older, redis_url  # noqa: F401

from tickwork.errors import StoreUnavailableError, StoreUnusableError, StoreURLError
from tickwork.sessions import Sessions
from tickwork.sessions.stores.redis.server import check_version
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
