"""What a node has written lately: should the server lose it, the node says it again.

The rule: of a row the latest version counts, here as there; so to say it twice, or too late, does no harm.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

SPAN = 30.0
"""Seconds for which it is remembered: a server that syncs its disk each second, or a replica, is not further behind."""
MAX_ROWS = 50_000
"""How many rows are remembered, at most: some 20 MB."""

Rows: TypeAlias = Mapping[str, str]
"""By uids of jobs, or ids of runs. A dict of texts costs the collector of garbage nothing, and pairs much."""
NO_ROWS: Rows = MappingProxyType({})
Definitions: TypeAlias = Mapping[str, tuple[str, str]]
"""Ids and definitions of jobs, by uid."""


class Entry(NamedTuple):
    """What one call has written, or all that is remembered."""

    jobs: Rows
    definitions: Definitions
    runs: Rows
    removed: Sequence[str]
    """The uids of jobs."""

    @property
    def size(self) -> int:
        return len(self.jobs) + len(self.runs) + len(self.removed)


class Journal:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: deque[tuple[float, Entry]] = deque()
        self._rows = 0
        self._lock = threading.Lock()

    def note(
        self,
        *,
        jobs: Rows = NO_ROWS,
        definitions: Definitions | None = None,
        runs: Rows = NO_ROWS,
        removed: Sequence[str] = (),
    ) -> None:
        """Remember what the server has confirmed."""
        now, entry = time.monotonic(), Entry(jobs, definitions or {}, runs, removed)
        with self._lock:
            self._entries.append((now, entry))
            self._rows += entry.size
            while self._entries and (self._entries[0][0] < now - SPAN or self._rows > MAX_ROWS):
                self._rows -= self._entries.popleft()[1].size

    def read(self) -> Entry:
        """All that is remembered, the latest row of each."""
        with self._lock:
            entries = [entry for _, entry in self._entries]
        removed = {uid for entry in entries for uid in entry.removed}
        jobs = {uid: row for entry in entries for uid, row in entry.jobs.items()}
        definitions = {uid: written for entry in entries for uid, written in entry.definitions.items()}
        runs = {id: row for entry in entries for id, row in entry.runs.items()}
        kept = {uid: row for uid, row in jobs.items() if uid not in removed}
        return Entry(kept, definitions, runs, [*removed])
