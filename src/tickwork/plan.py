"""Every decision about a job or a run, as a pure function: values in, values out.

The rule: nothing here reads a clock, a store or a thread; the instant `now` is given. A change says
what a job becomes and which runs are born with it, and the store writes both or neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple, assert_never

from tickwork.backfill import UNANSWERED, Answered, Backfill
from tickwork.clock import BEGINNING, MICROSECOND
from tickwork.errors import BackfillEndedError, InvalidJobError, RetryRefusedError, TriggerError, did_you_mean
from tickwork.expectation import Expectation
from tickwork.job import DEFINITION, Job, check_job
from tickwork.jobstate import StateChange
from tickwork.policies import Overlap, Retry
from tickwork.run import (
    RUNNING,
    SCHEDULE,
    TRANSITIONS,
    Cancelled,
    Failed,
    Given,
    Lost,
    Missed,
    Origin,
    Outcome,
    Progress,
    Released,
    Run,
    RunState,
    Skipped,
    Succeeded,
    TimedOut,
)
from tickwork.runlog import RunLog
from tickwork.triggers import DateTrigger, Trigger
from tickwork.triggers.base import innermost
from tickwork.triggers.ticks import first_of_latest, latest_fire_time

MAX_MADE_UP = 100
"""How many runs of a job may wait at once, when it does not coalesce what it missed."""
ON_TIME = timedelta(minutes=1)
"""With catch_up=0 and without a misfire_grace_time: what is fired within it was not missed."""

NEXT_FEW = 10
"""How many fire times are looked at, to see whether a job can ever succeed as often as it is expected to."""

FAILURES = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.LOST})

CLOCK_TOLERANCE = timedelta(seconds=30)
"""How far a machine's clock may be off, beside the store's, while its node fires."""

RETIRED = "retired: no running code declares it"
"""Why a job is paused that is gone from the code."""

COALESCED = "coalesced: several fire times were due at once, and the latest of them was run"

MODIFIABLE = (*(name for name in DEFINITION if name != "declared"), "next_fire_time")


class Change(NamedTuple):
    """A job as it becomes, the runs born with that, and those that must make way for them.

    The version of each is one above the one that was read.
    """

    job: Job
    runs: tuple[Run, ...] = ()
    cancelled: tuple[Run, ...] = ()


class Settlement(NamedTuple):
    """A run as it ends (or is given back), the attempt that follows it, and what is kept with it, if any."""

    run: Run
    attempt: Run | None = None
    log: RunLog | None = None
    """What it logged. None: nothing."""
    state: StateChange | None = None
    """What becomes of the job's state. None: nothing."""


class Filling(NamedTuple):
    """A backfill as it becomes, one version above the one that was read, with the runs born for it; or as it is."""

    backfill: Backfill
    runs: tuple[Run, ...] = ()
    moved: bool = False
    """Whether it has become another, to be written."""


class Hold(NamedTuple):
    """A node's word that it starts what it is given: who, and for how long it is believed."""

    node: str
    lease_until: datetime


def clock_error(wall: datetime, now: datetime, *, known: timedelta | None) -> timedelta | None:
    """How far a machine's clock, which says *wall*, is ahead of its store's, if too far for its node to fire.

    None: they agree. One that was *known* to be wrong has to come twice as close, or a clock on the edge would stop and
    start its node by turns.
    """
    error = wall - now
    return error if abs(error) > (CLOCK_TOLERANCE if known is None else CLOCK_TOLERANCE / 2) else None


def first_fire_time(trigger: Trigger, now: datetime) -> datetime | None:
    """When a job that gets *trigger* at *now* fires first. None: its trigger has ended.

    A date that has passed is fired at once: late is better than never.
    """
    return trigger.next_after(BEGINNING if isinstance(innermost(trigger), DateTrigger) else now)


def check_fires(trigger: Trigger, now: datetime) -> None:
    """TriggerError if *trigger* has ended."""
    if first_fire_time(trigger, now) is None:
        raise TriggerError(f"expected a trigger that fires after {now:%Y-%m-%d %H:%M:%S} UTC, got {trigger}")


