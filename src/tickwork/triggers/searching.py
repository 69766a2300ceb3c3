"""Searching: how many steps the triggers that lie in each other may take together to find one fire time.

The rule: every loop that passes over fire times takes `steps`, and those of a search within a search are its own.
So a thousand steps each of which takes a thousand come to an end as well, and then nothing was found.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType

MAX_STEPS = 10_000
"""Of one search: 27 years of days."""


class OutOfStepsError(Exception):
    """A search has taken all its steps. The outermost `Search` ends it."""


class _Going(threading.local):
    left: int | None = None
    """How many steps the search of this thread has left; None if there is none."""


_going = _Going()


class Search:
    """`with Search(): return ...`, and what follows is reached when there were too few steps to find anything."""

    __slots__ = ("_outermost",)

    def __enter__(self) -> None:
        self._outermost = _going.left is None
        if self._outermost:
            _going.left = MAX_STEPS

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not self._outermost:
            return False
        _going.left = None
        return kind is OutOfStepsError


def take(count: int) -> None:
    """Take so many steps from the search that goes on, if there is one."""
    left = _going.left
    if left is not None:
        if left < count:
            raise OutOfStepsError
        _going.left = left - count


def steps(each: int = 1) -> Iterator[int]:
    """0, 1, 2 and so on; each of them counts for *each* steps of the search that goes on."""
    number = 0
    while True:
        take(each)
        yield number
        number += 1
