"""All that a store can hold, no field of it left at its default: what a move carries, or forgets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from tests.samples import HOUR, MINUTE, NOW, SECOND, work

from tickwork.backfill import Backfill
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.jobstate import Entry, StoredState
from tickwork.moves import LedgerNote, Move, MoveState, PackedJob, PackedRest, PackedRun
from tickwork.node import Node, NodeState
from tickwork.policies import Overlap, Retry
from tickwork.retention import Retention
from tickwork.run import Given, Origin, Progress, Run, RunState
from tickwork.runlog import LogLine, RunLog
from tickwork.stores.base import Store
from tickwork.triggers import CronTrigger, IntervalTrigger

PLENTY = 1_000_000


class Household(NamedTuple):
    jobs: list[PackedJob]
    runs: list[PackedRun]
    rest: PackedRest


FULL_JOB = Job(
    id="ein Job, 한국어", func="tests.samples:work", trigger=CronTrigger("*/7 3 * * mon-fri", timezone="Asia/Seoul"),
    anchored_at=NOW - HOUR, args=(1, ["two", {"three": None}]), kwargs={"when": 'quoted " and \\ and \x1a'}, name="a job",
    executor="elsewhere", coalesce=False, catch_up=3, misfire_grace_time=MINUTE, max_instances=4,
    overlap=Overlap.QUEUE, max_waiting=5, timeout=HOUR,
    retry=Retry(3, MINUTE, 2.0, HOUR, 0.5, ["ConnectionError"], ["TimeoutError"]), pause_after=2, expect_every=HOUR,
    expire_after=MINUTE, tags=("a", "b"), metadata={"owner": "alice"}, keep=Retention(age=HOUR, count=9), disposable=True,
    declared="tests", retired_at=NOW - MINUTE, uid=2**62 + 1, revision=7, version=2**40 + 1,
    next_fire_time=NOW + HOUR, last_fire_time=NOW - SECOND, paused_at=NOW - 2 * SECOND, pause_reason="why\nnot",
    paused_by="bob",
)  # fmt: skip
PLAIN_JOB = Job(
    "plain",
    f"{work.__module__}:work",
    IntervalTrigger(minutes=1, start_date=NOW),
    NOW,
    uid=2,
    next_fire_time=NOW,
    declared="tests",
)
FULL_RUN = Run(
    job_id=FULL_JOB.id, job_uid=FULL_JOB.uid, fire_time=NOW - MINUTE, available_at=NOW - 30 * SECOND, through=NOW - SECOND,
    attempt=3, origin=Origin.BACKFILL, state=RunState.RUNNING, version=2**40, node="n1", lease_until=NOW + SECOND,
    started_at=NOW - 20 * SECOND, ended_at=NOW - 10 * SECOND, reason="why\x00not", error="Traceback ...\n",
    result={"rows": [1, 2.5, None]}, progress=Progress(1, 2.5, "half"), cancel_reason="enough", asked_by="carol",
    given=Given((1,), {"a": "b"}), counted_from=2, backfill="b1", expires_at=NOW + MINUTE,
)  # fmt: skip
FULL_BACKFILL = Backfill(
    id="b1", job_id=FULL_JOB.id, job_uid=FULL_JOB.uid, trigger=FULL_JOB.trigger, start=NOW - HOUR, end=NOW,
    cursor=NOW - MINUTE, asked_at=NOW - SECOND, max_instances=3, everything=True, newest_first=True,
    given=Given((2,), {}), asked_by="dave", born=5, passed_over=6, version=8, ended_at=NOW, reason="done with it",
)  # fmt: skip
FULL_NODE = Node(
    id="n1", host="web-1", pid=4711, version="1.2.3", started_at=NOW - HOUR, seen_since=NOW - HOUR, seen_at=NOW - MINUTE,
    lease_until=NOW - 50 * SECOND, stopped_at=NOW - 40 * SECOND, paused=True, runs=2, lateness=SECOND, declaration="d1",
    clock_error=-SECOND, lifeline="l1", state=NodeState.DEAD,
)  # fmt: skip
FULL_EXPECTATION = Expectation(FULL_JOB.id, FULL_JOB.uid, NOW, NOW - HOUR, NOW + SECOND, "n1")
LOG = RunLog((LogLine(NOW, "INFO", "app", "begins"),), (LogLine(NOW, "ERROR", "app.db", "two\nlines"),), 3, 99)
FULL = (
    FULL_JOB, FULL_RUN, FULL_BACKFILL, FULL_NODE, FULL_EXPECTATION,
    LedgerNote(FULL_JOB.uid, FULL_JOB.id, NOW - MINUTE, NOW - HOUR),
    PackedJob(FULL_JOB, FULL_EXPECTATION, StoredState(1)), PackedRun(7, FULL_RUN, LOG),
)  # fmt: skip


def run(job: Job, number: int, **fields: Any) -> PackedRun:
    at = NOW - timedelta(minutes=100 - number)
    settings: dict[str, Any] = {
        "state": RunState.SUCCEEDED,
        "started_at": at,
        "ended_at": at,
        "version": 2,
        "node": "n1",
    }
    return PackedRun(number, Run(job.id, job.uid, at, at, **(settings | fields)))


def household() -> Household:
    """Every kind of thing, and each with all of its fields."""
    removed = Job("removed", "tests.samples:work", PLAIN_JOB.trigger, NOW, uid=3)
    jobs = [
        PackedJob(FULL_JOB, FULL_EXPECTATION, StoredState(9, {"k": Entry(4, [1]), "": Entry(9, "x")})),
        PackedJob(PLAIN_JOB),
    ]
    ended = {"state": RunState.FAILED, "lease_until": None}
    return Household(
        jobs=sorted(jobs, key=lambda packed: packed.job.id),
        runs=[
            run(removed, 5, state=RunState.CANCELLED, reason="its job was removed"),
            run(PLAIN_JOB, 6),
            PackedRun(9, FULL_RUN._replace(**ended), LOG),
            run(PLAIN_JOB, 10, attempt=2, state=RunState.MISSED, started_at=None, node=None),
            PackedRun(11, FULL_RUN._replace(attempt=4), LOG),
            run(PLAIN_JOB, 12, state=RunState.PENDING, started_at=None, ended_at=None, node=None, origin=Origin.MANUAL),
            run(PLAIN_JOB, 13, state=RunState.RUNNING, ended_at=None, lease_until=NOW + HOUR),
        ],
        rest=PackedRest(
            backfills=[
                FULL_BACKFILL,
                FULL_BACKFILL._replace(id="b2", job_id="plain", job_uid=2, ended_at=None, reason=None),
            ],
            notes=[
                LedgerNote(3, "removed", NOW - MINUTE, NOW - HOUR),
                LedgerNote(PLAIN_JOB.uid, "plain", None, NOW - HOUR),
            ],
            nodes=[
                FULL_NODE._replace(state=NodeState.ALIVE),
                FULL_NODE._replace(state=NodeState.ALIVE, seen_since=NOW - MINUTE, seen_at=NOW, stopped_at=None),
            ],
            declarations={"d1": [FULL_JOB.id, "plain"]},
        ),
    )


def furnish(store: Store, things: Household) -> None:
    """Put all of it into an empty store."""
    move = Move("furnished", MoveState.ARRIVING, "nowhere", NOW, "tests", NOW)
    assert store.write_move(None, move)
    assert store.unpack(move, jobs=things.jobs, runs=things.runs, rest=things.rest)
    assert store.write_move(move, None)


def contents(store: Store) -> Household:
    """All that there is, in an order that is the same everywhere; numbers aside."""
    rest = store.pack_rest()
    return Household(
        [*store.pack_jobs(limit=PLENTY)],
        [packed._replace(number=place) for place, packed in enumerate(store.pack_runs(limit=PLENTY))],
        PackedRest(
            [*rest.backfills], sorted(rest.notes), sorted(rest.nodes),
            {name: sorted(ids) for name, ids in rest.declarations.items()},
        ),
    )  # fmt: skip


def ordered(things: Household) -> Household:
    """A household as `contents` shows it."""
    rest = things.rest
    return Household(
        things.jobs,
        [packed._replace(number=place) for place, packed in enumerate(things.runs)],
        PackedRest(
            [*rest.backfills], sorted(rest.notes), sorted(rest.nodes),
            {name: sorted(ids) for name, ids in rest.declarations.items()},
        ),
    )  # fmt: skip
