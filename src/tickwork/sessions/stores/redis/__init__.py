"""The store of sessions in Redis or Valkey, from version 6 on. Core types alone; no module is needed.

Writing is one script a verb, so it happens whole or not at all. All keys of a store share one hash tag: they lie on one
node of a cluster, and a script may touch several and reckon the names of others. Expiry is the server's; what is left
to us is that all keys of a session expire in the same millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tickwork.clock import from_micros
from tickwork.errors import InvalidSessionError, SessionFullError, SessionNotFoundError
from tickwork.sessions.limits import Limits
from tickwork.sessions.record import Place, Record
from tickwork.sessions.stores.base import full
from tickwork.sessions.stores.redis.cache import RedisCacheStore
from tickwork.sessions.stores.redis.server import Server, to_millis

FIELDS = ("user", "created", "seen", "expires", "ends", "messages", "bytes")
"""Of a session's meta hash, as they make a record."""


class RedisSessionStore:
    """Sessions on the server at *url*, under keys that begin with `{tickwork:<name>}`."""

    sweeps = False

    def __init__(self, url: str, *, name: str, limits: Limits) -> None:
        self._prefix = f"{{tickwork:{name}}}"
        self._server = Server(url, self._prefix)
        self.location = self._server.location
        self._limits = limits
        self._idle, self._step = to_millis(limits.idle), to_millis(limits.step)
        self._absolute = to_millis(limits.absolute)
        self._index = f"{self._prefix}:sessions"
        self.cache = RedisCacheStore(self._server)

    def open(self) -> None:
        self._server.open()

    def close(self) -> None:
        self._server.close()

    # sessions

    def create(self, id: str, user: str | None) -> Record:
        keys = [self._session(id), self._index]
        return self._record(
            id, self._server.run("create", keys, id, user or "", self._idle, self._absolute, self._user(""))
        )

    def look(self, id: str) -> Record | None:
        meta = self._server.run("look", [*self._keys(id), self._index], id, self._idle, self._step, self._user(""))
        return None if meta is None else self._record(id, meta)

    def find(self, id: str) -> Record | None:
        found = self._records([id.encode()])
        return found[0] if found else None

    def rotate(self, id: str, new_id: str) -> Record:
        moved = self._move(id, new_id, "")
        assert moved is not None
        return moved

    def log_in(self, id: str, new_id: str, user: str) -> Record | None:
        return self._move(id, new_id, user)

    def destroy(self, id: str) -> bool:
        return bool(self._server.run("destroy", [*self._keys(id), self._index], id, self._user("")))

    def destroy_user(self, user: str, *, but: str | None = None) -> int:
        return int(self._server.run("destroy_user", [self._user(user), self._index], but or "", self._session("")))

    def of_user(self, user: str) -> Sequence[Record]:
        with self._server.faults():
            ids = self._server.client.zrevrange(self._user(user), 0, -1)
        return sorted(self._records(ids), key=lambda record: record.seen_at, reverse=True)

    def records(self, *, limit: int, offset: int = 0) -> Sequence[Record]:
        with self._server.faults():
            ids = self._server.client.zrevrange(self._index, offset, offset + limit - 1)
        return self._records(ids)

    def count(self) -> int:
        with self._server.faults():
            seconds, micros = self._server.client.time()
            return int(self._server.client.zcount(self._index, f"({seconds * 1000 + micros // 1000}", "+inf"))

    def sweep(self, limit: int) -> int:
        """Nothing: the server expires, and each new session clears the indexes."""
        return 0

    # history

    def append(self, id: str, place: Place, body: bytes) -> int:
        keys = self._keys(id)[:3]
        limits = self._limits
        reply = self._server.run("append", keys, place.value, body, limits.max_messages, limits.max_bytes)
        return int(_going_on(reply, limits))

    def history(self, id: str, last: int | None) -> Sequence[tuple[int, bytes]]:
        reply = self._server.run("history", self._keys(id)[:3], -last if last else 0)
        if reply is None:
            raise SessionNotFoundError
        pinned, others = reply
        return sorted(_entry(entry) for entry in (*pinned, *others))

    # state

    def state(self, id: str) -> Mapping[str, bytes]:
        with self._server.faults(), self._server.client.pipeline(transaction=True) as both:
            both.exists(self._session(id)).hgetall(f"{self._session(id)}:state")
            goes_on, state = both.execute()
        if not goes_on:
            raise SessionNotFoundError
        return {key.decode(): value for key, value in state.items()}

    def set_state(self, id: str, key: str, value: bytes) -> None:
        reply = self._server.run("set_state", self._keys(id)[::3], key, value, self._limits.max_keys)
        _going_on(reply, self._limits)

    def add_to_state(self, id: str, key: str, number: int) -> int:
        reply = self._server.run("add_to_state", self._keys(id)[::3], key, number, self._limits.max_keys)
        if reply == b"no integer":
            raise InvalidSessionError(f"state: expected a sum of 64 bits, and an integer in {key!r} or nothing")
        return int(_going_on(reply, self._limits))

    def delete_state(self, id: str, key: str) -> bool:
        with self._server.faults(), self._server.client.pipeline(transaction=True) as both:
            both.exists(self._session(id)).hdel(f"{self._session(id)}:state", key)
            goes_on, deleted = both.execute()
        if not goes_on:
            raise SessionNotFoundError
        return bool(deleted)

    # names

    def _session(self, id: str) -> str:
        return f"{self._prefix}:session:{id}"

    def _keys(self, id: str) -> list[str]:
        session = self._session(id)
        return [session, f"{session}:history", f"{session}:pinned", f"{session}:state"]

    def _user(self, user: str) -> str:
        return f"{self._prefix}:user:{user}"

    def _move(self, id: str, new_id: str, user: str) -> Record | None:
        keys = [*self._keys(id), *self._keys(new_id), self._index]
        reply = self._server.run("move", keys, id, new_id, user, self._idle, self._absolute, self._user(""))
        if reply == b"of another user":
            return None
        return self._record(new_id, _going_on(reply, self._limits))

    def _records(self, ids: Sequence[bytes]) -> list[Record]:
        with self._server.faults(), self._server.client.pipeline(transaction=False) as all_of_them:
            for id in ids:
                all_of_them.hmget(self._session(id.decode()), FIELDS)
            metas = all_of_them.execute()
        return [self._record(id.decode(), meta) for id, meta in zip(ids, metas, strict=True) if meta[0] is not None]

    def _record(self, id: str, meta: Sequence[Any]) -> Record:
        user, created, seen, expires, ends, messages, size = meta
        return Record(
            id, user.decode() or None, _instant(created), _instant(seen), _instant(expires), _instant(ends),
            int(messages), int(size),
        )  # fmt: skip


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


def _instant(millis: Any) -> datetime:
    return from_micros(int(millis) * 1000)
