"""What a trigger is.

The rule: a trigger is a frozen value, and `next_after` a pure function of time. It never looks at
the clock, never remembers an answer, and never moves because it was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self


class Trigger(Protocol):
    """When: it names the fire times of a job."""

    kind: ClassVar[str]
    """The word that stands for this trigger in `add_job(func, kind, ...)` and in JSON."""

    def next_after(self, instant: datetime) -> datetime | None:
        """The first fire time strictly after *instant*, or None if there is none.

        Pure: the same instant always has the same answer. Aware in, aware UTC out.
        """
        ...

    def anchored(self, at: datetime, seed: str = "") -> Self:
        """The same trigger with whatever it leaves open fixed: an interval's start at *at*, the choice
        of what spreads load by *seed*, the job's id.

        A trigger that leaves nothing open is its own answer. Only anchored triggers are stored,
        so that a restart never shifts a phase.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """The trigger as plain JSON, `kind` included."""
        ...

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The trigger that `to_json` wrote down."""
        ...
