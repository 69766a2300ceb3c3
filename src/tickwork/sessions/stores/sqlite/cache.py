"""The cache in the SQLite file of sessions. A power cut may take its last moment, which can be computed again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tickwork.clock import MICROSECOND, Clock, to_micros
from tickwork.sessions.stores.sqlite import statements as sql
from tickwork.sessions.stores.sqlite.file import SessionsFile


class SQLiteCacheStore:
    """Cached values, and who computes those that are not there."""

    def __init__(self, file: SessionsFile, *, name: str, clock: Clock) -> None:
        self._file = file
        self._name = name
        self._clock = clock

    def get(self, key: str) -> bytes | None:
        with self._file.reading() as connection:
            row = connection.execute(sql.SELECT_CACHED, self._given(key)).fetchone()
        return None if row is None else row[0]

    def set(self, key: str, value: bytes, ttl: timedelta) -> None:
        given = self._given(key, value=value, expires=self._in(ttl))
        with self._file.writing() as connection:
            connection.execute(sql.UPSERT_CACHED, given)
            connection.execute(sql.REVOKE_LEASE, given)

    def delete(self, key: str) -> bool:
        given = self._given(key)
        with self._file.writing() as connection:
            kept = connection.execute(sql.SELECT_CACHED, given).fetchone() is not None
            connection.execute(sql.DELETE_CACHED, given)
            connection.execute(sql.REVOKE_LEASE, given)
        return kept

    def begin(self, key: str, owner: str, lease: timedelta) -> bytes | timedelta | None:
        given = self._given(key, owner=owner, until=self._in(lease))
        with self._file.reading() as connection:  # most find it, or find someone at it: neither is a write
            if (row := connection.execute(sql.SELECT_CACHED, given).fetchone()) is not None:
                return bytes(row[0])
            if (row := connection.execute(sql.SELECT_LEASE, given).fetchone()) is not None:
                return timedelta(microseconds=row[0] - given["now"])
        with self._file.writing() as connection:
            if (row := connection.execute(sql.SELECT_CACHED, given).fetchone()) is not None:
                return bytes(row[0])
            if connection.execute(sql.TAKE_LEASE, given).rowcount:
                return None
            (until,) = connection.execute(sql.SELECT_LEASE, given).fetchone()
            return timedelta(microseconds=until - given["now"])

    def finish(self, key: str, owner: str, value: bytes, ttl: timedelta) -> bool:
        given = self._given(key, owner=owner, value=value, expires=self._in(ttl))
        with self._file.writing() as connection:
            ours = bool(connection.execute(sql.GIVE_LEASE_BACK, given).rowcount)
            if ours:
                connection.execute(sql.UPSERT_CACHED, given)
        return ours

    def give_up(self, key: str, owner: str) -> None:
        with self._file.writing() as connection:
            connection.execute(sql.GIVE_LEASE_BACK, self._given(key, owner=owner))

    def sweep(self, limit: int) -> int:
        given = {"name": self._name, "now": self._now(), "limit": limit}
        with self._file.writing() as connection:
            connection.execute(sql.SWEEP_LEASES, given)
            return connection.execute(sql.SWEEP_CACHED, given).rowcount

    def _given(self, key: str, **parameters: Any) -> dict[str, Any]:
        return {"name": self._name, "key": key, "now": self._now(), **parameters}

    def _in(self, duration: timedelta) -> int:
        return self._now() + duration // MICROSECOND

    def _now(self) -> int:
        return to_micros(self._clock.now())
