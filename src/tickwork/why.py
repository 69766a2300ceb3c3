"""What became of one instant of a job, or will: one answer, from what a store knows of it.

The rule: nothing is made up. A row of the ledger is the answer, whatever the job has become since. Where there is
none the trigger is asked, back to when it was set; and where that ends, too, the answer says what is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, TypeAlias, assert_never

from tickwork.backfill import Backfill
from tickwork.clock import MICROSECOND
from tickwork.errors import TriggerError
from tickwork.job import Job
from tickwork.moves import Move
from tickwork.node import Node
from tickwork.plan import COALESCED
from tickwork.run import Origin, Progress, Run, RunState
from tickwork.triggers.instants import say_instant
from tickwork.triggers.ticks import Tick, latest_fire_time, named_within, not_kept

SECOND = timedelta(seconds=1)
MAX_NAMESAKES = 100
"""How many jobs that have had the same id are looked at."""
MAX_ASKED_FOR = 100
"""How many runs that someone asked for, of one second, are told of."""
SILENCE_SCAN = 10_000
"""How far back in the ledger a sign of a node is looked for before a fire time that did not run."""
END_OF_TIME = datetime.max.replace(tzinfo=UTC)

NEVER_BEGUN = frozenset({RunState.MISSED, RunState.SKIPPED})
"""The rows beside which the silence before them may say more."""

Say: TypeAlias = Callable[[datetime], str]
"""How an instant is written for people."""


class Verdict(StrEnum):
    """The answer in a word. The first nine are states of runs: a row of the ledger is the answer."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    MISSED = "missed"
    SKIPPED = "skipped"

    COMING = "coming"
    """A fire time that lies ahead."""
    DUE = "due"
    """A fire time that has come, and that no node has fired yet."""
    PAUSED = "paused"
    """A fire time of a job that is paused now: it runs only if the job is resumed before it."""
    RETIRED = "retired"
    """A fire time of a job that no running code declares any more."""
    MOVED = "moved"
    """A fire time of a job that has moved to another store, or is on its way there or here."""
    PASSED_OVER = "passed_over"
    """The trigger names it, but the next fire time was moved past it by hand before it came."""
    EXCLUDED = "excluded"
    """The trigger leaves it out, and says why."""
    SHIFTED = "shifted"
    """The trigger moves it to another time, and says why."""
    NOT_A_FIRE_TIME = "not_a_fire_time"
    """The job has none at this instant."""
    ENDED = "ended"
    """The trigger has named its last fire time before."""
    REMOVED = "removed"
    """The job was removed before."""
    PRUNED = "pruned"
    """So old that the ledger keeps it no more."""
    UNKNOWN = "unknown"
    """This version of tickwork cannot read the trigger."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one instant of a job, or will."""

    job_id: str
    instant: datetime
    """The one that was asked about."""
    verdict: Verdict
    sentence: str
    """For people: why, in one sentence."""
    fire_time: datetime | None = None
    """The fire time that this instant means. None: the job has none there."""
    runs: tuple[Run, ...] = ()
    """What the ledger has of it: the attempts in their order, and behind them runs that someone asked for then."""
    before: datetime | None = None
    """The nearest fire time before it. None: none is known."""
    after: datetime | None = None
    """The nearest fire time after it. None: none is known."""

    @property
    def manual(self) -> bool:
        """Whether the answer is a run that someone asked for."""
        return bool(self.runs) and self.runs[0].origin is Origin.MANUAL

    def __str__(self) -> str:
        return self.sentence


class Silence(NamedTuple):
    """The stretch around a fire time that did not run, in which the ledger shows no node at work."""

    since: datetime | None
    """When a node last began or ended a run before it. None: the ledger does not reach back to that."""
    until: datetime
    """When a node next did anything."""


class Absence(NamedTuple):
    """A stretch in which no node was alive, as the nodes said themselves of their lives."""

    last: Node
    """The one that was last heard of before it."""
    following: Node | None
    """The first that was heard of after it. None: there was none since."""


class Evidence(NamedTuple):
    """What a store knows of one job around one instant: all that an answer is made of."""

    job_id: str
    job: Job | None
    """As it is now. None: it was removed."""
    before: Sequence[Run] = ()
    """The attempts at the last fire time in the ledger that is not after the instant."""
    after: Sequence[Run] = ()
    """Those at the first fire time in the ledger that is after it."""
    manual: Sequence[Run] = ()
    """Attempts at runs that someone asked for at the instant (see `end_of`)."""
    backfilled: Sequence[Run] = ()
    """Attempts of backfills at fire times at the instant."""
    backfills: Sequence[Backfill] = ()
    """The backfills of the job that go on."""
    running: Sequence[Run] = ()
    """Its running runs, if one that answers waits: no more of them than its `max_instances`."""
    silence: Silence | None = None
    """None: what answers began to run, or nothing is known."""
    absence: Absence | None = None
    """The one around the instant. None: a node was alive then, or nothing is known of that time."""
    removed_at: datetime | None = None
    pruned_through: datetime | None = None
    """Up to here the ledger of the job may lack rows. None: it lacks none."""
    move: Move | None = None
    """What the store has noted of a move. None: nothing."""


