"""Fire times that the ledger has already when they are fired: nothing is born, so that nothing runs twice."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tickwork.plan import Change

MAX_NAMED = 10
"""Of how many jobs one line of the log tells."""

log = logging.getLogger("tickwork.store")


def tell_known(decided: Sequence[Change], written: Sequence[Change]) -> None:
    """Say in the log of which jobs fewer runs were written than had been decided on.

    The schedule of a job stood before what its ledger has: somebody should know why.
    """
    known = [now.job.id for before, now in zip(decided, written, strict=True) if len(now.runs) < len(before.runs)]
    if known:
        more = f" and {len(known) - MAX_NAMED} more" if len(known) > MAX_NAMED else ""
        log.error("some fire times of %s%s were in the ledger already", known[:MAX_NAMED], more)
