"""The scheduler: the verbs that users know, and the two faces that need no event loop."""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Never, TypeVar, final

from tickwork import plan
from tickwork.backfill import MAX_BACKFILL_INSTANCES, MAX_OPEN_BACKFILLS, Backfill
from tickwork.checks import check_flag, check_text, check_whole, shown
from tickwork.clock import MICROSECOND, Clock
from tickwork.declaration import Declaration, app_of, declaration_of
from tickwork.definitions import UNSET, Definitions, Unset, split_options
from tickwork.driver import Driver
from tickwork.durations import Duration, read_duration
from tickwork.errors import (
    ConflictError,
    ForkedSchedulerError,
    InvalidJobError,
    JobExistsError,
    JobNotFoundError,
    RunClosedError,
    RunNotFoundError,
    SchedulerAlreadyRunningError,
    SchedulerError,
    SchedulerNotRunningError,
    StoreError,
    did_you_mean,
)
from tickwork.events import (
    Event,
    JobAdded,
    JobChanged,
    JobRemoved,
    RunSettled,
    SchedulerStarted,
    SchedulerStopped,
)
from tickwork.executors.around import Around
from tickwork.executors.base import Executor
from tickwork.executors.call import (
    MAX_REASON_LENGTH,
    inside_run,
    keep_arguments,
    only_makes_calls,
)
from tickwork.executors.injection import Surroundings
from tickwork.executors.state import JobState
from tickwork.executors.threads import ThreadExecutor
from tickwork.executors.transaction import when_committed
from tickwork.expectation import Expectation
from tickwork.health import Health
from tickwork.job import MAX_ID_LENGTH, NO_METADATA, SHORTEST, Job, check_job_id, check_jobs
from tickwork.labels import has_labels, sorted_metadata, sorted_tags
from tickwork.listeners import Listeners
from tickwork.loop import Loop
from tickwork.moves import Move, refusal
from tickwork.node import Node, new_node
from tickwork.plan import Change
from tickwork.policies import Overlap, Retry
from tickwork.pruning import JOBS, ROWS
from tickwork.refs import Function, find_function
from tickwork.retention import Retention
from tickwork.run import Cancelled, Given, Outcome, Released, Run, RunState, Skipped
from tickwork.runlog import RunLog
from tickwork.stores import make_store
from tickwork.stores.base import Census, Store
from tickwork.timing import Timing
from tickwork.triggers import CronTrigger, Trigger, make_trigger
from tickwork.triggers.instants import say_instant
from tickwork.version import __version__
from tickwork.why import Answer, Say, explain

MAX_TRIES = 100
"""How often a change is decided anew when other writers were faster."""
DEFAULT_TIMING = Timing()
DEFAULT_RETENTION = Retention()
LAST_WORDS = 1.0
"""Seconds that a shutdown waits for listeners to hear what happened."""
PATIENCE = 5.0
"""Seconds that `start` waits for the runs of a shutdown that goes on in the background."""
F = TypeVar("F", bound=Function)
E = TypeVar("E", bound=Event)
T = TypeVar("T")

log = logging.getLogger("tickwork.scheduler")