def end_of(instant: datetime) -> datetime:
    """Where what *instant* means ends: one without a fraction of a second stands for all of that second."""
    length = MICROSECOND if instant.microsecond else SECOND
    return END_OF_TIME if END_OF_TIME - instant < length else instant + length


def rows_at(before: Sequence[Run], after: Sequence[Run], instant: datetime) -> Sequence[Run]:
    """Which of the rows around *instant* answer for it, if any do."""
    if before and (before[0].through or before[0].fire_time) >= instant:
        return before
    return after if after and after[0].fire_time < end_of(instant) else ()


def of_its_time(namesakes: Sequence[Evidence], instant: datetime) -> Evidence:
    """Of the jobs that have had one id, in the order of their ends, the one that *instant* belongs to.

    That is one with a row for it; or the one that had the id then.
    """
    answering = [one for one in namesakes if rows_at(one.before, one.after, instant)]
    of_then = [one for one in namesakes if one.removed_at is None or one.removed_at > instant]
    return [*answering[-1:], *of_then, *namesakes[-1:]][0]


def explain(evidence: Evidence, instant: datetime, now: datetime, say: Say = say_instant) -> Answer:
    """The one answer for *instant*, with its times written by *say*."""
    case = Case(evidence, evidence.job, instant, end_of(instant), now, say)
    found = _in_ledger(case) or _in_schedule(case)
    if evidence.backfilled:
        found = _with_backfilled(case, found)
    found = _with_coming_backfill(case, found)
    if evidence.manual:
        found = _with_manual(case, found)
    move = evidence.move
    if found.verdict is Verdict.PENDING and move is not None and not move.fires:
        found = found._replace(sentence=f"{found.sentence}; the store of the job {move.told(say)}")
    before, after = _nearest(case, found.fire_time)
    sentence = found.sentence + (_say_nearest(before, after, say) if found.fire_time is None else "")
    return Answer(
        evidence.job_id, instant, found.verdict, sentence, found.fire_time, tuple(found.runs), before, after
    )  # fmt: skip


class Case(NamedTuple):
    """The question and all that is known."""

    evidence: Evidence
    job: Job | None
    instant: datetime
    until: datetime
    now: datetime
    say: Say


class Found(NamedTuple):
    """An answer in the making."""

    verdict: Verdict
    sentence: str
    fire_time: datetime | None = None
    runs: Sequence[Run] = ()


# what the ledger says


def _in_ledger(case: Case) -> Found | None:
    runs = rows_at(case.evidence.before, case.evidence.after, case.instant)
    fire_time = _fire_time_in(case, runs[0]) if runs else None
    if fire_time is None:
        return None
    told = _say_runs(case, runs)
    if runs[0].state not in NEVER_BEGUN:
        told += _say_absence(case, runs[0])
    return Found(Verdict(runs[-1].state), told, fire_time, runs)


def _fire_time_in(case: Case, row: Run) -> datetime | None:
    """The fire time that the instant means, among those that *row* answers for; None: it lies between two of them.

    If the trigger has changed since, there is no telling, and the row is believed.
    """
    at = max(row.fire_time, case.instant)
    if row.through is None or at in (row.fire_time, row.through):
        return at
    if case.job is None or row.fire_time < case.job.anchored_at:
        return at
    try:
        return named_within(case.job.trigger, at, min(case.until, row.through + MICROSECOND))
    except TriggerError:
        return at


def _with_manual(case: Case, scheduled: Found) -> Found:
    """The runs that someone asked for at the instant: the answer, unless the schedule has one."""
    manual = case.evidence.manual
    latest = [run for run in manual if run.fire_time == manual[-1].fire_time]
    asked_by = latest[0].asked_by
    told = f"run by hand{f' for {asked_by}' if asked_by else ''}, {_say_runs(case, latest)}"
    if scheduled.fire_time is None:
        return Found(Verdict(latest[-1].state), told, latest[0].fire_time, manual)
    return scheduled._replace(sentence=f"{scheduled.sentence}; besides it was {told}", runs=(*scheduled.runs, *manual))


