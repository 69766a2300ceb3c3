"""The heart: `Loop.tick()` does everything that is due now.

The rule: no sleep, no thread, no async. Whoever drives the loop waits; whoever has news leaves it in a
queue and wakes the driver. So a test drives it by hand, and a simulation drives many.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeGuard

from tickwork import plan
from tickwork.backfill import MAX_OPEN_BACKFILLS, Answered, Backfill
from tickwork.declaration import NOTHING_DECLARED, Declaration
from tickwork.errors import RunNotFoundError, StoreError
from tickwork.events import (
    Event,
    JobChanged,
    JobFired,
    JobOverdue,
    JobRecovered,
    RunSettled,
    RunStarted,
    StoreLost,
    StoreRecovered,
)
from tickwork.executors.base import Executor
from tickwork.executors.call import NOWHERE, Call
from tickwork.executors.injection import Surroundings
from tickwork.executors.state import state_conflict
from tickwork.expectation import Expectation
from tickwork.held import HeldCalls
from tickwork.job import Job
from tickwork.lateness import Lateness
from tickwork.listeners import Listeners
from tickwork.node import Node
from tickwork.plan import Change, Filling, Hold, Settlement
from tickwork.policies import ONCE, exception_names
from tickwork.presence import Presence
from tickwork.pruning import Pruning
from tickwork.refs import Function, find_function
from tickwork.retention import FOREVER, Retention
from tickwork.run import Cancelled, Failed, Lost, Outcome, Released, Run, RunState, Succeeded, TimedOut
from tickwork.stores.base import Store

RAN = (RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.LOST)
MAX_NAMED = 10
"""How many jobs that are found to be overdue together have a line of their own in the log."""
FAR_OFF = datetime.max.replace(tzinfo=UTC)

log = logging.getLogger("tickwork.loop")


@dataclass(frozen=True, slots=True)
class Timing:
    """How often the loop looks, and how long its word is believed."""

    lease: timedelta = timedelta(seconds=10)
    """A run whose node has not renewed it for so long is lost."""
    poll: timedelta = timedelta(seconds=1)
    """The longest wait between two looks at the store, when no news comes."""
    ahead: timedelta = timedelta(milliseconds=50)
    """How long before its fire time a run is claimed: the commit is done when the time comes."""
    rest: timedelta = timedelta(milliseconds=20)
    """The shortest time between two rounds: what comes due within it shares their commits."""
    short_rest: timedelta = timedelta(milliseconds=1)
    """The same while more is due than one round could take."""
    batch: int = 500
    """How many jobs or runs one statement takes."""
    last_call: timedelta = timedelta(seconds=1)
    """How long cancelled coroutines have to clean up when the loop stops."""
    late: timedelta = timedelta(seconds=10)
    """What has been due for longer makes way for what has not: a backlog drains in the room that is left."""
    set_aside: timedelta = timedelta(seconds=30)
    """How long a job is left alone whose function or trigger this node cannot use."""
    prune: timedelta = timedelta(minutes=10)
    """How often a node goes through the ledger, to let go of what is kept no longer."""


@dataclass(slots=True)
class Round:
    """What a round has written so far: true for this node once the commit is, and forgotten if it fails."""

    settled: int = 0
    """How many of the reports, from the first on, have become endings."""
    ended: list[Call] = field(default_factory=list)
    taken: dict[str, list[Call]] = field(default_factory=dict)
    """The calls that were fired or claimed, by executor."""
    events: list[Event] = field(default_factory=list)
    renewed: list[tuple[Call, Run]] = field(default_factory=list)
    renew_at: datetime | None = None
    """When leases are to be renewed next. None: they were not, in this round."""
    overdue: list[Expectation] = field(default_factory=list)
    """What was found to be overdue, and is to be told."""


class Loop:
    """One node: it fires what is due, claims what waits, and settles what has ended."""

    def __init__(
        self, store: Store, executors: Mapping[str, Executor], *,
        node: Node, timing: Timing, listeners: Listeners, wake: Callable[[], None],
        keep: Retention = FOREVER, surroundings: Surroundings = NOWHERE, declaration: Declaration = NOTHING_DECLARED,
    ) -> None:  # fmt: skip
        self.store = store
        self.clock = store.clock
        self.executors = executors
        self.node = node.id
        self.timing = timing
        self.paused = False
        self.presence = Presence(store, node, declaration, lease=timing.lease, poll=timing.poll)
        self.overdue = 0
        """How many jobs were overdue at the last beat, and those that this node has found since."""
        self.lateness = Lateness(node.started_at)
        self.outage: StoreLost | None = None
        self.finished = False
        self._listeners = listeners
        self._wake = wake
        self._surroundings = surroundings
        self._calls: set[Call] = set()
        self._timed: set[Call] = set()
        """Those that have begun and may take only so long."""
        self._held = HeldCalls()
        self._round = Round()
        self._reports: deque[tuple[Call, Outcome, datetime]] = deque()
        self._withdrawn: deque[tuple[int, Outcome]] = deque()
        self._progressed: set[Call] = set()
        self._functions: dict[str, Function] = {}
        self._aside: dict[int, datetime] = {}
        self._foreign: dict[int, datetime] = {}
        self._stuck: dict[str, datetime] = {}
        """Backfills whose fire times this node cannot tell, and until when it does not ask again."""
        self._strangers: dict[int, Job] = {}
        self._news = True
        self._more: set[str] = set()
        self._failures = 0
        self._stop_at: datetime | None = None
        self._stopping = False
        self._cancelled = False
        self._untold: list[Expectation] = []
        """What was found to be overdue in a round whose commit failed, or only its reply: perhaps it is to be told."""
        now = self.clock.now()
        self._ticked_at = self._look_at = self._rest_until = self._deferred_to = now
        self._reap_at = self._expire_at = self._overdue_at = now
        self._spare_until = now + 2 * timing.poll  # the store may have been out until now, for all nodes
        self._renew_at = now + timing.lease / 3
        self._pruning = Pruning(store, keep, node=node.id, every=timing.prune, now=now)

    def tick(self) -> datetime:
        """Do everything that is due now; return when to look again."""
        now = self._now()
        self.start_due_runs(now)
        self.end_timed_out_calls(now)
        try:
            if not self._is_time_for_a_round(now):
                self.prune_ledger(now)
                return self.next_tick()
            self.do_a_round(now)
            if self.meet_strangers():  # whose jobs are due and could not be fired yet
                self.do_a_round(now)
            self.look_ahead(now)
        except StoreError as error:
            self.sit_out(error, now)
        except BaseException:
            self._news = True  # a bug: the next tick begins again
            raise
        return self.next_tick()

    def do_a_round(self, now: datetime) -> None:
        """Write all that is due, in one commit; meanwhile what is held begins at its exact time."""
        self._round = Round()
        with self.store.together():
            for step in (
                self.settle_reported,
                self.heed_cancellations,
                self.renew_leases,
                self.reap_lost_runs,
                self.close_expired_runs,
                self.fire_due_jobs,
                self.fill_backfills,
                self.claim_waiting_runs,
                self.notice_overdue_jobs,
                self.beat,
            ):
                step(now)
                self.start_due_runs(self.clock.now())
        self.keep_what_was_written()
        self.start_due_runs(self.clock.now())

    # the steps, in their order

    def start_due_runs(self, now: datetime) -> None:
        """Hand over what is held and due; at its exact time, since only this and no commit stands before it."""
        self.withdraw_held_runs(now)
        for executor, due in self._held.take_due(now).items():
            calls = [call for call in due if self._still_holds(call, now)]
            for call in calls:
                call.submitted_at = now
            if calls:
                self.lateness.note(now - calls[0].run.available_at, now)
            self._timed.update(call for call in calls if call.job.timeout is not None)
            self.executors[executor].submit(calls)
            if self._listeners:
                for call in calls:
                    self._listeners.tell(RunStarted(call.run, now))

    def withdraw_held_runs(self, now: datetime) -> None:
        """Take runs that were claimed ahead out of the hands of jobs that changed since."""
        while self._withdrawn:
            uid, outcome = self._withdrawn.popleft()
            self._let_go(self._held.of_job(uid), outcome, now)

    def end_timed_out_calls(self, now: datetime) -> None:
        """Ask those to end that have gone on for longer than they may."""
        for call in [*self._timed]:
            if call.deadline is not None and call.deadline <= now:
                self._timed.discard(call)
                self._ask_to_end(call, TimedOut(f"it took longer than its timeout of {call.job.timeout}"))

    def settle_reported(self, now: datetime) -> None:
        """Close the runs whose calls have ended."""
        reported = [*self._reports]
        open = [report for report in reported if _settled(report[0]) is None]
        try:
            self._settle([(call, self._ending(call, outcome, at)) for call, outcome, at in open])
        except StoreError:
            raise
        except Exception:  # noqa: BLE001  one of them cannot be written, and the others must be settled all the same
            for call, outcome, at in open:
                self._settle_alone(call, outcome, at)
        if len(open) < len(reported):
            self._let_settled_go((call, outcome) for call, outcome, _ in reported)
        self._round.settled = len(reported)

    def heed_cancellations(self, now: datetime) -> None:
        """Ask those to end that somebody, on whatever node, wants to end."""
        cancelling = self.store.cancelling(self.node)
        calls = {call.run.id: call for call in self._calls} if cancelling else {}
        for run in cancelling:
            call = calls.get(run.id)
            if call is None:
                continue
            call.run = run
            why = Cancelled(run.cancel_reason or "")
            if call.submitted_at is None:
                self._let_go([call], why, now)
            elif call.asked is None:
                self._ask_to_end(call, why)

    def renew_leases(self, now: datetime) -> None:
        """Tell the store, a third of a lease at a time, that our runs go on; and how far they have come."""
        time_to_renew = now >= self._renew_at
        progressed = {*self._progressed}  # what is told from here on is for the next time
        self._progressed -= progressed
        calls = (self._calls if time_to_renew else progressed & self._calls).difference(self._round.ended)
        asked = {call.run.id: call for call in calls if _settled(call) is None}
        if asked:
            held = [_as_it_stands(call) for call in asked.values()]
            renewed = self.store.renew(held, self.clock.now() + self.timing.lease)
            self._round.renewed = [(asked.pop(run.id), run) for run in renewed]
            if time_to_renew:
                self._keep_logs(self._round.renewed)
            for call in asked.values():
                self._check_ownership(call)
        if time_to_renew:
            self._round.renew_at = now + self.timing.lease / 3

    def reap_lost_runs(self, now: datetime) -> None:
        """Close the runs of nodes that stopped renewing them, unless it was the store that let no node renew."""
        if now < self._reap_at:
            return
        if now < self._spare_until:
            self._reap_at = self._spare_until
            return
        lost = self.store.lost(self.timing.batch)
        jobs = {job.uid: job for job in self.store.jobs(ids={run.job_id for run in lost})} if lost else {}
        retries = {uid: job.retry for uid, job in jobs.items()}
        settlements = [plan.settle(run, retries.get(run.job_uid, ONCE), self._lost(run), now) for run in lost]
        for settlement in self.store.settle(settlements) if settlements else ():
            run = settlement.run
            self._round.events.append(RunSettled(run, now))
            if run.state is RunState.LOST:
                log.warning("run %s of job %r is lost: %s", run.id, run.job_id, run.reason)
                job = jobs.get(run.job_uid)
                if job is not None and job.pause_after is not None and plan.counts_as_failure(settlement):
                    self._pause_if_it_fails_too_often(job)
        self._reap_at = now if len(lost) == self.timing.batch else now + self.timing.poll

    def close_expired_runs(self, now: datetime) -> None:
        """Close the runs that have waited for as long as they may, whoever was to begin them."""
        if now < self._expire_at:
            return
        expired = self.store.expired(self.timing.batch)
        # By the store's clock, which has gone on since this tick began.
        ends = [plan.expire(run, max(now, run.expires_at or now)) for run in expired]
        for run in self.store.cancel(ends) if ends else ():
            log.warning("run %s of job %r is missed: %s", run.id, run.job_id, run.reason)
            self._round.events.append(RunSettled(run, now))
        self._expire_at = now if len(expired) == self.timing.batch else now + self.timing.poll

    def fire_due_jobs(self, now: datetime) -> None:
        """Advance the jobs whose fire time has come, and take their runs as far as there is room."""
        self._deferred_to = now + self.timing.poll
        self._more.clear()
        if self.paused or self._stopping:
            return
        for executor in self.executors:
            fired = self._fire(executor, now)
            if self._listeners:
                self._round.events += [JobFired(job, runs, now) for job, runs, _ in fired]
                self._round.events += [
                    RunSettled(run, now) for change in fired for run in change.cancelled if run.state.closed
                ]

    def fill_backfills(self, now: datetime) -> None:
        """Bear the next few runs of what is to be run after all; they wait with the others, and behind them."""
        if self.paused or self._stopping:
            return
        filled = self.store.fill(self._stretch, self._fill_back, limit=MAX_OPEN_BACKFILLS)
        if any(filling.moved for filling in filled):  # there may be more to look at
            self._deferred_to = now

    def claim_waiting_runs(self, now: datetime) -> None:
        """Take runs that wait: retries, runs that someone asked for, what another node had no room for."""
        if self.paused or self._stopping:
            return
        for executor in self.executors:
            self._claim(executor, since=now - self.timing.late)
            self._claim(executor, since=None)

    def notice_overdue_jobs(self, now: datetime) -> None:
        """Find the jobs that have not succeeded for too long, whichever node is to run them."""
        if now < self._overdue_at:
            return
        found = [*self.store.find_overdue(self.node, limit=self.timing.batch)]
        self._overdue_at = now if len(found) == self.timing.batch else now + self.timing.poll
        if self._untold:
            marked = {*self.store.expectations(overdue=True)}
            found += [one for one in self._untold if one in marked]
        self._round.overdue = found
        jobs = {job.uid: job for job in self.store.jobs(ids={one.job_id for one in found})} if found else {}
        for one in found:
            job = jobs.get(one.job_uid)
            if job is not None and one.expect_by is not None:
                self._round.events.append(JobOverdue(job, one.expect_by, one.succeeded_at, now))

    def beat(self, now: datetime) -> None:
        """Tell the store, a third of a lease at a time, that this node is alive and how it does; see who else is."""
        if now < self.presence.beat_at:
            return
        known = len(self.store.expectations(overdue=True))
        self.overdue = known - len(self._round.overdue)  # those are counted when this round is written
        runs, lateness = len(self._calls) - len(self._round.ended), self.lateness.worst(now)
        changes = self.presence.beat(now, paused=self.paused, runs=runs, lateness=lateness)
        self._round.events += [JobChanged(change.job, now) for change in changes]

    def keep_what_was_written(self) -> None:
        """The round's commit is done: let go of what has ended, and hold what was taken until its time."""
        done = self._round
        for call, run in done.renewed:
            call.run = run
        self._renew_at = done.renew_at or self._renew_at
        self.presence.keep_what_was_written()
        for _ in range(done.settled):
            self._reports.popleft()
        self._calls.difference_update(done.ended)
        self._progressed.difference_update(done.ended)
        self._timed.difference_update(done.ended)
        if self._aside:
            for call in done.ended:
                self._aside.pop(call.job.uid, None)  # it may have waited for this one to end
        for executor, calls in done.taken.items():
            self._calls.update(calls)
            self._held.add(executor, calls)
        for event in done.events:
            self._listeners.tell(event)
        self.overdue += len(done.overdue)
        _log_overdue(done.overdue)
        self._untold = []
        self._round = Round()

    def meet_strangers(self) -> bool:
        """Find the functions of jobs that this node meets for the first time; whether there were any.

        Not while they are decided on: that is inside a transaction, and to import a module may take its time.
        """
        strangers, self._strangers = self._strangers, {}
        for job in strangers.values():
            self._find(job)
        return bool(strangers)

    def look_ahead(self, now: datetime) -> None:
        """Find out when to look at the store again."""
        if self._stopping:
            self._wind_down(now)
        self._give_back_stuck_calls(now)
        self._aside = {uid: until for uid, until in self._aside.items() if until > now}
        self._foreign = {uid: until for uid, until in self._foreign.items() if until > now}
        self._stuck = {id: until for id, until in self._stuck.items() if until > now}
        if self.outage is not None:
            log.info("the store can be used again")
            self._listeners.tell(StoreRecovered(self.outage.at, now))
            self.outage, self._failures = None, 0
        room = {executor: self._room(executor) for executor in self.executors}
        more_now = any(room[executor] > 0 for executor in self._more)
        self._look_at = now if more_now else self._next_look(now, room)
        self._rest_until = self.clock.now() + self._rest(more_now)

    def prune_ledger(self, now: datetime) -> None:
        """Let go of a few rows that are kept no longer: between two rounds, and not for long."""
        if now >= self._pruning.look_at:
            self._pruning.step(now, hurry=self._next_work() < now + 2 * self.timing.rest)

    def sit_out(self, error: StoreError, now: datetime) -> None:
        """The store failed: fire nothing, forget nothing, and try again soon."""
        self._untold += [one for one in self._round.overdue if one not in self._untold]
        self._round.overdue = []
        self._overdue_at = now
        if self.outage is None:
            log.warning("the store cannot be used, and nothing fires until it can: %s", error)
            self.outage = StoreLost(str(error), now)
            self._listeners.tell(self.outage)
        if self._stopping:
            self._wind_down(now)
            self.finished |= now - self.outage.at > self.timing.lease  # by now no outcome would be believed
        pause = min(self.timing.poll, timedelta(milliseconds=50) * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        self._look_at = self._rest_until = self.clock.now() + pause
        self._spare_until = self._look_at + 2 * self.timing.poll  # by then the other nodes have tried again, too

    def next_tick(self) -> datetime:
        """When the next run starts, or the next round or step of pruning is due, whichever is first."""
        return min(self._next_work(), self._pruning.look_at)

    # called from any thread

    def report(self, call: Call, outcome: Outcome) -> None:
        """A call has ended."""
        self._reports.append((call, outcome, self.clock.now()))
        if not self._news:  # otherwise the next round, which reads all of them, is still to come
            self.wake()

    def progress(self, call: Call) -> None:
        """A call has something to tell about its progress."""
        self._progressed.add(call)
        self.wake()

    def progressing(self) -> Sequence[Run]:
        """The runs in hand that have told their progress, as they stand; the first begun first."""
        told = [call for call in [*self._calls] if call.progress is not None]
        told.sort(key=lambda call: (call.started_at or FAR_OFF, call.run.id))
        return [_as_it_stands(call) for call in told]

    def withdraw(self, uid: int, outcome: Outcome) -> None:
        """Let go of the runs of this job that were claimed ahead and have not begun."""
        self._withdrawn.append((uid, outcome))
        self._wake()

    def wake(self) -> None:
        """There is something to look at."""
        self._news = True
        self._wake()

    def wake_for(self, fire_time: datetime) -> None:
        """A job was given this fire time: look at it, unless a look is planned before it anyway."""
        if fire_time < self._look_at or fire_time - self._look_at < self.timing.ahead:
            self.wake()

    def stop(self, at: datetime | None) -> None:
        """Take nothing more, give back what has not begun, and finish when the rest has ended.

        What still goes on *at* that instant is cancelled where that is possible. None: it may take its time.
        """
        self._stop_at = at
        self._stopping = True
        self.wake()

    # thin actions

    def _next_work(self) -> datetime:
        """When the next run starts, a call may have taken too long, or the next round is due."""
        look_at = self._rest_until if self._news else max(self._look_at, self._rest_until)
        wishes = [look_at, *self._deadlines()]
        if self._held.first_at is not None:
            wishes.append(self._held.first_at)
        return min(wishes)

    def _deadlines(self) -> Iterable[datetime]:
        """When calls may have taken too long. Of one that has not begun: at the earliest."""
        now = self.clock.now()
        return (call.deadline or now + call.job.timeout for call in self._timed if call.job.timeout is not None)

    def _ask_to_end(self, call: Call, why: TimedOut | Cancelled) -> None:
        """A call is to end, and does so as soon as its executor can make it; meanwhile its row says so."""
        call.asked = why
        if not self.executors[call.job.executor].cancel(call):
            log.warning(
                "run %s of job %r goes on until its function returns, which cannot be stopped: %s",
                call.run.id, call.job.id, why.reason,
            )  # fmt: skip
        self._progressed.add(call)
        self._news = True

    def _rest(self, more_now: bool) -> timedelta:
        """How long to let news gather before the next round. No time where there is work to do meanwhile."""
        if more_now:
            return timedelta(0)
        return self.timing.short_rest if self._more or (self._stopping and self._reports) else self.timing.rest

    def _next_look(self, now: datetime, room: Mapping[str, int]) -> datetime:
        """When the store will have something for us, if no news comes before."""
        with_room = [executor for executor, left in room.items() if left > 0]
        outlook = self.store.outlook(with_room, after=now, fire_after=now + self.timing.ahead)
        if outlook.expire_at is not None:
            self._expire_at = min(self._expire_at, outlook.expire_at)
        wishes = [
            self._reap_at, self._expire_at, self._overdue_at, self.presence.look_at, self._deferred_to,
            *self._aside.values(), *self._foreign.values(),
        ]  # fmt: skip
        if outlook.fire_at is not None:
            wishes.append(outlook.fire_at - self.timing.ahead)
        if outlook.claim_at is not None:
            wishes.append(outlook.claim_at)
        if outlook.lapse_at is not None:
            self._reap_at = min(self._reap_at, outlook.lapse_at)
            wishes.append(outlook.lapse_at)
        if outlook.expect_by is not None:
            self._overdue_at = min(self._overdue_at, outlook.expect_by)
            wishes.append(outlook.expect_by)
        if self._calls:
            wishes.append(self._renew_at)
        return min(wishes)

    def _now(self) -> datetime:
        """The time of this tick. If the clock was set back, what was planned by it is due at once."""
        now = self.clock.now()
        passed = now - self._ticked_at
        # No rest is longer than a poll: if one is, the clock was set forward in the last tick, and back after it.
        ahead = self._rest_until - now - max(self.timing.poll, self.timing.rest)
        if passed < timedelta(0) or ahead > timedelta(0):
            back_by = max(-passed, ahead)
            log.warning("the clock was set back by %s: what has fired waits until it is there again", back_by)
            self._look_at = self._rest_until = self._spare_until = now
            self._reap_at = self._expire_at = self._renew_at = self.presence.beat_at = now
        elif passed > self.timing.poll + self.timing.lease / 2:
            # This machine slept, or its clock was set forward: its other nodes must come to renew what is theirs.
            self._spare_until = max(self._spare_until, now + 2 * self.timing.poll)
        self._ticked_at = now
        return now

    def _is_time_for_a_round(self, now: datetime) -> bool:
        if now < self._rest_until or not (self._news or now >= self._look_at):
            return False
        self._news = False
        self._look_at = FAR_OFF  # until the round is over nothing is planned, and each new fire time is news
        return True

    def _room(self, executor: str) -> int:
        """How many more runs it would begin soon."""
        taken = self._round.taken.get(executor, ())
        return self.executors[executor].free() - self._held.count_for(executor) - len(taken)

    def _room_for(self, executor: str, since: datetime | None) -> int:
        """How much of its room is for what came due from *since* on; or for all, of which what is late leaves one place
        to what is on time.
        """
        room = self._room(executor)
        is_shared = room > 1 or any(call.job.executor == executor for call in self._calls)
        return room - 1 if since is None and is_shared else room

    def _hold(self, now: datetime) -> Hold:
        return Hold(self.node, now + self.timing.lease)

    def _fire(self, executor: str, now: datetime) -> Sequence[Change]:
        """Fire what is due for one executor: first what is on time, then in the room that is left what is late.

        Without room a job is left to nodes that have some; when it has been due for a poll, its run waits where all
        nodes see it.
        """
        if self._room(executor) <= 0:
            return self._fire_some(executor, 0, since=None, until=now - self.timing.poll)
        fired: list[Change] = []
        for since in (now - self.timing.late, None):
            room = self._room_for(executor, since)
            if room > 0:
                fired += self._fire_some(executor, room, since=since, until=now + self.timing.ahead)
        return fired

    def _fire_some(self, executor: str, room: int, *, since: datetime | None, until: datetime) -> Sequence[Change]:
        """Fire what came due in that time, and take as many of its runs as there is room for."""
        decide = partial(self._decide_all, executor, room)
        limit = min(room, self.timing.batch) if room else self.timing.batch
        aside = len(self._aside)
        changes = self.store.fire(decide, executor=executor, since=since, until=until, limit=limit, skip=self._aside)
        self._take(executor, [(job, run) for job, runs, _ in changes for run in runs if run.state is RunState.RUNNING])
        again = any(job.next_fire_time is not None and job.next_fire_time <= until for job, _, _ in changes)
        if room and (again or len(changes) + len(self._aside) - aside == limit):
            self._more.add(executor)
        return changes

    def _claim(self, executor: str, since: datetime | None) -> None:
        """Take runs that wait since *since* or later, or all, as far as there is room."""
        limit = min(self._room_for(executor, since), self.timing.batch)
        if limit <= 0:
            return
        hold = self._hold(self.clock.now())
        claims = self.store.claim(hold, executor=executor, since=since, limit=limit, skip=self._foreign)
        self._take(executor, claims)
        if len(claims) == limit:
            self._more.add(executor)

    def _decide_all(
        self, executor: str, room: int, jobs: Sequence[Job], active: Mapping[int, Sequence[Run]], now: datetime
    ) -> Sequence[Change]:
        """What becomes of due jobs, of whose runs this node takes as many as it has room for.

        Jobs that catch up bear many; the rest of these jobs is for the next round, so that none takes long.
        """
        hold, latest = self._hold(now), now + self.timing.ahead
        changes: list[Change] = []
        born = 0
        for job in jobs:
            if job.next_fire_time is not None and job.next_fire_time > latest:
                continue  # our clock runs ahead of the store's, which decides what is due
            if born >= self.timing.batch:
                self._more.add(executor)
                break
            change = self._decide(job, active.get(job.uid, ()), now, hold if room > 0 else None, room)
            if change is not None:
                changes.append(change)
                born += len(change.runs)
                for run in change.runs:
                    room -= run.state is RunState.RUNNING
        return changes

    def _decide(self, job: Job, active: Sequence[Run], now: datetime, hold: Hold | None, room: int) -> Change | None:
        """What becomes of a due job; if this node cannot tell, it is left to others for a while."""
        if job.func not in self._functions and job.uid not in self._foreign:
            self._strangers[job.uid] = job
            return None
        try:
            change = plan.fire(job, active, now, hold if job.func in self._functions else None, room=room)
        except Exception:
            log.exception("job %r cannot be fired by this node, which leaves it alone for a while", job.id)
            self._aside[job.uid] = now + self.timing.set_aside
            return None
        if change is None and job.next_fire_time is not None:
            if job.next_fire_time > now:
                self._deferred_to = min(self._deferred_to, job.next_fire_time)
            else:  # enough of its runs wait; others that are due must not wait behind it
                self._aside[job.uid] = now + self.timing.poll
        return change

    def _stretch(self, backfill: Backfill, active: Sequence[Run]) -> Sequence[datetime]:
        """The fire times to ask the ledger about; none if this node cannot tell."""
        if backfill.id in self._stuck:
            return ()
        try:
            return plan.stretch(backfill, active)
        except Exception:
            log.exception("backfill %s of job %r is left alone for a while", backfill.id, backfill.job_id)
            self._stuck[backfill.id] = self.clock.now() + self.timing.set_aside
            return ()

    def _fill_back(
        self, backfill: Backfill, active: Sequence[Run], fire_times: Sequence[datetime],
        answered: Mapping[datetime, Answered], now: datetime,
    ) -> Filling:  # fmt: skip
        """What becomes of a backfill; if this node cannot tell, nothing."""
        try:
            return plan.fill(backfill, active, fire_times, answered, now)
        except Exception:
            log.exception("backfill %s of job %r is left alone for a while", backfill.id, backfill.job_id)
            self._stuck[backfill.id] = now + self.timing.set_aside
            return Filling(backfill)

    def _find(self, job: Job) -> Function | None:
        """The job's function; None if this node does not know it, and its runs wait for one that does."""
        func = self._functions.get(job.func)
        if func is None and job.uid not in self._foreign:
            try:
                func = self._functions[job.func] = find_function(job.func)
            except BaseException as error:  # noqa: BLE001  a module may raise anything while it is imported
                log.warning(
                    "the runs of job %r wait for a node that knows its function (remove it if its code is gone): %s",
                    job.id, error,
                )  # fmt: skip
                self._foreign[job.uid] = self.clock.now() + self.timing.set_aside
        return func

    def _take(self, executor: str, claims: Sequence[tuple[Job, Run]]) -> None:
        """Hold these runs until their time; give back those that this node cannot call."""
        calls = [call for job, run in claims if (call := self._make_call(job, run)) is not None]
        self._round.taken.setdefault(executor, []).extend(calls)
        if len(calls) < len(claims):
            taken = {id(call.run) for call in calls}
            foreign = [run for _, run in claims if id(run) not in taken]
            self.store.settle([plan.settle(run, ONCE, Released(), self.clock.now()) for run in foreign])

    def _make_call(self, job: Job, run: Run) -> Call | None:
        """The call of a run's function; None if this node cannot make it."""
        func = self._functions.get(job.func) or self._find(job)
        if func is None:
            return None
        try:
            return Call(job, run, func, self.clock, self.progress, self._surroundings)
        except Exception:
            log.exception("job %r cannot be called by this node, which gives its run back", job.id)
            self._foreign[job.uid] = self.clock.now() + self.timing.set_aside
            return None

    def _still_holds(self, call: Call, now: datetime) -> bool:
        """Whether the lease of a call that is about to begin goes on; without one it must not begin."""
        assert call.run.lease_until is not None
        if call.run.lease_until > now:
            return True
        log.warning("run %s is not started: this process stood still beyond its lease", call.run.id)
        self._calls.discard(call)
        return False

    def _ending(self, call: Call, outcome: Outcome, at: datetime) -> Settlement:
        if call.asked is not None:
            outcome = plan.ending(call.asked, outcome)
        settlement = plan.settle(
            call.run, call.job.retry, outcome, at, started_at=call.started_at, progress=call.progress
        )  # fmt: skip
        if call.kept is None:
            return settlement
        state = call.kept.change if settlement.run.state is RunState.SUCCEEDED else None
        return settlement._replace(log=call.kept.log_so_far(), state=state)

    def _settle_alone(self, call: Call, outcome: Outcome, at: datetime) -> None:
        """Settle one call; if its ending cannot be written, as a failure that says so."""
        try:
            self._settle([(call, self._ending(call, outcome, at))])
        except StoreError:
            raise
        except Exception as error:
            log.exception("the outcome of run %s of job %r cannot be written", call.run.id, call.job.id)
            unwritten = Failed(f"its outcome could not be written: {type(error).__name__}")
            self._settle([(call, plan.settle(call.run, call.job.retry, unwritten, at))])

    def _settle(self, ending: Sequence[tuple[Call, Settlement]]) -> None:
        """Write these endings, and let go of the calls."""
        if not ending:
            return
        won = self.store.settle([settlement for _, settlement in ending])
        if self._listeners:
            now = self.clock.now()
            self._round.events += [RunSettled(settlement.run, now) for settlement in won]
        written = {id(settlement) for settlement in won}
        self._fulfil((call, settlement.run) for call, settlement in ending if id(settlement) in written)
        failing = {
            call.job.id: call.job for call, settlement in ending
            if call.job.pause_after is not None and plan.counts_as_failure(settlement)
        }  # fmt: skip
        for job in failing.values():
            self._pause_if_it_fails_too_often(job)
        if len(won) < len(ending):
            self._settle([
                (call, again) for call, refused in ending
                if id(refused) not in written and (again := self._settle_again(call, refused)) is not None
            ])  # fmt: skip
        self._round.ended += [call for call, _ in ending]

    def _let_settled_go(self, ended: Iterable[tuple[Call, Outcome]]) -> None:
        """The calls have ended whose own transactions had settled their runs: that stays so, whatever came of them."""
        for call, outcome in ended:
            run = _settled(call)
            if run is None:
                continue
            if not isinstance(outcome, Succeeded):
                log.warning(
                    "run %s of job %r stays succeeded, as its transaction was committed before its function %s",
                    run.id, run.job_id, outcome.state,
                )  # fmt: skip
            if call.kept is not None and (log_so_far := call.kept.log_so_far()) is not None:
                self.store.keep_logs([(run, log_so_far)])
            self._round.events.append(RunSettled(run, self.clock.now()))
            self._round.ended.append(call)
            if call.kept is not None and call.kept.recovered:
                self._tell_recovered(call.kept.recovered, {run.job_uid: run}, [call.job])

    def _keep_logs(self, calls: Iterable[tuple[Call, Run]]) -> None:
        """Write what these calls have logged so far: people can read it, and should this node die it is not lost."""
        logs = [
            (run, log) for call, run in calls
            if call.kept is not None and call.kept.log is not None and (log := call.kept.log.news()) is not None
        ]  # fmt: skip
        if logs:
            self.store.keep_logs(logs)

    def _fulfil(self, ended: Iterable[tuple[Call, Run]]) -> None:
        """Write the successes that are expected; of jobs as they are now, which may have changed since the claim."""
        succeeded = {
            run.job_uid: run for call, run in ended
            if call.job.expect_every is not None and run.state is RunState.SUCCEEDED
        }  # fmt: skip
        if succeeded:
            jobs = self.store.jobs(ids={run.job_id for run in succeeded.values()})
            self._tell_recovered(self.store.fulfil(plan.fulfilled(succeeded, jobs)), succeeded, jobs)

    def _tell_recovered(
        self, recovered: Iterable[Expectation], succeeded: Mapping[int, Run], jobs: Iterable[Job]
    ) -> None:
        by_uid = {job.uid: job for job in jobs}
        for overdue in recovered:
            job, run = by_uid[overdue.job_uid], succeeded[overdue.job_uid]
            if overdue.overdue_at is not None and run.ended_at is not None:
                log.info("job %r has succeeded, which was overdue", job.id)
                self._round.events.append(JobRecovered(job, overdue.overdue_at, run.ended_at, self.clock.now()))

    def _pause_if_it_fails_too_often(self, job: Job) -> None:
        assert job.pause_after is not None
        newest = self.store.runs(job_id=job.id, states=RAN, limit=job.pause_after * job.retry.max_attempts)
        current = [one for one in self.store.jobs(ids=[job.id]) if one.uid == job.uid and not one.paused]
        if current and plan.fails_too_often(job, newest):
            reason = f"it failed {job.pause_after} times in a row, the last time with: {newest[0].reason}"
            log.warning("job %r is paused: %s", job.id, reason)
            for change in self.store.save([plan.pause(current[0], self.clock.now(), reason)]):
                self._round.events.append(JobChanged(change.job, self.clock.now()))

    def _settle_again(self, call: Call, refused: Settlement) -> Settlement | None:
        """What to write instead of an ending that was refused: it was decided on an older version of the run.

        None if nothing is to be done: the run is someone else's by now; or the ending was written
        before, and only the store's reply went astray.
        """
        current = self._current(call)
        if self._is_ours(current):
            if refused.state is not None and current.version == refused.run.version - 1:
                return self._failed_by_its_state(call, current, refused)
            as_ours = refused.run._replace(version=current.version + 1, cancel_reason=current.cancel_reason)
            return refused._replace(run=as_ours, attempt=refused.attempt if current.cancel_reason is None else None)
        if (settled := _settled(call)) is not None:  # by a thread that its cancelled call has left behind
            self._round.events.append(RunSettled(settled, self.clock.now()))
            return None
        if current is not None and _ending_of(current) == _ending_of(refused.run):
            self._round.events.append(RunSettled(refused.run, self.clock.now()))
        else:
            log.warning(
                "run %s of job %r ended as %s after it had been taken over; that outcome is dropped",
                call.run.id, call.job.id, refused.run.state,
            )  # fmt: skip
        return None

    def _failed_by_its_state(self, call: Call, current: Run, refused: Settlement) -> Settlement:
        """What to write instead of a success on a state that somebody has changed since it was read."""
        assert refused.state is not None
        assert refused.run.ended_at is not None
        error = state_conflict(refused.state)
        log.warning("run %s of job %r failed: %s", call.run.id, call.job.id, error)
        failed = Failed(f"{type(error).__name__}: {error}", raised=exception_names(error))
        return plan.settle(
            current, call.job.retry, failed, refused.run.ended_at, started_at=call.started_at, progress=call.progress
        )._replace(log=refused.log)

    def _check_ownership(self, call: Call) -> None:
        """A lease could not be renewed: go on if the run is still ours, else ask its call to end."""
        current = self._current(call)
        if self._is_ours(current):
            call.run = current
            return
        if _settled(call) is not None:  # this very moment
            return
        log.warning("run %s of job %r was taken over; what it still does counts no more", call.run.id, call.job.id)
        self._calls.discard(call)
        if call.submitted_at is not None:
            self.executors[call.job.executor].cancel(call)
        else:
            self._held.drop([call])

    def _current(self, call: Call) -> Run | None:
        try:
            return self.store.run(call.run.id)
        except RunNotFoundError:
            return None

    def _is_ours(self, run: Run | None) -> TypeGuard[Run]:
        return run is not None and run.state is RunState.RUNNING and run.node == self.node

    def _let_go(self, calls: Iterable[Call], outcome: Outcome, now: datetime) -> None:
        """Settle calls that have not begun."""
        unbegun = {*calls}
        if unbegun:
            self._held.drop(unbegun)
            self._reports.extend((call, outcome, now) for call in unbegun)
            self._news = True

    def _give_back_stuck_calls(self, now: datetime) -> None:
        """What waits in an executor for longer than a poll may find room on another node."""
        long_ago = now - self.timing.poll
        stuck = {
            call.job.executor
            for call in self._calls
            if call.started_at is None and call.submitted_at is not None and call.submitted_at < long_ago
        }
        for name in stuck:
            self._let_go(self.executors[name].take_back(), Released(), now)

    def _wind_down(self, now: datetime) -> None:
        """Give back what has not begun; finish when the rest has ended, or its time is up."""
        unbegun = [*self._held.everything()]
        for executor in self.executors.values():
            unbegun += executor.take_back()
        self._let_go(unbegun, Released(), now)
        if not self._calls:
            self.finished = True
        elif self._stop_at is not None and now >= self._stop_at:
            self._end_calls(now)
        if self._stop_at is not None:
            self._deferred_to = min(self._deferred_to, self._stop_at)

    def _end_calls(self, now: datetime) -> None:
        """Their time is up: cancel what can be cancelled, and a moment later leave the rest behind."""
        if not self._cancelled:
            self._cancelled = True
            for call in self._calls:
                self.executors[call.job.executor].cancel(call)
            self._stop_at = now + self.timing.last_call
            return
        for call in (call for call in self._calls if _settled(call) is None):
            log.warning(
                "run %s of job %r still goes on after the shutdown; it will be recorded as lost at %s",
                call.run.id, call.job.id, call.run.lease_until,
            )  # fmt: skip
        self.finished = True

    def _lost(self, run: Run) -> Lost | Released | Cancelled:
        """What becomes of a run whose lease has ended. If it is ours and there is no call of it, it never began:
        we were not told that it was given to us.
        """
        if run.node == self.node and run.id not in {call.run.id for call in self._calls}:
            return Released()
        if run.cancel_reason is not None:
            return Cancelled(run.cancel_reason)
        return Lost(f"node {run.node} did not renew its lease, which ended at {run.lease_until:%Y-%m-%dT%H:%M:%SZ}")


def _settled(call: Call) -> Run | None:
    """The call's run, if its own transaction has settled it."""
    return None if call.kept is None else call.kept.settled


def _ending_of(run: Run) -> tuple[int, RunState, datetime | None]:
    """What tells one writing of a run's ending from another's: two may have lost it, but at different instants."""
    return run.version, run.state, run.ended_at


def _as_it_stands(call: Call) -> Run:
    """The call's run with what only this process knows so far."""
    reason = None if call.asked is None else call.asked.reason
    return call.run._replace(started_at=call.started_at, progress=call.progress, reason=reason)


def _log_overdue(found: Sequence[Expectation]) -> None:
    """A line for each; but however many fall overdue together, not a flood of lines."""
    for one in found[:MAX_NAMED]:
        log.warning(
            "job %r is overdue: it was to succeed by %s, and last did at %s",
            one.job_id, one.expect_by, one.succeeded_at,
        )  # fmt: skip
    if len(found) > MAX_NAMED:
        log.warning("%d more jobs are overdue", len(found) - MAX_NAMED)
