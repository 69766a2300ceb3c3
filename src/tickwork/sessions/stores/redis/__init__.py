"""The store of sessions in Redis or Valkey, from version 6 on. Core types alone; no module is needed.

Writing is one script a verb, so it happens whole or not at all. All keys of a store share one hash tag: they lie on one
node of a cluster, and a script may touch several and reckon the names of others. Expiry is the server's; what is left
to us is that all keys of a session expire in the same millisecond.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tickwork.checks import shown
from tickwork.clock import from_micros
from tickwork.errors import (
    InvalidSessionError,
    SessionFullError,
    SessionNotFoundError,
    StoreUnavailableError,
    StoreUnusableError,
    StoreURLError,
)
from tickwork.sessions.limits import Limits
from tickwork.sessions.record import Place, Record
from tickwork.sessions.stores.base import full

FORMS = "redis://[:password@]host[:6379][/0], or rediss:// with TLS (valkey:// and valkeys:// mean the same)"
SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
FOLDER = Path(__file__).parent
MILLISECOND = timedelta(milliseconds=1)
PATIENCE = 2.0
"""Seconds to wait for a connection, and for each answer."""
OLDEST = 6
FOREIGN = ("WRONGTYPE", "NOPERM")


class RedisSessionStore:
    """Sessions on the server at *url*, under keys that begin with `{tickwork:<name>}`."""

    sweeps = False

    def __init__(self, url: str, *, name: str, limits: Limits) -> None:
        self._client: Any = make_client(url)  # its annotations fit its asyncio twin too, and so nobody
        connection = self._client.connection_pool.connection_kwargs
        self.location = f"{urlsplit(url).scheme}://{connection.get('host')}:{connection.get('port')}/{connection['db']}"
        self._limits = limits
        self._idle, self._step = _millis(limits.idle), _millis(limits.step)
        self._absolute = _millis(limits.absolute)
        self._prefix = f"{{tickwork:{name}}}"
        self._index = f"{self._prefix}:sessions"
        self._scripts = {path.stem: self._client.register_script(path.read_bytes()) for path in FOLDER.glob("*.lua")}

    def open(self) -> None:
        with self._faults():
            check_version(self._client.info("server"))

    def close(self) -> None:
        self._client.close()

    # sessions

    def create(self, id: str, user: str | None) -> Record:
        keys = [self._session(id), self._index]
        return self._record(id, self._run("create", keys, id, user or "", self._idle, self._absolute, self._user("")))

    def look(self, id: str) -> Record | None:
        meta = self._run("look", [*self._keys(id), self._index], id, self._idle, self._step, self._user(""))
        return None if meta is None else self._record(id, meta)

    def rotate(self, id: str, new_id: str) -> Record:
        moved = self._move(id, new_id, "")
        assert moved is not None
        return moved

    def log_in(self, id: str, new_id: str, user: str) -> Record | None:
        return self._move(id, new_id, user)

    def destroy(self, id: str) -> bool:
        return bool(self._run("destroy", [*self._keys(id), self._index], id, self._user("")))

    def destroy_user(self, user: str, *, but: str | None = None) -> int:
        return int(self._run("destroy_user", [self._user(user), self._index], but or "", self._session("")))

    def of_user(self, user: str) -> Sequence[Record]:
        with self._faults():
            ids = self._client.zrevrange(self._user(user), 0, -1)
        return sorted(self._records(ids), key=lambda record: record.seen_at, reverse=True)

    def records(self, *, limit: int, offset: int = 0) -> Sequence[Record]:
        with self._faults():
            ids = self._client.zrevrange(self._index, offset, offset + limit - 1)
        return self._records(ids)

    def count(self) -> int:
        with self._faults():
            seconds, micros = self._client.time()
            return int(self._client.zcount(self._index, f"({seconds * 1000 + micros // 1000}", "+inf"))

    def sweep(self, limit: int) -> int:
        """Nothing: the server expires, and each new session clears the indexes."""
        return 0

    # history

    def append(self, id: str, place: Place, body: bytes) -> int:
        keys = self._keys(id)[:3]
        limits = self._limits
        reply = self._run("append", keys, place.value, body, limits.max_messages, limits.max_bytes)
        return int(_going_on(reply, limits))

    def history(self, id: str, last: int | None) -> Sequence[tuple[int, bytes]]:
        reply = self._run("history", self._keys(id)[:3], -last if last else 0)
        if reply is None:
            raise SessionNotFoundError
        pinned, others = reply
        return sorted(_entry(entry) for entry in (*pinned, *others))

    # state

    def state(self, id: str) -> Mapping[str, bytes]:
        with self._faults(), self._client.pipeline(transaction=True) as both:
            both.exists(self._session(id)).hgetall(f"{self._session(id)}:state")
            goes_on, state = both.execute()
        if not goes_on:
            raise SessionNotFoundError
        return {key.decode(): value for key, value in state.items()}

    def set_state(self, id: str, key: str, value: bytes) -> None:
        reply = self._run("set_state", self._keys(id)[::3], key, value, self._limits.max_keys)
        _going_on(reply, self._limits)

    def add_to_state(self, id: str, key: str, number: int) -> int:
        reply = self._run("add_to_state", self._keys(id)[::3], key, number, self._limits.max_keys)
        if reply == b"no integer":
            raise InvalidSessionError(f"state: expected a sum of 64 bits, and an integer in {key!r} or nothing")
        return int(_going_on(reply, self._limits))

    def delete_state(self, id: str, key: str) -> bool:
        with self._faults(), self._client.pipeline(transaction=True) as both:
            both.exists(self._session(id)).hdel(f"{self._session(id)}:state", key)
            goes_on, deleted = both.execute()
        if not goes_on:
            raise SessionNotFoundError
        return bool(deleted)

    # names, and the server

    def _session(self, id: str) -> str:
        return f"{self._prefix}:session:{id}"

    def _keys(self, id: str) -> list[str]:
        session = self._session(id)
        return [session, f"{session}:history", f"{session}:pinned", f"{session}:state"]

    def _user(self, user: str) -> str:
        return f"{self._prefix}:user:{user}"

    def _move(self, id: str, new_id: str, user: str) -> Record | None:
        keys = [*self._keys(id), *self._keys(new_id), self._index]
        reply = self._run("move", keys, id, new_id, user, self._idle, self._absolute, self._user(""))
        if reply == b"of another user":
            return None
        return self._record(new_id, _going_on(reply, self._limits))

    def _records(self, ids: Sequence[bytes]) -> list[Record]:
        fields = ("user", "created", "seen", "expires", "ends", "messages", "bytes")
        with self._faults(), self._client.pipeline(transaction=False) as all_of_them:
            for id in ids:
                all_of_them.hmget(self._session(id.decode()), fields)
            metas = all_of_them.execute()
        return [self._record(id.decode(), meta) for id, meta in zip(ids, metas, strict=True) if meta[0] is not None]

    def _record(self, id: str, meta: Sequence[Any]) -> Record:
        user, created, seen, expires, ends, messages, size = meta
        return Record(
            id, user.decode() or None, _instant(created), _instant(seen), _instant(expires), _instant(ends),
            int(messages), int(size),
        )  # fmt: skip

    def _run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        with self._faults():
            return self._scripts[script](keys=keys, args=arguments)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What the client raises, as an error of ours that tells what passes from what does not."""
        try:
            yield
        except redis.AuthenticationError as error:
            raise StoreUnusableError(
                f"expected a user and password that {self.location} takes, got {shown(str(error))}: correct the URL"
            ) from None
        except (redis.RedisError, OSError) as error:
            said = f"{type(error).__name__}: {shown(str(error), most=200)}"
            if isinstance(error, redis.ResponseError) and str(error).startswith(FOREIGN):
                raise StoreUnusableError(
                    f"expected keys {self._prefix}* of our own on {self.location}, got {said}: choose another name="
                ) from error
            raise StoreUnavailableError(
                f"expected an answer from {self.location}, got {said}: it works again as soon as the server does"
            ) from error


