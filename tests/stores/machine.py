"""One random life of a store, beside memory: the same verbs with the same values, and all that can be seen is the same.

Two nodes call it, each through a handle of its own; the machine moves the clock. Half of what they decide on is old: a
version that another has written over, a lease that was taken over, a job that is gone. `LEFT_OUT` lists the verbs that
are not here, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.samples import HOUR, MINUTE, NOW, SECOND, make_job

from tickwork import plan
from tickwork.backfill import UNANSWERED, Answered, Backfill
from tickwork.clock import MICROSECOND
from tickwork.declaration import Declaration, declaration_of
from tickwork.errors import TickworkError
from tickwork.job import Job
from tickwork.jobstate import StateChange
from tickwork.node import Node, new_node
from tickwork.plan import Change, Filling, Hold, Settlement
from tickwork.policies import Overlap, Retry
from tickwork.retention import Retention
from tickwork.run import (
    Cancelled,
    Failed,
    Lost,
    Outcome,
    Progress,
    Released,
    Run,
    RunState,
    Succeeded,
    TimedOut,
)
from tickwork.runlog import LogLine, RunLog
from tickwork.stores.base import Store
from tickwork.stores.memory import MemoryStore
from tickwork.testing import VirtualClock
from tickwork.triggers import IntervalTrigger
from tickwork.why import Evidence

MakeStore: TypeAlias = Callable[[], Store]
Place: TypeAlias = Callable[[VirtualClock], AbstractContextManager[MakeStore]]
"""Makes an empty store that lives by this clock, of which each call makes another handle."""
Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]
T = TypeVar("T")

LEFT_OUT: Mapping[str, str] = {
    "exists": "memory is there from the start: SharedStoreLaws",
    "lend": "memory has no transactions to lend: LendingStoreLaws",
    "hold_lifeline": "memory has no lifelines: LifelineLaws",
    "cut_lifelines": "memory has no lifelines: LifelineLaws",
    **dict.fromkeys(
        ("move", "write_move", "holdings", "pack_jobs", "pack_runs", "pack_rest", "unpack", "clear"),
        "all of a store at once: tests/test_mover.py, over each pair of them",
    ),
}
"""Verbs of a store that the machine does not call, and what tests them instead."""

PLENTY = 1_000
NODES = ("a", "b")
IDS = ("a", "b", "é 한")
EXECUTORS = ("threads", "asyncio")
APPS = ("app", "other")
LEASE = 10 * SECOND
AHEAD = timedelta(milliseconds=50)
STEPS = (MICROSECOND, AHEAD, SECOND, 4 * SECOND, LEASE, MINUTE, HOUR)
UIDS_APART = 2_305_843_009_213_693_951
"""Uids lie far apart, and most of them beyond what a double can count."""

data = st.data()


class StoreMachine(RuleBasedStateMachine):
    """A store at *place*, and memory beside it."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.clock = VirtualClock(NOW)
        self.model = MemoryStore(clock=self.clock)
        self.make_store = self._stack.enter_context(place(self.clock))
        self.handles = {node: self._opened() for node in NODES}
        self.nodes: dict[str, Node] = {}
        self.differs = False
        self.born = 0
        self.jobs: dict[int, list[Job]] = {}
        """Each version of a job that was ever seen, by uid; so with what follows."""
        self.runs: dict[str, list[Run]] = {}
        self.backfills: dict[str, list[Backfill]] = {}

    # what the user owns

    @initialize(data=data)
    def begin(self, data: st.DataObject) -> None:
        for node in NODES:
            self.beats(node, starts=True)
        self.add(data)

    @rule(data=data)
    def add(self, data: st.DataObject) -> None:
        jobs = [
            self._new_job(data.draw, id) for id in data.draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=3))
        ]
        if self.jobs and data.draw(seldom):  # one that was added before, and perhaps removed
            jobs[0] = self.jobs[data.draw(st.sampled_from([*self.jobs]))][0]
        self._both(data.draw(nodes), lambda store: store.add(jobs))

    @precondition(lambda self: self.jobs)
    @rule(data=data, node=st.sampled_from(NODES))
    def save(self, data: st.DataObject, node: str) -> None:
        """People change jobs: on what they read, which may be old."""
        befores = {job.uid: job for job in (_pick(data.draw, self.jobs) for _ in range(data.draw(st.integers(1, 2))))}
        now = self.clock.now()
        changes, expected = [], []
        for job in befores.values():
            try:
                change = self._change(data.draw, job, now)
            except TickworkError:
                continue
            changes.append(change)
            expected += filter(None, [plan.expect_anew(job, change.job, now)])
        self._both(node, lambda store: store.save(changes, expected=expected))

    @rule(ids=st.none() | st.lists(st.sampled_from(IDS), max_size=2), node=st.sampled_from(NODES))
    def remove(self, ids: list[str] | None, node: str) -> None:
        self._both(node, lambda store: _sorted(store.remove(ids)))
        self.clock.advance(MICROSECOND)  # no two jobs of one id end at one instant, which might belong to either

    # the walk of a fire time

    @rule(data=data, node=st.sampled_from(NODES))
    def round(self, data: st.DataObject, node: str) -> None:
        """What one node does together, as the loop does: some of it, in its order."""
        verbs = (self.beats, self.settle, self.renew, self.lost, self.fire, self.fill, self.claim)
        chosen = [verb for verb in verbs if data.draw(st.booleans())]
        with self.model.together(), self.handles[node].together():
            for verb in chosen:
                if verb == self.beats:
                    self.beats(node)
                else:
                    verb(data, node)  # type: ignore[operator]
        self.next(data, node)  # at once: what it has just seen need not be asked again

    @rule(data=data, node=st.sampled_from(NODES))
    def fire(self, data: st.DataObject, node: str) -> None:
        draw, now = data.draw, self.clock.now()
        hold = draw(st.sampled_from([None, self._hold(node), self._hold(node)]))
        executor, fails, room = draw(executors), draw(seldom), draw(st.integers(0, 3))
        since = draw(st.sampled_from([None, None, now - MINUTE]))
        skip = draw(st.sets(st.sampled_from([*self.jobs]), max_size=1)) if self.jobs else ()
        fire_times = [job.next_fire_time for job in self.model.jobs() if job.next_fire_time is not None]
        limit = draw(limits) if len({*fire_times}) == len(fire_times) else PLENTY
        later = draw(st.integers(0, 2))
        """How many of the jobs are not fired yet."""

        def fire(store: Store) -> tuple[list[object], Sequence[Change]]:
            """What it was asked to decide on, and what came of it."""
            asked: list[object] = []

            def decide(due: Iterable[Job], active: Mapping[int, Sequence[Run]], at: datetime) -> Sequence[Change]:
                jobs = [*due]
                if not jobs:
                    return []
                asked.append((_sorted(jobs), {uid: _sorted(runs) for uid, runs in active.items()}, at))
                if fails:
                    raise UndecidedError
                ripe = sorted(jobs, key=lambda job: job.uid)[later:]
                changes = (plan.fire(job, active.get(job.uid, ()), at, hold, room=room) for job in ripe)
                return [change for change in changes if change is not None]

            fired = store.fire(decide, executor=executor, since=since, until=now + AHEAD, limit=limit, skip=skip)
            return asked, _by_job(fired)

        self._both(node, fire)

    @rule(data=data, node=st.sampled_from(NODES))
    def claim(self, data: st.DataObject, node: str) -> None:
        draw, now = data.draw, self.clock.now()
        waits = [run.available_at for run in self.model.runs(states=[RunState.PENDING], limit=PLENTY)]
        limit = draw(limits) if len({*waits}) == len(waits) else PLENTY
        since = draw(st.sampled_from([None, None, None, now - MINUTE, now - 4 * SECOND]))
        skip = draw(st.sets(st.sampled_from([*self.jobs]), max_size=1)) if self.jobs else ()
        executor, hold = draw(executors), self._hold(node)
        self._both(
            node,
            lambda store: _sorted(store.claim(hold, executor=executor, since=since, limit=limit, skip=skip)),
        )

    @rule(data=data, node=st.sampled_from(NODES))
    def renew(self, data: st.DataObject, node: str) -> None:
        held = self._some_held(data.draw)
        started_at, progress = data.draw(st.sampled_from([None, self.clock.now()])), data.draw(progresses)
        runs = [run._replace(started_at=run.started_at or started_at, progress=progress) for run in held]
        until = self.clock.now() + LEASE
        self._both(node, lambda store: _sorted(store.renew(runs, until)))

    @rule(data=data, node=st.sampled_from(NODES))
    def settle(self, data: st.DataObject, node: str) -> None:
        settlements = [self._settlement(data.draw, run) for run in self._some_held(data.draw)]
        if any(one.state for one in settlements):  # the next attempts are born in no order that is promised
            settlements = settlements[:1]
        self._both(node, lambda store: _by_run(store.settle(settlements)))

    @rule(data=data, node=st.sampled_from(NODES))
    def lost(self, data: st.DataObject, node: str) -> None:
        """Runs are closed whose lease has ended, or whose node is said to have died."""
        dead = data.draw(st.sampled_from([(), (), ("a1",)]))
        lost = self._both(node, lambda store: _sorted(store.lost(PLENTY, nodes=dead)))
        now = self.clock.now()
        settlements = [
            plan.settle(run, self._retry_of(run), plan.lost(run, now, begun=data.draw(st.booleans())), now)
            for run in lost
        ]
        self._both(node, lambda store: _by_run(store.settle(settlements)))

    @rule(node=st.sampled_from(NODES))
    def expire(self, node: str) -> None:
        expired = self._both(node, lambda store: _sorted(store.expired(PLENTY)))
        now = self.clock.now()
        closed = [plan.expire(run, now) for run in expired]
        self._both(node, lambda store: _sorted(store.cancel(closed)))

    @precondition(lambda self: self.runs)
    @rule(data=data, node=st.sampled_from(NODES))
    def cancel(self, data: st.DataObject, node: str) -> None:
        chosen = {run.id: run for run in (_pick(data.draw, self.runs) for _ in range(data.draw(st.integers(1, 3))))}
        now = self.clock.now()
        asked = [plan.cancel(run, "enough", now) for run in chosen.values() if not run.state.closed]
        self._both(node, lambda store: _sorted(store.cancel(asked)))

    @precondition(lambda self: self.runs)
    @rule(data=data, node=st.sampled_from(NODES), text=st.sampled_from(["begins", "two\nlines 한"]))
    def keep_logs(self, data: st.DataObject, node: str, text: str) -> None:
        run, log = _pick(data.draw, self.runs), self._log(text)
        self._both(node, lambda store: store.keep_logs([(run, log)]))

    @precondition(lambda self: self.runs)
    @rule(data=data, node=st.sampled_from(NODES))
    def save_state(self, data: st.DataObject, node: str) -> None:
        run = _pick(data.draw, self.runs)
        change = self._state_change(data.draw, run.job_uid)
        within = data.draw(st.sampled_from([None, run]))
        self._both(node, lambda store: store.save_state(change, within))

    # backfills

    @precondition(lambda self: self.jobs)
    @rule(data=data, node=st.sampled_from(NODES))
    def add_backfill(self, data: st.DataObject, node: str) -> None:
        draw, now, job = data.draw, self.clock.now(), _pick(data.draw, self.jobs)
        self.born += 1
        asked = Backfill(
            f"backfill-{self.born}", job.id, job.uid, job.trigger, now - draw(st.sampled_from([MINUTE, 10 * SECOND])),
            now, None, now, max_instances=draw(st.integers(1, 2)), everything=draw(st.booleans()),
            newest_first=draw(st.booleans()), asked_by="alice",
        )  # fmt: skip
        try:
            backfill = plan.backfill(job, asked, now)
        except TickworkError:
            return
        self._both(node, lambda store: store.add_backfill(backfill))

    @rule(data=data, node=st.sampled_from(NODES))
    def fill(self, data: st.DataObject, node: str) -> None:
        limit = data.draw(st.integers(1, 3))

        def fill(store: Store) -> tuple[list[object], Sequence[Filling]]:
            asked: list[object] = []

            def decide(
                backfill: Backfill, active: Sequence[Run], fire_times: Sequence[datetime],
                answered: Mapping[datetime, Answered], now: datetime,
            ) -> Filling:  # fmt: skip
                asked.append((backfill, _sorted(active), [(at, answered.get(at, UNANSWERED)) for at in fire_times]))
                return plan.fill(backfill, active, fire_times, answered, now)

            return asked, store.fill(plan.stretch, decide, limit=limit)

        self._both(node, fill)

    @precondition(lambda self: self.backfills)
    @rule(data=data, node=st.sampled_from(NODES))
    def end_backfill(self, data: st.DataObject, node: str) -> None:
        now, backfill = self.clock.now(), _pick(data.draw, self.backfills)
        if backfill.ended:
            return
        ended = plan.end_backfill(backfill, "enough", now)

        def cancelled(store: Store) -> Sequence[Run] | None:
            runs = store.end_backfill(ended, lambda run: plan.cancel(run, "enough", now))
            return None if runs is None else _sorted(runs)

        self._both(node, cancelled)

    # what is expected, the nodes

    @precondition(lambda self: self.jobs)
    @rule(data=data, node=st.sampled_from(NODES))
    def fulfil(self, data: st.DataObject, node: str) -> None:
        now = self.clock.now()
        chosen = {job.uid: job for job in (_pick(data.draw, self.jobs) for _ in range(data.draw(st.integers(1, 2))))}
        at = now - data.draw(st.sampled_from([timedelta(0), SECOND, MINUTE]))
        successes = [
            plan.succeeded(job, Run(job.id, job.uid, at, at, state=RunState.SUCCEEDED, ended_at=at))
            for job in chosen.values()
            if job.expect_every is not None
        ]
        self._both(node, lambda store: store.fulfil(successes))

    @rule(data=data, node=st.sampled_from(NODES))
    def find_overdue(self, data: st.DataObject, node: str) -> None:
        by = [one.expect_by for one in self.model.expectations()]
        limit = data.draw(st.integers(1, 2)) if len({*by}) == len(by) else PLENTY
        self._both(node, lambda store: _sorted(store.find_overdue(node, limit=limit)))

    @rule(node=st.sampled_from(NODES), starts=st.booleans())
    def beats(self, node: str, starts: bool = False) -> None:
        self.clock.advance(MICROSECOND)  # no two nodes are heard of at one instant, of which either might be the last
        now = self.clock.now()
        if starts:
            self.born += 1
            self.nodes[node] = new_node(
                f"{node}{self.born}", now, LEASE, host="web-1", declaration=self._declaration(node).name
            )
        else:
            self.nodes[node] = self.nodes[node].beat(now, LEASE, paused=False, runs=self.born, lateness=None)
        beaten = self.nodes[node]
        self._both(node, lambda store: sorted(store.beat(beaten)))

    @rule(node=st.sampled_from(NODES))
    def stops(self, node: str) -> None:
        self.nodes[node] = self.nodes[node].stopped(self.clock.now())
        beaten = self.nodes[node]
        self._both(node, lambda store: sorted(store.beat(beaten)))
        self.beats(node, starts=True)

    @rule(node=st.sampled_from(NODES))
    def declare(self, node: str) -> None:
        declaration = self._declaration(node)
        self._both(node, lambda store: store.declare(declaration))

    @rule(node=st.sampled_from(NODES))
    def retire(self, node: str) -> None:
        """Jobs that no living node declares, as one finds them."""
        undeclared = self._both(node, lambda store: _sorted(store.undeclared(APPS)))
        changes = [plan.retire(job, self.clock.now()) for job in undeclared]
        self._both(node, lambda store: store.save(changes))

    # what goes on besides

    @rule(data=data, node=st.sampled_from(NODES))
    def prune(self, data: st.DataObject, node: str) -> None:
        keep = Retention(data.draw(st.sampled_from([None, MINUTE])), data.draw(st.sampled_from([None, 2, 5])))
        jobs = data.draw(st.sampled_from([1, 2, PLENTY]))

        def prune(store: Store) -> int:
            deleted, after = store.prune(keep, after=-1, jobs=jobs, rows=PLENTY)
            while after is not None:
                more, after = store.prune(keep, after=after, jobs=jobs, rows=PLENTY)
                deleted += more
            return deleted

        self._both(node, prune)

    @rule(step=st.sampled_from(STEPS))
    def time_passes(self, step: timedelta) -> None:
        self.clock.advance(step)

    @rule(node=st.sampled_from(NODES))
    def restart(self, node: str) -> None:
        self.handles[node].close()
        self.handles[node] = self._opened()

    @rule(data=data, node=st.sampled_from(NODES))
    def next(self, data: st.DataObject, node: str) -> None:
        chosen, now = data.draw(st.sampled_from([EXECUTORS, EXECUTORS[:1]])), self.clock.now()
        self._both(node, lambda store: store.outlook(chosen, after=now, fire_after=now + AHEAD))

    # what can be seen

    @rule(data=data, node=st.sampled_from(NODES))
    def people_read(self, data: st.DataObject, node: str) -> None:
        draw = data.draw
        id, after, limit = draw(st.sampled_from([None, *IDS])), draw(st.sampled_from(["", *IDS])), draw(limits)
        ids, offset = draw(st.sets(st.sampled_from([*IDS, "nobody"]))), draw(st.integers(0, 3))
        states, ended = draw(st.sets(st.sampled_from(RunState))), draw(st.sampled_from([None, True, False]))
        self._both(node, lambda store: store.jobs(after=after, limit=limit))
        self._both(node, lambda store: store.jobs(ids=ids, after=after, limit=limit))
        self._both(node, lambda store: store.get(id or "nobody"))
        self._both(node, lambda store: store.backfill(draw(st.just("backfill-1"))))
        self._both(node, lambda store: store.backfills(job_id=id, ended=ended, limit=limit))
        self._both(node, lambda store: store.nodes(limit=limit))
        self._both(
            node,
            lambda store: (
                [run.fire_time for run in store.runs(job_id=id, states=states, limit=limit, offset=offset)]
                if id
                else _sorted(store.runs(states=states, limit=PLENTY))
            ),
        )

    @precondition(lambda self: self.runs)
    @rule(data=data, node=st.sampled_from(NODES))
    def people_ask_why(self, data: st.DataObject, node: str) -> None:
        run = _pick(data.draw, self.runs)
        instant = run.fire_time + data.draw(st.sampled_from([timedelta(0), -SECOND, SECOND, MINUTE]))
        self._both(node, lambda store: _in_lists(store.evidence(run.job_id, instant)))

    @invariant()
    def jobs_and_runs_are_the_same(self) -> None:
        for node in NODES[:1]:
            for job in self._both(node, lambda store: store.jobs()):
                _note(self.jobs, job.uid, job)
            for run in self._both(node, lambda store: _sorted(store.runs(limit=PLENTY))):
                _note(self.runs, run.id, run)
            for backfill in self._both(node, lambda store: store.backfills(limit=PLENTY)):
                _note(self.backfills, backfill.id, backfill)

    def teardown(self) -> None:
        try:
            if not self.differs:
                self.all_is_the_same()
        finally:
            for handle in self.handles.values():
                handle.close()
            self._stack.close()

    def all_is_the_same(self) -> None:
        for node in NODES:
            for name in (one.id for one in self.nodes.values()):
                self._both(node, lambda store, name=name: _sorted(store.cancelling(name)))
            self._both(node, lambda store: store.census())
            self._both(node, lambda store: store.expectations())
            self._both(node, lambda store: store.expectations(overdue=True))
            self._both(node, lambda store: _sorted(store.nodes(alive=True)))
            self._both(node, lambda store: _sorted(store.lost(PLENTY)))
            self._both(node, lambda store: _sorted(store.expired(PLENTY)))
        self._both("a", lambda store: [store.state(uid) for uid in self.jobs])
        for run_id in self.runs:
            self._both("b", lambda store, run_id=run_id: store.run(run_id))
            self._both("b", lambda store, run_id=run_id: store.log(run_id))

    # inside

    def _both(self, node: str, verb: Callable[[Store], T]) -> T:
        """What *verb* comes to on memory, and on the store in the hands of *node* as well."""
        expected = _outcome(verb, self.model)
        got = _outcome(verb, self.handles[node])
        self._same(expected, got)
        return expected  # type: ignore[return-value]

    def _same(self, expected: object, got: object) -> None:
        self.differs = got != expected
        assert got == expected

    def _opened(self) -> Store:
        store = self.make_store()
        store.open()
        return store

    def _hold(self, node: str) -> Hold:
        return Hold(self.nodes[node].id, self.clock.now() + LEASE)

    def _new_job(self, draw: Draw, id: str) -> Job:
        now = self.clock.now()
        self.born += 1
        policies = draw(some_policies)
        trigger = IntervalTrigger(seconds=draw(st.sampled_from([1, 7, 60]))).anchored(now, id)
        return Job(
            id, "tests.samples:work", trigger, uid=self.born * UIDS_APART % 2**62,
            anchored_at=now, next_fire_time=now + draw(st.sampled_from([timedelta(0), SECOND])) + self.born * MICROSECOND,
            **policies,
        )  # fmt: skip

    def _change(self, draw: Draw, job: Job, now: datetime) -> Change:
        match draw(st.sampled_from(["pause", "resume", "reschedule", "modify", "run now", "retry", "ensure"])):
            case "pause":
                return plan.pause(job, now, draw(st.sampled_from([None, "why"])), "alice")
            case "resume":
                return plan.resume(job, now, "bob")
            case "reschedule":
                return plan.reschedule(job, IntervalTrigger(seconds=draw(st.sampled_from([2, 30]))), now)
            case "modify":
                return plan.modify(job, draw(some_policies), now)
            case "run now":
                expire_after = draw(st.sampled_from([None, 4 * SECOND]))
                return plan.run_now(job, now + self.born * MICROSECOND, "alice", expire_after=expire_after)
            case "retry":
                own = [runs[-1] for runs in self.runs.values() if runs[-1].job_uid == job.uid and runs[-1].state.closed]
                if not own:
                    return plan.pause(job, now, None)
                run = draw(st.sampled_from(own))
                return plan.retry(job, run, None, now, by="alice", even_if_succeeded=True)
            case _:
                return plan.ensure(job, job._replace(**draw(some_policies)), now) or plan.pause(job, now, None)

    def _some_held(self, draw: Draw) -> list[Run]:
        """Runs that went on when they were read: two of three go on still, at the version that they have."""
        current = [runs[-1] for runs in self.runs.values() if runs[-1].state is RunState.RUNNING]
        old = [run for runs in self.runs.values() for run in runs[:-1] if run.state is RunState.RUNNING]
        candidates = current if current and (not old or draw(often)) else old
        if not candidates:
            return []
        chosen = draw(st.lists(st.sampled_from(candidates), min_size=1, max_size=3, unique_by=lambda run: run.id))
        return [*chosen]

    def _retry_of(self, run: Run) -> Retry:
        return self.jobs[run.job_uid][-1].retry

    def _settlement(self, draw: Draw, run: Run) -> Settlement:
        outcome: Outcome = draw(outcomes)
        settled = plan.settle(
            run,
            self._retry_of(run),
            outcome,
            self.clock.now(),
            started_at=draw(st.sampled_from([None, self.clock.now()])),
        )
        if draw(seldom):
            settled = settled._replace(log=self._log("ends"))
        if draw(seldom):
            settled = settled._replace(state=self._state_change(draw, run.job_uid))
        return settled

    def _state_change(self, draw: Draw, uid: int) -> StateChange:
        """A change of one key, decided on what is there, or on something else."""
        key = draw(st.sampled_from(["cursor", "é"]))
        read = self.model.state(uid).version_of(key) + draw(st.sampled_from([0, 0, 1]))
        return StateChange(uid, {key: read}, draw(st.sampled_from([{}, {key: [self.born, "값"]}])))

    def _log(self, text: str) -> RunLog:
        return RunLog((LogLine(self.clock.now(), "INFO", "app", text),))

    def _declaration(self, node: str) -> Declaration:
        """Node "a" declares the first job, "b" the second; nobody the third."""
        return declaration_of([make_job(IDS[NODES.index(node)])], APPS[0])