def fire(
    job: Job, active: Sequence[Run], now: datetime, hold: Hold | None, *, room: int = MAX_MADE_UP
) -> Change | None:
    """Advance a due *job* past its fire time, and decide what becomes of it.

    *active* are its pending and running runs on all nodes. With *hold* the run is born running under
    that lease, otherwise it waits for any node; of several that are born together *room* are held.

    None says "not yet": the fire time lies a little ahead of *now*, and an active run may still get out
    of its way; or nobody can tell whether that run goes on, as its lease has ended and it will be renewed or lost in a
    moment; or the job catches up with what it missed, and enough of its runs wait already.
    """
    first = job.next_fire_time
    assert first is not None, f"{job.id!r} has ended"
    assert not job.paused, f"{job.id!r} is paused"
    if active:  # what is backfilled goes on beside the schedule, and is in nobody's way
        active = [run for run in active if run.backfill is None]
    full = len(active) >= job.max_instances
    if full and (first > now or any(_is_in_doubt(run, now) for run in active)):
        return None
    last, following = latest_fire_time(job.trigger, first, now)
    most = job.made_up
    grace = ON_TIME if most == 0 and job.misfire_grace_time is None else job.misfire_grace_time
    if grace is None and last is first and not full:  # as nearly always: one fire time, and nothing in its way
        return _advance(job, first, following, _born(job, first, hold, now))
    on_time = first if grace is None else _first_since(job.trigger, first, now - grace)
    if on_time is None or on_time > last:
        late = _late(job, now - first)
        return _advance(job, last, following, _not_run(job, now, RunState.MISSED, late, first, last))
    missed = _before(job, now, RunState.MISSED, _late(job, now - first), first, on_time) if on_time > first else ()
    at_most_one = most is not None and most <= 1
    if full and (at_most_one or not _catches_up(job, active, on_time, last)):
        return _overlap(job, active, now, last, following, missed, on_time)
    if at_most_one:
        return _advance(
            job, last, following, *missed, *_coalesced(job, now, on_time, last), _born(job, last, hold, now)
        )
    kept = on_time if most is None else first_of_latest(job.trigger, on_time, last, most)
    too_many = _before(job, now, RunState.MISSED, f"catch_up is {most}, and so many later ones are run", on_time, kept)
    return _catch_up(job, active, now, hold, room, (*missed, *too_many), kept, last)


def _is_in_doubt(run: Run, now: datetime) -> bool:
    return run.lease_until is not None and run.lease_until <= now


def _overlap(
    job: Job, active: Sequence[Run], now: datetime, last: datetime, following: datetime | None,
    missed: Sequence[Run], first: datetime,
) -> Change:  # fmt: skip
    """What becomes of the fire times from *first* through *last* while too many runs are active."""
    waiting = [run for run in active if run.state is RunState.PENDING]
    if job.overlap is Overlap.SKIP or (job.overlap is Overlap.QUEUE and len(waiting) >= job.max_waiting):
        why = _in_the_way(job, active) if job.overlap is Overlap.SKIP else _no_room_to_wait(job, waiting)
        return _advance(job, last, following, *missed, _not_run(job, now, RunState.SKIPPED, why, first, last))
    change = _advance(job, last, following, *missed, *_coalesced(job, now, first, last), _born(job, last, None, now))
    if job.overlap is Overlap.QUEUE:
        return change
    why = f"the fire time {last:%Y-%m-%dT%H:%M:%SZ} took its place"
    going = sorted((run for run in active if run.cancel_reason is None), key=lambda run: (run.fire_time, run.attempt))
    make_way = going[: max(len(going) + 1 - job.max_instances, 0)]
    return change._replace(cancelled=tuple(cancel(run, why, now) for run in make_way))


def _catches_up(job: Job, active: Sequence[Run], first: datetime, last: datetime) -> bool:
    """Whether these fire times join those that wait to be made up, instead of overlapping with what is active.

    What waits to be tried again, or because the job lets its fire times wait or take over, makes up for nothing.
    """
    waiting = any(run.state is RunState.PENDING and run.attempt == 1 for run in active)
    return first < last or (waiting and job.overlap is Overlap.SKIP)


