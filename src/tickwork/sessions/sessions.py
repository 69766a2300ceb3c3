"""Sessions: begun, found by their tokens, rotated at login, ended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from threading import Lock

from tickwork.checks import shown
from tickwork.clock import Clock, SystemClock
from tickwork.durations import Duration
from tickwork.errors import InvalidSessionError, SessionNotFoundError
from tickwork.face import Face, awaitable
from tickwork.sessions.cache import AwaitableCache, Cache
from tickwork.sessions.limits import MOST, Limits, check_count, read_length
from tickwork.sessions.record import Content, Record
from tickwork.sessions.session import Session, read_message
from tickwork.sessions.stores import make_store
from tickwork.sessions.stores.base import SessionStore
from tickwork.sessions.token import check_id, id_of, new_token
from tickwork.sessions.values import check_name, read

DEFAULT = Limits()
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
SWEPT_AT_ONCE = 100
"""Sessions in one transaction, with all their messages: so nobody waits long for a turn."""
MAX_PAGE = 1_000


class Sessions:
    """The sessions at *url*: `sqlite:///sessions.db`, `redis://host`, `valkey://host`.

    *name* keeps applications in one place apart: a token of one opens nothing in another. A session ends when it was
    not used for *idle*, and *absolute* after its begin or last login. Lengths are timedeltas, seconds, or texts
    ("30m"). For the other limits see `Limits`; *clock* is for tests on SQLite.

    Nothing is opened before the first verb, or `open`. Every verb is safe from any thread, and raises StoreError when
    the store cannot be used: a session that cannot be looked up is nobody's.
    """

    def __init__(
        self, url: str, *, name: str = "default", idle: Duration = DEFAULT.idle, absolute: Duration = DEFAULT.absolute,
        max_messages: int = DEFAULT.max_messages, max_bytes: int = DEFAULT.max_bytes,
        max_value_bytes: int = DEFAULT.max_value_bytes, max_keys: int = DEFAULT.max_keys,
        max_cached_bytes: int = DEFAULT.max_cached_bytes, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InvalidSessionError(f"name: expected 1 to 64 letters, digits, '_', '.' or '-', got {shown(name)}")
        self.limits = Limits(
            read_length("idle", idle), read_length("absolute", absolute),
            max_messages, max_bytes, max_value_bytes, max_keys, max_cached_bytes,
        )  # fmt: skip
        self.name = name
        self._clock: Clock = clock or SystemClock()
        self._store = make_store(url, name=name, limits=self.limits, clock=clock)
        self._opened = False
        self._opening = Lock()
        self.cache = Cache(lambda: self._ready().cache, self.limits)
        """Values that are kept for a while and computed once; they belong to no session."""

    @property
    def aio(self) -> AwaitableSessions:
        """The same verbs, as awaitables: `await sessions.aio.get(token)`."""
        return AwaitableSessions(self)

    @property
    def location(self) -> str:
        """Where they are kept, without a password."""
        return self._store.location

    @property
    def sweeps(self) -> bool:
        """Whether what has expired stays until `sweep` is called."""
        return self._store.sweeps

    def open(self) -> None:
        """Make ready, and find out what is wrong with the store. Raises StoreError."""
        with self._opening:
            if not self._opened:
                self._store.open()
                self._opened = True

    def close(self) -> None:
        with self._opening:
            self._opened = False
            self._store.close()

    def create(self, user: str | None = None) -> Session:
        """Begin a session, of *user* or of nobody yet. Give its `token` to the client alone."""
        if user is not None:
            check_name("user", user)
        token = new_token()
        return self._session(self._ready().create(_id(token), user), token)

    def get(self, token: str | None) -> Session | None:
        """The session that *token* opens; None if it has ended, or no server made this token."""
        id = id_of(token)
        record = None if id is None else self._ready().look(id)
        return None if record is None or token is None else self._session(record, token)

    def log_in(self, user: str, session: Session | None = None) -> Session:
        """A session of *user* with a new token, to be called when it is proved who is there.

        It takes over what a *session* of nobody, or of the same user, holds, and its old token is refused from now on.
        Another user's session is ended, and nothing of it taken over.
        """
        check_name("user", user)
        if session is None:
            return self.create(user)
        old_id, token = _id_of_session(session), new_token()
        try:
            record = self._ready().log_in(old_id, _id(token), user)
        except SessionNotFoundError:  # it ended meanwhile: there is nothing to take over
            return self.create(user)
        if record is None:
            self.destroy(session)
            return self.create(user)
        return self._session(record, token)

    def rotate(self, session: Session) -> Session:
        """The same session with a new token; the old one is refused from now on. Raises SessionNotFoundError."""
        old_id, token = _id_of_session(session), new_token()
        return self._session(self._ready().rotate(old_id, _id(token)), token)

    def destroy(self, session: Session | str) -> bool:
        """End a session, or that of an id (a token is none); whether it went on."""
        id = check_id(session) if isinstance(session, str) else _id_of_session(session)
        return self._ready().destroy(id)

    def destroy_user(self, user: str, *, but: Session | None = None) -> int:
        """End all sessions of a user, *but* one; how many went on."""
        check_name("user", user)
        spared = None if but is None else _id_of_session(but)
        return self._ready().destroy_user(user, but=spared)

    def of_user(self, user: str) -> Sequence[Record]:
        """The sessions of a user that go on, the last one used first."""
        check_name("user", user)
        return self._ready().of_user(user)

    def records(self, *, limit: int = 100, offset: int = 0) -> Sequence[Record]:
        """The sessions that go on, those that expire last first: what stores know of them, without content."""
        check_count("limit", limit, least=1, most=MAX_PAGE)
        check_count("offset", offset, least=0, most=MOST)
        return self._ready().records(limit=limit, offset=offset)

    def count(self) -> int:
        """How many sessions go on."""
        return self._ready().count()

    def find(self, id: str) -> Record | None:
        """What the store knows of the session of an id; None if it has ended. Looking on does not put its end off."""
        check_id(id)
        return self._ready().find(id)

    def content(self, id: str) -> Content:
        """What is in the session of an id, for operators who may see it. Raises SessionNotFoundError."""
        check_id(id)
        store = self._ready()
        messages = [read_message(number, body) for number, body in store.history(id, None)]
        return Content(messages, {key: read(value) for key, value in store.state(id).items()})

    def sweep(self) -> int:
        """Delete what has expired, a few at a time; how many sessions and cached values. SQLite keeps them until then.

        `add_sweep_job` declares the job that does it.
        """
        store = self._ready()
        deleted = 0
        for sweep in (store.sweep, store.cache.sweep):
            while swept := sweep(SWEPT_AT_ONCE):
                deleted += swept
        return deleted

    def _ready(self) -> SessionStore:
        if not self._opened:
            self.open()
        return self._store

    def _session(self, record: Record, token: str) -> Session:
        return Session(self._store, self.limits, self._clock, record, token)


class AwaitableSessions(Face[Sessions]):
    """The verbs of sessions, as awaitables."""

    open = awaitable(Sessions.open)
    close = awaitable(Sessions.close)
    create = awaitable(Sessions.create)
    get = awaitable(Sessions.get)
    log_in = awaitable(Sessions.log_in)
    rotate = awaitable(Sessions.rotate)
    destroy = awaitable(Sessions.destroy)
    destroy_user = awaitable(Sessions.destroy_user)
    of_user = awaitable(Sessions.of_user)
    records = awaitable(Sessions.records)
    count = awaitable(Sessions.count)
    find = awaitable(Sessions.find)
    content = awaitable(Sessions.content)
    sweep = awaitable(Sessions.sweep)

    @property
    def cache(self) -> AwaitableCache:
        return self._behind.cache.aio


def check_sessions(place: str, given: object) -> None:
    """InvalidSessionError unless *given* are Sessions; *place* got them."""
    if not isinstance(given, Sessions):
        raise InvalidSessionError(f"{place}: expected Sessions, got a {type(given).__name__}: make one, Sessions(url)")


def _id_of_session(session: object) -> str:
    if not isinstance(session, Session):  # what was given is not shown: it may be a token
        raise InvalidSessionError(
            f"session: expected a Session, as create and get return it, got a {type(session).__name__}"
        )
    return session.id


def _id(token: str) -> str:
    id = id_of(token)
    assert id is not None, "a new token has the form of a token"
    return id