class UndecidedError(Exception):
    """What a decision raises, of which nothing may be left behind."""


nodes = st.sampled_from(NODES)
executors = st.sampled_from([EXECUTORS[0], *EXECUTORS])
limits = st.sampled_from([1, 2, PLENTY, PLENTY])
seldom = st.sampled_from([False, False, False, True])
often = st.sampled_from([True, True, False])
progresses = st.sampled_from([None, Progress(1, 3, "값")])
outcomes = st.sampled_from([
    Succeeded(), Succeeded([1, "값"]), Failed("broken", "Traceback", ("ValueError",)), TimedOut("too long"), Lost("gone"),
    Cancelled("enough"), Released(), Released(),
])  # fmt: skip
some_policies = st.fixed_dictionaries({}, optional={
    "executor": executors, "coalesce": st.booleans(), "catch_up": st.sampled_from([None, 0, 3]),
    "misfire_grace_time": st.sampled_from([None, SECOND]), "max_instances": st.integers(1, 2),
    "overlap": st.sampled_from(Overlap), "max_waiting": st.integers(1, 2),
    "retry": st.sampled_from([Retry(), Retry(3), Retry(2, delay=SECOND)]),
    "expect_every": st.sampled_from([None, 2 * MINUTE]), "expire_after": st.sampled_from([None, 4 * SECOND]),
    "keep": st.sampled_from([None, Retention(count=1)]), "declared": st.sampled_from([None, *APPS]),
    "kwargs": st.sampled_from([{}, {"folder": "값"}]),
})  # fmt: skip


