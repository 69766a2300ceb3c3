"""Searching: how many steps the triggers that lie in each other may take together to find one fire time.

The rule: every loop that passes over fire times takes `steps`, and those of a search within a search are its own.
So a thousand steps each of which takes a thousand come to an end as well, and then nothing was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from datetime import datetime, timedelta
from types import TracebackType

from tickwork.clock import END, EPOCH
from tickwork.triggers.base import Trigger, last_change
from tickwork.triggers.zones import DAY, FIRST_SECOND, LAST_SECOND

MAX_STEPS = 10_000
"""Of one search: 27 years of days."""


class OutOfStepsError(Exception):
    """A search has taken all its steps. The outermost `Search` ends it."""


class Purse:
    """How many steps a search has left."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_STEPS


going_on: ContextVar[Purse | None] = ContextVar("search", default=None)
"""The purse of the search of this thread; None if there is none."""


class Search:
    """`with Search(): return ...`, and what follows is reached when there were too few steps to find anything."""

    __slots__ = ("_outermost",)

    def __enter__(self) -> None:
        self._outermost = going_on.get() is None
        if self._outermost:
            going_on.set(Purse())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not self._outermost:
            return False
        going_on.set(None)
        return kind is OutOfStepsError


def dead_from(trigger: Trigger) -> datetime:
    """From when on *trigger* never fires, as one search shows once all the dates in it are over. END: it goes on.

    So a trigger is asked when it is made what would take each later question a search of its own.
    """
    over = min(last_change(trigger) + DAY, LAST_SECOND)  # walls are at most a day ahead of UTC
    settled = EPOCH + timedelta(0, max(over, FIRST_SECOND))
    with Search():
        return settled if trigger.next_after(settled) is None else END
    return settled


def take(count: int) -> None:
    """Take so many steps from the search that goes on, if there is one."""
    purse = going_on.get()
    if purse is not None:
        if purse.left < count:
            raise OutOfStepsError
        purse.left -= count


def steps(each: int = 1) -> Iterator[int]:
    """0, 1, 2 and so on; each of them counts for *each* steps of the search that goes on."""
    number = 0
    while True:
        take(each)
        yield number
        number += 1