def _catch_up(
    job: Job, active: Sequence[Run], now: datetime, hold: Hold | None, room: int,
    missed: Sequence[Run], first: datetime, last: datetime,
) -> Change | None:  # fmt: skip
    """A run for each fire time; they wait for each other, MAX_MADE_UP of them at a time."""
    waiting = sum(run.state is RunState.PENDING for run in active)
    born: list[Run] = []
    following: datetime | None = first
    while following is not None and following <= last and waiting < MAX_MADE_UP:
        startable = hold is not None and len(born) < room and len(active) + len(born) < job.max_instances
        waiting += not startable
        born.append(_born(job, following, hold if startable else None, now))
        following = job.trigger.next_after(following)
    return _advance(job, born[-1].fire_time, following, *missed, *born) if born else None


def settle(
    run: Run, retry: Retry, outcome: Outcome, now: datetime, *,
    started_at: datetime | None = None, progress: Progress | None = None,
) -> Settlement:  # fmt: skip
    """Close *run* with *outcome*; if it did not succeed and *retry* allows it, the next attempt is born.

    *started_at* and *progress* are what its node knows of it, and the row perhaps does not.
    """
    assert outcome.state in TRANSITIONS[run.state], f"{run.id} cannot go from {run.state} to {outcome.state}"
    if isinstance(outcome, Released):
        return Settlement(run.released())
    ended = run.ended_with(outcome, now, started_at, progress)
    match outcome:
        case Succeeded() | Cancelled() | Skipped() | Missed():
            return Settlement(ended)
        case Failed() | TimedOut():
            return Settlement(ended, _next_attempt(run, retry, outcome.raised, now))
        case Lost():
            return Settlement(ended, _next_attempt(run, retry, None, now))
        case _:
            assert_never(outcome)


def lost(run: Run, now: datetime, *, begun: bool) -> Lost | Released | Cancelled:
    """What becomes of a run whose node is gone, or has let its lease end. If the node is alive and has not *begun* it,
    since it was never told that the run was its own, it is given back.
    """
    if not begun:
        return Released()
    if run.cancel_reason is not None:
        return Cancelled(run.cancel_reason)
    if run.lease_until is not None and run.lease_until > now:
        return Lost(f"node {run.node} is gone: its process has died, or was cut off from the store")
    return Lost(f"node {run.node} did not renew its lease, which ended at {run.lease_until:%Y-%m-%dT%H:%M:%SZ}")


def ending(asked: TimedOut | Cancelled | None, outcome: Outcome) -> Outcome:
    """What a call has come to that reports *outcome*, after it was *asked* to end.

    One that timed out has, whatever it did with the time that it took beyond; one that was to be cancelled and
    succeeded all the same has succeeded.
    """
    match asked:
        case None:
            return outcome
        case TimedOut():
            return asked
        case Cancelled():
            return outcome if isinstance(outcome, Succeeded) else asked
        case _:
            assert_never(asked)


def cancel(run: Run, reason: str, now: datetime) -> Run:
    """A run that waits is closed; one that runs is asked to end, which its node sees to."""
    assert not run.state.closed, f"{run.id} has ended"
    asked = run._replace(cancel_reason=reason)
    if run.state is RunState.PENDING:
        return asked.ended_with(Cancelled(reason), now, None, None)
    return asked._replace(version=run.version + 1)


def expire(run: Run, now: datetime) -> Run:
    """Close a run that has waited for longer than it may: at `expires_at` exactly, its time is over."""
    assert run.state is RunState.PENDING, f"{run.id} does not wait"
    assert run.expires_at is not None, f"{run.id} may wait as long as it takes"
    assert run.expires_at <= now, f"{run.id} may wait until {run.expires_at}"
    return run.ended_with(Missed.waiting(run), now, None, None)


def closed_by(run: Run, node: str) -> Run:
    """A run that *node* closes without having called it: its reason names the node.

    Several may close it at one instant, of which one wins; by its name one that was told nothing finds out whether it
    did.
    """
    return run._replace(reason=f"{run.reason} (closed by node {node})") if run.state.closed else run


def counts_as_failure(settlement: Settlement) -> bool:
    """Whether a fire time has failed, and is not tried again. What is backfilled says nothing of how a job does now."""
    run = settlement.run
    return settlement.attempt is None and run.state in FAILURES and run.backfill is None