def _pick(draw: Draw, seen: Mapping[Any, list[T]]) -> T:
    """One of what was seen: two of three times as it is now, otherwise as it was before."""
    versions = seen[draw(st.sampled_from([*seen]))]
    return versions[-1] if draw(often) else draw(st.sampled_from(versions))


def _note(seen: dict[Any, list[T]], key: Any, value: T) -> None:
    versions = seen.setdefault(key, [])
    if not versions or versions[-1] != value:
        versions.append(value)


def _outcome(verb: Callable[[Store], T], store: Store) -> T | tuple[str, str]:
    """What a verb returns; or what it raises, as text."""
    try:
        return verb(store)
    except (TickworkError, UndecidedError) as error:
        return type(error).__name__, str(error)


def _sorted(found: Sequence[T]) -> list[T]:
    """In an order of our own, where none is promised."""
    return sorted(found, key=repr)


def _in_lists(evidence: Evidence) -> Evidence:
    return Evidence(
        *([*field] if isinstance(field, tuple) and not hasattr(field, "_fields") else field for field in evidence)
    )


def _by_job(changes: Sequence[Change]) -> list[Change]:
    return sorted(changes, key=lambda change: change.job.uid)


def _by_run(settlements: Sequence[Settlement]) -> list[Settlement]:
    return sorted(settlements, key=lambda settlement: settlement.run.id)
