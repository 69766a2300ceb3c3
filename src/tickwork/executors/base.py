"""What an executor is: it runs calls somewhere else.

The rule: an executor knows no store and makes no decision. What it is given it either reports, exactly
once, or hands back unbegun.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from tickwork.executors.call import Call
from tickwork.run import Outcome

Report: TypeAlias = Callable[[Call, Outcome], None]
"""Takes the outcome of a call; from any thread, once per call. Never raises, never blocks."""


class Executor(Protocol):
    """Runs calls somewhere else. Only `report` is called from other threads than the scheduler's."""

    def start(self, report: Report) -> None:
        """Be ready for calls; may follow `stop`."""
        ...

    def free(self) -> int:
        """How many calls it would begin soon."""
        ...

    def submit(self, calls: Sequence[Call]) -> None:
        """Begin these calls, in this order. Never raises, never blocks."""
        ...

    def take_back(self) -> Sequence[Call]:
        """The calls that were submitted and have not begun; they will not, and are not reported."""
        ...

    def cancel(self, call: Call) -> bool:
        """Ask a call to end, which it then reports as lost. False if it cannot be asked."""
        ...

    def stop(self) -> None:
        """Accept no more; what has begun goes on. Never blocks."""
        ...
