"""Guards that no test can miss, and why: without them the store decides as it does with them."""

from __future__ import annotations

import re

from tests.mutants.stores import Planted

BESIDE_ANOTHER = "implied by what stands beside it, and there for the sake of an index, which its plan shows"
A_GLANCE = "a look that spares a lock: what it lets through is asked again under the lock"
UNDER_A_LOCK = "decided on what was read under the same lock, so that nothing can have changed; compared all the same"

NO_ORPHANS = "what waits, and a backfill that goes on, has a job: who removes it ends them in the same write"
SPARES_WORK = "spares work alone: without it more is read, or written again, and the same comes of it"
NARROWS = "reads no more than is asked for: what else it lets through is looked up by nobody"

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
    "redis claim": {
        "if #claimed == limit then :: #claimed == limit -> false": SPARES_WORK,
        "if since == '' and #claimed < limit then :: #claimed < limit -> true": SPARES_WORK,
        "not seen[uid] -> true": SPARES_WORK,
        "job -> true": NO_ORPHANS,
    },
    "redis due": {
        "call('EXISTS', P .. ':open') == 1 -> true": SPARES_WORK,
        "any_open -> true": SPARES_WORK,
    },
    "redis fill": {"not job -> false": NO_ORPHANS},
    "redis fire": {"call('EXISTS', P .. ':pending') == 1 -> true": SPARES_WORK},
    "redis settle": {
        "call('EXISTS', P .. ':pending') == 1 -> true": SPARES_WORK,
        "plain[place] == 1 -> false": SPARES_WORK,
    },
    "redis lost": {"next(dead) -> true": SPARES_WORK},
    "redis open_backfills": {"job -> true": NO_ORPHANS},
    "redis prune": {
        "limit == -math.huge -> false": SPARES_WORK,
        "run[STATE] ~= 'succeeded' -> true": SPARES_WORK,
    },
}
"""By statement or script: a guard as it stands there, with what it is forced to if it is needed otherwise, and with its
line if the like stands on another one."""


def why_spared(planted: Planted) -> str | None:
    """None: it is not."""
    place, whole = f"{planted.store} {planted.place}", planted.mutant.guard
    listed = GUARDS.get(place, {})
    for name in (whole, whole.partition(" :: ")[2], planted.guard):
        if name in listed:
            return listed[name]
    return PLACES.get(place) or (BESIDE_ANOTHER if _is_implied(planted) else None)


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