def fails_too_often(job: Job, newest: Sequence[Run]) -> bool:
    """Whether the last `pause_after` fire times of *job* all failed; *newest* are its rows that ran, newest first."""
    if job.pause_after is None:
        return False
    last_attempts: dict[str, Run] = {}
    for run in newest:
        if run.backfill is not None:  # it tells of the past, and not of how the job does now
            continue
        last_attempts.setdefault(run.key, run)
    verdicts = [*last_attempts.values()][: job.pause_after]
    return len(verdicts) == job.pause_after and all(run.state in FAILURES for run in verdicts)


def check_expected(trigger: Trigger, expect_every: timedelta | None, now: datetime) -> None:
    """InvalidJobError if a job is expected to succeed more often than *trigger*, which is anchored, ever fires.

    Only what is certainly wrong is refused: if not even two of the next fire times lie so near. A cron of working days
    may well be expected to succeed daily, and be overdue on Sunday.
    """
    if expect_every is None:
        return
    fire_times = [now]
    while len(fire_times) <= NEXT_FEW and (following := trigger.next_after(fire_times[-1])) is not None:
        fire_times.append(following)
    nearest = min((later - earlier for earlier, later in pairwise(fire_times[1:])), default=None)
    if nearest is not None and nearest > expect_every:
        raise InvalidJobError(
            f"expect_every: expected no less than the time between two fire times, got {expect_every}, and its "
            f"trigger, {trigger}, fires {nearest} apart: make it longer than that and the longest run together"
        )


def anchored(job: Job) -> Job:
    """The job as it is stored: with the start of its trigger fixed."""
    return job._replace(trigger=job.trigger.anchored(job.anchored_at, job.id))


def expect(job: Job, now: datetime) -> Expectation | None:
    """By when *job* is to succeed, counted from *now*. None: nobody waits for that."""
    if job.expect_every is None:
        return None
    return Expectation(job.id, job.uid, None if job.paused else now + job.expect_every)


def expect_anew(before: Job, after: Job, now: datetime) -> Expectation | None:
    """What is expected of a job that somebody changed. None: the same as before.

    A paused job is not expected to succeed; one that is resumed, or fires again after it had ended, is from *now* on. A
    job that pauses itself, since it fails too often, or is retired, does not come here: its silence is what is to be
    noticed, and goes on until it succeeds.
    """
    counts_anew = (
        after.expect_every != before.expect_every or (before.ended and not after.ended)
        or _is_paused_for_itself(after) != _is_paused_for_itself(before)
    )  # fmt: skip
    return expect(after, now) if counts_anew else None


def fulfils(run: Run) -> bool:
    """Whether *run* shows that its job does its work. A success in a backfill tells of the past, and not of that."""
    return run.state is RunState.SUCCEEDED and run.origin is not Origin.BACKFILL


def fulfilled(succeeded_runs: Mapping[int, Run], jobs: Iterable[Job]) -> list[Expectation]:
    """What is expected after these runs of these *jobs*, by uid; nothing of a job of which nothing is."""
    return [
        succeeded(job, succeeded_runs[job.uid])
        for job in jobs
        if job.uid in succeeded_runs and job.expect_every is not None
    ]


def succeeded(job: Job, run: Run) -> Expectation:
    """What is expected of *job* after *run*, which succeeded: nothing more, if it was the last one."""
    assert job.expect_every is not None
    assert run.ended_at is not None
    by = None if job.ended else run.ended_at + job.expect_every
    return Expectation(job.id, job.uid, by, succeeded_at=run.ended_at)


def pause(job: Job, now: datetime, reason: str | None, by: str | None = None) -> Change:
    """Stop firing. A pause that goes on already keeps its reason, and whose it is, unless a new reason is given."""
    if _is_paused_by_retirement(job):
        return Change(_next_version(job, paused_at=now, pause_reason=reason, paused_by=by))
    if job.paused and reason is None:
        return Change(_next_version(job))
    return Change(_next_version(job, paused_at=job.paused_at or now, pause_reason=reason, paused_by=by))


