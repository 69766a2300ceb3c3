"""Pruning: a node's walk over the ledger, job by job, a few rows at a time.

The rule: a step is short, and between two of them there is room for whatever is due.
"""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

from tickwork.retention import Retention
from tickwork.stores.base import Store

REST = timedelta(milliseconds=50)
"""The shortest time between two steps."""
JOBS = 10
"""How many jobs one step looks at."""
ROWS = 200
"""How many rows one step deletes."""
FEW_ROWS = 50
"""The same when something else is due soon."""


class Pruning:
    """When the next step is due, and where it goes on.

    Every node prunes the whole ledger, once each *every*, at a moment that its name chooses: what one has deleted
    the next one does not find, so nobody need be in charge.
    """

    def __init__(self, store: Store, keep: Retention, *, node: str, every: timedelta, now: datetime) -> None:
        self.store = store
        self.keep = keep
        self.every = every
        self._share = zlib.crc32(node.encode()) / 2**32
        self.begin_at_its_moment(now)

    def begin_at_its_moment(self, now: datetime) -> None:
        """Plan the next walk, from *now* on; also when the clock was set back, and what was planned is far off."""
        self.look_at = now + self.every * self._share
        self._began_at = now
        self._after = -1

    def step(self, now: datetime, *, hurry: bool) -> None:
        """Look at the next jobs. When that fails the walk begins again at its next time."""
        if self._after < 0:
            self._began_at = now
        after, self._after, self.look_at = self._after, -1, now + self.every
        pruned = self.store.prune(self.keep, after=after, jobs=JOBS, rows=FEW_ROWS if hurry else ROWS)
        if pruned.after is None:
            self.look_at = max(self._began_at + self.every, now + REST)
        else:
            self._after, self.look_at = pruned.after, now + REST
