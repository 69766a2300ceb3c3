"""What the API says, in values of its own: a change inside tickwork is not a change of the API.

The rule: instants are ISO 8601 in UTC, durations are numbers of seconds, and names end in neither unit nor type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from tickwork.backfill import Backfill
from tickwork.executors.call import MAX_REASON_LENGTH
from tickwork.health import Health
from tickwork.job import Job
from tickwork.node import Node, NodeState
from tickwork.policies import Overlap, Retry
from tickwork.run import Origin, Run, RunState
from tickwork.runlog import LogLine, RunLog
from tickwork.triggers.explain import explain
from tickwork.why import Answer, Verdict


class RetryView(BaseModel):
    max_attempts: int
    delay: float
    backoff: float = Field(description="What the delay is multiplied with after each attempt.")
    max_delay: float
    jitter: float = Field(description="The share of the delay by which it is scattered.")
    on: list[str] = Field(description="The exceptions that are tried again. Empty: all.")
    give_up_on: list[str]

    @classmethod
    def of(cls, retry: Retry) -> Self:
        return cls(
            max_attempts=retry.max_attempts, delay=retry.delay.total_seconds(), backoff=retry.backoff,
            max_delay=retry.max_delay.total_seconds(), jitter=retry.jitter,
            on=[*retry.on], give_up_on=[*retry.give_up_on],
        )  # fmt: skip


class RetentionView(BaseModel):
    age: float | None
    count: int | None


class ProgressView(BaseModel):
    done: float | None
    total: float | None
    message: str


class RunSummary(BaseModel):
    """A row of the ledger, without what may be long: the traceback and the result."""

    id: str
    job_id: str
    fire_time: datetime
    through: datetime | None = Field(description="The last fire time that this row answers for, if it closes several.")
    attempt: int
    origin: Origin
    state: RunState
    available_at: datetime = Field(description="It does not start before this: its fire time, or a retry's delay.")
    node: str | None
    started_at: datetime | None
    ended_at: datetime | None
    lateness: float | None = Field(description="Seconds from the fire time to the call.")
    duration: float | None = Field(description="Seconds that the call took.")
    reason: str | None
    progress: ProgressView | None
    cancel_reason: str | None = Field(description="Why someone asked that it end. None: nobody did.")
    asked_by: str | None = Field(description="Who asked for it. None: its schedule, or someone who did not say.")
    expires_at: datetime | None = Field(description="It is not begun from then on. None: it may wait.")
    backfill: str | None = Field(description="The backfill that it is a part of.")
    has_arguments: bool = Field(description="Whether it was given its own. They may be for fewer eyes than this.")
    has_error: bool = Field(description="Whether the run itself, asked for by its id, shows a traceback.")

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls(**_summary(run))


class RunView(RunSummary):
    """A row of the ledger: one attempt to execute a job for one fire time."""

    error: str | None = Field(description="The traceback of what the function raised.")
    result: Any = Field(description="What the function returned, if that was small and plain JSON.")

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls(**_summary(run), error=run.error, result=run.result)


class LogLineView(BaseModel):
    at: datetime
    level: str
    logger: str
    text: str = Field(description="The message; a traceback follows in further lines.")

    @classmethod
    def of(cls, line: LogLine) -> Self:
        return cls(at=line.at, level=line.level, logger=line.logger, text=line.text)


class LogView(BaseModel):
    """What a run has logged: all of it, or the beginning and the end of a log that was too long."""

    beginning: Sequence[LogLineView]
    end: Sequence[LogLineView]
    left_out: int = Field(description="How many lines between the two are not kept.")
    left_out_length: int = Field(description="How many characters these had.")

    @classmethod
    def of(cls, log: RunLog) -> Self:
        return cls(
            beginning=[LogLineView.of(line) for line in log.beginning], end=[LogLineView.of(line) for line in log.end],
            left_out=log.left_out, left_out_length=log.left_out_length,
        )  # fmt: skip


class JobView(BaseModel):
    """A job and where its schedule stands. Its arguments are not shown: they may be for fewer eyes than its times."""

    id: str
    name: str
    func: str
    trigger: str = Field(description="The trigger, with all that makes it what it is.")
    explanation: str = Field(description="When the trigger fires, in words.")
    trigger_kind: str
    executor: str
    next_fire_time: datetime | None = Field(description="Paused or not. None: its trigger has ended.")
    last_fire_time: datetime | None
    paused: bool
    paused_at: datetime | None
    pause_reason: str | None
    paused_by: str | None = Field(description="Who paused it, as the app knows them.")
    ended: bool
    declared: str | None = Field(description="The application that declares it in its code. None: no code does.")
    retired_at: datetime | None = Field(description="Since when no running code declares it, and it does not fire.")
    coalesce: bool
    catch_up: int | None = Field(description="How many fire times missed together are run. None: as coalesce says.")
    misfire_grace_time: float | None
    max_instances: int
    overlap: Overlap
    max_waiting: int
    timeout: float | None = Field(description="Seconds that a call may take. None: as long as it likes.")
    retry: RetryView
    pause_after: int | None = Field(description="After how many failures in a row it is paused.")
    expect_every: float | None = Field(description="Seconds that it may go on without a success.")
    overdue_at: datetime | None = Field(description="When it was found not to have succeeded for longer. None: it has.")
    expire_after: float | None = Field(description="Seconds that a run may wait to begin. None: as long as it takes.")
    tags: list[str]
    metadata: dict[str, str]
    keep: RetentionView | None = Field(description="How long the ledger keeps its rows. None: as the scheduler says.")
    last_run: RunSummary | None = Field(description="Its newest row in the ledger, manual runs included.")

    @classmethod
    def of(cls, job: Job, last_run: Run | None, overdue_at: datetime | None = None) -> Self:
        return cls(
            id=job.id, name=job.name, func=job.func,
            trigger=str(job.trigger), explanation=explain(job.trigger), trigger_kind=job.trigger.kind,
            executor=job.executor,
            next_fire_time=job.next_fire_time, last_fire_time=job.last_fire_time,
            paused=job.paused, paused_at=job.paused_at, pause_reason=job.pause_reason, paused_by=job.paused_by,
            ended=job.ended, declared=job.declared, retired_at=job.retired_at,
            coalesce=job.coalesce, catch_up=job.catch_up, misfire_grace_time=_seconds(job.misfire_grace_time),
            max_instances=job.max_instances,
            overlap=job.overlap, max_waiting=job.max_waiting, timeout=_seconds(job.timeout),
            retry=RetryView.of(job.retry), pause_after=job.pause_after,
            expect_every=_seconds(job.expect_every), overdue_at=overdue_at,
            expire_after=_seconds(job.expire_after), tags=[*job.tags], metadata={**job.metadata},
            keep=None if job.keep is None else RetentionView(age=_seconds(job.keep.age), count=job.keep.count),
            last_run=None if last_run is None else RunSummary.of(last_run),
        )  # fmt: skip


class AnswerView(BaseModel):
    """What became of one instant of a job, or will."""

    job_id: str
    instant: datetime = Field(description="The one that was asked about.")
    verdict: Verdict
    sentence: str = Field(description="Why, for people; its times are in the zone of the job.")
    fire_time: datetime | None = Field(description="The fire time that the instant means, if there is one.")
    manual: bool = Field(description="Whether the answer is a run that someone asked for.")
    before: datetime | None = Field(description="The nearest fire time before it that is known.")
    after: datetime | None = Field(description="The nearest fire time after it that is known.")
    runs: Sequence[RunView] = Field(description="What the ledger has of it: the attempts in their order.")

    @classmethod
    def of(cls, answer: Answer) -> Self:
        return cls(
            job_id=answer.job_id, instant=answer.instant, verdict=answer.verdict, sentence=answer.sentence,
            fire_time=answer.fire_time, manual=answer.manual, before=answer.before, after=answer.after,
            runs=[RunView.of(run) for run in answer.runs],
        )  # fmt: skip


class NodeView(BaseModel):
    """A started scheduler, as it was last heard of."""

    id: str = Field(description="Its name in the ledger, new at each start.")
    state: NodeState
    host: str
    pid: int
    version: str = Field(description="Of tickwork.")
    started_at: datetime
    seen_since: datetime = Field(description="Since when it was heard of without a break longer than its lease.")
    seen_at: datetime = Field(description="When it was last heard of.")
    lease_until: datetime
    stopped_at: datetime | None
    paused: bool
    runs: int = Field(description="How many runs it had then, begun or held for their time.")
    lateness: float | None = Field(description="Seconds; the longest that a run of the last minute or two was late.")
    declaration: str = Field(description="A short hash: nodes that show the same declare the same jobs in their code.")
    clock_error: float | None = Field(
        description="Seconds by which its machine's clock is ahead of the store's, too far for it to fire."
    )

    @classmethod
    def of(cls, node: Node) -> Self:
        return cls(
            id=node.id, state=node.state, host=node.host, pid=node.pid, version=node.version,
            started_at=node.started_at, seen_since=node.seen_since, seen_at=node.seen_at, lease_until=node.lease_until,
            stopped_at=node.stopped_at, paused=node.paused, runs=node.runs, lateness=_seconds(node.lateness),
            declaration=node.declaration, clock_error=_seconds(node.clock_error),
        )  # fmt: skip


class HealthView(BaseModel):
    """What is true of the scheduler in the process that answered."""

    running: bool
    paused: bool
    node: str | None
    store: str
    outage: str | None = Field(
        description="Why nothing fires: the store cannot be used, ticks fail, or clocks disagree. None: all is well."
    )
    live: bool = Field(description="Whether its thread works. If not, a restart of the process is what helps.")
    ready: bool = Field(description="Whether it fires, or would if it were not paused.")
    lateness: float | None = Field(description="Seconds; the longest that a run of the last minute or two was late.")
    nodes: int | None = Field(description="How many nodes are alive on this store, as far as it knows.")
    overdue: int | None = Field(description="How many jobs have not succeeded for longer than their expect_every.")
    events_waiting: int = Field(description="How many events have not been told to listeners yet.")
    events_dropped: int = Field(description="How many never will be, since listeners were too slow.")

    @classmethod
    def of(cls, health: Health) -> Self:
        return cls(
            running=health.running, paused=health.paused, node=health.node, store=health.store, outage=health.outage,
            live=health.live, ready=health.ready, lateness=_seconds(health.lateness), nodes=health.nodes,
            overdue=health.overdue,
            events_waiting=health.events_waiting, events_dropped=health.events_dropped,
        )  # fmt: skip


class LiveView(BaseModel):
    """Whether the process is worth keeping. Nothing in it is secret: everyone may ask."""

    live: bool


class ReadyView(BaseModel):
    """Whether the process fires. Nothing in it is secret: everyone may ask."""

    ready: bool
    reason: str | None = Field(description="Why it is not, without any detail: `health` has those.")

    @classmethod
    def of(cls, health: Health) -> Self:
        reason = None
        if not health.ready:
            reason = (
                "the store cannot be used, ticks fail, or clocks disagree"
                if health.running
                else "its scheduler does not run"
            )
        return cls(ready=health.ready, reason=reason)


class RightsView(BaseModel):
    """What who asks may do."""

    change: bool = Field(description="Whether they may call the routes that change something.")


class Overview(BaseModel):
    """All that the dashboard shows, in one answer."""

    now: datetime = Field(description="The server's time, by which a page counts down.")
    read_only: bool
    health: HealthView
    jobs: Sequence[JobView]
    jobs_total: int
    runs: Sequence[RunSummary]
    nodes: Sequence[NodeView] = Field(description="Those that are alive.")


class Reason(BaseModel):
    """Why a job is to be paused, or a run to end."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=MAX_REASON_LENGTH)] | None = None