def resume(job: Job, now: datetime, by: str | None = None) -> Change:
    """Fire again from *now* on. What fell into the pause is recorded as skipped, and not made up.

    A retired job goes on without its code, as if it had been added by hand.
    """
    if not job.paused:
        return Change(_next_version(job))
    job, dropped = _drop_until(job, now)
    if by is not None:
        dropped = tuple(run._replace(reason=f"{run.reason}; resumed by {by}") for run in dropped)
    if job.retired_at is not None:
        job = job._replace(declared=None, retired_at=None, revision=job.revision + 1)
    return Change(_next_version(job, paused_at=None, pause_reason=None, paused_by=None), dropped)


def retire(job: Job, now: datetime) -> Change:
    """Stop firing a job that no running code declares any more. It keeps its place: what it misses is not dropped."""
    return Change(_next_version(
        job, revision=job.revision + 1, retired_at=now, paused_at=job.paused_at or now,
        pause_reason=job.pause_reason if job.paused else RETIRED,
    ))  # fmt: skip


def come_back(job: Job) -> Change:
    """Fire a retired job again, which some code declares again: as after a downtime, by its policies.

    If somebody had paused it, it stays paused.
    """
    return Change(_next_version(_unretired(job), revision=job.revision + 1))


def _unretired(job: Job) -> Job:
    if _is_paused_by_retirement(job):
        job = job._replace(paused_at=None, pause_reason=None)
    return job._replace(retired_at=None)


def _is_paused_by_retirement(job: Job) -> bool:
    return job.retired_at is not None and job.paused_at == job.retired_at


def _is_paused_for_itself(job: Job) -> bool:
    return job.paused and not _is_paused_by_retirement(job)


def reschedule(job: Job, trigger: Trigger, now: datetime) -> Change:
    """Give *job* another trigger, counted from *now*; TriggerError if it has ended. A paused job stays paused."""
    change = _reschedule(job, trigger, now)
    check_expected(change.job.trigger, job.expect_every, now)
    return change


def _reschedule(job: Job, trigger: Trigger, now: datetime) -> Change:
    check_fires(trigger.anchored(now, job.id), now)
    change = _retrigger(job, trigger, now)
    _check_forward(change.job, change.job.next_fire_time)
    return change


def _retrigger(job: Job, trigger: Trigger, now: datetime) -> Change:
    trigger = trigger.anchored(now, job.id)
    job, dropped = _drop_until(job, now)
    following = first_fire_time(trigger, now if job.last_fire_time is None else max(now, job.last_fire_time))
    return Change(
        _next_version(job, revision=job.revision + 1, trigger=trigger, anchored_at=now, next_fire_time=following),
        dropped,
    )


def modify(job: Job, changes: Mapping[str, Any], now: datetime) -> Change:
    """Change policies, arguments, the function or the next fire time; a new trigger reschedules."""
    for name in changes:
        if name not in MODIFIABLE:
            raise InvalidJobError(
                f"modify_job: expected one of {', '.join(MODIFIABLE)}, got {name!r}{did_you_mean(name, MODIFIABLE)}"
            )
    changes, before = dict(changes), job
    runs: tuple[Run, ...] = ()
    if "trigger" in changes:
        rescheduled = _reschedule(job, changes.pop("trigger"), now)
        job, runs = rescheduled.job._replace(version=job.version), rescheduled.runs
    elif "next_fire_time" in changes:
        job, runs = _drop_until(job, now)
    _check_forward(job, changes.get("next_fire_time"))
    modified = check_job(_next_version(job, revision=job.revision + 1, **changes))
    if (modified.trigger, modified.expect_every) != (before.trigger, before.expect_every):
        check_expected(modified.trigger, modified.expect_every, now)
    return Change(modified, runs)


def ensure(job: Job, declared: Job, now: datetime) -> Change | None:
    """Bring a stored *job* to what the code declares; None if it is that already.

    An unchanged definition keeps its phase, its pause and its history; a trigger that leaves its start
    open keeps the start it has. A changed trigger reschedules; a pause survives either. A trigger that
    has ended, as a declared one does some day, or a date that was fired already, ends the job. One that was retired
    comes back.
    """
    if job.retired_at is not None:
        back = come_back(job)
        change = ensure(_unretired(job), declared, now)
        return back if change is None else change
    differing = {name: getattr(declared, name) for name in DEFINITION if getattr(declared, name) != getattr(job, name)}
    if declared.trigger == job.trigger or declared.trigger.anchored(job.anchored_at, job.id) == job.trigger:
        differing.pop("trigger", None)
    if not differing:
        return None
    trigger = differing.pop("trigger", None)
    change = Change(_next_version(job)) if trigger is None else _retrigger(job, trigger, now)
    changed = change.job._replace(revision=job.revision + 1, **differing)
    if changed.next_fire_time is not None and job.last_fire_time is not None:
        was_fired = changed.next_fire_time <= job.last_fire_time
        changed = changed._replace(next_fire_time=None) if was_fired else changed
    return Change(check_job(changed), change.runs)


