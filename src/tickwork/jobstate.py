"""A job's state: a few values that its runs hand on to each other, and what becomes of it when they change it.

The rule: who writes a key has read it. A key that somebody else has written since makes the whole change fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """The value of one key."""

    version: int
    """The version of the state that it was written with."""
    value: Any


class StoredState(NamedTuple):
    """The state of one job as its store has it."""

    version: int = 0
    """Raised by every write. 0: nothing was ever written."""
    entries: Mapping[str, Entry] = {}

    @property
    def values(self) -> dict[str, Any]:
        return {key: entry.value for key, entry in self.entries.items()}

    def version_of(self, key: str) -> int:
        """The version that *key* was written with. 0: it is not there."""
        entry = self.entries.get(key)
        return 0 if entry is None else entry.version


NO_STATE = StoredState()


class StateChange(NamedTuple):
    """What becomes of some keys of a job's state, decided on what was read of them."""

    job_uid: int
    read: Mapping[str, int]
    """The keys that are written or removed, with the version that was read of each."""
    written: Mapping[str, Any]
    """Their values; those that have none here are removed."""


def changed(stored: StoredState, change: StateChange) -> StoredState | None:
    """The state after *change*; None if one of its keys was written since it was read, and nothing is."""
    if any(stored.version_of(key) != version for key, version in change.read.items()):
        return None
    version = stored.version + 1
    kept = {key: entry for key, entry in stored.entries.items() if key not in change.read}
    return StoredState(version, {**kept, **{key: Entry(version, value) for key, value in change.written.items()}})
