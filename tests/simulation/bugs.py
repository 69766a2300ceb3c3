"""Planted bugs: each takes one guard out of production, and the oracle must see what comes of it.

The rule: a bug is what a maintainer might write on a bad day. It is planted in this process only, for as long as a
simulation lasts; nothing here touches the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from tests.simulation import processes

from tickwork import endings, plan
from tickwork.backfill import Backfill
from tickwork.endings import Endings
from tickwork.events import RunSettled
from tickwork.executors import call as call_module
from tickwork.job import Job
from tickwork.lookout import Lookout
from tickwork.loop import Loop
from tickwork.node import Node
from tickwork.plan import Change, Settlement
from tickwork.policies import Retry
from tickwork.run import Run, RunState
from tickwork.scheduler import Scheduler
from tickwork.stores import memory
from tickwork.stores.memory import MemoryStore
from tickwork.stores.memory.agenda import Agenda
from tickwork.stores.memory.ledger import key_of
from tickwork.stores.sqlite import statements

Plant = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Bug:
    """A guard that is missing."""

    planted: Plant
    seed: int
    """The first seed that brings it to light (`python -m tests.simulation --find`)."""
    store: str | None = None
    """The store that has it. None: whichever a seed has."""


BUGS: dict[str, Bug] = {}


def bug(name: str, *, seed: int, store: str | None = None) -> Callable[[Plant], Plant]:
    def enter(plant: Plant) -> Plant:
        BUGS[name] = Bug(plant, seed, store)
        return plant

    return enter


# the store


@bug("runs are settled at any version", seed=5, store="memory")
def _() -> AbstractContextManager[object]:
    def is_current(store: MemoryStore, key: Any, version: int) -> bool:
        stored = store._ledger.rows.get(key)
        return stored is not None and stored.state is RunState.RUNNING

    return patch.object(MemoryStore, "_is_current", is_current)


@bug("a node whose lease is gone settles all the same", seed=2, store="memory")
def _() -> AbstractContextManager[object]:
    return patch.object(MemoryStore, "_is_current", lambda store, key, version: key in store._ledger.rows)


@bug("a renewal is answered and not written", seed=0, store="memory")
def _() -> AbstractContextManager[object]:
    def renew(store: MemoryStore, runs: Sequence[Run], lease_until: datetime) -> Sequence[Run]:
        ours = [run for run in runs if store._is_current(key_of(run), run.version)]
        return [run._replace(version=run.version + 1, lease_until=lease_until) for run in ours]

    return patch.object(MemoryStore, "renew", renew)


@bug("max_instances is not counted when a run is claimed", seed=4, store="memory")
def _() -> AbstractContextManager[object]:
    return patch.object(memory, "_in_the_way", lambda run: False)


@bug("paused jobs are due", seed=5, store="memory")
@contextmanager
def _() -> Iterator[object]:
    put_job = MemoryStore._put_job

    def put(store: MemoryStore, job: Job) -> None:
        put_job(store, job)
        if job.paused_at is not None and job.next_fire_time is not None:
            store._agenda(job.executor).put(job.uid, job.next_fire_time)

    def agenda(store: MemoryStore, executor: str) -> Any:
        def fire_time(uid: int) -> datetime | None:
            job = store._jobs.get(uid)
            return None if job is None else job.next_fire_time

        return store._due.setdefault(executor, Agenda(fire_time))

    with patch.object(MemoryStore, "_put_job", put), patch.object(MemoryStore, "_agenda", agenda):
        yield


@bug("runs of a paused job are claimed", seed=13, store="memory")
def _() -> AbstractContextManager[object]:
    def claimable(store: MemoryStore, job: Job) -> Sequence[Run]:
        return [
            run
            for run in store._active.get(job.uid, {}).values()
            if run.state is RunState.PENDING and run.backfill is None
        ]

    return patch.object(MemoryStore, "_claimable_runs", claimable)


@bug("what has expired is claimed", seed=1, store="memory")
@contextmanager
def _() -> Iterator[object]:
    claimable_runs = MemoryStore._claimable_runs

    def claimable(store: MemoryStore, job: Job) -> Sequence[Run]:
        return [run._replace(expires_at=None) for run in claimable_runs(store, job)]

    with patch.object(MemoryStore, "_claimable_runs", claimable):
        yield


@bug("a removed job leaves runs that wait", seed=103, store="memory")
def _() -> AbstractContextManager[object]:
    return patch.object(MemoryStore, "_cancel_orphan", lambda store, run: None)


@bug("the next attempt of a removed job is born", seed=242, store="memory")
@contextmanager
def _() -> Iterator[object]:
    settle = MemoryStore._settle

    def settled(store: MemoryStore, settlement: Settlement) -> bool:
        won, attempt = settle(store, settlement), settlement.attempt
        if won and attempt is not None and key_of(attempt) not in store._ledger.rows:
            store._put_run(key_of(attempt), attempt)
        return won

    with patch.object(MemoryStore, "_settle", settled):
        yield


@bug("a lost run is closed by each node that finds it", seed=60, store="memory")
@contextmanager
def _() -> Iterator[object]:
    settle = MemoryStore.settle

    def settle_all(store: MemoryStore, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        won = settle(store, settlements)
        return settlements if any(one.run.state is RunState.LOST for one in settlements) else won

    with patch.object(MemoryStore, "settle", settle_all):
        yield


@bug("SQLite: runs are settled at any version", seed=4, store="sqlite")
@contextmanager
def _() -> Iterator[object]:
    with ExitStack() as stack:
        for name in ("SETTLE_RUN", "SETTLE_SUCCEEDED_RUN"):
            without = getattr(statements, name).replace("version = ? and state", "? is not null and state")
            stack.enter_context(patch.object(statements, name, without))
        yield


@bug("SQLite: max_instances is not counted when a run is claimed", seed=4, store="sqlite")
def _() -> AbstractContextManager[object]:
    without = statements.SELECT_PENDING.replace("select count(*) from", "select 0 * count(*) from")
    return patch.object(statements, "SELECT_PENDING", without)


@bug("SQLite: runs of a paused job are claimed", seed=126, store="sqlite")
def _() -> AbstractContextManager[object]:
    without = statements.SELECT_PENDING.replace("job.paused_at is null or", "true or")
    return patch.object(statements, "SELECT_PENDING", without)


# decisions


def _fired_as(altered: Callable[[Job], Job]) -> AbstractContextManager[object]:
    """Jobs are fired as if their policies were others."""
    fire = plan.fire

    def fire_altered(job: Job, *args: Any, **kwargs: Any) -> Change | None:
        change = fire(altered(job), *args, **kwargs)
        if change is None:
            return None
        now = change.job
        return change._replace(job=job.standing_at(now.version, now.next_fire_time, now.last_fire_time))

    return patch.object(plan, "fire", fire_altered)


@bug("what is active is in nobody's way", seed=1)
@contextmanager
def _() -> Iterator[object]:
    fire = plan.fire

    def fire_alone(job: Job, active: Sequence[Run], *args: Any, **kwargs: Any) -> Change | None:
        return fire(job, (), *args, **kwargs)

    with patch.object(plan, "fire", fire_alone):
        yield


@bug("misfire_grace_time is ignored", seed=2)
def _() -> AbstractContextManager[object]:
    return _fired_as(lambda job: job._replace(misfire_grace_time=None))


@bug("max_waiting is ignored", seed=17)
def _() -> AbstractContextManager[object]:
    return _fired_as(lambda job: job._replace(max_waiting=1_000))


@bug("one too many is made up for", seed=46)
@contextmanager
def _() -> Iterator[object]:
    first_of_latest = plan.first_of_latest

    def one_more(trigger: Any, first: datetime, last: datetime, count: int) -> datetime:
        return first_of_latest(trigger, first, last, count + 1)

    with patch.object(plan, "first_of_latest", one_more):
        yield


@bug("a range of what did not run is one too long", seed=4)
@contextmanager
def _() -> Iterator[object]:
    before = plan._before

    def one_more(job: Job, now: datetime, state: RunState, reason: str, first: datetime, end: datetime) -> Any:
        return before(job, now, state, reason, first, end + timedelta(microseconds=1)) if first < end else ()

    with patch.object(plan, "_before", one_more):
        yield


@bug("the first fire time is passed over", seed=0)
@contextmanager
def _() -> Iterator[object]:
    first_fire_time = plan.first_fire_time

    def second(trigger: Any, now: datetime) -> datetime | None:
        first = first_fire_time(trigger, now)
        return first and (trigger.next_after(first) or first)

    with patch.object(plan, "first_fire_time", second):
        yield


@bug("a pause is not answered for when it ends", seed=22)
@contextmanager
def _() -> Iterator[object]:
    drop_until = plan._drop_until

    def forget(job: Job, now: datetime) -> Any:
        return drop_until(job, now)[0], ()

    with patch.object(plan, "_drop_until", forget):
        yield


@bug("the next fire time may be set back", seed=166)
def _() -> AbstractContextManager[object]:
    return patch.object(plan, "_check_forward", lambda job, fire_time: None)


@bug("a retry forgets its attempt", seed=2)
@contextmanager
def _() -> Iterator[object]:
    next_attempt = plan._next_attempt

    def same(run: Run, *args: Any) -> Run | None:
        attempt = next_attempt(run, *args)
        return None if attempt is None else attempt._replace(attempt=run.attempt)

    with patch.object(plan, "_next_attempt", same):
        yield


@bug("one attempt too many", seed=4)
@contextmanager
def _() -> Iterator[object]:
    allows = Retry.allows
    with patch.object(Retry, "allows", lambda retry, attempt, raised: allows(retry, attempt - 1, raised)):
        yield


@bug("a run that was to be cancelled is tried again", seed=177)
@contextmanager
def _() -> Iterator[object]:
    next_attempt = plan._next_attempt

    def again(run: Run, *args: Any) -> Run | None:
        return next_attempt(run._replace(cancel_reason=None), *args)

    with patch.object(plan, "_next_attempt", again):
        yield


@bug("a run that waits does not heed its cancellation", seed=29)
def _() -> AbstractContextManager[object]:
    def cancel(run: Run, reason: str, now: datetime) -> Run:
        return run._replace(version=run.version + 1, cancel_reason=reason)

    return patch.object(plan, "cancel", cancel)


@bug("a backfill walks past its end", seed=2)
@contextmanager
def _() -> Iterator[object]:
    between = Backfill._between

    def further(backfill: Backfill, first: datetime, last: datetime) -> Sequence[datetime]:
        return between(backfill, first, last + timedelta(seconds=3))

    with patch.object(Backfill, "_between", further):
        yield


@bug("a backfill ignores its max_instances", seed=33)
@contextmanager
def _() -> Iterator[object]:
    fill = plan.fill

    def fill_all(backfill: Backfill, *args: Any) -> plan.Filling:
        filling = fill(backfill._replace(max_instances=1_000), *args)
        return filling._replace(backfill=filling.backfill._replace(max_instances=backfill.max_instances))

    with patch.object(plan, "fill", fill_all):
        yield


# the loop


@bug("overlap is counted for each node alone", seed=1)
@contextmanager
def _() -> Iterator[object]:
    decide = Loop._decide

    def decide_alone(loop: Loop, job: Job, active: Sequence[Run], *args: Any) -> Change | None:
        return decide(loop, job, [run for run in active if run.node == loop.node], *args)

    with patch.object(Loop, "_decide", decide_alone):
        yield


@bug("a fire whose reply was lost is written again", seed=60, store="memory")
@contextmanager
def _() -> Iterator[object]:
    decide_all, sit_out = Loop._decide_all, Loop.sit_out
    decided: dict[Loop, Sequence[Change]] = {}

    def note(loop: Loop, *args: Any) -> Sequence[Change]:
        decided[loop] = [*decide_all(loop, *args)]
        return decided[loop]

    def again(loop: Loop, *args: Any) -> None:
        sit_out(loop, *args)
        for change in decided.pop(loop, ()):
            if change.job.uid in loop.store._store._jobs:  # type: ignore[attr-defined]
                loop.store._store._write(change)  # type: ignore[attr-defined]

    with patch.object(Loop, "_decide_all", note), patch.object(Loop, "sit_out", again):
        yield


@bug("a lease counts from the reply", seed=64)
@contextmanager
def _() -> Iterator[object]:
    keep = Loop.keep_what_was_written

    def keep_longer(loop: Loop) -> None:
        taken = [call for calls in loop._draft.taken.values() for call in calls]
        keep(loop)
        for call in taken:
            call.run = call.run._replace(lease_until=loop.clock.now() + loop.timing.lease)

    with patch.object(Loop, "keep_what_was_written", keep_longer):
        yield


@bug("a run begins after its lease", seed=64)
@contextmanager
def _() -> Iterator[object]:
    refusal = call_module.refusal

    def refuse_less(call: Any, now: datetime) -> Any:
        refused = refusal(call, now)
        return None if isinstance(refused, call_module.Released) else refused

    with (
        patch.object(Loop, "_still_holds", lambda loop, call, now: True),
        patch.object(processes, "refusal", refuse_less),
    ):
        yield


@bug("what has ended is forgotten when its commit fails", seed=4)
@contextmanager
def _() -> Iterator[object]:
    sit_out = Loop.sit_out

    def forget(loop: Loop, *args: Any) -> None:
        loop._reports.clear()
        sit_out(loop, *args)

    with patch.object(Loop, "sit_out", forget):
        yield


@bug("live nodes are taken for dead after an outage", seed=4)
@contextmanager
def _() -> Iterator[object]:
    sit_out, tell_time = Lookout.sit_out, Lookout.tell_time

    def spare_nobody(lookout: Lookout) -> None:
        sit_out(lookout)
        lookout.spare_until = lookout._told_at

    def tell(lookout: Lookout, now: datetime) -> bool:
        set_back = tell_time(lookout, now)
        lookout.spare_until = min(lookout.spare_until, now)
        return set_back

    with patch.object(Lookout, "sit_out", spare_nobody), patch.object(Lookout, "tell_time", tell):
        yield


@bug("a call is forgotten when its renewal is refused", seed=275)
def _() -> AbstractContextManager[object]:
    return patch.object(Loop, "_check_ownership", lambda loop, call: loop._calls.discard(call))


@bug("an ending that others have written is taken for our own", seed=60)
def _() -> AbstractContextManager[object]:
    return patch.object(endings, "_ending_of", lambda run: (run.version, run.state))


@bug("nobody is told of an end", seed=0)
@contextmanager
def _() -> Iterator[object]:
    settle = Endings._settle

    def settle_quietly(ending: Endings, *args: Any) -> None:
        settle(ending, *args)
        ending.draft.events[:] = [one for one in ending.draft.events if not isinstance(one, RunSettled)]

    with patch.object(Endings, "_settle", settle_quietly):
        yield


@bug("nothing tells who closed a run that was not called", seed=91, store="sqlite")
def _() -> AbstractContextManager[object]:
    return patch.object(plan, "closed_by", lambda run, node: run)


@bug("what expires during a tick ends the tick", seed=8)
@contextmanager
def _() -> Iterator[object]:
    expire = plan.expire

    def expire_at(run: Run, now: datetime) -> Run:
        return expire(run, now - timedelta(microseconds=1))

    with patch.object(plan, "expire", expire_at):
        yield


@bug("a node keeps its name when it starts again", seed=24)
@contextmanager
def _() -> Iterator[object]:
    new_node = Scheduler._new_node

    def same_name(scheduler: Any, declaration: str) -> Node:
        killed = [one for one in scheduler._process_of.world.processes if not one.alive and one.node is not None]
        node = new_node(scheduler, declaration)
        return node._replace(id=killed[-1].node) if killed else node

    with patch.object(Scheduler, "_new_node", same_name):
        yield