def run_now(
    job: Job, now: datetime, by: str | None = None, given: Given | None = None, expire_after: timedelta | None = None
) -> Change:
    """A run outside the schedule, for any node; it waits if `max_instances` are running, for *expire_after* at most."""
    run = Run(
        job_id=job.id, job_uid=job.uid, fire_time=now, available_at=now, origin=Origin.MANUAL, asked_by=by, given=given,
        expires_at=None if expire_after is None else now + expire_after,
    )  # fmt: skip
    return Change(_next_version(job), (run,))


def retry(
    job: Job | None,
    run: Run,
    later: Run | None,
    now: datetime,
    *,
    by: str | None = None,
    even_if_succeeded: bool = False,
) -> Change:
    """Another attempt at the fire time of a closed *run*, now and for any node; the row of *run* stays as it is.

    *job* is None if it was removed; *later* is the attempt that follows *run* already, if any. The retry policy
    counts from the new attempt on, as if it were the first. Raises RetryRefusedError.
    """
    expected = _why_not_again(job, run, later, even_if_succeeded=even_if_succeeded)
    if job is None or expected is not None:
        raise RetryRefusedError(f"retry_run: expected {expected}")
    may_wait = run.may_wait
    if (
        may_wait is None and run.origin is Origin.SCHEDULE
    ):  # of what somebody asked for, none means: as long as it takes
        may_wait = job.expire_after
    attempt = Run(
        job_id=run.job_id, job_uid=run.job_uid, fire_time=run.fire_time, origin=run.origin, available_at=now,
        attempt=run.attempt + 1, asked_by=by, given=run.given, counted_from=run.attempt + 1,
        expires_at=None if may_wait is None else now + may_wait,
    )  # fmt: skip
    return Change(_next_version(job), (attempt,))


def _why_not_again(job: Job | None, run: Run, later: Run | None, *, even_if_succeeded: bool) -> str | None:
    """What is expected of a run that is to be tried again, and is not so. None: it may be."""
    if not run.state.closed:
        return f"a run that has ended, got {run.id}, which is {run.state}: wait for its end, or cancel it"
    if later is not None:
        instead = f"retry {later.id}" if later.state.closed else f"it is {later.state}"
        return f"the last attempt at its fire time, got {run.id}, which attempt {later.attempt} follows: {instead}"
    if run.through is not None:
        return f"a run of one fire time, got {run.id}, which answers for several: run one of them with run_job_now"
    if run.state is RunState.SUCCEEDED and not even_if_succeeded:
        return f"a run that did not succeed, got {run.id}, which did: pass even_if_succeeded=True to run it again"
    if job is None:
        return f"a run of a job that exists, got {run.id} of {run.job_id!r}, which was removed: add the job again"
    return None


def backfill(job: Job, asked: Backfill, now: datetime, *, pruned_through: datetime | None = None) -> Backfill:
    """What *asked* says, as it is stored: at its first fire time, and not beyond what the schedule has passed.

    *pruned_through* is up to where the ledger of the job may lack rows. Raises InvalidJobError for a range without
    fire times, or of which the ledger no longer knows what ran.
    """
    if asked.end < asked.start:
        raise InvalidJobError(
            f"backfill_job: expected an end that is not before the start, got {asked.start} to {asked.end}: swap them"
        )
    start = max(asked.start, BEGINNING + MICROSECOND)
    end = min(asked.end, now)
    if job.next_fire_time is not None:
        end = min(end, job.next_fire_time - MICROSECOND)
    first = job.trigger.next_after(start - MICROSECOND)
    if first is None or first > end:
        raise InvalidJobError(
            f"backfill_job: expected a range with fire times that {job.id!r} has passed, got {asked.start} to "
            f"{asked.end}: its trigger is {job.trigger}, its next fire time {job.next_fire_time}"
        )
    if pruned_through is not None and first <= pruned_through and not asked.everything:
        raise InvalidJobError(
            f"backfill_job: expected a start after {pruned_through}, as the ledger of {job.id!r} was pruned through "
            f"it and does not tell what ran before, got {asked.start}: pass everything=True to run all of them"
        )
    cursor = latest_fire_time(job.trigger, first, end)[0] if asked.newest_first else first
    return asked._replace(trigger=job.trigger, start=start, end=end, cursor=cursor)


