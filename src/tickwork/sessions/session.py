"""A session as its owner uses it: history and state, found by its token alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from tickwork.checks import shown
from tickwork.clock import Clock, from_micros, to_micros
from tickwork.errors import InvalidSessionError, SessionNotFoundError
from tickwork.face import Face, awaitable
from tickwork.sessions.limits import Limits
from tickwork.sessions.record import Message, Record, place_of
from tickwork.sessions.stores.base import SessionStore
from tickwork.sessions.values import check_name, read, write

BIGGEST = 2**63


class Session:
    """A session that went on when it was got. Its verbs raise SessionNotFoundError once it has ended, and StoreError.

    While it is used its end is put off, but not beyond `record.ends_at`.
    """

    def __init__(self, store: SessionStore, limits: Limits, clock: Clock, record: Record, token: str) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._looked_at = clock.now()
        self.record = record
        self.token = token
        """What the client shows; keep it out of logs."""
        self.state = State(store, limits, self._find)

    @property
    def aio(self) -> AwaitableSession:
        """The same verbs, as awaitables: `await session.aio.append(...)`, `await session.aio.state.incr(...)`."""
        return AwaitableSession(self)

    @property
    def id(self) -> str:
        """The hash of its token, by which operators name it; it opens nothing."""
        return self.record.id

    @property
    def user(self) -> str | None:
        """Who has logged in; None: nobody yet."""
        return self.record.user

    def append(self, role: str, content: Any) -> int:
        """Add a message to the history; its number, which the store gives.

        A `user` message begins a turn, `assistant` and `tool` continue it, `system` and `developer` are never trimmed.
        When there are too many messages or bytes, the oldest turns go whole; SessionFullError if only the last turn
        and what is never trimmed are left. *content* is what JSON can write. Raises InvalidSessionError.

        If it raises StoreUnavailableError, the message may have been kept all the same: only the reply may be lost.
        """
        body = {"role": check_name("role", role), "at": to_micros(self._clock.now()), "content": content}
        written = write("message", body, most=min(self._limits.max_value_bytes, self._limits.max_bytes))
        return self._store.append(self._find(), place_of(role), written)

    def history(self, last: int | None = None) -> Sequence[Message]:
        """The messages in their order: all, or those that are never trimmed and the *last* ones of the others."""
        if last is not None and (not isinstance(last, int) or isinstance(last, bool) or not 1 <= last < BIGGEST):
            raise InvalidSessionError(f"last: expected a whole number from 1 on, or None, got {shown(last)}")
        return [read_message(number, body) for number, body in self._store.history(self._find(), last)]

    def _find(self) -> str:
        """The id; if the session was not looked at for a while, its end is put off first."""
        now: datetime = self._clock.now()
        if abs(now - self._looked_at) >= self._limits.step:
            record = self._store.look(self.id)
            if record is None:
                raise SessionNotFoundError
            self.record, self._looked_at = record, now
        return self.id


class State:
    """What a session keeps under keys. Values are what JSON can write."""

    def __init__(self, store: SessionStore, limits: Limits, find: Callable[[], str]) -> None:
        self._store = store
        self._limits = limits
        self._find = find
        """The session's id, after its end was put off."""

    def all(self) -> dict[str, Any]:
        return {key: read(value) for key, value in self._store.state(self._find()).items()}

    def get(self, key: str, default: Any = None) -> Any:
        return self.all().get(check_name("key", key), default)

    def set(self, key: str, value: Any) -> None:
        """Keep *value*. Raises InvalidSessionError, and SessionFullError if there are too many keys."""
        check_name("key", key)
        written = write("value", value, most=self._limits.max_value_bytes)
        self._store.set_state(self._find(), key, written)

    def incr(self, key: str, by: int = 1) -> int:
        """Add *by* to an integer, which is 0 at first, whoever else does so too; the sum.

        Raises InvalidSessionError for what is no integer of 64 bits, and SessionFullError.
        """
        check_name("key", key)
        if not isinstance(by, int) or isinstance(by, bool) or not -BIGGEST <= by < BIGGEST:
            raise InvalidSessionError(f"by: expected an integer of 64 bits, got {shown(by)}")
        return self._store.add_to_state(self._find(), key, by)

    def delete(self, key: str) -> bool:
        """Forget the value; whether there was one."""
        return self._store.delete_state(self._find(), check_name("key", key))


class AwaitableState(Face[State]):
    """The verbs of a session's state, as awaitables."""

    all = awaitable(State.all)
    get = awaitable(State.get)
    set = awaitable(State.set)
    incr = awaitable(State.incr)
    delete = awaitable(State.delete)


class AwaitableSession(Face[Session]):
    """The verbs of a session, as awaitables."""

    append = awaitable(Session.append)
    history = awaitable(Session.history)

    @property
    def state(self) -> AwaitableState:
        return AwaitableState(self._behind.state)


def read_message(number: int, body: bytes) -> Message:
    """A message, from the form that `Session.append` gives it."""
    written = read(body)
    return Message(number, written["role"], written["content"], from_micros(written["at"]))
