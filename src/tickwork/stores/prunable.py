"""Which rows of a job's ledger are kept no longer, as SQL asks for them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from tickwork.clock import to_micros
from tickwork.retention import Retention

NEVER = -(2**63)
"""Before all instants, and before all numbers of rows."""


class Prunable(NamedTuple):
    """From where on the rows of a job are kept: those before *counted* are too many, those before *aged* too old."""

    uid: int
    counted: int
    aged: int

    @classmethod
    def of(cls, uid: int, keep: Retention, newest: int | None, now: datetime) -> Prunable:
        """*newest* is the number of the last row that a count keeps; None: it keeps all."""
        cutoff = keep.cutoff(now)
        return cls(uid, NEVER if newest is None else newest, NEVER if cutoff is None else to_micros(cutoff))