def stretch(backfill: Backfill, active: Sequence[Run]) -> Sequence[datetime]:
    """The fire times whose answers `fill` needs to know; *active* are the runs of the backfill. Empty: it is full."""
    return backfill.next_fire_times() if len(active) < backfill.max_instances else ()


def fill(
    backfill: Backfill, active: Sequence[Run], fire_times: Sequence[datetime],
    answered: Mapping[datetime, Answered], now: datetime,
) -> Filling:  # fmt: skip
    """Bear runs for the next of *fire_times*, as far as there is room; and end a backfill that has none left.

    *answered* is what the ledger has of them.
    """
    if backfill.cursor is None and not active:
        return Filling(backfill._replace(version=backfill.version + 1, ended_at=now), moved=True)
    born: list[Run] = []
    looked_at = 0
    for fire_time in fire_times:
        told = answered.get(fire_time, UNANSWERED)
        if not told.open and (backfill.everything or not told.ran):
            if len(active) + len(born) >= backfill.max_instances:
                break
            born.append(_backfilled(backfill, fire_time, told.backfilled + 1, now))
        looked_at += 1
    if looked_at == 0:
        return Filling(backfill)
    more = fire_times[looked_at:]
    return Filling(
        backfill._replace(
            version=backfill.version + 1,
            cursor=more[0] if more else backfill.fire_time_after(fire_times[-1]),
            born=backfill.born + len(born),
            passed_over=backfill.passed_over + looked_at - len(born),
        ),
        tuple(born),
        moved=True,
    )


def _backfilled(backfill: Backfill, fire_time: datetime, attempt: int, now: datetime) -> Run:
    return Run(
        job_id=backfill.job_id, job_uid=backfill.job_uid, fire_time=fire_time, available_at=now, attempt=attempt,
        origin=Origin.BACKFILL, asked_by=backfill.asked_by, given=backfill.given, counted_from=attempt,
        backfill=backfill.id,
    )  # fmt: skip


def end_backfill(backfill: Backfill, reason: str, now: datetime) -> Backfill:
    """A backfill that ends before its time. Raises BackfillEndedError."""
    if backfill.ended:
        raise BackfillEndedError(f"cancel_backfill: expected one that goes on, got {backfill.id}, which has ended")
    return backfill._replace(version=backfill.version + 1, ended_at=now, reason=reason)


def _next_version(job: Job, **changes: Any) -> Job:
    return job._replace(version=job.version + 1, **changes)


def _check_forward(job: Job, fire_time: datetime | None) -> None:
    if fire_time is not None and job.last_fire_time is not None and fire_time <= job.last_fire_time:
        raise InvalidJobError(
            f"next_fire_time: expected an instant after the last fire time of {job.id!r}, {job.last_fire_time}, "
            f"got {fire_time}: what has its answer in the ledger is not fired again; run_job_now runs it once more"
        )


def _advance(job: Job, to: datetime, following: datetime | None, *runs: Run) -> Change:
    """The job past *to*, a fire time that now has its answer, waiting for *following*."""
    return Change(job.standing_at(job.version + 1, following, to), runs)


def _drop_until(job: Job, now: datetime) -> tuple[Job, tuple[Run, ...]]:
    """The job past the fire times up to *now* that were never fired, and one closed row that answers for them."""
    first = job.next_fire_time
    if first is None or first > now:
        return job, ()
    reason = "rescheduled before it was fired"
    if job.paused:
        reason = "paused" + (f" by {job.paused_by}" if job.paused_by else "")
        reason += f" at {job.paused_at:%Y-%m-%dT%H:%M:%SZ}" + (f": {job.pause_reason}" if job.pause_reason else "")
    last, following = latest_fire_time(job.trigger, first, now)
    dropped = _not_run(job, now, RunState.SKIPPED, reason, first, last)
    return job._replace(next_fire_time=following, last_fire_time=last), (dropped,)


