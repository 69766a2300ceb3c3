"""Jobs and runs for tests: made by hand with only the fields that matter, or drawn by Hypothesis."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tickwork.backfill import Backfill
from tickwork.job import DEFINITION, Job
from tickwork.moves import Move, MoveState
from tickwork.node import Node
from tickwork.plan import Change, Hold
from tickwork.policies import Overlap, Retry
from tickwork.retention import Retention
from tickwork.run import Given, Origin, Progress, Run, RunState
from tickwork.triggers import CronTrigger, DateTrigger, IntervalTrigger

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
EVERY_MINUTE = IntervalTrigger(minutes=1, start_date=NOW)


def work(*args: Any, **kwargs: Any) -> None:
    """What sample jobs do: nothing."""


def make_job(id: str = "job", **fields: Any) -> Job:
    """A job that is due at NOW, and each minute after it."""
    settings: dict[str, Any] = {
        "func": "tests.samples:work", "trigger": EVERY_MINUTE, "name": id, "uid": new_uid(),
        "anchored_at": NOW, "next_fire_time": NOW,
    }  # fmt: skip
    return Job(id=id, **(settings | fields))


def new_uid() -> int:
    """What tells a job from another that has had, or will have, its id."""
    return secrets.randbits(62)


def make_run(job: Job, fire_time: datetime = NOW, **fields: Any) -> Run:
    """A run of *job* that waits for any node."""
    return Run(**({"job_id": job.id, "job_uid": job.uid, "fire_time": fire_time, "available_at": fire_time} | fields))


def held_run(job: Job, fire_time: datetime = NOW, **fields: Any) -> Run:
    """A run of *job* that node "a" holds for ten seconds."""
    hold = make_hold("a")
    return make_run(
        job, fire_time, state=RunState.RUNNING, **({"node": hold.node, "lease_until": hold.lease_until} | fields)
    )


def make_hold(node: str = "a", lease: timedelta = 10 * SECOND) -> Hold:
    return Hold(node, NOW + lease)


def make_node(id: str = "a", started_at: datetime = NOW, **fields: Any) -> Node:
    """A node that is believed to be alive for ten seconds from its start."""
    seen_at = fields.get("seen_at", started_at)
    return Node(**({
        "id": id, "host": "web-1", "pid": 4711, "version": "1.2.3", "started_at": started_at, "seen_since": started_at,
        "seen_at": seen_at, "lease_until": seen_at + 10 * SECOND,
    } | fields))  # fmt: skip


def make_move(state: MoveState = MoveState.COPYING) -> Move:
    """What a store notes of a move, by a mover that is believed to be alive for ten seconds."""
    return Move(secrets.token_hex(6), state, "sqlite:////elsewhere/jobs.db", NOW, "mover", NOW + 10 * SECOND)


def next_version(job: Job, *runs: Run, **fields: Any) -> Change:
    """The change that gives *job* these fields and gives birth to these runs."""
    revision = job.revision + any(name in DEFINITION for name in fields)
    return Change(job._replace(version=job.version + 1, **{"revision": revision, **fields}), runs)


instants = st.datetimes(datetime(1960, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
durations = st.timedeltas(timedelta(microseconds=1), timedelta(days=3650))
texts = st.text(st.characters(codec="utf-8"), max_size=30)
names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
triggers = st.one_of(
    st.builds(DateTrigger, instants),
    st.builds(IntervalTrigger, seconds=st.floats(0.001, 1e7), start_date=instants),
    st.builds(
        CronTrigger,
        st.sampled_from(["* * * * *", "0 3 * * mon-fri", "*/7 1-5 1,15 * *", "30 2 * * sun"]),
        timezone=st.sampled_from(["UTC", "Asia/Seoul", "Europe/Berlin", "America/New_York"]),
    ),
)
exceptions = st.lists(st.sampled_from(["ConnectionError", "TimeoutError"]) | names.map("app:{}".format), max_size=3)
retentions = st.builds(
    Retention, st.none() | st.timedeltas(timedelta(0), timedelta(days=10_000)), st.none() | st.integers(1, 10**9)
)
retries = st.builds(
    Retry, st.integers(1, 1000), st.timedeltas(timedelta(0), timedelta(days=365)), st.floats(1, 100),
    st.timedeltas(timedelta(0), timedelta(days=365)), st.floats(0, 1), exceptions, exceptions,
)  # fmt: skip

jobs = st.builds(
    Job,
    id=names,
    func=names.map("tests.samples:{}".format),
    trigger=triggers,
    args=st.lists(json_values, max_size=3).map(tuple),
    kwargs=st.dictionaries(texts, json_values, max_size=3),
    name=names,
    executor=names,
    coalesce=st.booleans(),
    catch_up=st.none() | st.integers(0, 1000),
    misfire_grace_time=st.none() | durations,
    max_instances=st.integers(1, 10_000),
    overlap=st.sampled_from(Overlap),
    max_waiting=st.integers(1, 1000),
    timeout=st.none() | durations,
    retry=retries,
    pause_after=st.none() | st.integers(1, 100),
    expect_every=st.none() | durations,
    expire_after=st.none() | durations,
    tags=st.lists(names, max_size=3, unique=True).map(lambda tags: tuple(sorted(tags))),
    metadata=st.dictionaries(names, names, max_size=3),
    keep=st.none() | retentions,
    declared=st.none() | names,
    retired_at=st.none() | instants,
    uid=st.builds(new_uid),
    version=st.integers(1, 2**40),
    revision=st.integers(1, 2**40),
    anchored_at=instants,
    next_fire_time=st.none() | instants,
    last_fire_time=st.none() | instants,
    paused_at=st.none() | instants,
    pause_reason=st.none() | texts,
    paused_by=st.none() | texts,
)

nodes = st.builds(
    Node, texts.filter(bool), texts, st.integers(0, 2**31), names, instants, instants, instants, instants,
    st.none() | instants, st.booleans(), st.integers(0, 10**6), st.none() | st.timedeltas(timedelta(0), timedelta(days=9)),
    texts, st.none() | st.timedeltas(timedelta(days=-9), timedelta(days=9)),
    texts,
)  # fmt: skip

progresses = st.builds(
    Progress,
    done=st.integers(0, 10**9) | st.floats(0, 1e9),
    total=st.none() | st.integers(0, 10**9) | st.floats(0, 1e9),
    message=texts,
)


def runs_of(job: Job) -> st.SearchStrategy[Run]:
    """Any row that the ledger may have of *job*."""
    return st.builds(
        Run,
        job_id=st.just(job.id),
        job_uid=st.just(job.uid),
        fire_time=instants,
        through=st.none() | instants,
        attempt=st.integers(1, 1000),
        origin=st.sampled_from(Origin),
        state=st.sampled_from(RunState),
        available_at=instants,
        version=st.integers(1, 2**40),
        node=st.none() | names,
        lease_until=st.none() | instants,
        started_at=st.none() | instants,
        ended_at=st.none() | instants,
        reason=st.none() | texts,
        error=st.none() | texts,
        result=json_values,
        progress=st.none() | progresses,
        cancel_reason=st.none() | texts,
        asked_by=st.none() | texts,
        counted_from=st.integers(1, 1000),
        backfill=st.none() | names,
        expires_at=st.none() | instants,
        given=st.none()
        | st.builds(Given, st.lists(json_values, max_size=2).map(tuple), st.dictionaries(texts, json_values)),
    )


def make_backfill(job: Job, start: datetime, end: datetime, **fields: Any) -> Backfill:
    """A backfill of *job* at its first fire time."""
    first = job.trigger.next_after(start - timedelta(microseconds=1))
    settings: dict[str, Any] = {
        "id": secrets.token_hex(8), "job_id": job.id, "job_uid": job.uid, "trigger": job.trigger, "start": start,
        "end": end, "cursor": first, "asked_at": NOW, "asked_by": "alice",
    }  # fmt: skip
    return Backfill(**(settings | fields))