class Labels(BaseModel):
    """Which jobs: those that have all of these."""

    model_config = ConfigDict(extra="forbid")

    tags: list[str] = []
    metadata: dict[str, str] = {}


class PauseOfSeveral(Labels, Reason):
    """Which jobs are to be paused, and why."""


class Order(BaseModel):
    """How a job is to be run now."""

    model_config = ConfigDict(extra="forbid")

    args: list[Any] | None = Field(None, description="Instead of the job's. None: the job's.")
    kwargs: dict[str, Any] | None = Field(None, description="Instead of the job's, as a whole. None: the job's.")
    expire_after: float | None = Field(None, description="Seconds that it may wait to begin. None: as the job says.")


class Again(BaseModel):
    """How a run is to be tried again."""

    model_config = ConfigDict(extra="forbid")

    even_if_succeeded: StrictBool = False


class Nothing(BaseModel):
    """There is nothing to say."""

    model_config = ConfigDict(extra="forbid")


class Range(BaseModel):
    """Which fire times of a job are to be run after all, and how."""

    model_config = ConfigDict(extra="forbid")

    start: str = Field(description="The first instant that counts, such as 2026-12-24T18:00Z; as `at` of `why`.")
    end: str = Field(description="The last instant that counts.")
    max_instances: StrictInt = 1
    everything: StrictBool = Field(False, description="Also the fire times that ran.")
    newest_first: StrictBool = False
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None