def _with_backfilled(case: Case, scheduled: Found) -> Found:
    """The runs of backfills at the instant: the answer, and what became of the fire time before stands behind it."""
    backfilled = case.evidence.backfilled
    latest = [run for run in backfilled if run.fire_time == backfilled[-1].fire_time]
    asked_by = latest[-1].asked_by
    told = f"run after all{f' for {asked_by}' if asked_by else ''}, {_say_runs(case, latest)}"
    if scheduled.fire_time is not None:
        told += f"; before that {scheduled.sentence}"
    return Found(Verdict(latest[-1].state), told, latest[0].fire_time, (*scheduled.runs, *backfilled))


def _with_coming_backfill(case: Case, found: Found) -> Found:
    """What is still to be run after all, as a backfill that goes on has not come to it yet."""
    fire_time = found.fire_time
    if fire_time is None or found.verdict in (Verdict.PENDING, Verdict.RUNNING):
        return found
    ran = any(run.state not in NEVER_BEGUN for run in found.runs)
    for backfill in case.evidence.backfills:
        if backfill.is_ahead_of(fire_time) and (backfill.everything or not ran):
            asked_by = f" for {backfill.asked_by}" if backfill.asked_by else ""
            told = f"backfill {backfill.id} is to run it{' again' if ran else ' after all'}{asked_by}"
            return found._replace(sentence=f"{found.sentence}; {told}")
    return found


# what the job and its trigger say


def _in_schedule(case: Case) -> Found:
    job = case.job
    if job is None:
        return _of_removed_job(case)
    try:
        fire_time = _fire_time_of(job, case)
        excluded = _not_kept(job, case) if fire_time is None else None
    except TriggerError as error:
        return Found(Verdict.UNKNOWN, f"not known: its trigger is {job.trigger}: {error}")
    if fire_time is None:
        return _beside_schedule(job, case, excluded)
    if job.next_fire_time is not None and fire_time >= job.next_fire_time:
        return _unanswered(job, case, fire_time)
    if _is_pruned(case, fire_time):
        return Found(Verdict.PRUNED, _say_pruned(case), fire_time)
    passed_over = "passed over: its job was given a later next fire time before it came"
    return Found(Verdict.PASSED_OVER, passed_over, fire_time)


def _fire_time_of(job: Job, case: Case) -> datetime | None:
    """The fire time that the job has at the instant, by its trigger and by where its schedule stands."""
    planned = job.next_fire_time
    if planned is not None and case.instant <= planned < case.until:
        return planned
    if case.until <= job.anchored_at:
        return None
    named = named_within(job.trigger, case.instant, case.until)
    return named if named is not None and named > job.anchored_at else None


def _not_kept(job: Job, case: Case) -> Found | None:
    """What the trigger says itself of a fire time that it leaves out or moves, of those since it was set."""
    tick = not_kept(job.trigger, case.instant, case.until) if case.instant > job.anchored_at else None
    if tick is None:
        return None
    verdict = Verdict.SHIFTED if tick.excluded is None else Verdict.EXCLUDED
    return Found(verdict, f"not a fire time of this job: {_say_not_kept(case, tick)}")


def _unanswered(job: Job, case: Case, fire_time: datetime) -> Found:
    """A fire time that the schedule has not passed yet."""
    move = case.evidence.move
    if move is not None and not move.fires:
        return Found(Verdict.MOVED, f"the store of the job {move.told(case.say)}", fire_time)
    if job.retired_at is not None:
        since = f"the job is retired since {case.say(job.retired_at)}: no running code declares it"
        return Found(
            Verdict.RETIRED, f"{since}; if some does again, its policies decide what becomes of this", fire_time
        )
    if job.paused_at is not None:
        since = f"paused since {case.say(job.paused_at)}" + (f" by {job.paused_by}" if job.paused_by else "")
        since += f": {job.pause_reason}" if job.pause_reason else ""
        until_resumed = (
            "when it is resumed this is recorded as skipped" if fire_time <= case.now
            else "it runs only if it is resumed before"
        )  # fmt: skip
        return Found(Verdict.PAUSED, f"the job is {since}; {until_resumed}", fire_time)
    if fire_time <= case.now:
        nobody = "" if case.evidence.absence is None else f": {_describe(case, case.evidence.absence)}"
        return Found(Verdict.DUE, f"due since {case.say(fire_time)}, and no node has fired it yet{nobody}", fire_time)
    return Found(Verdict.COMING, f"will run at {case.say(fire_time)}", fire_time)


