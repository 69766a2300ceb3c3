"""The oracle: it knows every fire time by brute force, sees every start and end of a call, and believes no store.

It looks at each write as it becomes true, and at the whole ledger when all has been well for a while. What it says is
written as a sentence; the first one ends the simulation of a seed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.simulation.schedules import Schedule
from tests.simulation.turns import Actor, Killed

from tickwork.backfill import Backfill
from tickwork.errors import RunNotFoundError
from tickwork.events import Event, RunSettled, RunStarted
from tickwork.executors.call import Call
from tickwork.job import Job
from tickwork.plan import ON_TIME, Change, Settlement
from tickwork.policies import Overlap
from tickwork.run import TRANSITIONS, Failed, Origin, Outcome, Run, RunState
from tickwork.triggers import DateTrigger, Trigger

if TYPE_CHECKING:
    from tests.simulation.processes import Fate, Process
    from tests.simulation.world import World

SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
NO_TIME = timedelta(0)
AHEAD = 50 * MILLISECOND
"""How long before its fire time a run may be born."""
MOST_LATE = 0.6 * SECOND
"""How late a run may begin when all is well."""
A_LITTLE_LATER = 1.5 * SECOND
ASKED = Run._fields.index("asked_by")
"""From here on, and before its state, the fields of a run never change."""
FAILURES = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.LOST})

Key: TypeAlias = tuple[int, datetime, Origin, int]


@dataclass(slots=True)
class Epoch:
    """A stretch of a job's life with one schedule: *first*, and then what the schedule names after it."""

    schedule: Schedule
    first: datetime | None
    through: datetime | None = None
    """The last fire time that was answered in it."""

    def times(self, after: datetime | None, through: datetime | None) -> Sequence[datetime]:
        """Its fire times after *after* and not after *through*."""
        if through is None or self.first is None:
            return ()
        named = [self.first, *self.schedule.within(self.first, through)]
        return [time for time in named if time <= through and (after is None or time > after)]

    def following(self, last: datetime | None) -> datetime | None:
        if self.first is None or last is None or last < self.first:
            return self.first
        return self.schedule.next_after(last)


@dataclass(slots=True)
class Known:
    """A job as it was written last, and what it has been."""

    job: Job
    epochs: list[Epoch]
    open: dict[Key, Run] = field(default_factory=dict)
    removed: bool = False

    def active(self, *, running: bool = False) -> int:
        """How many runs are active or running, those of backfills aside."""
        return sum(
            run.backfill is None and (not running or run.state is RunState.RUNNING) for run in self.open.values()
        )

    def waiting(self) -> int:
        return sum(run.state is RunState.PENDING and run.backfill is None for run in self.open.values())


@dataclass(slots=True)
class Story:
    """What was seen of a run outside of the store."""

    started_by: Process | None = None
    started_at: datetime | None = None
    outcome: Outcome | None = None
    ended: bool = False
    told: set[str] = field(default_factory=set)
    settled: bool = False
    in_calm: bool = False
    """Whether it began when all had been well for a while."""


