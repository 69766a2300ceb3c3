"""The SQLite store keeps the laws of sessions, and what has expired is swept."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sessions.cache_laws import CacheLaws
from tests.sessions.laws import MINUTE, Advance, Make, SessionLaws

from tickwork.sessions import Sessions
from tickwork.testing import VirtualClock


class TestSQLiteSessions(SessionLaws, CacheLaws):
    @pytest.fixture
    def clock(self) -> VirtualClock:
        return VirtualClock()

    @pytest.fixture
    def make(self, tmp_path: Path, clock: VirtualClock) -> Make:
        return lambda **options: Sessions(f"sqlite:///{tmp_path / 'sessions.db'}", clock=clock, **options)

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