def _born(job: Job, fire_time: datetime, hold: Hold | None, now: datetime) -> Run:
    if hold is None:
        run = Run(job.id, job.uid, fire_time, fire_time)
    else:
        run = Run(
            job.id, job.uid, fire_time, fire_time, None, 1, SCHEDULE, RUNNING, 1, hold.node, hold.lease_until
        )  # fmt: skip
    if job.expire_after is None:
        return run
    since = max(fire_time, now)  # what is fired late begins to wait now
    return run._replace(available_at=since, expires_at=since + job.expire_after)


def _not_run(job: Job, now: datetime, state: RunState, reason: str, first: datetime, last: datetime) -> Run:
    """A row born closed, which answers for the fire times from *first* through *last*."""
    return Run(
        job_id=job.id, job_uid=job.uid, fire_time=first, through=None if first == last else last,
        available_at=first, state=state, ended_at=now, reason=reason,
    )  # fmt: skip


def _before(job: Job, now: datetime, state: RunState, reason: str, first: datetime, end: datetime) -> tuple[Run, ...]:
    """A closed row for the fire times from *first* up to *end* and without it, if there are any."""
    if first >= end:
        return ()
    last, _ = latest_fire_time(job.trigger, first, end - MICROSECOND)
    return (_not_run(job, now, state, reason, first, last),)


def _first_since(trigger: Trigger, first: datetime, since: datetime) -> datetime | None:
    """The first fire time that is not before *since*, counted from *first*."""
    return first if first >= since else trigger.next_after(since - MICROSECOND)


def say_attempt(run: Run, retry: Retry, raised: Sequence[str] | None) -> str:
    """Which attempt of how many *run* is, which ends by an exception of these names, and what follows it; for the log.

    None: it is lost. Empty where there is no more than one attempt.
    """
    if retry.max_attempts == 1:
        return ""
    wait = _wait_after(run, retry, raised)
    if wait is not None:
        follows = f"again in {wait.total_seconds():g} s"
    else:
        follows = "the last" if run.tries >= retry.max_attempts else "not tried again"
    return f" (attempt {run.tries} of {retry.max_attempts}, {follows})"


def _wait_after(run: Run, retry: Retry, raised: Sequence[str] | None) -> timedelta | None:
    """How long the attempt waits that follows *run*. None: none does."""
    if run.cancel_reason is not None or not retry.allows(run.tries, raised):
        return None
    return retry.wait_after(run.tries, run.key)


def _next_attempt(run: Run, retry: Retry, raised: Sequence[str] | None, now: datetime) -> Run | None:
    wait = _wait_after(run, retry, raised)
    if wait is None:
        return None
    available_at = now + wait
    return Run(
        job_id=run.job_id, job_uid=run.job_uid, fire_time=run.fire_time, origin=run.origin,
        attempt=run.attempt + 1, available_at=available_at,
        asked_by=run.asked_by, given=run.given, counted_from=run.counted_from, backfill=run.backfill,
        expires_at=None if run.may_wait is None else available_at + run.may_wait,
    )  # fmt: skip


def _coalesced(job: Job, now: datetime, first: datetime, last: datetime) -> tuple[Run, ...]:
    return _before(job, now, RunState.SKIPPED, COALESCED, first, last)


def _late(job: Job, late: timedelta) -> str:
    if job.misfire_grace_time is None:
        return f"fired {late} late, and catch_up is {job.made_up}"
    return f"fired {late} late, and misfire_grace_time is {job.misfire_grace_time}"


def _in_the_way(job: Job, active: Sequence[Run]) -> str:
    verb = "running" if active[0].state is RunState.RUNNING else "waiting"
    return f"max_instances is {job.max_instances}, and run {active[0].id} was still {verb}"


def _no_room_to_wait(job: Job, waiting: Sequence[Run]) -> str:
    return f"max_waiting is {job.max_waiting}, and run {waiting[0].id} was still waiting"
