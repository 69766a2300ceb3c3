"""A scheduler that does nothing until its clock is moved, and what a test expects of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self, final

from tickwork import plan
from tickwork.awaitables import Awaitables
from tickwork.driver import Driver
from tickwork.durations import Duration
from tickwork.errors import InvalidJobError, did_you_mean
from tickwork.executors.base import Executor
from tickwork.job import Job
from tickwork.loop import Loop
from tickwork.retention import FOREVER, Retention
from tickwork.run import Run, RunState
from tickwork.scheduler import Scheduler
from tickwork.stores.base import Store
from tickwork.testing.clock import VirtualClock, later
from tickwork.testing.inline import InlineExecutor
from tickwork.timing import Timing
from tickwork.triggers import DateTrigger
from tickwork.triggers.base import innermost
from tickwork.triggers.instants import say_instant

MAX_TICKS_AT_ONE_INSTANT = 100_000
PATIENCE = 10.0
"""Seconds that listeners have to hear what happened at one instant."""
A_LONG_TIME = timedelta(days=10_000)
NO_TIME = timedelta(0)
HOUR = timedelta(hours=1)
MOST_ROWS = 1_000_000
MOST_LINES = 5
"""How many fire times an error tells of."""


@final
class ManualScheduler(Scheduler):
    """A scheduler without a thread, on a virtual clock: nothing happens until `advance`.

    The production loop and stores, driven by hand. Calls are made on the thread that advances, and listeners have heard
    all that happened at an instant before time moves on. The ledger keeps all of it, unless *keep* says otherwise.
    In a `with` statement it is started and shut down.
    """

    clock: VirtualClock  # pyright: ignore[reportIncompatibleVariableOverride]  it is never another

    def __init__(
        self, store: str | Store | None = None, *, start: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        clock: VirtualClock | None = None, timezone: str | None = None, keep: Retention = FOREVER,
    ) -> None:  # fmt: skip
        virtual = clock or VirtualClock(start)
        super().__init__(store, clock=virtual, timezone=timezone, keep=keep)
        if self.clock is not virtual:
            raise InvalidJobError(
                "ManualScheduler: expected a store on its own clock, got one on another: "
                "pass the same VirtualClock to both, as clock="
            )
        self._timing = Timing(
            lease=A_LONG_TIME, poll=A_LONG_TIME, ahead=NO_TIME, rest=NO_TIME, short_rest=NO_TIME,
            prune=A_LONG_TIME if keep == FOREVER else HOUR,
        )  # fmt: skip

    @property
    def aio(self) -> Awaitables:
        """The verbs as awaitables, as an AsyncIOScheduler has them: for code under test that awaits them."""
        return Awaitables(self)

    @classmethod
    def rehearsing(
        cls, scheduler: Scheduler, *, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), store: str | None = None
    ) -> Self:
        """A scheduler with the jobs that *scheduler* declares, as if it were started at *start* on an empty store.

        So an application's own schedule can be tested, and its scheduler is not touched: neither its store, nor its
        listeners and what was put around its runs, which might tell the world. Dependencies find the same app and
        state. Jobs that were added while it ran are not declared.
        """
        rehearsal = cls(store, start=start, timezone=scheduler._timezone)  # noqa: SLF001  it stands in for it
        rehearsal._executors |= {name: InlineExecutor() for name in scheduler._executors}  # noqa: SLF001
        rehearsal._definitions.defaults = scheduler._definitions.defaults  # noqa: SLF001
        rehearsal.surroundings.app = scheduler.surroundings.app
        rehearsal.surroundings.state = scheduler.surroundings.state
        now = rehearsal.clock.now()
        rehearsal._declared = {job.id: _declared_at(job, now) for job in scheduler._declared.values()}  # noqa: SLF001
        return rehearsal

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.running:
            self.shutdown()

    def advance(self, duration: Duration = timedelta(0)) -> None:
        """Move the clock by *duration* (seconds), from one instant at which something is due to the next."""
        driver = self._running_driver()
        assert isinstance(driver, _ManualDriver)
        until = later(self.clock.now(), "advance", duration)
        ticks = 0
        while (look_at := driver.tick()) <= until:
            ticks = ticks + 1 if look_at <= self.clock.now() else 0
            if ticks > MAX_TICKS_AT_ONE_INSTANT:
                raise AssertionError(f"expected time to move on, got {ticks} ticks at {self.clock.now()}")
            self.clock.move_to(max(look_at, self.clock.now()))
        self.clock.move_to(until)

    def advance_to(self, instant: datetime | str) -> None:
        """Move the clock to *instant* ("2026-03-29 03:00", in the scheduler's zone; "03:00" is today's), likewise."""
        until = self._definitions.read_time("advance_to", instant, None)
        if until < self.clock.now():
            raise InvalidJobError(f"advance_to: expected an instant from {self.clock.now()} on, got {until}")
        self.advance(until - self.clock.now())

    def run_due(self) -> None:
        """Do what is due now, to the end, without moving the clock."""
        self.advance()

    # what a test expects

    def assert_ran(
        self, job_id: str, at: datetime | str | None = None, *, times: int | None = None,
        state: RunState | str = RunState.SUCCEEDED,
    ) -> Sequence[Run]:  # fmt: skip
        """AssertionError unless the job ran and ended in *state*; its runs that did, in the order of their fire times.

        At the fire time *at* (written as for `why`), or at all; so many *times* in all, if that is given. The error
        says what became of the job instead, and why.
        """
        __tracebackhide__ = True
        wanted = _read_state(state)
        if at is not None:
            answer = self.why(job_id, at)
            found: Sequence[Run] = [run for run in answer.runs if run.state is wanted]
            if not found:
                raise AssertionError(f"expected {job_id!r} to have {_said(wanted)} at {at}: {answer.sentence}")
        else:
            found = self._ended(job_id, wanted)
        if not found if times is None else len(found) != times:
            often = "" if times is None else f" {times} times"
            raise AssertionError(
                f"expected {job_id!r} to have {_said(wanted)}{often} by {self._say(self.clock.now(), job_id)}, "
                f"got {len(found)}{self._what_else(job_id, wanted)}"
            )
        return found

    def assert_not_ran(self, job_id: str, at: datetime | str | None = None) -> None:
        """AssertionError if the job's function was called, whatever came of it: for the fire time *at*, or at all."""
        __tracebackhide__ = True
        runs = self.why(job_id, at).runs if at is not None else self._rows(job_id)
        for run in runs:
            if run.started_at is not None:
                when = "at all" if at is None else f"at {at}"
                told = self.why(job_id, run.fire_time).sentence
                raise AssertionError(f"expected {job_id!r} not to have run {when}: {told}")

    def _ended(self, job_id: str, state: RunState) -> Sequence[Run]:
        return [run for run in self._rows(job_id) if run.state is state]

    def _rows(self, job_id: str) -> Sequence[Run]:
        """All that the ledger has of a job, the oldest first. JobNotFoundError if neither it nor the store knows it."""
        rows = self._opened_store().runs(job_id=job_id, limit=MOST_ROWS)
        if not rows and job_id not in self._declared:
            self._store.get(job_id)
        return rows[::-1]

    def _what_else(self, job_id: str, wanted: RunState) -> str:
        """What became of the other fire times, in a few lines."""
        others = [run for run in self._rows(job_id) if run.state is not wanted]
        lines = [
            f"{self._say(run.fire_time, job_id)}: {self.why(job_id, run.fire_time).sentence}"
            for run in others[-MOST_LINES:]
        ]
        if len(others) > MOST_LINES:
            lines.insert(0, f"... {len(others) - MOST_LINES} others, and:")
        job = self.get_job(job_id)
        if job is not None and job.paused:
            lines.append(f"it is paused{f': {job.pause_reason}' if job.pause_reason else ''}")
        elif job is not None and job.next_fire_time is not None:
            lines.append(f"its next fire time is {self._say(job.next_fire_time, job_id)}")
        return "".join(f"\n  {line}" for line in lines)

    def _say(self, instant: datetime, job_id: str) -> str:
        """The instant as `why` says it of the job."""
        job = self.get_job(job_id)
        return say_instant(instant, self._definitions.zone_for(None if job is None else job.trigger))

    def _own_executors(self) -> dict[str, Executor]:
        return {"threads": InlineExecutor(), "asyncio": InlineExecutor()}

    def _make_driver(self, make_loop: Callable[[Callable[[], None]], Loop], finished: Callable[[], None]) -> Driver:
        return _ManualDriver(make_loop, finished, self.clock, self._wait_told)

    def _wait_told(self) -> None:
        """Let listeners hear what happened before time moves on, unless one of them is what moves it."""
        if self._listeners and not self._listeners.called_from() and (busy := self._listeners.wait_told(PATIENCE)):
            raise AssertionError(f"expected listeners to return within {PATIENCE:.0f} s, got {busy}, which still go on")