def _beside_schedule(job: Job, case: Case, excluded: Found | None) -> Found:
    """What there is to say of an instant that is no fire time."""
    if case.instant <= job.anchored_at and _is_pruned(case, case.instant):
        return Found(Verdict.PRUNED, _say_pruned(case))
    if excluded is not None:
        return excluded
    if case.until <= job.anchored_at and not case.evidence.before:
        set_at = f"its trigger, {job.trigger}, was set at {case.say(job.anchored_at)}"
        return Found(Verdict.NOT_A_FIRE_TIME, f"not a fire time of this job: {set_at}")
    if job.ended and (job.last_fire_time is None or job.last_fire_time < case.instant):
        return Found(Verdict.ENDED, f"not a fire time of this job: its trigger, {job.trigger}, has ended")
    return Found(Verdict.NOT_A_FIRE_TIME, "not a fire time of this job")


def _of_removed_job(case: Case) -> Found:
    """The trigger went with the job; only the ledger and the time of its removal are left."""
    removed_at = case.evidence.removed_at
    if _is_pruned(case, case.instant):
        return Found(Verdict.PRUNED, _say_pruned(case))
    if case.evidence.after or (removed_at is not None and case.instant < removed_at):
        return Found(Verdict.NOT_A_FIRE_TIME, "the ledger has no row for it, and the job was removed since")
    at = "" if removed_at is None else f" at {case.say(removed_at)}"
    return Found(Verdict.REMOVED, f"the job was removed{at}")


def _is_pruned(case: Case, instant: datetime) -> bool:
    return case.evidence.pruned_through is not None and instant <= case.evidence.pruned_through


def _nearest(case: Case, fire_time: datetime | None) -> tuple[datetime | None, datetime | None]:
    """The nearest fire times before and after *fire_time*, or the instant: in the ledger, and by the trigger."""
    at = case.instant if fire_time is None else fire_time
    before = [end for run in case.evidence.before[:1] for end in (run.fire_time, run.through) if end is not None]
    after = [run.fire_time for run in case.evidence.after[:1]]
    if case.job is not None:
        try:
            before += _last_named(case.job, at)
            after += _next_named(case.job, at)
        except TriggerError:
            pass  # the ledger has to do
    return max((one for one in before if one < at), default=None), min((one for one in after if one > at), default=None)


def _last_named(job: Job, at: datetime) -> Sequence[datetime]:
    first = job.trigger.next_after(job.anchored_at)
    return () if first is None or first >= at else [latest_fire_time(job.trigger, first, at - MICROSECOND)[0]]


def _next_named(job: Job, at: datetime) -> Sequence[datetime]:
    """Where the schedule stands, and what the trigger names next, unless that was passed over."""
    planned = job.next_fire_time
    named = job.trigger.next_after(max(at, job.anchored_at))
    answered = named is not None and job.last_fire_time is not None and named <= job.last_fire_time
    coming = named is not None and planned is not None and named >= planned
    return [one for one in (planned, named if answered or coming else None) if one is not None]


# words


def _say_runs(case: Case, runs: Sequence[Run]) -> str:
    """What became of the last attempt, and of those before it."""
    run, earlier = runs[-1], runs[:-1]
    told = _say_run(case, run)
    if run.through is not None:
        told += f"; one row answers for all from {case.say(run.fire_time)} through {case.say(run.through)}"
    if earlier:
        told = f"attempt {run.attempt}{_say_asked_for(run)} {told}"
    return "; ".join([told, *(f"attempt {one.attempt} {_say_end(one)}" for one in earlier)])


def _say_asked_for(run: Run) -> str:
    """That someone asked for this attempt, where it is not its retry policy that did."""
    if run.attempt == 1 or run.tries > 1:
        return ""
    return f", asked for by {run.asked_by}," if run.asked_by else ", asked for by hand,"


def _say_run(case: Case, run: Run) -> str:
    match run.state:
        case RunState.PENDING:
            return _say_waiting(case, run)
        case RunState.RUNNING:
            return _say_running(case, run)
        case RunState.MISSED:
            return _say_end(run) + (_say_absence(case, run) or _say_silence(case))
        case RunState.SKIPPED:
            if run.reason != COALESCED:
                return _say_end(run)
            return _say_end(run) + _say_instead(case) + (_say_absence(case, run) or _say_silence(case))
        case RunState.SUCCEEDED | RunState.FAILED | RunState.TIMED_OUT | RunState.CANCELLED | RunState.LOST:
            return f"{_say_call(case, run)}{_say_end(run)}{_say_asked(run)}"
        case _:
            assert_never(run.state)


def _say_end(run: Run) -> str:
    words = run.state.replace("_", " ")
    if run.state in (RunState.CANCELLED, RunState.LOST):
        words = f"was {words}"
    return f"{words}: {run.reason}" if run.reason else words


