"""Whatever is done in whatever order, a file and a server answer alike."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sessions.laws import MINUTE
from tests.sessions.server import grow_older, redis_url  # noqa: F401

from tickwork.errors import TickworkError
from tickwork.sessions import Session, Sessions
from tickwork.testing import VirtualClock

USERS = st.sampled_from(["anna", "bob"])
WHICH = st.integers(0, 1)
KEYS = st.sampled_from(["a", "b", "c"])
DEEDS = st.one_of(
    st.tuples(st.just("create"), st.none() | USERS),
    st.tuples(st.just("append"), WHICH, st.sampled_from(["user", "assistant", "tool", "system", "critic"]), st.integers(0, 120)),
    st.tuples(st.just("history"), WHICH, st.none() | st.integers(1, 5)),
    st.tuples(st.just("log_in"), WHICH, USERS),
    st.tuples(st.just("rotate"), WHICH),
    st.tuples(st.just("destroy"), WHICH),
    st.tuples(st.just("destroy_user"), USERS, st.none() | WHICH),
    st.tuples(st.just("set"), WHICH, KEYS, st.integers(-3, 3) | st.just("text") | st.just(2**63 - 1)),
    st.tuples(st.just("incr"), WHICH, KEYS, st.integers(-2, 2)),
    st.tuples(st.just("delete"), WHICH, KEYS),
    st.tuples(st.just("advance"), st.sampled_from([1, 16, 29])),
)  # fmt: skip


class Place:
    """Sessions in one store, named by the order in which they began: their tokens differ from store to store."""

    def __init__(self, sessions: Sessions, advance: Callable[[timedelta], None]) -> None:
        self.sessions = sessions
        self.advance = advance
        self.held: list[Session] = []

    def do(self, verb: str, *words: Any) -> Any:
        """What the verb answers, or which error it raises."""
        try:
            return self._do(verb, *words)
        except TickworkError as error:
            return type(error).__name__

    def _do(self, verb: str, *words: Any) -> Any:
        if verb == "create":
            self.held = [*self.held, self.sessions.create(words[0])][-2:]
            return None
        if verb == "advance":
            return self.advance(timedelta(minutes=words[0]))
        if verb == "destroy_user":
            but = None if words[1] is None or not self.held else self.held[words[1] % len(self.held)]
            return self.sessions.destroy_user(words[0], but=but)
        if not self.held:
            return None
        place = words[0] % len(self.held)
        session = self.held[place]
        match verb, *words[1:]:
            case "append", role, length:
                return session.append(role, "x" * length)
            case "history", last:
                return [(message.number, message.role, message.content) for message in session.history(last)]
            case "log_in", user:
                self.held[place] = self.sessions.log_in(user, session)
            case ("rotate",):
                self.held[place] = self.sessions.rotate(session)
            case ("destroy",):
                return self.sessions.destroy(session)
            case "set", key, value:
                return session.state.set(key, value)
            case "incr", key, by:
                return session.state.incr(key, by)
            case "delete", key:
                return session.state.delete(key)
        return None

    def look(self) -> list[Any]:
        """All that can be known of it; lengths of time in minutes, since the clock of the server goes on by itself."""
        found = [self.sessions.find(session.id) for session in self.held]
        return [
            [record and (record.user, record.messages, record.bytes) for record in found],
            [record and [round((at - record.created_at) / MINUTE) for at in record[3:6]] for record in found],
            [record and self.sessions.content(record.id).state for record in found],
            self.sessions.count(),
            *(len(self.sessions.of_user(user)) for user in ("anna", "bob")),
        ]


@pytest.mark.timeout(300)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=st.lists(DEEDS, min_size=15, max_size=30))
def test_a_file_and_a_server_answer_alike(deeds: list[tuple[Any, ...]], redis_url: str, tmp_path: Path) -> None:  # noqa: F811
    here, there, name = VirtualClock(), VirtualClock(), secrets.token_hex(8)
    limits: dict[str, Any] = {"idle": "30m", "absolute": "70m", "max_messages": 4, "max_bytes": 400, "max_keys": 2}

    def advance_server(duration: timedelta) -> None:
        there.advance(duration)
        grow_older(redis_url, name, int(duration.total_seconds() * 1000))

    file = Place(Sessions(f"sqlite:///{tmp_path}/{name}.db", clock=here, **limits), here.advance)
    server = Place(Sessions(redis_url, name=name, clock=there, **limits), advance_server)
    file.do("create", None), server.do("create", None)
    try:
        for deed in deeds:
            assert file.do(*deed) == server.do(*deed), deed
            assert file.look() == server.look(), deed
    finally:
        file.sessions.close()
        server.sessions.close()