class Scheduler:
    """What all schedulers can do; the faces differ in where coroutines run and whether `start` returns.

    *store* is a URL (`sqlite:///jobs.db`), a store, or None for memory. *executors* adds to or replaces
    `threads` and `asyncio`. *timezone* is that of triggers and times that name none. *job_defaults* are the policies
    of jobs that choose none: `coalesce`, `catch_up`, `misfire_grace_time`, `max_instances`, `overlap`, `max_waiting`,
    `timeout`, `retry`, `pause_after`, `expect_every`, `expire_after`, `executor`.
    *lease* (seconds) is how long a run is believed to go on after its node was last heard of (10 s; on Redis 8 s),
    *poll* the longest time until news is noticed when no bell rings.
    *keep* is how long the ledger keeps what is closed, of jobs that do not say so themselves: 30 days, and 10,000 rows
    a job; `Retention(age=None, count=None)` keeps all.
    *log_level* is from where on what a run logs is kept with it; None keeps nothing.
    *app* is the application whose jobs this code declares, by default the package or module of each job's function:
    a job of it that no running code declares any more is retired (docs/operations.md).

    Every verb is safe to call from any thread, and from inside a job or a listener.
    """

    def __init__(
        self,
        store: str | Store | None = None,
        *,
        executors: Mapping[str, Executor] | None = None,
        timezone: str | None = None,
        job_defaults: Mapping[str, Any] | None = None,
        lease: Duration | None = None,
        poll: Duration = DEFAULT_TIMING.poll,
        keep: Retention = DEFAULT_RETENTION,
        log_level: int | str | None = logging.INFO,
        app: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._store = make_store(store, clock=clock)
        self.clock: Clock = self._store.clock
        """What tells when a job is due: the store's, which all nodes agree on."""
        self._executors: dict[str, Executor] = {**self._own_executors(), **(executors or {})}
        self.surroundings = Surroundings(
            getattr(self._executors.get("asyncio"), "event_loop", None), log_level=_log_level(log_level),
            records=self._store,
        )  # fmt: skip
        """What its runs can reach in this process: the app, as `lifespan` tells it."""
        if timezone is not None:
            CronTrigger(minute=0, timezone=timezone)  # a zone that does not exist is refused here and not later
        self._timezone = timezone
        for name, one in self._executors.items():
            if not callable(getattr(one, "submit", None)):
                raise InvalidJobError(
                    f"executors: expected executors by name, got {one!r} for {name!r}: try ThreadExecutor(20)"
                )
        self._definitions = Definitions(
            self._store.clock, self._executors, timezone=timezone, defaults=job_defaults or {}
        )  # fmt: skip
        self._timing = _timing(self._store.lease if lease is None else lease, poll)
        self._keep = _check_keep(keep)
        if app is not None:
            check_text("app", app, most=MAX_ID_LENGTH)
        self._app = app
        self._listeners = Listeners(self.surroundings.event_loop)
        self._declared: dict[str, Job] = {}
        self._driver: Driver | None = None
        self._process: int | None = None
        self._shutting_down = False
        self._lock = threading.RLock()

    @property
    def timezone(self) -> str | None:
        """The zone of triggers and times that name none. None: UTC for a cron, and no time is read without a zone."""
        return self._timezone

    # starting and stopping

    def start(self, *, paused: bool = False) -> None:
        """Store what was declared, and begin to fire; with *paused*, only after `resume`.

        Raises SchedulerAlreadyRunningError, ForkedSchedulerError and what opening the store raises; StoreMovedError
        if its jobs have moved to another one, or are on their way here.
        """
        with self._lock:
            self._check_startable()
            self._store.open(self._ring)
            declaration = declaration_of(self._declared.values(), self._app)
            node = self._new_node(declaration.name)
            try:
                if (move := self._store.move()) is not None and move.refuses:
                    raise refusal(self._store.location, move)
                with self._store.together():
                    self._store.declare(declaration)
                    self._store.beat(node)  # before the jobs are ensured: from here on nobody retires them
                self._ensure([*self._declared.values()])
            except BaseException:
                with suppress(StoreError):
                    self._store.beat(node.stopped(self._store.clock.now()))
                self._store.close()
                raise
            driver = self._make_driver(
                lambda wake: self._make_loop(node, declaration, wake), lambda: self._finish(driver)
            )
            driver.loop.paused = paused
            for executor in self._executors.values():
                executor.start(driver.loop.report)
            self._driver, self._process, self._shutting_down = driver, os.getpid(), False
            self._listeners.stand_by()
            driver.start()
            atexit.register(self._leave)
        log.info("scheduler started as node %s on %s", node.id, self._store.location)
        self._tell(SchedulerStarted, node.id)

    def shutdown(self, wait: bool = True, *, timeout: Duration | None = None) -> None:
        """Fire nothing more, and hand over to the other nodes what has not begun.

        Runs that go on may end; when *timeout* (seconds) is over their coroutines are cancelled, and
        threads are left behind. With *wait* this returns when that is done, unless it is called from a
        job or a listener, which it would wait for: then, as without *wait*, it is done in the background.
        Raises SchedulerNotRunningError.
        """
        driver = self._running_driver()
        limit = _seconds("timeout", timeout)
        self._shutting_down = True
        driver.loop.stop(None if limit is None else self._store.clock.now() + timedelta(seconds=limit))
        if wait and not self._would_wait_for_itself(driver):
            driver.wait_finished(None if limit is None else limit + 5 * self._timing.last_call.total_seconds())

    def wait_stopped(self, timeout: Duration | None = None) -> bool:
        """Wait until a shutdown that goes on in the background is done, or *timeout* seconds; whether it is."""
        return self._driver is None or self._driver.wait_finished(_seconds("timeout", timeout))

    def pause(self) -> None:
        """Fire and claim nothing on this node until `resume`; what runs goes on, and other nodes too."""
        self._running_driver().loop.paused = True

    def resume(self) -> None:
        """Fire again on this node."""
        self._running_driver().loop.resume()

    @property
    def running(self) -> bool:
        """Whether this scheduler fires, or would if it were not paused."""
        return self._driver is not None and self._driver.is_alive() and not self._shutting_down

    def health(self) -> Health:
        """What is true of this scheduler at this moment, as far as it knows: the store is not asked."""
        driver = self._driver if self._driver and self._driver.is_alive() else None
        loop = driver.loop if driver else None
        return Health(
            running=self.running, paused=bool(loop and loop.paused), node=loop.node if loop else None,
            store=self._store.location, outage=driver.trouble() if driver else None,
            live=self._driver is None or not self._driver.is_stuck(),
            lateness=loop.lateness.worst(self._store.clock.now()) if loop else None,
            nodes=len(loop.presence.living) if loop else None, overdue=loop.overdue if loop else None,
            events_waiting=self._listeners.waiting, events_dropped=self._listeners.dropped,
        )  # fmt: skip

    # jobs

    def add_job(
        self,
        /,
        func: Function | str,
        trigger: Trigger | str | None = None,
        *beyond: Never,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        executor: str | Unset | None = UNSET,
        coalesce: bool | Unset = UNSET,
        catch_up: int | Unset | None = UNSET,
        misfire_grace_time: Duration | Unset | None = UNSET,
        max_instances: int | Unset = UNSET,
        overlap: Overlap | str | Unset = UNSET,
        max_waiting: int | Unset = UNSET,
        timeout: Duration | Unset | None = UNSET,
        retry: Retry | Unset | None = UNSET,
        pause_after: int | Unset | None = UNSET,
        expect_every: Duration | Unset | None = UNSET,
        expire_after: Duration | Unset | None = UNSET,
        tags: Collection[str] = (),
        metadata: Mapping[str, str] | None = None,
        keep: Retention | None = None,
        next_run_time: datetime | str | Unset | None = UNSET,
        replace_existing: bool = False,
        **trigger_args: Any,
    ) -> Job:
        """Add a job: *func*, or its `module:qualname`, at the fire times of *trigger*.

        *trigger* is a trigger, or its word (`date`, `interval`, `cron`, `calendarinterval`, ...) with its
        options in *trigger_args*; None runs the function once, now. With any trigger go `jitter`, and the
        calendars `exclude`, `only`, `include` with `shift` (docs/triggers.md). *next_run_time* sets the first
        fire time, or adds the job paused if it is None.

        Before `start` this declares the job: at start it is stored if it is new and brought up to date
        if it differs; an unchanged one keeps its phase, its pause and its history. Afterwards an id that
        is taken raises JobExistsError, or with *replace_existing* is brought up to date likewise.

        Durations are seconds, timedeltas or texts ("10m", "1h 30m"), here and everywhere (docs/times.md).
        *expect_every* watches over the job: when it has not succeeded for so long, a `JobOverdue` is told,
        once, by any node that is alive (docs/operations.md).

        Without an *id* a job is named after its function, so that every worker that adds it means the
        same job; a one-off that is added to a running scheduler gets a random id, and leaves the store
        with its last row in the ledger.

        *tags* and *metadata*, of plain text, are what people find it by (`get_jobs`, `pause_jobs`).

        A trigger that has ended is refused, unless the job is declared: then it is stored as ended, since
        what the code declares ends some day.

        Raises TriggerError, InvalidJobError, FunctionReferenceError, JobExistsError, StoreError.
        """
        _check_named("add_job", beyond)
        job = self._definitions.make(
            func, trigger, at_once=self._stores_at_once(),
            args=args, kwargs=kwargs, id=id, name=name, executor=executor, coalesce=coalesce,
            catch_up=catch_up, misfire_grace_time=misfire_grace_time, max_instances=max_instances, overlap=overlap,
            max_waiting=max_waiting, timeout=timeout, retry=retry, pause_after=pause_after, expect_every=expect_every,
            expire_after=expire_after, tags=tags, metadata=metadata, keep=keep, next_run_time=next_run_time,
            trigger_args=trigger_args,
        )  # fmt: skip
        with self._lock:  # a start that goes on is waited for
            if not self._stores_at_once():
                return self._declare(job, replace_existing=replace_existing)
        if replace_existing:
            return self._ensure([job])[0]
        return self.add_jobs([job])[0]

    def new_job(self, /, func: Function | str, trigger: Trigger | str | None = None, **options: Any) -> Job:
        """A job as `add_job` would add it, for `add_jobs`; nothing is stored."""
        return self._definitions.make(func, trigger, at_once=self._stores_at_once(), **split_options(options))

    def add_jobs(self, jobs: Iterable[Job]) -> Sequence[Job]:
        """Add many jobs that `new_job` made, all or none, in one transaction.

        Raises JobExistsError, InvalidJobError.
        """
        new = [plan.anchored(job) for job in check_jobs(jobs)]
        self._opened_store().add(new)
        self._ring_for(new)
        self._tell(JobAdded, *new)
        return new

    def scheduled_job(self, trigger: Trigger | str, *beyond: Never, **options: Any) -> Callable[[F], F]:
        """Decorate a function to make it a job, with the options of `add_job`; the function is unchanged."""
        _check_named("scheduled_job", beyond)
        if inspect.isfunction(trigger):
            raise InvalidJobError(
                f"scheduled_job: expected a trigger, got the function {trigger.__name__!r}: "
                f'write @scheduler.scheduled_job("interval", minutes=10)'
            )

        def declare(func: F) -> F:
            self.add_job(func, trigger, replace_existing=self.running, **options)
            return func

        return declare

    def get_job(self, job_id: str) -> Job | None:
        """The job as it is now, or None if there is none."""
        check_job_id(job_id)
        stored = self._opened_store().jobs(ids=[job_id])
        return stored[0] if stored else self._declared.get(job_id)

    def get_jobs(self, *, tags: Collection[str] = (), metadata: Mapping[str, str] = NO_METADATA) -> Sequence[Job]:
        """All jobs, or those with all of these *tags* and entries of *metadata*.

        The next to fire come first, then the paused and the ended ones. Raises InvalidJobError.
        """
        wanted, entries = sorted_tags(tags), sorted_metadata(metadata)
        stored = {job.id: job for job in self._opened_store().jobs()}
        jobs = [*stored.values(), *(job for id, job in self._declared.items() if id not in stored)]
        if wanted or entries:
            jobs = [job for job in jobs if has_labels(job.tags, job.metadata, wanted=wanted, entries=entries)]
        return sorted(jobs, key=lambda job: (job.paused, job.ended, job.next_fire_time or job.anchored_at, job.id))

    def modify_job(self, /, job_id: str, **changes: Any) -> Job:
        """Change policies, arguments, the function, the trigger or `next_run_time` of a job.

        A new trigger counts from now. Raises JobNotFoundError, InvalidJobError, TriggerError.
        """
        return self._change(
            job_id, lambda job, now: plan.modify(job, self._definitions.changed(job, changes), now), Released()
        )

    def reschedule_job(self, /, job_id: str, trigger: Trigger | str, **trigger_args: Any) -> Job:
        """Give a job another trigger, counted from now; a paused job stays paused.

        Raises JobNotFoundError, TriggerError.
        """
        new = make_trigger(trigger, trigger_args, timezone=self._timezone)
        return self._change(
            job_id, lambda job, now: plan.reschedule(job, new, now), Skipped("rescheduled before it began")
        )

    def pause_job(self, job_id: str, *, reason: str | None = None, by: str | None = None) -> Job:
        """Fire this job on no node until it is resumed; what runs goes on.

        *by* is whoever asks for it, for people: it is kept with the job, beside the *reason*. Raises JobNotFoundError.
        """
        _check_by(by)
        if reason is not None:
            check_text("reason", reason, most=MAX_REASON_LENGTH)
        why = f"paused before it began{f', by {by}' if by else ''}{f': {reason}' if reason else ''}"
        return self._change(job_id, lambda job, now: plan.pause(job, now, reason, by), Skipped(why))

    def resume_job(self, job_id: str, *, by: str | None = None) -> Job:
        """Fire this job again from now on; what fell into the pause is not made up.

        The row that answers for it says *by* whom the pause was ended. Raises JobNotFoundError.
        """
        _check_by(by)
        return self._change(job_id, lambda job, now: plan.resume(job, now, by))

    def pause_jobs(
        self,
        *,
        tags: Collection[str] = (),
        metadata: Mapping[str, str] = NO_METADATA,
        reason: str | None = None,
        by: str | None = None,
    ) -> Sequence[Job]:
        """Pause the jobs with all of these *tags* and entries of *metadata*, as `pause_job` does; return them.

        One after another: what is added or changed meanwhile may be among them or not. Raises InvalidJobError if
        neither is given, which would be all jobs: `pause` stops a scheduler.
        """
        _check_by(by)
        return [self.pause_job(job.id, reason=reason, by=by) for job in self._labelled("pause_jobs", tags, metadata)]

    def resume_jobs(
        self, *, tags: Collection[str] = (), metadata: Mapping[str, str] = NO_METADATA, by: str | None = None
    ) -> Sequence[Job]:
        """Resume the jobs with all of these *tags* and entries of *metadata*, as `resume_job` does; return them.

        Raises InvalidJobError if neither is given.
        """
        _check_by(by)
        return [self.resume_job(job.id, by=by) for job in self._labelled("resume_jobs", tags, metadata)]

    def cancel_run(self, run_id: str, *, reason: str | None = None, by: str | None = None) -> Run:
        """Cancel a run on whatever node: one that waits is closed, one that goes on is asked to end.

        A coroutine is cancelled, which the ledger shows when it has ended; a plain function may look at
        `run.cancelled`, and otherwise goes on until it returns. The row keeps the *reason*, and *by* whom. Returns the
        run as it is now. Raises RunNotFoundError, RunClosedError, StoreError.
        """
        why = _why_cancelled(reason, by)
        store = self._opened_store()
        for _ in range(MAX_TRIES):
            run = store.run(run_id)
            if run.state.closed:
                raise RunClosedError(
                    f"cancel_run: expected a run that has not ended, got {run_id}, which ended as {run.state}"
                )
            for cancelled in store.cancel([plan.cancel(run, why, store.clock.now())]):
                self._ring()
                if cancelled.state.closed:
                    self._tell(RunSettled, cancelled)
                return cancelled
        raise _too_many_conflicts(f"run {run_id}")

    def remove_job(self, job_id: str) -> None:
        """Remove a job; its waiting runs are cancelled, running ones go on. Raises JobNotFoundError."""
        check_job_id(job_id)
        declared = self._declared.pop(job_id, None)
        if not self._remove([job_id]) and declared is None:
            raise JobNotFoundError(job_id, (job.id for job in self._store.jobs(limit=1000)))

    def remove_all_jobs(self) -> None:
        """Remove every job, declared ones too."""
        self._declared.clear()
        self._remove(None)

    def run_job_now(
        self,
        job_id: str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        expire_after: Duration | Unset | None = UNSET,
        by: str | None = None,
    ) -> Run:
        """Run a job once outside its schedule, on any node with room; its run waits if `max_instances` are running.

        *args* and *kwargs* take the place of the job's, each as a whole, for this run and its retries: checked and
        kept like those of `add_job`. None: the job's own, as they are when it begins. *expire_after* is how long (in
        seconds) it may wait to begin, if not as long as the job says; None: as long as it takes. A paused job runs
        too. *by* is whoever asks for it, for people: it is kept with the run.

        Raises JobNotFoundError, InvalidJobError, and FunctionReferenceError if there are arguments and this process
        does not know the job's function.
        """
        _check_by(by)
        chosen = None if isinstance(expire_after, Unset) else _may_wait(expire_after)
        born: list[Run] = []

        def decide(job: Job, now: datetime) -> Change:
            may_wait = job.expire_after if isinstance(expire_after, Unset) else chosen
            change = plan.run_now(job, now, by, _given_to(job, args, kwargs), may_wait)
            born[:] = change.runs
            return change

        self._change(job_id, decide)
        return born[0]

    def get_state(self, job_id: str) -> dict[str, Any]:
        """What the runs of a job hand on to each other, as the last of them has left it. Raises JobNotFoundError."""
        check_job_id(job_id)
        store = self._opened_store()
        return store.state(store.get(job_id).uid).values

    def set_state(self, job_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Give some keys of a job's state other values, and return all of it. A run that goes on and changes the same
        keys fails, as it has read what is true no more. Raises JobNotFoundError, InvalidJobError.
        """
        if not isinstance(values, Mapping):
            raise InvalidJobError(f"set_state: expected a dict of keys and values, got {shown(values)}")

        def change(state: JobState) -> None:
            state.update(values)

        return self._change_state(job_id, change)

    def clear_state(self, job_id: str, *keys: str) -> dict[str, Any]:
        """Remove these keys of a job's state, or all, and return what is left. Raises JobNotFoundError."""

        def change(state: JobState) -> None:
            for key in keys or [*state]:
                state.pop(key, None)

        return self._change_state(job_id, change)

    def retry_run(self, run_id: str, *, even_if_succeeded: bool = False, by: str | None = None) -> Run:
        """Try a closed run again: a next attempt at the same fire time, now, on any node with room; returns it.

        It is given the same arguments, and begins even if its job is paused. The retry policy counts from it as from
        a first attempt. The closed row stays as it is. *by* is whoever asks for it, for people.

        Raises RunNotFoundError, and RetryRefusedError for a run that has not ended, that another attempt follows,
        that answers for several fire times, or whose job was removed; and for one that succeeded, unless
        *even_if_succeeded*.
        """
        check_flag("even_if_succeeded", even_if_succeeded)
        _check_by(by)
        store = self._opened_store()
        for _ in range(MAX_TRIES):
            run = store.run(run_id)
            job = next((job for job in store.jobs(ids=[run.job_id]) if job.uid == run.job_uid), None)
            later = self._attempt_after(run)
            change = plan.retry(job, run, later, store.clock.now(), by=by, even_if_succeeded=even_if_succeeded)
            if store.save([change]):
                self._ring()
                self._tell(JobChanged, change.job)
                return change.runs[0]
        raise _too_many_conflicts(f"run {run_id}")

    # backfills

    def backfill_job(
        self,
        job_id: str,
        start: datetime | str,
        end: datetime | str,
        *,
        max_instances: int = 1,
        everything: bool = False,
        newest_first: bool = False,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        by: str | None = None,
    ) -> Backfill:
        """Run the fire times of a job from *start* through *end* after all, those that never ran; return the backfill.

        That is: those without a run in the ledger, and those that were missed or skipped; with *everything* those
        that ran, too. The trigger is the job's as it is now. Only what the schedule has passed counts, so a later
        *end* is brought forward. Times may be text, such as "2026-12-24 18:00"; docs/times.md says in which zone.

        It goes on by itself on whatever node there is, also after a restart: at most *max_instances* of its runs are
        active at once. These are beside the schedule's: neither are in the way of the other, and where room is
        scarce the schedule's go first. It stands still while its job is paused. *args* and *kwargs* are as in
        `run_job_now`.

        Raises JobNotFoundError, InvalidJobError for a range without such fire times or one of which the ledger was
        pruned, and if a hundred backfills go on already, and FunctionReferenceError as `run_job_now` does.
        """
        check_job_id(job_id)
        _check_by(by)
        check_whole("max_instances", max_instances, most=MAX_BACKFILL_INSTANCES)
        check_flag("everything", everything)
        check_flag("newest_first", newest_first)
        store = self._opened_store()
        job, now = store.get(job_id), store.clock.now()
        first, last = (
            self._definitions.read_time("start", start, job.trigger),
            self._definitions.read_time("end", end, job.trigger),
        )
        given = _given_to(job, args, kwargs)
        asked = Backfill(
            secrets.token_hex(8), job.id, job.uid, job.trigger, first, last, None, now,
            max_instances, everything, newest_first, given, by,
        )  # fmt: skip
        backfill = plan.backfill(job, asked, now, pruned_through=store.evidence(job_id, now).pruned_through)
        store.add_backfill(backfill)
        self._ring()
        return backfill

    def cancel_backfill(self, backfill_id: str, *, reason: str | None = None, by: str | None = None) -> Backfill:
        """End a backfill: it bears no more runs, those that wait are closed, and those that go on are asked to end.

        Raises BackfillNotFoundError, BackfillEndedError.
        """
        why = _why_cancelled(reason, by)
        store = self._opened_store()
        for _ in range(MAX_TRIES):
            now = store.clock.now()
            ended = plan.end_backfill(store.backfill(backfill_id), why, now)
            cancelled = store.end_backfill(ended, partial(plan.cancel, reason=why, now=now))
            if cancelled is not None:
                self._ring()
                self._tell(RunSettled, *(run for run in cancelled if run.state.closed))
                return ended
        raise _too_many_conflicts(f"backfill {backfill_id}")

    def get_backfill(self, backfill_id: str) -> Backfill:
        """The backfill as it is now. Raises BackfillNotFoundError."""
        return self._opened_store().backfill(backfill_id)

    def get_backfills(
        self, job_id: str | None = None, *, ended: bool | None = None, limit: int = 100
    ) -> Sequence[Backfill]:
        """The newest backfills, of one job or all: those that have *ended*, those that have not, or both."""
        check_job_id(job_id or "")
        return self._opened_store().backfills(job_id=job_id, ended=ended, limit=limit)

    # the ledger

    def get_runs(
        self, job_id: str | None = None, *, states: Collection[RunState] = (), limit: int = 100, offset: int = 0
    ) -> Sequence[Run]:
        """The newest rows of the ledger, of one job or all, in these states or all."""
        check_job_id(job_id or "")
        wanted = _states(states)
        return self._opened_store().runs(job_id=job_id, states=wanted, limit=limit, offset=offset)

    def get_run(self, run_id: str) -> Run:
        """The run as it is now. Raises RunNotFoundError."""
        return self._opened_store().run(run_id)

    def get_log(self, run_id: str) -> RunLog:
        """What the run has logged; of one that goes on, as it was a few seconds ago. Raises RunNotFoundError."""
        return self._opened_store().log(run_id)

    def census(self) -> Census:
        """How many jobs and open runs there are on all nodes, and since when they wait. Cheap enough for a scrape."""
        return self._opened_store().census()

    def why(self, job_id: str, at: datetime | str, *, say: Say | None = None) -> Answer:
        """What became of a job at one instant, past or future, or what will: the one answer, and why.

        *at* is a datetime or a string, such as "2026-12-24 18:00" or today's "18:00"; docs/times.md says in which zone.
        One without a fraction of a second stands for all of that second. *say* writes the instants of the sentence;
        without it they are in the zone in which *at* is read, or in UTC if that has none. All others are in UTC.

        A job that was removed is answered for as long as the ledger has rows of it. Raises JobNotFoundError, and
        InvalidJobError for what is no time.
        """
        store, job = self._opened_store(), self.get_job(job_id)
        trigger = None if job is None else job.trigger
        now, instant = store.clock.now(), self._definitions.read_time("at", at, trigger)
        evidence = store.evidence(job_id, instant)
        if evidence.job is not None:
            going_on = store.backfills(job_id=job_id, ended=False, limit=MAX_OPEN_BACKFILLS)
            evidence = evidence._replace(backfills=[one for one in going_on if one.job_uid == evidence.job.uid])
        say = say or partial(say_instant, zone=self._definitions.zone_for(trigger))
        return explain(evidence._replace(move=store.move()), instant, now, say)

    def get_move(self) -> Move | None:
        """What is noted of a move of this store's jobs to another one, or from another one to here. None: nothing."""
        return self._opened_store().move()

    def get_overdue(self) -> Sequence[Expectation]:
        """The jobs that have not succeeded for longer than their `expect_every`, in the order of their ids."""
        return self._opened_store().expectations(overdue=True)

    def prune(self, keep: Retention | None = None) -> int:
        """Delete the closed rows of the ledger that are kept no longer; return how many they were.

        It is done by itself all the time: this is for once, and for other limits than the scheduler's. A job's own
        `keep` stands before either. It takes many short transactions, between which the schedule goes on. Raises
        InvalidJobError.
        """
        prune_next = partial(self._opened_store().prune, _check_keep(keep or self._keep), jobs=JOBS, rows=ROWS)
        total, after = prune_next(after=-1)
        while after is not None:
            deleted, after = prune_next(after=after)
            total += deleted
        return total

    def progressing(self) -> Sequence[Run]:
        """The runs that go on in this process and have told their progress, as of this moment, by their starts."""
        return self._driver.loop.progressing() if self._driver is not None else ()

    def get_nodes(self, *, alive: bool = False) -> Sequence[Node]:
        """The nodes on this store that are known, or only those *alive*; the last heard of first.

        Each as it was last heard of: a third of a lease ago if all is well. One that was killed is taken for alive
        until its lease is over.
        """
        return self._opened_store().nodes(alive=alive)

    # events

    def add_listener(self, listener: Callable[[E], object], *kinds: type[E]) -> None:
        """Call *listener* with each event of these classes of `tickwork.events`, or of all, in order.

        A function is called on a thread of its own, an `async def` in the event loop that runs the coroutines. One
        that raises is logged; one that hangs holds up nothing but itself: 10,000 events wait for it, and further ones
        are dropped and logged. A shutdown waits a second for those that are still busy. Raises InvalidJobError.
        """
        self._listeners.add(listener, *kinds)  # type: ignore[arg-type]  # it is told of these kinds alone

    def on(self, *kinds: type[E]) -> Callable[[Callable[[E], T]], Callable[[E], T]]:
        """Decorate a function to make it a listener; it is unchanged.

        @scheduler.on(RunSettled)
        async def tell_the_team(event: RunSettled) -> None: ...
        """

        def listen(listener: Callable[[E], T]) -> Callable[[E], T]:
            self.add_listener(listener, *kinds)
            return listener

        return listen

    def remove_listener(self, listener: Callable[..., object]) -> None:
        """Tell *listener* nothing more, not even what waits for it. Raises InvalidJobError if it was not added."""
        self._listeners.remove(listener)

    def around_runs(self, around: Around) -> Around:
        """Call *around* with the job and the run before each call of a function by this scheduler.

        What it returns is called after it with the outcome (`tickwork.run.Succeeded`, `Failed`, ...); None: nothing is.
        Both are called where the function is, on its thread or in its task: what they set there (a span, a context
        variable) it sees, and its dependencies, too. What they raise is logged, and the run goes on. As a decorator it
        leaves the function as it is. Raises InvalidJobError.
        """
        if not callable(around):
            raise InvalidJobError(f"around_runs: expected a callable that takes the job and its run, got {around!r}")
        self.surroundings.around = (*self.surroundings.around, around)
        return around

    # declared jobs

    def _stores_at_once(self) -> bool:
        """Whether a job that is added goes to the store, and not onto the list for the next start.

        Also during a shutdown: a job that still runs may add another one.
        """
        if self._process is not None and self._process != os.getpid():
            raise ForkedSchedulerError(
                f"expected the process {self._process} that started this scheduler, "
                f"got its forked child {os.getpid()}, in which it can store nothing: make and start another one"
            )
        return self._driver is not None and self._driver.is_alive()

    def _declare(self, job: Job, *, replace_existing: bool) -> Job:
        if job.id in self._declared and not replace_existing:
            raise JobExistsError(job.id)
        declared = job._replace(declared=self._app or app_of(job.func))
        self._declared[job.id] = declared
        return declared

    def _ensure(self, declared: Sequence[Job]) -> Sequence[Job]:
        """Bring the store to what is declared; other workers may be doing the same this moment."""
        store = self._opened_store()
        for _ in range(MAX_TRIES):
            now = store.clock.now()
            stored = {job.id: job for job in store.jobs(ids=[job.id for job in declared])} if declared else {}
            new = [plan.anchored(job) for job in declared if job.id not in stored]
            changes = [
                change for job in declared
                if job.id in stored and (change := plan.ensure(stored[job.id], job, now)) is not None
            ]  # fmt: skip
            try:
                if new:
                    store.add(new)
                    self._tell(JobAdded, *new)
            except JobExistsError:  # another worker was faster
                continue
            expected = [plan.expect_anew(stored[change.job.id], change.job, now) for change in changes]
            if len(store.save(changes, expected=[*filter(None, expected)]) if changes else ()) == len(changes):
                for change in changes:
                    self._withdraw(change.job, Released())
                    self._tell(JobChanged, change.job)
                self._ring()
                ensured = {job.id: job for job in (*stored.values(), *new, *(change.job for change in changes))}
                return [ensured[job.id] for job in declared]
        raise _too_many_conflicts("declared jobs")

    # changing jobs

    def _change(self, job_id: str, decide: Callable[[Job, datetime], Change], held: Outcome | None = None) -> Job:
        """Read, decide and write, again if another writer was faster; *held* is what becomes of runs claimed ahead."""
        check_job_id(job_id)
        store = self._opened_store()
        if job_id in self._declared and not self.running and not store.jobs(ids=[job_id]):
            raise SchedulerNotRunningError(f"expected a stored job, got the declared {job_id!r}: call start() first")
        for tries in range(MAX_TRIES):
            # A microsecond later each time: two runs asked for at one instant are two runs.
            job, now = store.get(job_id), store.clock.now() + tries * MICROSECOND
            change = decide(job, now)
            if store.save([change], expected=[*filter(None, [plan.expect_anew(job, change.job, now)])]):
                if held is not None:
                    self._withdraw(change.job, held)
                self._ring()
                self._tell(JobChanged, change.job)
                return change.job
        raise _too_many_conflicts(f"job {job_id!r}")

    def _change_state(self, job_id: str, change: Callable[[JobState], None]) -> dict[str, Any]:
        check_job_id(job_id)
        store = self._opened_store()
        for _ in range(MAX_TRIES):
            uid = store.get(job_id).uid
            state = JobState(store, uid)
            change(state)
            decided = state.change()
            if decided is None or store.save_state(decided) is not None:
                return {**state}
        raise _too_many_conflicts(f"the state of job {job_id!r}")

    def _attempt_after(self, run: Run) -> Run | None:
        try:
            return self._store.run(run._replace(attempt=run.attempt + 1).id)
        except RunNotFoundError:
            return None

    def _labelled(self, verb: str, tags: Collection[str], metadata: Mapping[str, str]) -> Sequence[Job]:
        """The stored jobs with these labels."""
        if not tags and not metadata:
            raise InvalidJobError(f"{verb}: expected tags or metadata, got neither: name at least one")
        found = {job.id for job in self.get_jobs(tags=tags, metadata=metadata)}
        return self._store.jobs(ids=found)

    def _remove(self, job_ids: Collection[str] | None) -> Sequence[Job]:
        removed = self._opened_store().remove(job_ids)
        for job in removed:
            self._withdraw(job, Cancelled("its job was removed before it began"))
            self._tell(JobRemoved, job)
        return removed

    def _tell(self, kind: Callable[[T, datetime], Event], *subjects: T) -> None:
        if self._listeners:
            now = self._store.clock.now()
            for subject in subjects:
                when_committed(self._store, partial(self._listeners.tell, kind(subject, now)))

    def _withdraw(self, job: Job, outcome: Outcome) -> None:
        if self._driver is not None:
            when_committed(self._store, partial(self._driver.loop.withdraw, job.uid, outcome))

    def _run_coroutines_here(self) -> None:
        """Let coroutines run in the event loop that this is called in, from the next start on, if they are to."""

    # the parts that a start puts together

    def _own_executors(self) -> dict[str, Executor]:
        from tickwork.executors.asyncio import AsyncIOExecutor  # noqa: PLC0415  asyncio costs most of an import

        return {"threads": ThreadExecutor(), "asyncio": AsyncIOExecutor()}

    def _make_driver(self, make_loop: Callable[[Callable[[], None]], Loop], finished: Callable[[], None]) -> Driver:
        return Driver(make_loop, finished)

    def _new_node(self, declaration: str) -> Node:
        return new_node(
            secrets.token_hex(8), self._store.clock.now(), self._timing.lease,
            host=socket.gethostname(), pid=os.getpid(), version=__version__, declaration=declaration,
        )  # fmt: skip

    def _make_loop(self, node: Node, declaration: Declaration, wake: Callable[[], None]) -> Loop:
        return Loop(
            self._store,
            self._executors,
            node=node,
            timing=self._timing,
            listeners=self._listeners,
            wake=wake,
            keep=self._keep,
            surroundings=self.surroundings,
            declaration=declaration,
        )

    def _opened_store(self) -> Store:
        self._store.open()
        return self._store

    def _ring(self) -> None:
        if self._driver is not None:
            self._driver.loop.wake()

    def _ring_for(self, jobs: Iterable[Job]) -> None:
        fire_times = [job.next_fire_time for job in jobs if job.next_fire_time is not None and not job.paused]
        if self._driver is not None and fire_times:
            self._driver.loop.wake_for(min(fire_times))

    def _check_startable(self) -> None:
        if only_makes_calls():
            raise SchedulerError(
                "expected to be started by the program itself, got a start in a process that only makes calls for "
                "ProcessExecutor, and has imported the program for that: start it under `if __name__ == '__main__':`"
            )
        if self._process is not None and self._process != os.getpid():
            raise ForkedSchedulerError(
                f"expected to be started in process {self._process}, which made this scheduler, got its forked child "
                f"{os.getpid()}: start it after the fork (in the app's lifespan, or gunicorn's post_worker_init)"
            )
        if self.running:
            raise SchedulerAlreadyRunningError(
                "expected a scheduler that does not run, got one that does: call shutdown()"
            )
        driver = self._driver
        if driver is None or not driver.is_alive():
            return
        if self._would_wait_for_itself(driver) or not driver.wait_finished(PATIENCE):
            raise SchedulerAlreadyRunningError(
                "expected a scheduler that has shut down, got one whose runs have not ended: try again later"
            )

    def _running_driver(self) -> Driver:
        if self._driver is None or not self.running:
            raise SchedulerNotRunningError("expected a scheduler that runs, got one that does not: call start()")
        return self._driver

    def _would_wait_for_itself(self, driver: Driver) -> bool:
        """Whether the calling thread is one that the shutdown waits for."""
        return inside_run() or driver.is_this_thread() or self._listeners.called_from()

    def _finish(self, driver: Driver) -> None:
        """The last act of the driver's thread."""
        self._tell(SchedulerStopped, driver.loop.node)
        for listener in self._listeners.wait_told(LAST_WORDS):
            log.warning("the scheduler stops before listener %r has heard all that happened", listener)
        self._listeners.rest()
        for close in (
            driver.loop.presence.sign_off,
            *(executor.stop for executor in self._executors.values()),
            self._store.close,
        ):
            try:
                close()
            except Exception:
                log.exception("while the scheduler stopped")
        atexit.unregister(self._leave)
        self._process = None
        log.info("scheduler stopped, node %s", driver.loop.node)

    def _leave(self) -> None:
        """At the end of the process: hand over what has not begun, and wait for nothing else."""
        if self.running and self._process == os.getpid():
            self.shutdown(timeout=0.0)


@final
class BackgroundScheduler(Scheduler):
    """A scheduler for programs that do something else meanwhile: `start` returns at once.

    Coroutines run in an event loop of the scheduler's own, on a thread of its own.
    """


@final
class BlockingScheduler(Scheduler):
    """A scheduler for programs that do nothing else: `start` returns after `shutdown`, or Ctrl-C."""

    def start(self, *, paused: bool = False) -> None:
        super().start(paused=paused)
        driver = self._driver
        assert driver is not None
        try:
            while not driver.wait_finished(1.0):
                pass
        except (KeyboardInterrupt, SystemExit):
            if self.running:
                self.shutdown()
            raise


def check_scheduler(place: str, given: object, instead: str) -> None:
    """SchedulerError unless *given* is a scheduler; *place* got it, and *instead* is what to write."""
    if not isinstance(given, Scheduler):
        raise SchedulerError(f"{place}: expected a scheduler, got {shown(given)}: write {instead}")


def _check_named(verb: str, beyond: Sequence[object]) -> None:
    """InvalidJobError if an option was passed by its place, as the text of a cron is at first."""
    if beyond:
        name = "crontab" if isinstance(beyond[0], str) and len(beyond[0].split()) > 1 else "its_name"
        raise InvalidJobError(
            f"{verb}: expected options by their names, got {shown(beyond[0])} behind the trigger: "
            f"write {name}={shown(beyond[0])}"
        )


def _given_to(job: Job, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> Given | None:
    """What a run of *job* keeps of its own arguments, checked like the job's. None: it has none."""
    if args is None and kwargs is None:
        return None
    func = find_function(job.func)
    return Given(*keep_arguments(func, job.args if args is None else args, job.kwargs if kwargs is None else kwargs))


def _check_by(by: str | None) -> None:
    if by is not None:
        check_text("by", by, most=MAX_ID_LENGTH)


def _why_cancelled(reason: str | None, by: str | None) -> str:
    """What a row says of why, and by whom, it was asked to end."""
    _check_by(by)
    if reason is None:
        return f"{by or 'somebody'} asked for it"
    check_text("reason", reason, most=MAX_REASON_LENGTH)
    return reason if by is None else f"{reason} (by {by})"


def _may_wait(length: Duration | None) -> timedelta | None:
    """How long a run may wait, as `expire_after` says it."""
    if length is None:
        return None
    return read_duration("expire_after", length, least=SHORTEST["expire_after"])


def _states(states: Collection[RunState | str]) -> list[RunState]:
    if isinstance(states, str) or not isinstance(states, Collection):
        raise InvalidJobError(f"states: expected a list of states of runs, got {shown(states)}: put it into a list")
    for state in states:
        if state not in [*RunState]:
            raise InvalidJobError(f"states: expected states of runs, got {shown(state)}{did_you_mean(state, RunState)}")
    return [RunState(state) for state in states]


def _seconds(name: str, duration: object) -> float | None:
    return None if duration is None else read_duration(name, duration).total_seconds()


def _timing(lease: Duration, poll: Duration) -> Timing:
    an_hour = timedelta(hours=1)
    return Timing(
        lease=read_duration("lease", lease, least=timedelta(seconds=1), most=an_hour),
        poll=read_duration("poll", poll, least=timedelta(milliseconds=10), most=an_hour),
    )


def _check_keep(keep: object) -> Retention:
    if not isinstance(keep, Retention):
        raise InvalidJobError(
            f"keep: expected a tickwork.Retention, got {keep!r}: write Retention(age=timedelta(days=7)), "
            f"or Retention(age=None, count=None) to keep all"
        )
    return keep


def _log_level(level: object) -> int | None:
    """The level as a number, from that or its name."""
    if level is None:
        return None
    known = logging.getLevelNamesMapping()
    number = known.get(level) if isinstance(level, str) else level
    if not isinstance(number, int) or isinstance(number, bool):
        raise InvalidJobError(
            f"log_level: expected a level of logging ({', '.join(known)}) or None, got {shown(level)}"
        )
    return number


def _too_many_conflicts(what: str) -> ConflictError:
    return ConflictError(f"expected to change {what}, lost against other writers {MAX_TRIES} times: try again")