def _say_asked(run: Run) -> str:
    """That someone asked a run to end, if it ended otherwise."""
    heeded = run.cancel_reason is None or run.state is RunState.CANCELLED
    return "" if heeded else f"; it had been asked to end: {run.cancel_reason}"


def _say_call(case: Case, run: Run) -> str:
    """Where and when the function was called, as far as the ledger was told."""
    if run.started_at is None:
        return "" if run.node is None else f"given to node {run.node}, which told of no start, and "
    until = "" if run.ended_at is None else f" until {case.say(run.ended_at)}"
    return f"ran on node {run.node} from {case.say(run.started_at)}{until}, and "


def _say_waiting(case: Case, run: Run) -> str:
    job = case.job
    if job is not None and job.paused_at is not None and not run.by_hand:
        return f"waits until the job is resumed, which is paused since {case.say(job.paused_at)}"
    if run.available_at > case.now:
        return f"waits for its time, {case.say(run.available_at)}"
    running = case.evidence.running
    if job is not None and run.backfill is None and len(running) >= job.max_instances:
        in_the_way = f"max_instances is {job.max_instances}, and run {running[0].id} is still running"
        return f"waits since {case.say(run.available_at)}: {in_the_way}"
    return f"waits since {case.say(run.available_at)} for a node that has room and knows its function"


def _say_running(case: Case, run: Run) -> str:
    began = "was given to" if run.started_at is None else "runs on"
    since = "" if run.started_at is None else f" since {case.say(run.started_at)}"
    why = run.cancel_reason or run.reason
    asked = "" if why is None else f"; it was asked to end: {why}"
    lease = ""
    if run.lease_until is not None:
        gone = run.lease_until <= case.now
        lease = f"; its lease {'ended at' if gone else 'goes until'} {case.say(run.lease_until)}"
        lease += ", and it is lost unless its node comes back" if gone else ""
    return f"{began} node {run.node}{since}{_say_progress(run.progress)}{asked}{lease}"


def _say_progress(progress: Progress | None) -> str:
    if progress is None:
        return ""
    total = "" if progress.total is None else f" of {progress.total:g}"
    return f", {progress.done:g}{total}{f' {progress.message}' if progress.message else ''} done"


def _say_instead(case: Case) -> str:
    """The run that stands for what was coalesced."""
    after = case.evidence.after
    return f"; that is run {after[-1].id}, which is {after[-1].state.replace('_', ' ')}" if after else ""


def _say_absence(case: Case, run: Run) -> str:
    """That no node was alive, if that is why *run* was late or did not begin: a node that came later has seen to it."""
    absence, seen_to_at = case.evidence.absence, run.ended_at if run.node is None else run.started_at
    following = None if absence is None else absence.following
    if absence is None or following is None or seen_to_at is None or seen_to_at < following.seen_since:
        return ""
    return f"; {_describe(case, absence)}"


def _describe(case: Case, absence: Absence) -> str:
    last, following = absence
    left = (
        f"stopped at {case.say(last.stopped_at)}"
        if last.stopped_at
        else f"was last heard of at {case.say(last.seen_at)}"
    )
    told = f"no node was alive, since node {last.id} on {last.host} {left}"
    if following is None:
        return f"{told}, and no other has started"
    if following.id == last.id:
        return f"{told}, until {case.say(following.seen_since)}"
    came = "started" if following.seen_since == following.started_at else "came back"
    return f"{told}, until node {following.id} on {following.host} {came} at {case.say(following.seen_since)}"


def _say_silence(case: Case) -> str:
    silence = case.evidence.silence
    if silence is None:
        return ""
    since = "" if silence.since is None else f" from {case.say(silence.since)}"
    return f"; the ledger shows no node at work{since} until {case.say(silence.until)}"


def _say_not_kept(case: Case, tick: Tick) -> str:
    excluded = "" if tick.excluded is None else f"excluded: {tick.excluded}"
    if tick.shifted_from is not None:
        return f"shifted to {case.say(tick.at)}: {tick.why}" + (f"; and there {excluded}" if excluded else "")
    return excluded or f"its jitter moves it to {case.say(tick.at)}"


def _say_pruned(case: Case) -> str:
    assert case.evidence.pruned_through is not None
    return f"not known any more: the ledger of this job was pruned through {case.say(case.evidence.pruned_through)}"


def _say_nearest(before: datetime | None, after: datetime | None, say: Say) -> str:
    near = [say(one) for one in (before, after) if one is not None]
    if len(near) == 2:
        return f" (the nearest are {near[0]} and {near[1]})"
    return f" (the nearest is {near[0]})" if near else ""
