"""The heart: `Loop.tick()` does everything that is due now.

The rule: no sleep, no thread, no async. Whoever drives the loop waits; whoever has news leaves it in a
queue and wakes the driver. So a test drives it by hand, and a simulation drives many.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from tickwork import plan
from tickwork.backfill import MAX_OPEN_BACKFILLS, Answered, Backfill
from tickwork.declaration import NOTHING_DECLARED, Declaration
from tickwork.draft import Draft, Report
from tickwork.endings import Endings
from tickwork.errors import StoreError
from tickwork.events import JobChanged, JobFired, JobOverdue, RunSettled, RunStarted, StoreLost, StoreRecovered
from tickwork.executors.base import Executor
from tickwork.executors.call import NOWHERE, Call
from tickwork.executors.injection import Surroundings
from tickwork.expectation import Expectation
from tickwork.functions import Functions
from tickwork.held import HeldCalls
from tickwork.job import Job
from tickwork.lateness import Lateness
from tickwork.listeners import Listeners
from tickwork.lookout import FAR_OFF, Lookout
from tickwork.moves import Move, refusal
from tickwork.node import Node, say_clock_error
from tickwork.plan import Change, Filling, Hold
from tickwork.policies import ONCE
from tickwork.presence import Presence
from tickwork.pruning import Pruning
from tickwork.retention import FOREVER, Retention
from tickwork.run import RUNNING, Cancelled, Outcome, Released, Run, RunState, TimedOut
from tickwork.stores.base import Store
from tickwork.timing import Timing

MAX_NAMED = 10
"""How many jobs that are found to be overdue together have a line of their own in the log."""

log = logging.getLogger("tickwork.loop")


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
        """How many jobs were overdue at the last beat, or when this node found one since."""
        self.lateness = Lateness(node.started_at)
        self.outage: StoreLost | None = None
        self.clock_error: timedelta | None = None
        """How far this machine's clock is ahead of the store's, too far to fire. None: they agree."""
        self.leaving: Move | None = None
        """The move for which the store fires nothing. None: it does, as far as this node has heard."""
        self.finished = False
        self._listeners = listeners
        self._wake = wake
        self._surroundings = surroundings
        self._calls: set[Call] = set()
        self._timed: dict[Call, timedelta] = {}
        """Those that have begun and may take only so long, and how far the clock was set back since."""
        self._held = HeldCalls()
        self._reports: deque[Report] = deque()
        self._much = max(timing.batch // 4, 1)
        self._withdrawn: deque[tuple[int, Outcome]] = deque()
        self._progressed: set[Call] = set()
        self._functions = Functions(store.clock, set_aside=timing.set_aside)
        self._aside: dict[int, datetime] = {}
        self._stuck: dict[str, datetime] = {}
        """Backfills whose fire times this node cannot tell, and until when it does not ask again."""
        self._lookout = Lookout(store.clock, timing)
        self._more: set[str] = set()
        self._stop_at: datetime | None = None
        self._stopping = False
        self._cancelled = False
        self._untold: list[Expectation] = []
        """What was found to be overdue in a round whose commit failed, or only its reply: perhaps it is to be told."""
        self._failing: list[Job] = []
        """The jobs that the next round is to pause."""
        self._doubtful: dict[str, Run] = {}
        """What such a round closed, perhaps."""
        self._pruning = Pruning(store, keep, node=node.id, every=timing.prune, now=self.clock.now())
        self._begin()

    def tick(self) -> datetime:
        """Do everything that is due now; return when to look again."""
        now = self.clock.now()
        if back_by := self._lookout.tell_time(now):
            self.begin_anew(now, back_by)
        self.start_due_runs(now)
        self.end_timed_out_calls(now)
        try:
            if not self._lookout.begins_a_round(now):
                self.prune_ledger(now)
                return self.next_tick()
            self.do_a_round(now)
            if self._functions.meet_strangers():  # whose jobs are due and could not be fired yet
                self.do_a_round(now)
            self.look_ahead(now)
        except StoreError as error:
            self.sit_out(error, now)
        except BaseException:
            self._lookout.news = True  # a bug: the next tick begins again
            raise
        return self.next_tick()

    def do_a_round(self, now: datetime) -> None:
        """Write all that is due, in one commit; meanwhile what is held begins at its exact time."""
        self._begin()
        with self.store.together():
            for step in (
                self.beat,
                self.tell_what_was_in_doubt,
                self.settle_reported,
                self.pause_failing_jobs,
                self.heed_cancellations,
                self.renew_leases,
                self.reap_lost_runs,
                self.close_expired_runs,
                self.compare_clocks,
                self.fire_due_jobs,
                self.fill_backfills,
                self.claim_waiting_runs,
                self.notice_overdue_jobs,
            ):
                step(now)
                self.start_due_runs(self.clock.now())
        self.keep_what_was_written()
        self.start_due_runs(self.clock.now())

    def begin_anew(self, now: datetime, back_by: timedelta) -> None:
        """The clock was set back: what was put off is put off no longer, and what may last so long ends in time.

        When a call began stays what it was told: that is a fact of the ledger.
        """
        self.presence.begin_anew(now)
        self._pruning.begin_at_its_moment(now)
        self._functions.try_all_again()
        self._aside, self._stuck = {}, {}
        if self._stop_at is not None:
            self._stop_at -= back_by
        for call in self._calls:
            if call.submitted_at is not None and call.submitted_at > now:
                call.submitted_at -= back_by
            if call in self._timed and call.started_at is not None and call.started_at > now:
                self._timed[call] += back_by

    # the steps, in their order

    def start_due_runs(self, now: datetime) -> None:
        """Hand over what is held and due; at its exact time, since only this and no commit stands before it."""
        self.withdraw_held_runs(now)
        if not self._held:  # as most times: this stands between any two steps
            return
        for executor, due in self._held.take_due(now).items():
            calls = [call for call in due if self._still_holds(call, now)]
            for call in calls:
                call.submitted_at = now
            if calls:
                self.lateness.note(now - calls[0].run.available_at, now)
            self._timed.update((call, timedelta(0)) for call in calls if call.job.timeout is not None)
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
            if call.deadline is not None and call.deadline - self._timed[call] <= now:
                del self._timed[call]
                self._ask_to_end(call, TimedOut(f"it took longer than its timeout of {call.job.timeout}"))

    def beat(self, now: datetime) -> None:
        """Tell the store, a third of a lease at a time, that this node is alive and how it does; see who else is."""
        if not self.presence.is_due(now, self.clock_error):
            return
        # Not a difference of counts: a report may be of a call that was let go of before, since its run was taken over.
        ended = {call for call, _, _ in [*self._reports]}
        runs, lateness = len(self._calls - ended), self.lateness.worst(now)
        changes = self.presence.beat(
            now, paused=self.paused, runs=runs, lateness=lateness, clock_error=self.clock_error
        )  # fmt: skip
        self._draft.overdue_count = len(self.store.expectations(overdue=True))
        self._draft.events += [JobChanged(change.job, now) for change in changes]
        self._heed_move(now)

    def tell_what_was_in_doubt(self, now: datetime) -> None:
        """Tell of what was closed by a commit that seemed to fail, since only its reply was lost."""
        self._endings.tell_if_closed(self._doubtful, now)

    def settle_reported(self, now: datetime) -> None:
        """Close the runs whose calls have ended."""
        self._endings.settle([*self._reports])

    def pause_failing_jobs(self, now: datetime) -> None:
        """Pause the jobs that the last round found to fail too often while somebody else had them in hand."""
        for job in self._failing:
            self._endings.pause_if_it_fails_too_often(job)

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
        time_to_renew = now >= self._lookout.renew_at
        progressed = {*self._progressed}  # what is told from here on is for the next time
        self._progressed -= progressed
        calls = (self._calls if time_to_renew else progressed & self._calls).difference(self._draft.ended)
        asked = {call.run.id: call for call in calls if not _settles_itself(call)}
        if asked:
            held = [_as_it_stands(call) for call in asked.values()]
            renewed = self.store.renew(held, self.clock.now() + self.timing.lease)
            self._draft.renewed = [(asked.pop(run.id), run) for run in renewed]
            if time_to_renew:
                self._keep_logs(self._draft.renewed)
            for call in asked.values():
                self._check_ownership(call)
        if time_to_renew:
            self._draft.renew_at = now + self.timing.lease / 3

    def reap_lost_runs(self, now: datetime) -> None:
        """Close the runs of nodes that died or renew them no more, unless it was the store that let no node renew."""
        if not self._lookout.is_time(self._lookout.reap_at, now):
            return
        if now < self._lookout.spare_until:
            self._lookout.reap_at = self._lookout.spare_until
            return
        dead = {*self.store.cut_lifelines()} - {self.node}
        lost = self.store.lost(self.timing.batch, nodes=dead)
        jobs = {job.uid: job for job in self.store.jobs(ids={run.job_id for run in lost})} if lost else {}
        retries = {uid: job.retry for uid, job in jobs.items()}
        in_hand = {call.run.id for call in self._calls} if lost else ()
        settlements = [
            plan.settle(
                run, retries.get(run.job_uid, ONCE),
                plan.lost(run, now, begun=run.node != self.node or run.id in in_hand), now,
            )
            for run in lost
        ]  # fmt: skip
        settlements = [one._replace(run=plan.closed_by(one.run, self.node)) for one in settlements]
        closing = [settlement.run for settlement in settlements]
        self._draft.close(closing)
        won = self.store.settle(settlements) if settlements else ()
        self._draft.close_only(closing, [settlement.run for settlement in won])
        for settlement in won:
            run = settlement.run
            self._draft.events.append(RunSettled(run, now))
            self._aside.pop(run.job_uid, None)  # it may have waited for this one
            if run.state is RunState.LOST:
                follows = plan.say_attempt(run, retries.get(run.job_uid, ONCE), None)
                log.warning("run %s of job %r is lost: %s%s", run.id, run.job_id, run.reason, follows)
                job = jobs.get(run.job_uid)
                if job is not None and job.pause_after is not None and plan.counts_as_failure(settlement):
                    self._endings.pause_if_it_fails_too_often(job)
        self._lookout.reap_at = now if len(lost) == self.timing.batch else now + self.timing.poll

    def close_expired_runs(self, now: datetime) -> None:
        """Close the runs that have waited for as long as they may, whoever was to begin them."""
        if not self._lookout.is_time(self._lookout.expire_at, now):
            return
        # By the store's clock, which has gone on since this tick began.
        expired = [
            plan.closed_by(plan.expire(run, max(now, run.expires_at or now)), self.node)
            for run in self.store.expired(self.timing.batch)
        ]
        self._draft.close(expired)
        won = self.store.cancel(expired) if expired else ()
        self._draft.close_only(expired, won)
        for run in won:
            log.warning("run %s of job %r is missed: %s", run.id, run.job_id, run.reason)
            self._draft.events.append(RunSettled(run, now))
        self._lookout.expire_at = now if len(expired) == self.timing.batch else now + self.timing.poll

    def compare_clocks(self, now: datetime) -> None:
        """Fire nothing while this machine's clock disagrees with the store's: jobs here would work by a wrong time."""
        known = self.clock_error
        self.clock_error = plan.clock_error(self.store.wall_clock.now(), self.clock.now(), known=known)
        if (self.clock_error is None) is (known is None):
            return
        if self.clock_error is not None:
            log.error("this node fires nothing until its clock is set: %s", say_clock_error(self.clock_error))
        else:
            log.info("this node's clock agrees with the store's again: it fires")
        self.wake()  # for a beat that tells it

    def fire_due_jobs(self, now: datetime) -> None:
        """Advance the jobs whose fire time has come, and take their runs as far as there is room."""
        self._lookout.deferred_to = now + self.timing.poll
        self._more.clear()
        if not self._takes_work:
            return
        for executor in self.executors:
            fired = self._fire(executor, now)
            if self._listeners:
                self._draft.events += [JobFired(job, runs, now) for job, runs, _ in fired]
                made_way = {run.id: run for change in fired for run in change.cancelled if run.state.closed}
                self._draft.events += [RunSettled(run, now) for run in made_way.values()]
                self._draft.closing |= made_way

    def fill_backfills(self, now: datetime) -> None:
        """Bear the next few runs of what is to be run after all; they wait with the others, and behind them."""
        if not self._takes_work:
            return
        filled = self.store.fill(self._stretch, self._fill_back, limit=MAX_OPEN_BACKFILLS)
        if any(filling.moved for filling in filled):  # there may be more to look at
            self._lookout.deferred_to = now

    def claim_waiting_runs(self, now: datetime) -> None:
        """Take runs that wait: retries, runs that someone asked for, what another node had no room for."""
        if not self._takes_work:
            return
        for executor in self.executors:
            self._claim(executor, since=now - self.timing.late)
            self._claim(executor, since=None)

    def notice_overdue_jobs(self, now: datetime) -> None:
        """Find the jobs that have not succeeded for too long, whichever node is to run them."""
        if not self._lookout.is_time(self._lookout.overdue_at, now):
            return
        found = [*self.store.find_overdue(self.node, limit=self.timing.batch)]
        self._lookout.overdue_at = now if len(found) == self.timing.batch else now + self.timing.poll
        if self._untold:  # which the beat of this round may have counted, or not
            marked = {*self.store.expectations(overdue=True)}
            found += [one for one in self._untold if one in marked]
            self._draft.overdue_count = len(marked)
        elif found:
            known = self.overdue if self._draft.overdue_count is None else self._draft.overdue_count
            self._draft.overdue_count = known + len(found)
        self._draft.overdue = found
        jobs = {job.uid: job for job in self.store.jobs(ids={one.job_id for one in found})} if found else {}
        for one in found:
            job = jobs.get(one.job_uid)
            if job is not None and one.expect_by is not None:
                self._draft.events.append(JobOverdue(job, one.expect_by, one.succeeded_at, now))

    def keep_what_was_written(self) -> None:
        """The round's commit is done: let go of what has ended, and hold what was taken until its time."""
        done = self._draft
        for call, run in done.renewed:
            call.run = run
        self._lookout.renew_at = done.renew_at or self._lookout.renew_at
        self.presence.keep_what_was_written()
        for _ in range(done.settled):
            self._reports.popleft()
        if len(self._reports) >= self._much:  # which came during the round
            self._end_rest()
        self._reports.extendleft(reversed(done.undecided))
        self._calls.difference_update(done.ended)
        self._progressed.difference_update(done.ended)
        if self._timed:
            for call in done.ended:
                self._timed.pop(call, None)
        if self._aside:
            for call in done.ended:
                self._aside.pop(call.job.uid, None)  # it may have waited for this one to end
        for executor, calls in done.taken.items():
            self._calls.update(calls)
            self._held.add(executor, calls)
        for event in done.events:
            self._listeners.tell(event)
        if done.overdue_count is not None:
            self.overdue = done.overdue_count
        _log_overdue(done.overdue)
        self._untold, self._doubtful, self._failing = [], {}, done.failing
        if done.failing:
            self._lookout.news = True
        self._begin()

    def look_ahead(self, now: datetime) -> None:
        """Find out when to look at the store again."""
        if self._stopping:
            self._wind_down(now)
        self._give_back_stuck_calls(now)
        self._aside = {uid: until for uid, until in self._aside.items() if until > now}
        self._functions.try_again(now)
        self._stuck = {id: until for id, until in self._stuck.items() if until > now}
        if self.outage is not None:
            log.info("the store can be used again")
            self._listeners.tell(StoreRecovered(self.outage.at, now))
            self.outage = None
            self._lookout.go_on()
        room = {executor: self._room(executor) for executor in self.executors}
        more_now = any(room[executor] > 0 for executor in self._more)
        self._lookout.look_at = now if more_now else self._next_look(now, room)
        self._lookout.rest_until = self.clock.now() + self._rest(more_now)

    def prune_ledger(self, now: datetime) -> None:
        """Let go of a few rows that are kept no longer: between two rounds, and not for long."""
        if now >= self._pruning.look_at:
            self._pruning.step(now, hurry=self._next_work() < now + 2 * self.timing.rest)

    def sit_out(self, error: StoreError, now: datetime) -> None:
        """The store failed: fire nothing, forget nothing, and try again soon."""
        self._untold += [one for one in self._draft.overdue if one not in self._untold]
        self._doubtful = self._draft.closing or self._doubtful
        self._draft.overdue, self._draft.closing = [], {}
        self._lookout.overdue_at = now
        if self.outage is None:
            log.warning("the store cannot be used, and nothing fires until it can: %s", error)
            self.outage = StoreLost(str(error), now)
            self._listeners.tell(self.outage)
        if self._stopping:
            self._wind_down(now)
            self.finished |= now - self.outage.at > self.timing.lease  # by now no outcome would be believed
        self._lookout.sit_out()

    def next_tick(self) -> datetime:
        """When the next run starts, or the next round or step of pruning is due, whichever is first."""
        return min(self._next_work(), self._pruning.look_at)

    # called from any thread

    def report(self, call: Call, outcome: Outcome) -> None:
        """A call has ended."""
        self._reports.append((call, outcome, self.clock.now()))
        if not self._lookout.news:  # otherwise the next round, which reads all of them, is still to come
            self.wake()
        if len(self._reports) == self._much:
            self._end_rest()

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
        self._lookout.news = True
        self._wake()

    def wake_for(self, fire_time: datetime) -> None:
        """A job was given this fire time: look at it, unless a look is planned before it anyway."""
        if not self._lookout.comes_before(fire_time):
            self.wake()

    def resume(self) -> None:
        """Fire again, and at once: not only after the rest that follows a round in which nothing was fired."""
        if self.paused:
            self.paused = False
            self._end_rest()

    def stop(self, at: datetime | None) -> None:
        """Take nothing more, give back what has not begun, and finish when the rest has ended.

        What still goes on *at* that instant is cancelled where that is possible. None: it may take its time.
        """
        self._stop_at = at
        self._stopping = True
        self.wake()

    # thin actions

    def _heed_move(self, now: datetime) -> None:
        """Notice that the jobs go elsewhere. If who moves them has died before they are gone, they stay here."""
        move, known = self.store.move(), self.leaving
        if move is not None and move.given_up(now) and self.store.write_move(move, None):
            log.warning("%s %s: that was broken off, and it fires", self.store.location, move.told())
            move = None
        if move is not None and move.refuses:
            raise refusal(self.store.location, move)
        self.leaving = None if move is None or move.fires else move
        if self.leaving is not None and known is None:
            log.warning("%s %s", self.store.location, self.leaving.told())
        elif self.leaving is None and known is not None:
            log.info("%s fires again", self.store.location)

    def _begin(self) -> None:
        """A new round, which has written nothing."""
        self._draft = Draft()
        self._endings = Endings(self.store, self._draft, node=self.node, is_told=bool(self._listeners))

    @property
    def _takes_work(self) -> bool:
        """Whether this node fires and claims."""
        return not self.paused and not self._stopping and self.clock_error is None

    def _next_work(self) -> datetime:
        """When the next run starts, a call may have taken too long, or the next round is due."""
        wishes = [self._lookout.next_round, *self._deadlines()]
        if self._held.first_at is not None:
            wishes.append(self._held.first_at)
        return min(wishes)

    def _deadlines(self) -> Iterable[datetime]:
        """When calls may have taken too long. Of one that has not begun: at the earliest."""
        now = self.clock.now()
        for call, back_by in self._timed.items():
            assert call.job.timeout is not None
            yield now + call.job.timeout if call.deadline is None else call.deadline - back_by

    def _ask_to_end(self, call: Call, why: TimedOut | Cancelled) -> None:
        """A call is to end, and does so as soon as its executor can make it; meanwhile its row says so."""
        call.asked = why
        if not self.executors[call.job.executor].cancel(call):
            log.warning(
                "run %s of job %r goes on until its function returns, which cannot be stopped: %s",
                call.run.id, call.job.id, why.reason,
            )  # fmt: skip
        elif isinstance(why, TimedOut):
            follows = plan.say_attempt(call.run, call.job.retry, why.raised)
            log.warning("run %s of job %r is asked to end: %s%s", call.run.id, call.job.id, why.reason, follows)
        self._progressed.add(call)
        self._lookout.news = True

    def _end_rest(self) -> None:
        """What there is to do is worth a round of its own."""
        self._lookout.news = self._lookout.is_much = True
        self._wake()

    def _rest(self, more_now: bool) -> timedelta:
        """How long to let news gather before the next round. No time where there is work to do meanwhile."""
        if more_now:
            return timedelta(0)
        return self.timing.short_rest if self._more or (self._stopping and self._reports) else self.timing.rest

    def _next_look(self, now: datetime, room: Mapping[str, int]) -> datetime:
        """When the store will have something for us, if no news comes before."""
        with_room = [executor for executor, left in room.items() if left > 0]
        outlook = self.store.outlook(with_room, after=now, fire_after=now + self.timing.ahead)
        others = (self.presence.look_at, *self._aside.values(), *self._functions.foreign.values())
        return self._lookout.next_look(outlook, others, holds=bool(self._calls))

    def _room(self, executor: str) -> int:
        """How many more runs it would begin soon."""
        taken = self._draft.taken.get(executor, ())
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
        late, ahead = now - self.timing.late, now + self.timing.ahead
        fired = [*self._fire_some(executor, self._room_for(executor, late), since=late, until=ahead)]
        room = self._room_for(executor, None)
        if room > 0:
            # Few more of those on time are not worth a statement: they come with the next batch.
            until = ahead if room >= self.timing.batch else late
            fired += self._fire_some(executor, room, since=None, until=until)
        return fired

    def _fire_some(self, executor: str, room: int, *, since: datetime | None, until: datetime) -> Sequence[Change]:
        """Fire what came due in that time, and take as many of its runs as there is room for."""
        decide = partial(self._decide_all, executor, room)
        limit = min(room, self.timing.batch) if room else self.timing.batch
        aside = len(self._aside)
        changes = self.store.fire(decide, executor=executor, since=since, until=until, limit=limit, skip=self._aside)
        self._take(executor, [(job, run) for job, runs, _ in changes for run in runs if run.state is RUNNING])
        due = self.clock.now() + self.timing.ahead
        again = any(job.next_fire_time is not None and job.next_fire_time <= due for job, _, _ in changes)
        if room and (again or len(changes) + len(self._aside) - aside == limit):
            self._more.add(executor)
        return changes

    def _claim(self, executor: str, since: datetime | None) -> None:
        """Take runs that wait since *since* or later, or all, as far as there is room."""
        limit = min(self._room_for(executor, since), self.timing.batch)
        if limit <= 0:
            return
        hold = self._hold(self.clock.now())
        claims = self.store.claim(hold, executor=executor, since=since, limit=limit, skip=self._functions.foreign)
        self._take(executor, claims)
        if len(claims) == limit:
            self._more.add(executor)

    def _decide_all(
        self, executor: str, room: int, jobs: Iterable[Job], active: Mapping[int, Sequence[Run]], now: datetime
    ) -> Iterator[Change]:
        """What becomes of due jobs, of whose runs this node takes as many as it has room for.

        Jobs that catch up bear many; the rest of these jobs is for the next round, so that none takes long.
        """
        hold, latest, most = self._hold(now), now + self.timing.ahead, self.timing.batch
        born = 0
        for job in jobs:
            if job.next_fire_time is not None and job.next_fire_time > latest:
                continue  # our clock runs ahead of the store's, which decides what is due
            if born >= most:
                self._more.add(executor)
                return
            change = self._decide(job, active.get(job.uid, ()), now, hold if room > 0 else None, room)
            if change is None:
                continue
            born += len(change.runs)
            if change.cancelled:  # perhaps runs of this node, which its next round asks to end
                cancelled = tuple(plan.closed_by(run, self.node) for run in change.cancelled)
                change = change._replace(cancelled=cancelled)
                self.wake()
            for run in change.runs:
                room -= run.state is RUNNING
            yield change

    def _decide(self, job: Job, active: Sequence[Run], now: datetime, hold: Hold | None, room: int) -> Change | None:
        """What becomes of a due job; if this node cannot tell, it is left to others for a while."""
        if not self._functions.has_met(job):
            return None
        try:
            change = plan.fire(job, active, now, hold if self._functions.knows(job) else None, room=room)
        except Exception:
            log.exception("job %r cannot be fired by this node, which leaves it alone for a while", job.id)
            self._aside[job.uid] = now + self.timing.set_aside
            return None
        if change is None and job.next_fire_time is not None:
            if job.next_fire_time > now:
                self._lookout.deferred_to = min(self._lookout.deferred_to, job.next_fire_time)
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

    def _take(self, executor: str, claims: Sequence[tuple[Job, Run]]) -> None:
        """Hold these runs until their time; give back those that this node cannot call."""
        if not claims:
            return
        calls = [call for job, run in claims if (call := self._make_call(job, run)) is not None]
        self._draft.taken.setdefault(executor, []).extend(calls)
        if len(calls) < len(claims):
            taken = {id(call.run) for call in calls}
            foreign = [run for _, run in claims if id(run) not in taken]
            self.store.settle([plan.settle(run, ONCE, Released(), self.clock.now()) for run in foreign])

    def _make_call(self, job: Job, run: Run) -> Call | None:
        """The call of a run's function; None if this node cannot make it."""
        func = self._functions.find(job)
        if func is None:
            return None
        try:
            return Call(job, run, func, self.clock, self.progress, self._surroundings)
        except Exception:
            log.exception("job %r cannot be called by this node, which gives its run back", job.id)
            self._functions.leave_to_others(job)
            return None

    def _still_holds(self, call: Call, now: datetime) -> bool:
        """Whether the lease of a call that is about to begin goes on; without one it must not begin."""
        assert call.run.lease_until is not None
        if call.run.lease_until > now:
            return True
        log.warning("run %s is not started: this process stood still beyond its lease", call.run.id)
        self._calls.discard(call)
        return False

    def _keep_logs(self, calls: Iterable[tuple[Call, Run]]) -> None:
        """Write what these calls have logged so far: people can read it, and should this node die it is not lost."""
        logs = [
            (run, log) for call, run in calls
            if call.kept is not None and call.kept.log is not None and (log := call.kept.log.news()) is not None
        ]  # fmt: skip
        if logs:
            self.store.keep_logs(logs)

    def _check_ownership(self, call: Call) -> None:
        """A lease could not be renewed: go on if the run is still ours, else ask its call to end."""
        current = self._endings.current(call.run.id)
        if self._endings.is_ours(current):
            call.run = current
            return
        if _settles_itself(call):  # this very moment
            return
        log.warning("run %s of job %r was taken over; what it still does counts no more", call.run.id, call.job.id)
        self._calls.discard(call)
        if call.submitted_at is not None:
            self.executors[call.job.executor].cancel(call)
        else:
            self._held.drop([call])

    def _let_go(self, calls: Iterable[Call], outcome: Outcome, now: datetime) -> None:
        """Settle calls that have not begun."""
        unbegun = {*calls}
        if unbegun:
            self._held.drop(unbegun)
            self._reports.extend((call, outcome, now) for call in unbegun)
            self._lookout.news = True

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
            self._lookout.deferred_to = min(self._lookout.deferred_to, self._stop_at)

    def _end_calls(self, now: datetime) -> None:
        """Their time is up: cancel what can be cancelled, and a moment later leave the rest behind."""
        if not self._cancelled:
            self._cancelled = True
            for call in self._calls:
                self.executors[call.job.executor].cancel(call)
            self._stop_at = now + self.timing.last_call
            return
        for call in (call for call in self._calls if not _settles_itself(call)):
            log.warning(
                "run %s of job %r still goes on after the shutdown; it will be recorded as lost at %s",
                call.run.id, call.job.id, call.run.lease_until,
            )  # fmt: skip
        self.finished = True


def _settles_itself(call: Call) -> bool:
    """Whether the call's own transaction has settled its run, or is about to."""
    kept = call.kept
    return kept is not None and (kept.settled or kept.settling or kept.joined) is not None


def _as_it_stands(call: Call) -> Run:
    """The call's run with what only this process knows so far."""
    reason = None if call.asked is None else call.asked.reason
    return call.run._replace(started_at=call.started_at, progress=call.progress, reason=reason)


def _log_overdue(found: Sequence[Expectation]) -> None:
    """A line for each; but however many fall overdue together, not a flood of lines."""
    for one in found[:MAX_NAMED]:
        last = "has not yet" if one.succeeded_at is None else f"last did at {one.succeeded_at}"
        log.warning("job %r is overdue: it was to succeed by %s, and %s", one.job_id, one.expect_by, last)
    if len(found) > MAX_NAMED:
        log.warning("%d more jobs are overdue", len(found) - MAX_NAMED)