class Oracle:
    def __init__(self, world: World) -> None:
        self.faults: list[str] = []
        self._world = world
        self._schedules: dict[Trigger, Schedule] = {}
        self._jobs: dict[int, Known] = {}
        self._rows: dict[Key, Run] = {}
        self._stories: dict[Key, Story] = {}
        self._backfills: dict[str, Backfill] = {}
        self._pruned = False
        self._opened: set[tuple[int, datetime]] = set()
        """The fire times that were given a run, whatever came of it."""
        self._asking: dict[Actor, tuple[str, datetime, int]] = {}
        self._unsure_until = 0
        """Until when, in true time, leases say little: a clock was set, or the store was out for all."""

    def fault(self, sentence: str) -> None:
        self.faults.append(sentence)
        self._world.tell("oracle", "FAULT", sentence)

    def knows(self, schedule: Schedule) -> None:
        self._schedules[schedule.trigger] = schedule

    def asks(self, actor: Actor, deed: str) -> None:
        """Somebody begins to do something."""
        self._asking[actor] = deed, self._world.wall, self._world.offset

    # what is seen outside of the store

    def started(self, process: Process, call: Call, fate: Fate) -> None:
        key, run, wall = _key(call.run), call.run, self._world.wall
        self._world.tell(process.name, "begins", lambda: f"{run.id} of {run.job_id}, {fate.takes}, {fate.outcome}")
        story = self._stories.setdefault(key, Story())
        row = self._rows.get(key)
        if story.started_by is not None:
            self.fault(f"{run.id} of {run.job_id} began twice: at {story.started_by.name} and at {process.name}")
        story.started_by, story.started_at = process, wall
        story.in_calm = self._world.true > self._world.calm_from
        if row is None:
            self.fault(f"{run.id} of {run.job_id} began, and was never born")
            return
        clock_is_right = self._world.true > self._unsure_until
        if row.state is not RunState.RUNNING or row.node != process.node:
            if clock_is_right:
                self.fault(f"{run.id} began at {process.name}, and the ledger has it {row.state} at {row.node}")
        elif clock_is_right and row.lease_until is not None and row.lease_until <= wall:
            self.fault(f"{run.id} began at {process.name} at {wall}, after its lease had ended at {row.lease_until}")
        if row.available_at > self._world.latest + max(NO_TIME, process.clock.error):
            self.fault(f"{run.id} began {row.available_at - wall} early")
        if row.expires_at is not None and clock_is_right and row.expires_at <= wall:
            self.fault(f"{run.id} began at {wall}, and had expired at {row.expires_at}")
        late = wall - row.available_at
        if late > self._most_late() and run.origin is Origin.SCHEDULE and run.attempt == 1:
            self.fault(f"{run.id} of {run.job_id} began {late} late, and all had been well for long")

    def _most_late(self) -> timedelta:
        """How late a run may begin just now. After clocks were wrong, some of what is due is found by polls alone."""
        world = self._world
        if world.true <= world.calm_from:
            return timedelta.max
        clocks_were_wrong = world.weather.has("clock") or world.weather.has("wrong clock")
        return MOST_LATE + world.weather.poll if clocks_were_wrong else MOST_LATE

    def ended(self, process: Process, call: Call, outcome: Outcome) -> None:
        self._world.tell(process.name, "ends", lambda: f"{call.run.id} with {outcome}")
        story = self._stories[_key(call.run)]
        story.ended, story.outcome = True, outcome

    def heard(self, process: Process, event: Event) -> None:
        if isinstance(event, RunStarted):
            told = self._stories.setdefault(_key(event.run), Story()).told
            if f"settled {process.name}" in told and self._world.true > self._unsure_until:
                self.fault(f"{process.name} told that {event.run.id} began after it had told that it ended")
            told.add(f"started {process.name}")
        elif isinstance(event, RunSettled) and event.run.state.closed:
            run = event.run
            story = self._stories.setdefault(_key(run), Story())
            if story.settled:
                self.fault(f"{process.name} told of the end of {run.id} as {run.state}, which had been told before")
            story.settled = True
            story.told.add(f"settled {process.name}")
            if story.started_by is process and f"started {process.name}" not in story.told:
                self.fault(f"{process.name} told that {run.id} ended, and not that it began")
            row = self._rows.get(_key(run))
            if row != run:
                self.fault(f"{process.name} told of {run.id}: {_differing(run, row)}")

    def logged(self, record: logging.LogRecord) -> None:
        """An error in the log: production met with what it had not expected."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, Killed):
            self.fault(f"logged: {record.getMessage()}: {type(error).__name__}: {error}")

    def clock_was_set(self) -> None:
        self._be_unsure_for(self._world.weather.lease + 3 * self._world.weather.poll)

    def clock_is_wrong(self, process: Process) -> None:
        process.is_impaired_for(self._world.weather.lease)
        if process.clock.error:
            self._be_unsure_for(60 * SECOND)

    def _be_unsure_for(self, length: timedelta) -> None:
        self._unsure_until = max(self._unsure_until, self._world.true + _micros(length))

    def time_to_make_up(self) -> timedelta:
        """How long it takes until what was planned by wrong clocks has passed."""
        wall = self._world.wall
        instants = [wall]
        for known in self._jobs.values():
            if not known.removed and known.job.last_fire_time is not None:
                instants.append(known.job.last_fire_time)
            for run in known.open.values():
                instants.append(run.available_at)
                if run.lease_until is not None:
                    instants.append(run.lease_until)
        return max(instants) - wall

    # what was written

    def done(self, process: Process, actor: Actor, verb: str, args: Sequence[Any], reply: Any, wall: datetime) -> None:
        """*verb* has taken effect, at *wall* by the store's clock."""
        match verb:
            case "add":
                self._added(args[0])
            case "save":
                for change in reply:
                    self._saved(process, actor, change, wall)
            case "remove":
                self._removed(process, reply)
            case "fire":
                for change in reply:
                    self._fired(process, change, wall)
            case "fill":
                for filling in reply:
                    if filling.moved:
                        self._filled(process, filling.backfill, filling.runs)
            case "claim":
                for job, run in reply:
                    self._claimed(process, job, run, wall)
            case "renew":
                for run in reply:
                    self._write(process, verb, run)
            case "settle":
                for settlement in reply:
                    self._settled(process, settlement, wall)
            case "cancel":
                for run in reply:
                    self._cancelled(process, run, wall)
            case "add_backfill":
                self._backfills[args[0].id] = args[0]
            case "end_backfill":
                if reply is not None:
                    self._backfills[args[0].id] = args[0]
                    for run in reply:
                        self._look_again(process, run)
            case "prune":
                self._pruned |= reply.deleted > 0
            case _:
                return

    def _added(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._world.tell("store", "add", lambda job=job: f"{job.id} {self._schedules[job.trigger].says} {job}")
            first = self._first_of(job, job.anchored_at)
            if job.next_fire_time != first:
                self.fault(f"{job.id} was added, and is to fire at {job.next_fire_time} instead of {first}")
            self._jobs[job.uid] = Known(job, [Epoch(self._schedules[job.trigger], first)])

    def _first_of(self, job: Job, since: datetime) -> datetime | None:
        """When it is to fire first, by its schedule from *since* on; a date that has passed is not passed over."""
        schedule = self._schedules[job.trigger]
        return schedule.times[0] if isinstance(job.trigger, DateTrigger) else schedule.next_after(since)

    def _saved(self, process: Process, actor: Actor, change: Change, wall: datetime) -> None:
        new = change.job
        known = self._advance(process, "save", new)
        old, known.job = known.job, new
        deed, began, offset = self._asking.get(actor, ("", wall, self._world.offset))
        for run in change.runs:
            self._born(process, "save", run)
        epoch = known.epochs[-1]
        answered = [run for run in change.runs if run.origin is Origin.SCHEDULE and run.attempt == 1]
        self._check_coverage(known, old.last_fire_time, new.last_fire_time, answered)
        for run in answered:
            if run.state is not RunState.SKIPPED or run.reason is None:
                self.fault(f"{run.id} was answered by {deed} with {run.state}: {run.reason}")
            elif run.reason.startswith("paused") != old.paused:
                self.fault(
                    f"{run.id} is said to be {run.reason!r}, and its job was{'' if old.paused else ' not'} paused"
                )
        epoch.through = new.last_fire_time
        if new.anchored_at != old.anchored_at or new.trigger != old.trigger:
            since = new.anchored_at if new.last_fire_time is None else max(new.anchored_at, new.last_fire_time)
            first = self._first_of(new, since)
            if new.next_fire_time != first:
                self.fault(f"{new.id} was rescheduled, and is to fire at {new.next_fire_time} instead of {first}")
            if forgotten := epoch.times(new.last_fire_time, new.anchored_at):
                self.fault(f"{new.id} was rescheduled, and {_said(forgotten)} have no answer")
            known.epochs.append(Epoch(self._schedules[new.trigger], first))
        elif new.next_fire_time != epoch.following(new.last_fire_time):
            if deed != "modify":
                self.fault(f"{new.id} is to fire at {new.next_fire_time} after {new.last_fire_time}, by {deed!r}")
            certain = offset == self._world.offset and self._world.true > self._unsure_until
            if certain and (forgotten := epoch.times(new.last_fire_time, began)):
                self.fault(f"{new.id} was modified, and {_said(forgotten)} have no answer")
            known.epochs.append(Epoch(epoch.schedule, new.next_fire_time))

    def _removed(self, process: Process, jobs: Iterable[Job]) -> None:
        for job in jobs:
            known = self._jobs[job.uid]
            self._world.tell("store", f"remove {job.id}")
            if known.job != job:
                self.fault(f"{job.id} was removed as {_differing(job, known.job)}")
            known.removed = True
            known.epochs[-1].through = job.last_fire_time
            for run in [*known.open.values()]:
                self._look_again(process, run)
                if (left := known.open.get(_key(run))) is not None and left.state is RunState.PENDING:
                    self.fault(f"{run.id} waits for {job.id}, which was removed")

    def _fired(self, process: Process, change: Change, wall: datetime) -> None:
        new = change.job
        known = self._advance(process, "fire", new)
        old = known.job
        active, waiting = known.active(), known.waiting()
        if old.paused:
            self.fault(f"{new.id} was fired while it was paused")
        if old.next_fire_time is not None and old.next_fire_time > wall + AHEAD:
            self.fault(f"{new.id} was fired {old.next_fire_time - wall} early")
        self._check_coverage(known, old.last_fire_time, new.last_fire_time, change.runs)
        known.job, known.epochs[-1].through = new, new.last_fire_time
        if new.next_fire_time != (following := known.epochs[-1].following(new.last_fire_time)):
            self.fault(f"{new.id} is to fire at {new.next_fire_time} after {new.last_fire_time}, not at {following}")
        for run in change.runs:
            if run.state.closed:
                self._check_reason(known, run, change, active, waiting, wall)
            else:
                self._check_birth(old, run, active, waiting, wall)
            self._born(process, "fire", run)
        opened = [run for run in change.runs if not run.state.closed]
        if old.made_up is not None and len(opened) > max(old.made_up, 1):
            self.fault(f"{len(opened)} runs of {new.id} make up for what was missed, and catch_up is {old.made_up}")
        for run in change.cancelled:
            self._look_again(process, run)

    def _check_birth(self, job: Job, run: Run, active: int, waiting: int, wall: datetime) -> None:
        grace = ON_TIME if job.made_up == 0 and job.misfire_grace_time is None else job.misfire_grace_time
        if grace is not None and run.fire_time < wall - grace:
            self.fault(f"{run.id} of {job.id} was born {wall - run.fire_time} late, and misfire_grace_time is {grace}")
        if active < job.max_instances or job.made_up is None or job.made_up > 1:
            return
        if job.overlap is Overlap.SKIP:
            self.fault(
                f"{run.id} of {job.id} was born beside {active} others, and max_instances is {job.max_instances}"
            )
        if job.overlap is Overlap.QUEUE and waiting >= job.max_waiting:
            self.fault(
                f"{run.id} of {job.id} was born beside {waiting} that wait, and max_waiting is {job.max_waiting}"
            )

    def _check_reason(self, known: Known, run: Run, change: Change, active: int, waiting: int, wall: datetime) -> None:
        """A row that was born closed says why, and that is so."""
        job, reason, last = known.job, run.reason or "", run.through or run.fire_time
        opened = [one for one in change.runs if not one.state.closed]
        if reason.startswith("fired "):
            grace = job.misfire_grace_time or ON_TIME
            true = last < wall - grace
        elif reason.startswith("catch_up is"):
            true = job.made_up is not None and len(opened) == job.made_up and opened[0].fire_time > last
        elif reason.startswith("coalesced"):
            true = bool(opened) and opened[0].fire_time == known.epochs[-1].following(last)
        elif reason.startswith("max_instances is"):
            blocking = [one for one in known.open.values() if f"run {one.id} " in reason]
            true = (
                active >= job.max_instances
                and len(blocking) == 1
                and blocking[0].state.value in reason.replace("waiting", "pending")
            )
        elif reason.startswith("max_waiting is"):
            true = waiting >= job.max_waiting and any(f"run {one.id} " in reason for one in known.open.values())
        else:
            true = False
        if not true:
            self.fault(f"{run.id} of {job.id} is {run.state} for no true reason: {reason}")

    def _check_coverage(
        self, known: Known, before: datetime | None, through: datetime | None, rows: Iterable[Run]
    ) -> None:  # fmt: skip
        """The rows answer for each fire time after *before* through *through* once, and for nothing else."""
        expected = [*known.epochs[-1].times(before, through)]
        answered = sorted(time for row in rows for time in self._times_of(known, row))
        if answered != expected:
            self.fault(f"{known.job.id} was to answer for {_said(expected)}, and answered for {_said(answered)}")

    def _times_of(self, known: Known, row: Run) -> Sequence[datetime]:
        if row.through is None:
            return [row.fire_time]
        return [row.fire_time, *known.epochs[-1].times(row.fire_time, row.through)]

    def _filled(self, process: Process, backfill: Backfill, runs: Iterable[Run]) -> None:
        known, before = self._jobs[backfill.job_uid], self._backfills[backfill.id]
        self._backfills[backfill.id] = backfill
        if known.job.paused or known.removed:
            self.fault(f"backfill {backfill.id} went on, and {backfill.job_id} was paused or removed")
        if before.ended or backfill.version != before.version + 1:
            self.fault(f"backfill {backfill.id} went on from {before} to {backfill}")
        for run in runs:
            if (
                not backfill.start <= run.fire_time <= backfill.end
                or run.fire_time not in (self._schedules[backfill.trigger])
            ):
                self.fault(f"{run.id} was born for a backfill from {backfill.start} to {backfill.end}")
            self._born(process, "fill", run)
        active = sum(run.backfill == backfill.id for run in known.open.values())
        if active > backfill.max_instances:
            self.fault(
                f"{active} runs of backfill {backfill.id} are active, and its max_instances is {backfill.max_instances}"
            )

    def _claimed(self, process: Process, job: Job, run: Run, wall: datetime) -> None:
        known, old = self._jobs[run.job_uid], self._rows.get(_key(run))
        if old is not None and old.state is not RunState.PENDING:
            self.fault(f"{run.id} was claimed by {process.name} while it was {old.state}")
        if known.removed:
            self.fault(f"{run.id} was claimed after its job was removed")
        if known.job.paused and not run.by_hand:
            self.fault(f"{run.id} was claimed while {job.id} was paused")
        if run.available_at > wall:
            self.fault(f"{run.id} was claimed {run.available_at - wall} before it was available")
        if old is not None and old.expires_at is not None and old.expires_at <= wall:
            self.fault(f"{run.id} was claimed at {wall}, and had expired at {old.expires_at}")
        self._write(process, "claim", run)
        self._check_running(known, run)

    def _check_running(self, known: Known, run: Run) -> None:
        running = known.active(running=True)
        if run.backfill is None and run.state is RunState.RUNNING and running > known.job.max_instances:
            self.fault(f"{run.id} is one of {running} that run, and max_instances is {known.job.max_instances}")

    def _settled(self, process: Process, settlement: Settlement, wall: datetime) -> None:
        run, attempt = settlement.run, settlement.attempt
        key = _key(run)
        known, old, story = self._jobs[run.job_uid], self._rows.get(key), self._stories.get(key, Story())
        if old is None:
            self.fault(f"{run.id} was settled as {run.state}, and was never born")
            return
        self._check_ending(process, old, run, story, wall)
        if run.state is RunState.PENDING and known.removed:
            self._look_again(process, old)
            if key in known.open:
                self.fault(f"{run.id} waits for {run.job_id}, which was removed")
            return
        self._write(process, "settle", run)
        follows = attempt is not None and not known.removed and _key(attempt) not in self._rows
        wanted = not known.removed and self._is_tried_again(known.job, run, story)
        if follows != wanted:
            self.fault(
                f"{run.id} of {run.job_id} ended as {run.state}, and was{'' if follows else ' not'} tried again: {known.job.retry}"
            )
        if attempt is not None and follows:
            self._check_wait(known.job, run, attempt)
            self._born(process, "settle", attempt)

    def _check_ending(self, process: Process, old: Run, run: Run, story: Story, wall: datetime) -> None:
        """What closes a run is what became of its call; or that its node is believed to be gone."""
        if run.state is RunState.LOST and (run.reason or "").startswith("node "):
            if old.lease_until is None or (old.lease_until > wall and self._world.true > self._unsure_until):
                self.fault(f"{run.id} was lost at {wall}, and its lease was to end at {old.lease_until}")
            self._check_patience(process, run)
            if story.started_by is not None and not story.ended:
                self._check_loss(run)
            return
        if story.started_by is None:
            if run.state in (RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT):
                self.fault(f"{run.id} ended as {run.state}, and never began")
            return
        own = story.started_by is process or story.started_by.node == process.node
        if run.state is RunState.CANCELLED and old.cancel_reason is not None and not (own and story.ended):
            if old.lease_until is None or (old.lease_until > wall and self._world.true > self._unsure_until):
                self.fault(f"{run.id} was closed by {process.name}, and its node held it until {old.lease_until}")
            return
        if not own or old.node != process.node:
            self.fault(f"{run.id} was settled as {run.state} by {process.name}, and {old.node} had it")
        if not story.ended:
            self.fault(f"{run.id} was settled as {run.state} while it went on")
        expected = None if story.outcome is None else story.outcome.state
        if run.state not in (expected, RunState.TIMED_OUT, RunState.CANCELLED):
            self.fault(f"{run.id} was settled as {run.state}, and had ended as {expected}")
        if run.state is RunState.CANCELLED and old.cancel_reason is None:
            self.fault(f"{run.id} was cancelled, and nobody had asked for it")

    def _check_patience(self, process: Process, run: Run) -> None:
        """Who could not reach the store itself takes nobody for dead, until the others have had two polls to come back."""
        world, since = self._world, process.out_of_reach_at
        if since is None or world.true <= self._unsure_until:
            return
        if world.true < since + 2 * _micros(world.weather.poll):
            self.fault(f"{run.id} was lost to {process.name}, which had just come back from an outage: {run.reason}")

    def _check_loss(self, run: Run) -> None:
        """A call that goes on loses its lease only if its node was killed, stood still or was cut off."""
        world = self._world
        if world.true <= self._unsure_until:
            return
        for process in world.processes:
            if process.node == run.node and process.alive:
                slack = _micros(world.weather.poll + A_LITTLE_LATER)
                if not process.stalled and not process.is_to_stop and world.true > process.impaired_until + slack:
                    self.fault(f"{run.id} was lost, and its node {process.name} was well: {run.reason}")

    def _is_tried_again(self, job: Job, run: Run, story: Story) -> bool:
        if run.state not in FAILURES or run.cancel_reason is not None:
            return False
        retry = job.retry
        if run.attempt - run.counted_from + 1 >= retry.max_attempts:
            return False
        if run.state is RunState.LOST:
            return True
        raised: Sequence[str] = ("TimeoutError", "OSError", "Exception", "BaseException")
        if run.state is RunState.FAILED:
            assert isinstance(story.outcome, Failed)
            raised = story.outcome.raised
        return (not retry.on or any(name in raised for name in retry.on)) and not any(
            name in raised for name in retry.give_up_on
        )

    def _check_wait(self, job: Job, run: Run, attempt: Run) -> None:
        assert run.ended_at is not None
        wait = attempt.available_at - run.ended_at
        usual = job.retry.delay * job.retry.backoff ** (run.attempt - run.counted_from)
        if not usual * (1 - job.retry.jitter) <= wait <= usual * (1 + job.retry.jitter) or (
            attempt.attempt != run.attempt + 1
        ):
            self.fault(f"{attempt.id} follows {run.id} after {wait}, and not {usual}")

    def _cancelled(self, process: Process, run: Run, wall: datetime) -> None:
        old = self._rows.get(_key(run))
        if run.state is RunState.MISSED and (run.expires_at is None or run.expires_at > wall):
            self.fault(f"{run.id} was missed at {wall}, and may wait until {run.expires_at}")
        if run.state is RunState.PENDING:
            self.fault(f"{run.id} was cancelled, and waits on")
        if old is not None and old.state is RunState.PENDING and run.state is RunState.RUNNING:
            self.fault(f"{run.id} was to be cancelled, and runs")
        self._write(process, "cancel", run)

    # rows

    def _advance(self, process: Process, verb: str, job: Job) -> Known:
        known = self._jobs[job.uid]
        old = known.job
        self._world.tell(
            process.name, verb,
            lambda: f"{job.id} v{job.version} last {job.last_fire_time} next {job.next_fire_time} paused {job.paused_at}",
        )  # fmt: skip
        if known.removed:
            self.fault(f"{job.id} was written by {verb} after it had been removed")
        if job.version != old.version + 1:
            self.fault(f"{job.id} was written by {verb} as version {job.version} over {old.version}")
        if old.last_fire_time is not None and (job.last_fire_time is None or job.last_fire_time < old.last_fire_time):
            self.fault(f"{job.id} went back from {old.last_fire_time} to {job.last_fire_time}")
        return known

    def _born(self, process: Process, verb: str, run: Run) -> None:
        key = _key(run)
        known = self._jobs[run.job_uid]
        if key in self._rows:
            self.fault(f"{run.id} of {run.job_id} was born twice")
        if known.removed:
            self.fault(f"{run.id} was born after its job had been removed")
        if run.attempt > 1 and run.origin is not Origin.BACKFILL:
            before = self._rows.get((run.job_uid, run.fire_time, run.origin, run.attempt - 1))
            if before is None or not before.state.closed:
                self.fault(f"{run.id} was born, and the attempt before it had not ended")
        if run.state is RunState.RUNNING and run.node != process.node:
            self.fault(f"{run.id} was born at {process.name} for {run.node}")
        self._keep(process, verb, run)
        self._check_running(known, run)

    def _write(self, process: Process, verb: str, run: Run) -> None:
        """A row becomes another."""
        old = self._rows.get(_key(run))
        if old is None:
            self.fault(f"{run.id} of {run.job_id} was written by {verb}, and was never born")
            return
        if run.version != old.version + 1:
            self.fault(f"{run.id} was written by {verb} as version {run.version} over {old.version}")
        self._change(process, verb, old, run)

    def _look_again(self, process: Process, run: Run) -> None:
        """Read a row that may have been written."""
        store = process.line._store
        try:
            row = store.run(run.id)
        except RunNotFoundError:
            self.fault(f"{run.id} is gone from the ledger")
            return
        old = self._rows[_key(run)]
        if row != old:
            self._change(process, "is found", old, row)

    def _change(self, process: Process, verb: str, old: Run, run: Run) -> None:
        goes_on = run.state is old.state and not old.state.closed
        if not goes_on and run.state not in TRANSITIONS[old.state]:
            self.fault(f"{run.id} went from {old.state} to {run.state}, by {verb} of {process.name}")
        if old.cancel_reason is not None and run.cancel_reason is None:
            self.fault(f"{run.id} was to be cancelled, and is not any more, by {verb} of {process.name}")
        if run[:7] != old[:7] or run[ASKED:] != old[ASKED:]:
            self.fault(f"{run.id} became another: {_differing(run, old)}")
        self._keep(process, verb, run)

    def _keep(self, process: Process, verb: str, run: Run) -> None:
        key = _key(run)
        self._world.tell(
            process.name, verb,
            lambda: f"{run.id} of {run.job_id} v{run.version} {run.state} {run.node} {run.lease_until} {run.reason or ''}",
        )  # fmt: skip
        self._rows[key] = run
        known = self._jobs[run.job_uid]
        if run.state.closed:
            known.open.pop(key, None)
        else:
            known.open[key] = run
            self._opened.add((run.job_uid, run.fire_time))

    # the end

    def judge(self, stored: Sequence[Run]) -> None:
        """All has been well for a while: what is wrong with the ledger now?"""
        self._judge_store(stored)
        self._judge_answers()
        self._judge_open()
        self._judge_told()
        self._judge_backfills()

    def _judge_store(self, stored: Sequence[Run]) -> None:
        rows = {_key(run): run for run in stored}
        if len(rows) != len(stored):
            self.fault("the ledger has a key twice")
        for key, run in rows.items():
            if self._rows.get(key) != run:
                self.fault(f"{run.id}: {_differing(run, self._rows.get(key))}")
        for key in self._rows.keys() - rows.keys():
            if not self._pruned or not self._rows[key].state.closed:
                self.fault(f"{self._rows[key].id} is gone from the ledger")

    def _judge_answers(self) -> None:
        """Each fire time of each job has one answer, and nothing else has."""
        answers: dict[int, list[tuple[datetime, datetime]]] = {}
        for run in self._rows.values():
            if run.origin is Origin.SCHEDULE and run.attempt == 1:
                answers.setdefault(run.job_uid, []).append((run.fire_time, run.through or run.fire_time))
        for uid, known in self._jobs.items():
            expected: list[datetime] = []
            for epoch in known.epochs:
                expected += epoch.times(expected[-1] if expected else None, epoch.through)
            ranges = sorted(answers.get(uid, []))
            answered = [time for begin, end in ranges for time in expected if begin <= time <= end]
            if answered != expected or any(begin not in expected or end not in expected for begin, end in ranges):
                self.fault(f"{known.job.id} was to answer for {_said(expected)}, and answered for {_said(answered)}")

    def _judge_open(self) -> None:
        wall = self._world.wall
        for known in self._jobs.values():
            job = known.job
            due = job.next_fire_time
            if not known.removed and not job.paused and due is not None and due < wall - A_LITTLE_LATER:
                self.fault(f"{job.id} was due at {due}, and nobody has fired it by {wall}")
            for run in known.open.values():
                waits = run.state is RunState.PENDING and job.paused and not run.by_hand
                if not waits and run.available_at < wall - A_LITTLE_LATER:
                    self.fault(f"{run.id} of {job.id} is {run.state} still at {wall}: {run}")

    def _judge_told(self) -> None:
        """Who has begun a call when all was well tells how it ended, once that is written and a moment has passed."""
        for key, story in self._stories.items():
            run = self._rows.get(key)
            if run is None or run.ended_at is None or not story.in_calm or story.settled:
                continue
            if run.ended_at < self._world.wall - A_LITTLE_LATER:
                self.fault(f"{run.id} of {run.job_id} ended as {run.state}, and nobody was told of it")

    def _judge_backfills(self) -> None:
        for backfill in self._backfills.values():
            known = self._jobs[backfill.job_uid]
            if known.removed or known.job.paused:
                continue
            if not backfill.ended:
                self.fault(f"backfill {backfill.id} of {backfill.job_id} goes on: {backfill}")
            if backfill.reason is not None:
                continue
            schedule = self._schedules[backfill.trigger]
            passed = [
                time for time in schedule.times
                if backfill.start <= time <= backfill.end and (backfill.job_uid, time) not in self._opened
            ]  # fmt: skip
            if passed:
                self.fault(f"backfill {backfill.id} of {backfill.job_id} has passed over {_said(passed)}")


def _key(run: Run) -> Key:
    return run.job_uid, run.fire_time, run.origin, run.attempt


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def _said(times: Sequence[datetime]) -> str:
    return ", ".join(f"{time:%H:%M:%S.%f}" for time in times) or "nothing"


def _differing(new: Any, old: Any) -> str:
    """The fields in which two rows differ."""
    if old is None:
        return f"expected nothing, got {new}"
    fields = ", ".join(
        f"{name} {theirs!r} instead of {ours!r}"
        for name, ours, theirs in zip(new._fields, new, old, strict=True)
        if ours != theirs
    )
    return f"the oracle knows {fields}"