class _ManualDriver(Driver):
    """Drives a loop only as far as it is asked to."""

    def __init__(
        self, make_loop: Callable[[Callable[[], None]], Loop], finished: Callable[[], None], clock: VirtualClock,
        wait_told: Callable[[], None],
    ) -> None:  # fmt: skip
        super().__init__(make_loop, finished)
        self._virtual_clock = clock
        self._wait_told = wait_told

    def start(self) -> None:
        """No thread."""

    def tick(self) -> datetime:
        """Tick once, and make the calls that this began; when to tick again."""
        self.loop.tick()
        for executor in self.loop.executors.values():
            if isinstance(executor, InlineExecutor):
                executor.run_submitted()
        self._wait_told()
        return self.loop.next_tick()

    def is_alive(self) -> bool:
        return not self.loop.finished

    def wait_finished(self, timeout: float | None) -> bool:
        """Tick to the end, and move the clock as far as that takes (when the store is out, as long as a lease)."""
        for _ in range(MAX_TICKS_AT_ONE_INSTANT):
            look_at = self.tick()
            if self.loop.finished:
                self._finished()
                return True
            self._virtual_clock.move_to(max(look_at, self._virtual_clock.now()))
        raise AssertionError(f"expected the loop to finish, got {MAX_TICKS_AT_ONE_INSTANT} ticks: a job goes on")


def _declared_at(job: Job, now: datetime) -> Job:
    """*job* as if it had been declared at *now*; one that was given its first fire time keeps that."""
    given = job.next_fire_time == job.anchored_at and not isinstance(innermost(job.trigger), DateTrigger)
    if given:
        return job
    first = plan.first_fire_time(job.trigger.anchored(now, job.id), now)
    return job._replace(anchored_at=now, next_fire_time=first, paused_at=now if job.paused else None)


def _read_state(state: RunState | str) -> RunState:
    if state not in [*RunState]:
        raise InvalidJobError(f"state: expected the state of a run, got {state!r}{did_you_mean(str(state), RunState)}")
    return RunState(state)


def _said(state: RunState) -> str:
    return "run" if state is RunState.SUCCEEDED else f"ended as {state}"
