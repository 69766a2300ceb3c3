"""What was logged inside of a run, as it is kept with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LogLine:
    """One record of `logging`."""

    at: datetime
    """When it was logged, by the store's clock."""
    level: str
    """Its name, such as WARNING."""
    logger: str
    text: str
    """The message; the traceback, if it came with one, follows in further lines."""


@dataclass(frozen=True, slots=True)
class RunLog:
    """The log of a run: all of it, or the beginning and the end of one that was too long."""

    beginning: tuple[LogLine, ...] = ()
    end: tuple[LogLine, ...] = ()
    left_out: int = 0
    """How many lines between the two are not kept."""
    left_out_length: int = 0
    """How many characters these had."""

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """Those that are kept, in their order."""
        return self.beginning + self.end


NO_LOG = RunLog()
