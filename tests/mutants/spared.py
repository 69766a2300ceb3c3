"""Guards that no test can miss, and why: without them the store decides as it does with them."""

from __future__ import annotations

import re

from tests.mutants.stores import Planted

BESIDE_ANOTHER = "implied by what stands beside it, and there for the sake of an index, which its plan shows"
NO_MINIMUM = "stands there for the sake of an index: what is not there is not the least"
SPARES_WORK = "spares work alone: without it more is read, or written again, and the same comes of it"
NARROWS = "reads no more than is asked for: what else it lets through is looked up by nobody"

A_GLANCE = "a look that spares a lock: what it lets through is asked again under the lock"
BEHIND = "what else it lets through stands behind all that may begin, and is asked again under the lock"
CHOSEN_BY_IT = "its job was chosen by the same condition, which is asked again under its lock"
COME_SINCE = "passed over already where its ledger is looked for; asked again, as one may have come since"
UNDER_A_LOCK = "decided on what was read under the same lock, so that nothing can have changed; compared all the same"
SECOND_FENCE = "behind the locks under which runs are born: whoever gets round those is stopped here"

GONE = "asked of an id that no job has, of which it is known when it was removed"
NO_ORPHANS = "what waits, and a backfill that goes on, has a job: who removes it ends them in the same write"
ONE_ROW = "the table has one row, which its schema sees to"
ONE_STATE = "at one version a run has one state, and who has read the one has read the other"

