"""What a store of sessions does. The suite `tests/sessions/laws.py` is its definition.

The rule: each verb is one transaction, and the store's clock decides what has expired. A store makes nothing out of
an id that it does not know: a session that has ended never comes back in part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from tickwork.sessions.record import Place, Record


class SessionStore(Protocol):
    """Where sessions live."""

    @property
    def location(self) -> str:
        """Where, without a password."""
        ...

    @property
    def sweeps(self) -> bool:
        """Whether what has expired stays until `sweep` is called."""
        ...

    @property
    def cache(self) -> CacheStore:
        """Cached values in the same place, opened and closed with it."""
        ...

    def open(self) -> None:
        """Make ready, and find out what is wrong. May be called again. Raises StoreError."""
        ...

    def close(self) -> None: ...

    # sessions

    def create(self, id: str, user: str | None) -> Record: ...

    def look(self, id: str) -> Record | None:
        """The session, whose end is put off if it was not used for `Limits.step`; None if it has ended."""
        ...

    def find(self, id: str) -> Record | None:
        """The session, whose end is not put off: for those who only look on. None if it has ended."""
        ...

    def rotate(self, id: str, new_id: str) -> Record:
        """Move the session to another id. Raises SessionNotFoundError."""
        ...

    def log_in(self, id: str, new_id: str, user: str) -> Record | None:
        """Move the session to another id, make it the user's, and let its time begin anew.

        None, and nothing is changed, if it is another user's. Raises SessionNotFoundError.
        """
        ...

    def destroy(self, id: str) -> bool:
        """End the session; whether it went on."""
        ...

    def destroy_user(self, user: str, *, but: str | None = None) -> int:
        """End all sessions of a user, *but* one; how many went on."""
        ...

    def of_user(self, user: str) -> Sequence[Record]:
        """The sessions of a user that go on, the last one used first."""
        ...

    def records(self, *, limit: int, offset: int = 0) -> Sequence[Record]:
        """The sessions that go on, those that expire last first."""
        ...

    def count(self) -> int:
        """How many sessions go on."""
        ...

    def sweep(self, limit: int) -> int:
        """Delete what has expired, at most so many sessions; how many."""
        ...

    # history: raises SessionNotFoundError

    def append(self, id: str, place: Place, body: bytes) -> int:
        """The number of the new message. The oldest turns are trimmed; SessionFullError if that is not enough."""
        ...

    def history(self, id: str, last: int | None) -> Sequence[tuple[int, bytes]]:
        """The pinned messages, and of the others all or the last ones, in their order."""
        ...

    # state: raises SessionNotFoundError

    def state(self, id: str) -> Mapping[str, bytes]: ...

    def set_state(self, id: str, key: str, value: bytes) -> None:
        """Raises SessionFullError if there are `Limits.max_keys` others."""
        ...

    def add_to_state(self, id: str, key: str, number: int) -> int:
        """The sum. Raises SessionFullError, and InvalidSessionError if the value is no integer of 64 bits."""
        ...

    def delete_state(self, id: str, key: str) -> bool: ...


class CacheStore(Protocol):
    """Where cached values live, and leases: who computes a value that is not there, and how long that is believed."""

    def get(self, key: str) -> bytes | None: ...

    def set(self, key: str, value: bytes, ttl: timedelta) -> None:
        """Keep the value. Whoever computes one at this moment does so in vain: this one is newer."""
        ...

    def delete(self, key: str) -> bool:
        """Forget the value; whether there was one. Whoever computes one at this moment does so in vain."""
        ...

    def begin(self, key: str, owner: str, lease: timedelta) -> bytes | timedelta | None:
        """The value; or how long the lease of another lasts that computes it; or None: *owner* has the lease now."""
        ...

    def finish(self, key: str, owner: str, value: bytes, ttl: timedelta) -> bool:
        """Keep the value and give the lease back; False, and nothing is changed, if it is not the owner's any more."""
        ...

    def give_up(self, key: str, owner: str) -> None:
        """Give the lease back, if it is the owner's."""
        ...

    def sweep(self, limit: int) -> int:
        """Delete what has expired, at most so many values; how many."""
        ...


def full(limit: str, most: int) -> str:
    """The sentence of a SessionFullError."""
    what = "keys of its state" if limit == "max_keys" else "its pinned messages and its last turn"
    return f"expected at most {most:,} for {what} ({limit}), got more: raise {limit}, or begin a new turn or session"
