"""What comes due when, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Name = TypeVar("Name")


class Agenda(Generic[Name]):
    """What comes due when: a heap whose outdated entries are dropped as they surface.

    An entry counts while *current* still gives its instant for its name, so nothing needs deleting.
    """

    def __init__(self, current: Callable[[Name], datetime | None]) -> None:
        self._current = current
        self._heap: list[tuple[datetime, Name]] = []
        self._late: list[tuple[datetime, Name]] = []
        """A heap, too: what was passed over, since it was asked for what comes later."""
        self._since: datetime | None = None
        """From when on it was asked the last time that it mattered."""
        self._tidy_at = 64

    def put(self, name: Name, at: datetime) -> None:
        heappush(self._heap, (at, name))
        if len(self._heap) > self._tidy_at:
            self._heap = [*{entry for entry in self._heap if self._current(entry[1]) == entry[0]}]
            heapify(self._heap)
            self._tidy_at = 64 + 2 * len(self._heap)

    def take(self, end: datetime, since: datetime | None = None) -> Iterator[Name]:
        """The names due by *end* and from *since* on, the earliest first; each must be `put` again if it stays due."""
        last = None
        while (entry := self._pop(end, since)) is not None:
            if self._current(entry[1]) == entry[0] and entry != last:
                last = entry
                yield entry[1]

    def _pop(self, end: datetime, since: datetime | None) -> tuple[datetime, Name] | None:
        heap, late = self._heap, self._late
        if since is not None:
            if self._since is not None and since < self._since:  # the clock was set back: nothing was passed over
                while late:
                    heappush(heap, late.pop())
            self._since = since
            while heap and heap[0][0] < since:
                heappush(late, heappop(heap))
        elif late and (not heap or late[0] < heap[0]):
            heap = late
        return heappop(heap) if heap and heap[0][0] <= end else None

    def forget_until(self, instant: datetime) -> datetime | None:
        """The first instant strictly after *instant*; nobody asks for those before it again."""
        heap, current = self._heap, self._current
        while heap and (heap[0][0] <= instant or current(heap[0][1]) != heap[0][0]):
            heappop(heap)
        return heap[0][0] if heap else None

    def next_after(self, instant: datetime) -> datetime | None:
        """The first instant strictly after *instant*."""
        heap, due = self._heap, []
        while heap and (heap[0][0] <= instant or self._current(heap[0][1]) != heap[0][0]):
            entry = heappop(heap)
            if self._current(entry[1]) == entry[0]:
                due.append(entry)
        first = heap[0][0] if heap else None
        for entry in due:
            heappush(heap, entry)
        return first
