"""The calls that a node claimed ahead: they wait here, in memory, for their exact time.

The rule: what lies here has not begun, and can be taken out again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from operator import attrgetter

from tickwork.executors.call import Call

_due_at: Callable[[Call], datetime] = attrgetter("run.available_at")


class HeldCalls:
    """Calls by executor, the first to begin first."""

    def __init__(self) -> None:
        self._calls: dict[str, list[Call]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._calls.values()))

    @property
    def first_at(self) -> datetime | None:
        """When the next of them begins. None: none waits."""
        return min((_due_at(calls[0]) for calls in self._calls.values()), default=None)

    def count_for(self, executor: str) -> int:
        return len(self._calls.get(executor, ()))

    def of_job(self, uid: int) -> Sequence[Call]:
        return [call for calls in self._calls.values() for call in calls if call.job.uid == uid]

    def everything(self) -> Sequence[Call]:
        return [call for calls in self._calls.values() for call in calls]

    def add(self, executor: str, calls: Sequence[Call]) -> None:
        if calls:
            waiting = self._calls.setdefault(executor, [])
            waiting += calls
            waiting.sort(key=_due_at)  # two sorted stretches, mostly: merged at the price of a walk

    def take_due(self, now: datetime) -> Mapping[str, Sequence[Call]]:
        """Those whose time has come, out of here."""
        due = {}
        for executor, calls in [*self._calls.items()]:
            count = bisect_right(calls, now, key=_due_at)
            if count:
                due[executor] = calls[:count]
                self._keep(executor, calls[count:])
        return due

    def drop(self, calls: Collection[Call]) -> None:
        dropped = {*calls}
        for executor, waiting in [*self._calls.items()]:
            self._keep(executor, [call for call in waiting if call not in dropped])

    def _keep(self, executor: str, calls: list[Call]) -> None:
        if calls:
            self._calls[executor] = calls
        else:
            del self._calls[executor]