class BackfillView(BaseModel):
    """Fire times of a job that are run after all, and how far that has come."""

    id: str
    job_id: str
    start: datetime
    end: datetime
    cursor: datetime | None = Field(description="The fire time to look at next. None: all were looked at.")
    asked_at: datetime
    asked_by: str | None
    max_instances: int
    everything: bool
    newest_first: bool
    has_arguments: bool
    born: int = Field(description="How many fire times were given a run.")
    passed_over: int = Field(description="How many were not, since they had one.")
    ended_at: datetime | None
    reason: str | None = Field(description="Why it ended before its time. None: it did not.")

    @classmethod
    def of(cls, backfill: Backfill) -> Self:
        return cls(
            id=backfill.id, job_id=backfill.job_id, start=backfill.start, end=backfill.end, cursor=backfill.cursor,
            asked_at=backfill.asked_at, asked_by=backfill.asked_by, max_instances=backfill.max_instances,
            everything=backfill.everything, newest_first=backfill.newest_first,
            has_arguments=backfill.given is not None, born=backfill.born, passed_over=backfill.passed_over,
            ended_at=backfill.ended_at, reason=backfill.reason,
        )  # fmt: skip


class ErrorView(BaseModel):
    """Every error of tickwork over HTTP: what was expected, what was got, what to do."""

    detail: str


def _summary(run: Run) -> dict[str, Any]:
    return {
        "id": run.id, "job_id": run.job_id, "fire_time": run.fire_time, "through": run.through,
        "attempt": run.attempt, "origin": run.origin, "state": run.state, "available_at": run.available_at,
        "node": run.node, "started_at": run.started_at, "ended_at": run.ended_at,
        "lateness": _seconds(run.lateness), "duration": _seconds(run.duration),
        "reason": run.reason, "progress": _progress(run), "cancel_reason": run.cancel_reason,
        "asked_by": run.asked_by, "expires_at": run.expires_at, "backfill": run.backfill,
        "has_arguments": run.given is not None,
        "has_error": run.error is not None,
    }  # fmt: skip


def _progress(run: Run) -> ProgressView | None:
    if run.progress is None:
        return None
    done, total, message = run.progress.done, run.progress.total, run.progress.message
    return ProgressView(done=_finite(done), total=_finite(total), message=message)


def _finite(number: float | None) -> float | None:
    """JSON has no word for infinity, and a job may say any number."""
    return number if number is not None and math.isfinite(number) else None


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
