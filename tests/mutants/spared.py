"""Guards that no test can miss, and why: without them the store decides as it does with them."""

from __future__ import annotations

import re

from tests.mutants.stores import Planted

BESIDE_ANOTHER = "implied by what stands beside it, and there for the sake of an index, which its plan shows"
A_GLANCE = "a look that spares a lock: what it lets through is asked again under the lock"
UNDER_A_LOCK = "decided on what was read under the same lock, so that nothing can have changed; compared all the same"
BORN_ONCE = "only who settles attempt n bears attempt n + 1, so that it cannot be there; compared all the same"

PLACES = {
    "sqlite ANY_DUE": A_GLANCE,
    "sqlite ANY_PENDING": A_GLANCE,
    "sqlite ANY_OPEN_BACKFILL": A_GLANCE,
}
"""Statements and scripts of which no guard decides anything."""
GUARDS = {
    "sqlite ADVANCE_JOB": {"version = ?": UNDER_A_LOCK},
    "sqlite CLAIM_RUN": {"version = ?": UNDER_A_LOCK, "state = 'pending'": UNDER_A_LOCK},
    "sqlite CANCEL_ORPHAN": {"job_uid = ?": "no other job that was removed has a run that waits"},
}
"""By statement or script: a guard as it stands there."""


def why_spared(planted: Planted) -> str | None:
    """None: it is not."""
    place, guard = f"{planted.store} {planted.place}", planted.guard
    return PLACES.get(place) or GUARDS.get(place, {}).get(guard) or (BESIDE_ANOTHER if _is_implied(planted) else None)


def _is_implied(planted: Planted) -> bool:
    """Whether it says of a column that it is there, or of a state that it is open, where its neighbour says more."""
    if planted.store == "redis":
        return False
    if planted.guard == "state in ('pending', 'running')":
        return "and state = '" in planted.line
    column = re.escape(planted.guard.removesuffix(" is not null"))
    return planted.guard.endswith(" is not null") and bool(
        re.search(rf"and \(?{column} (?:<=|>|<|>=|between)", planted.line)
    )
