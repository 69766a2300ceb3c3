"""The store of sessions in one SQLite file, which all processes of a machine share.

The rule: what takes something away from a client (a rotated token, a session that was destroyed) is on the disk before
the call returns. All else survives the death of any process, but a power cut may take its last moment.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tickwork.clock import MICROSECOND, Clock, SystemClock, from_micros, to_micros
from tickwork.errors import InvalidSessionError, SessionFullError, SessionNotFoundError
from tickwork.sessions.limits import Limits
from tickwork.sessions.record import Place, Record
from tickwork.sessions.stores.base import full
from tickwork.sessions.stores.sqlite import statements as sql
from tickwork.sessions.stores.sqlite.cache import SQLiteCacheStore
from tickwork.sessions.stores.sqlite.file import SessionsFile

BIGGEST = 2**63
INTEGER = re.compile(rb"-?\d{1,19}")


class SQLiteSessionStore:
    """Sessions in the SQLite file at *path*, which is made if there is none."""

    sweeps = True

    def __init__(self, path: str | Path, *, name: str, limits: Limits, clock: Clock | None = None) -> None:
        self._file = SessionsFile(path)
        self.location = self._file.location
        self._name = name
        self._limits = limits
        self._clock: Clock = clock or SystemClock()
        self._idle, self._absolute, self._step = (
            length // MICROSECOND for length in (limits.idle, limits.absolute, limits.step)
        )
        self.cache = SQLiteCacheStore(self._file, name=name, clock=self._clock)

    def open(self) -> None:
        self._file.open()

    def close(self) -> None:
        self._file.close()

    # sessions

    def create(self, id: str, user: str | None) -> Record:
        given = self._given(id=id, user=user)
        with self._file.writing() as connection:
            connection.execute(sql.INSERT, given)
            return self._select(connection, given)

    def look(self, id: str) -> Record | None:
        given = self._given(id=id)
        with self._file.reading() as connection:
            row = connection.execute(sql.SELECT, given).fetchone()
        if row is None:
            return None
        record = _record(row)
        if given["now"] - to_micros(record.seen_at) < self._step:
            return record
        with self._file.writing() as connection:
            if not connection.execute(sql.TOUCH, given).rowcount:
                return None
            return self._select(connection, given)

    def find(self, id: str) -> Record | None:
        with self._file.reading() as connection:
            row = connection.execute(sql.SELECT, self._given(id=id)).fetchone()
        return None if row is None else _record(row)

    def rotate(self, id: str, new_id: str) -> Record:
        given = self._given(id=id, new_id=new_id)
        with self._file.writing(synced=True) as connection:
            if not connection.execute(sql.ROTATE, given).rowcount:
                raise SessionNotFoundError
            return self._select(connection, given | {"id": new_id})

    def log_in(self, id: str, new_id: str, user: str) -> Record | None:
        given = self._given(id=id, new_id=new_id, user=user)
        with self._file.writing(synced=True) as connection:
            if connection.execute(sql.LOG_IN, given).rowcount:
                return self._select(connection, given | {"id": new_id})
            if connection.execute(sql.SELECT, given).fetchone() is None:
                raise SessionNotFoundError
            return None

    def destroy(self, id: str) -> bool:
        given = self._given(id=id)
        with self._file.writing(synced=True) as connection:
            goes_on = connection.execute(sql.SELECT_NUMBER, given).fetchone() is not None
            connection.execute(sql.DESTROY, given)
            return goes_on

    def destroy_user(self, user: str, *, but: str | None = None) -> int:
        given = self._given(user=user, but=but)
        with self._file.writing(synced=True) as connection:
            (going_on,) = connection.execute(sql.COUNT_USER, given).fetchone()
            connection.execute(sql.DESTROY_USER, given)
            return int(going_on)

    def of_user(self, user: str) -> Sequence[Record]:
        with self._file.reading() as connection:
            return [_record(row) for row in connection.execute(sql.SELECT_USER, self._given(user=user))]

    def records(self, *, limit: int, offset: int = 0) -> Sequence[Record]:
        with self._file.reading() as connection:
            return [_record(row) for row in connection.execute(sql.SELECT_ALL, self._given(limit=limit, offset=offset))]

    def count(self) -> int:
        with self._file.reading() as connection:
            return int(connection.execute(sql.COUNT, self._given()).fetchone()[0])

    def sweep(self, limit: int) -> int:
        with self._file.writing() as connection:
            return connection.execute(sql.SWEEP, self._given(limit=limit)).rowcount

    # history

    def append(self, id: str, place: Place, body: bytes) -> int:
        most_messages, most_bytes = self._limits.max_messages, self._limits.max_bytes
        with self._file.writing() as connection:
            row = connection.execute(sql.SELECT_ROOM, (id, self._name, self._now())).fetchone()
            if row is None:
                raise SessionNotFoundError
            session, last, turn, messages, size = row
            number: int = last + 1
            messages, size = messages + 1, size + len(body)
            if place is Place.BEGINS or (place is Place.CONTINUES and not turn):
                turn = number
            if messages > most_messages or size > most_bytes:
                messages, size = self._trim(connection, session, turn, messages, size)
            its_turn = 0 if place is Place.PINNED else turn
            connection.execute(sql.INSERT_MESSAGE, (session, number, its_turn, body))
            connection.execute(sql.UPDATE_ROOM, (number, turn, messages, size, session))
        return number

    def history(self, id: str, last: int | None) -> Sequence[tuple[int, bytes]]:
        with self._file.reading() as connection:
            session = self._number(connection, id)
            return connection.execute(
                sql.SELECT_HISTORY,
                {"session": session, "last": self._limits.max_messages + 1 if last is None else last},
            ).fetchall()

    # state

    def state(self, id: str) -> Mapping[str, bytes]:
        with self._file.reading() as connection:
            return dict(connection.execute(sql.SELECT_STATE, (self._number(connection, id),)).fetchall())

    def set_state(self, id: str, key: str, value: bytes) -> None:
        with self._file.writing() as connection:
            self._keep_value(connection, self._number(connection, id), key, value)

    def add_to_state(self, id: str, key: str, number: int) -> int:
        with self._file.writing() as connection:
            session = self._number(connection, id)
            row = connection.execute(sql.SELECT_VALUE, (session, key)).fetchone()
            value = b"0" if row is None else row[0]
            total = int(value) + number if INTEGER.fullmatch(value) else BIGGEST
            if not -BIGGEST <= total < BIGGEST:
                raise InvalidSessionError(f"state: expected a sum of 64 bits, and an integer in {key!r} or nothing")
            self._keep_value(connection, session, key, str(total).encode())
        return total

    def delete_state(self, id: str, key: str) -> bool:
        with self._file.writing() as connection:
            return bool(connection.execute(sql.DELETE_VALUE, (self._number(connection, id), key)).rowcount)

    # inside a transaction

    def _select(self, connection: sqlite3.Connection, given: Mapping[str, Any]) -> Record:
        return _record(connection.execute(sql.SELECT, given).fetchone())

    def _number(self, connection: sqlite3.Connection, id: str) -> int:
        row = connection.execute(sql.SELECT_NUMBER, self._given(id=id)).fetchone()
        if row is None:
            raise SessionNotFoundError
        return int(row[0])

    def _trim(
        self, connection: sqlite3.Connection, session: int, current: int, messages: int, size: int
    ) -> tuple[int, int]:
        """Delete the oldest turns, as many as it takes and never the *current* one; what then is there."""
        limits = self._limits
        oldest = 0
        for turn, length in connection.execute(sql.SELECT_TURNS, (session,)):
            if turn != oldest:
                if messages <= limits.max_messages and size <= limits.max_bytes:
                    connection.execute(sql.DELETE_TURNS, (session, turn))
                    return messages, size
                if turn == current:
                    break
                oldest = turn
            messages, size = messages - 1, size - length
        if messages <= limits.max_messages and size <= limits.max_bytes:
            connection.execute(sql.DELETE_TURNS, (session, current))
            return messages, size
        limit = "max_messages" if messages > limits.max_messages else "max_bytes"
        raise SessionFullError(full(limit, getattr(limits, limit)))

    def _keep_value(self, connection: sqlite3.Connection, session: int, key: str, value: bytes) -> None:
        (others,) = connection.execute(sql.COUNT_OTHER_KEYS, (session, key)).fetchone()
        if others >= self._limits.max_keys:
            raise SessionFullError(full("max_keys", self._limits.max_keys))
        connection.execute(sql.UPSERT_VALUE, (session, key, value))

    def _given(self, **parameters: Any) -> dict[str, Any]:
        now = self._now()
        ends = now + self._absolute
        return {
            "name": self._name, "now": now, "idle_end": now + self._idle, "ends": ends,
            "expires": min(now + self._idle, ends), **parameters,
        }  # fmt: skip

    def _now(self) -> int:
        return to_micros(self._clock.now())


def _record(row: Sequence[Any]) -> Record:
    id, user, created, seen, expires, ends, messages, size = row
    return Record(
        id, user, from_micros(created), from_micros(seen), from_micros(expires), from_micros(ends), messages, size
    )