def make_client(url: str) -> redis.Redis:
    """A client that waits for nothing long and sends nothing twice: a message whose reply was lost may be there."""
    try:
        parts = urlsplit(url)
        good = parts.hostname and (parts.port or 1) and re.fullmatch(r"/?\d{0,4}", parts.path) and not parts.fragment
        good = good and all(option.startswith("ssl_") for option, _ in parse_qsl(parts.query, keep_blank_values=True))
        if not good:
            raise ValueError
        client: redis.Redis = redis.Redis.from_url(
            f"{SCHEMES[parts.scheme]}://{url.partition('://')[2]}", decode_responses=False, protocol=2,
            socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0),
            client_name="tickwork-sessions",
        )  # fmt: skip
        client.connection_pool.connection_kwargs.setdefault("db", 0)
        client.connection_pool.connection_kwargs.setdefault("port", 6379)
    except ValueError:
        scheme, _, rest = url.partition("://")
        raise StoreURLError(
            f"sessions: expected {FORMS}, got {shown(f'{scheme}://***@' if '@' in rest else url)}"
        ) from None
    return client


def check_version(server: Mapping[str, Any]) -> None:
    """StoreUnusableError if the server is too old for us."""
    found = str(server.get("valkey_version") or server.get("redis_version") or "an unknown version")
    if not re.match(r"\d+\.", found) or int(found.partition(".")[0]) < OLDEST:
        raise StoreUnusableError(f"expected Redis {OLDEST} or newer, or Valkey, got {shown(found)}: upgrade the server")


def _going_on(reply: Any, limits: Limits) -> Any:
    """The reply of a script, unless it says why there is none."""
    match reply:
        case b"ended":
            raise SessionNotFoundError
        case b"max_messages" | b"max_bytes" | b"max_keys":
            limit = reply.decode()
            raise SessionFullError(full(limit, getattr(limits, limit)))
        case _:
            return reply


def _entry(entry: bytes) -> tuple[int, bytes]:
    number, _, body = entry.split(b" ", 2)
    return int(number), body


def _millis(duration: timedelta) -> int:
    return max(1, duration // MILLISECOND)


def _instant(millis: Any) -> datetime:
    return from_micros(int(millis) * 1000)