EVERYWHERE = {"place = 1": ONE_ROW}
"""Guards that decide nothing wherever they stand."""
PLACES = {
    "sqlite ANY_DUE": A_GLANCE,
    "sqlite ANY_PENDING": A_GLANCE,
    "sqlite ANY_OPEN_BACKFILL": A_GLANCE,
}
"""Statements and scripts of which no guard decides anything."""
IN_A_GLANCE = {
    **dict.fromkeys(("lease_until is not null", "expires_at is not null", "expect_by is not null"), NO_MINIMUM),
    "state is not null": SPARES_WORK,
    "array(select node from tickwork_open_runs where cancel_reason is not null and state = 'running'), "
    ":: state = 'running' -> true": SPARES_WORK,
}
GUARDS = {
    "sqlite ADVANCE_JOB": {"version = ?": UNDER_A_LOCK},
    "sqlite CLAIM_RUN": {"version = ?": UNDER_A_LOCK, "state = 'pending'": UNDER_A_LOCK},
    "sqlite CENSUS_OF_RUNS": {"state in ('pending', 'running')": BESIDE_ANOTHER},
    "sqlite CANCEL_ORPHAN": {"job_uid = ?": "no other job that was removed has a run that waits"},
    "sqlite KNOWN_UIDS": {"uid in (select value from json_each(?))": NARROWS},
    "sqlite SELECT_EXPECTATIONS_OF": {"job_uid in (select value from json_each(?))": NARROWS},
    "sqlite SELECT_JOBS_BY_UID": {"uid in (select value from json_each(?))": NARROWS},
    "sqlite SELECT_LIFELINES": {"lifeline <> ''": SPARES_WORK},
    "sqlite SELECT_NUMBER": {"attempt = ?": "asked of the first attempt, which stands first in the index"},
    "sqlite SELECT_PENDING": {"?1 = -62135596800000000 -> false": SPARES_WORK},
    "sqlite SELECT_STANDING": {"uid in (select value from json_each(?))": NARROWS},
    "sqlite SELECT_STATES_OF": {"job_uid in (select value from json_each(?))": NARROWS},
    "sqlite TAKEN_IDS": {"id in (select value from json_each(?))": NARROWS},
    "postgresql ADVANCE_JOBS": {"job.version = given.version": UNDER_A_LOCK},
    "postgresql CANCEL_RUNNING": {"run.state = 'running'": ONE_STATE},
    "postgresql CANCEL_WAITING": {"run.state = 'pending'": ONE_STATE},
    "postgresql CLAIM_RUNS": {"run.version = given.version": UNDER_A_LOCK, "run.state = 'pending'": UNDER_A_LOCK},
    "postgresql DELETE_DISPOSABLE_JOB": {
        "not exists (select from tickwork_backfills where job_uid = $1 and ended_at is null)": COME_SINCE,
    },
    "postgresql ENSURE_STATE": {"uid = $1": "a state that says nothing is as good as none"},
    "postgresql FIRE_HELD_RUNS": {"job.version = given.version": UNDER_A_LOCK},
    "postgresql KNOWN_UIDS": {"uid = any($1::bigint[])": NARROWS},
    "postgresql LOCK_OUT": {"uid = $1": "locks no more than it has to"},
    "postgresql OUTLOOK": {"next_fire_time is not null": BESIDE_ANOTHER},
    "postgresql SELECT_CLAIMABLE_JOBS": {"run.available_at between $2 and $1": BEHIND},
    "postgresql SELECT_DUE": {"next_fire_time is not null": BESIDE_ANOTHER},
    "postgresql SELECT_LAST_REMOVED": {"removed_at is not null": GONE},
    "postgresql SELECT_REMOVED_UIDS": {"removed_at is not null": GONE},
    "postgresql SELECT_PENDING": {
        "not exists ( select from tickwork_open_runs as older where older.job_uid = job.uid and older.state = 'pending' "
        "and older.backfill is null and older.available_at < $2 )": CHOSEN_BY_IT,
    },
    "postgresql schema.sql": {"unique (job_uid, fire_time, origin, attempt)": SECOND_FENCE},
    "postgresql SELECT_UNSUCCESSFUL_RUNS": {"run.state <> 'succeeded'": BESIDE_ANOTHER},
    "postgresql SELECT_EXPECTATIONS_OF": {"job_uid = any($1::bigint[])": NARROWS},
    "postgresql SELECT_JOBS_BY_UID": {"uid = any($1::bigint[])": NARROWS},
    "postgresql SELECT_STATES_OF": {"job_uid = any($1::bigint[])": NARROWS},
    "postgresql TAKEN_IDS": {"id = any($1::text[])": NARROWS},
    "postgresql GLANCE": IN_A_GLANCE,
    "postgresql BEAT_AND_GLANCE": IN_A_GLANCE,
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
    "redis settle": {
        "call('EXISTS', P .. ':pending') == 1 -> true": SPARES_WORK,
        "plain[place] == 1 -> false": SPARES_WORK,
    },
    "redis lost": {"next(dead) -> true": SPARES_WORK},
    "redis open_backfills": {"job -> true": NO_ORPHANS},
    "redis shared": {
        "if #ids == 0 then :: #ids == 0 -> false": SPARES_WORK,
        "lease == null -> true": SPARES_WORK,
        "run[CANCEL_REASON] ~= null -> true (2)": SPARES_WORK,
        "run[NODE] ~= null -> true (2)": "what runs has a node",
        "change.written[name] == nil -> true": SPARES_WORK,
    },
    "redis prune": {
        "limit == -math.huge -> false": SPARES_WORK,
        "call('EXISTS', P .. ':ledger:' .. uid) == 1 -> true": SPARES_WORK,
        "exists -> true": SPARES_WORK,
        "run[ENDED_AT] ~= null -> true": "what is closed has an end; one without would stop all pruning",
        "{deleted, (looked == jobs or not all) and last or '', 0} -> true": "what is answered is no guard",
        "run[STATE] ~= 'succeeded' -> true": SPARES_WORK,
    },
}
"""By statement or script: a guard as it stands there, with what it is forced to if it is needed otherwise, and with its
line if the like stands on another one."""


def why_spared(planted: Planted) -> str | None:
    """None: it is not."""
    place = f"{planted.store} {planted.place}"
    listed = GUARDS.get(place, {})
    for name in names_of(planted):
        if name in listed:
            return listed[name]
    return PLACES.get(place) or EVERYWHERE.get(planted.guard) or (BESIDE_ANOTHER if _is_implied(planted) else None)


def names_of(planted: Planted) -> tuple[str, str, str]:
    """What it may be called in the list, the most exact first."""
    whole = planted.mutant.guard
    return whole, whole.partition(" :: ")[2], planted.guard.strip()


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
