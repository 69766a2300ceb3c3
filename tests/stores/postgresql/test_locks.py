"""Whoever waits for a lock holds none that its holder waits for: a round and what people ask for meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from threading import Thread
from typing import Any

import psycopg
import pytest
from tests.nodes import Node, advance
from tests.samples import EVERY_MINUTE, HOUR, MINUTE, NOW, SECOND, held_run, make_backfill, make_job, next_version

from tickwork import plan
from tickwork.backfill import Backfill
from tickwork.events import StoreLost
from tickwork.job import Job
from tickwork.jobstate import StateChange
from tickwork.policies import Overlap, Retry
from tickwork.run import DONE, Failed, Run, RunState
from tickwork.stores.postgresql import PostgreSQLStore
from tickwork.testing import VirtualClock

STANDS = """
select exists (select from pg_locks where not granted)
    or exists (select from pg_stat_activity where query = 'release savepoint part')
"""
"""Whether somebody waits for a lock, or has given up one stretch of a transaction to try it again."""


class Table:
    """A job with a backfill, two of whose runs go on, and one of the schedule's beside them."""

    def __init__(self, store: PostgreSQLStore) -> None:
        self.job: Job = make_job(retry=Retry(2), pause_after=1)
        self.backfill: Backfill = make_backfill(self.job, NOW - HOUR, NOW, max_instances=2)
        store.add([self.job])
        store.add_backfill(self.backfill)
        past = [NOW - number * SECOND for number in (2, 1)]
        self.runs: Sequence[Run] = [held_run(self.job, one, backfill=self.backfill.id) for one in past]
        self.run: Run = held_run(self.job)
        store.save([next_version(self.job, *self.runs, self.run)])


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def store(postgresql_url: str, clock: VirtualClock) -> Iterator[PostgreSQLStore]:
    with closing(PostgreSQLStore(postgresql_url, clock=clock)) as store:
        store.open()
        yield store


@pytest.fixture
def other(postgresql_url: str, store: PostgreSQLStore, clock: VirtualClock) -> Iterator[PostgreSQLStore]:
    with closing(PostgreSQLStore(postgresql_url, clock=clock)) as other:
        other.open()
        yield other


def renew(table: Table, store: PostgreSQLStore, number: int) -> None:
    assert store.renew([table.runs[number]], NOW + HOUR)


def renew_and_settle_with_a_next_attempt(table: Table, store: PostgreSQLStore) -> Iterator[None]:
    renew(table, store, 0)
    yield
    assert store.settle([plan.settle(table.run, table.job.retry, Failed("no"), NOW)])


def settle_with_a_state(table: Table, store: PostgreSQLStore) -> Iterator[None]:
    renew(table, store, 0)
    yield
    change = StateChange(table.job.uid, {"cursor": 0}, {"cursor": 1})
    assert store.settle([plan.settle(table.run, table.job.retry, DONE, NOW)._replace(state=change)])


def renew_backwards(table: Table, store: PostgreSQLStore) -> Iterator[None]:
    renew(table, store, 1)
    yield
    renew(table, store, 0)


def settle_and_pause(table: Table, store: PostgreSQLStore) -> Iterator[None]:
    renew(table, store, 0)
    yield
    assert store.save([plan.pause(store.get("job"), NOW, "it failed")])


@pytest.mark.parametrize(
    "round", [renew_and_settle_with_a_next_attempt, settle_with_a_state, renew_backwards, settle_and_pause]
)
def test_who_ends_a_backfill_is_in_no_rounds_way(
    store: PostgreSQLStore, other: PostgreSQLStore, postgresql_url: str,
    round: Callable[[Table, PostgreSQLStore], Iterator[None]],
) -> None:  # fmt: skip
    """The round holds a run of it, and then wants its job or another of its runs; who ends it wants all of them."""
    table = Table(store)
    ending = plan.end_backfill(table.backfill, "no need", NOW)
    ended: list[Any] = []
    cancel = partial(plan.cancel, reason="no need", now=NOW)
    other_thread = Thread(target=lambda: ended.append(other.end_backfill(ending, cancel)))
    with psycopg.connect(postgresql_url.partition("?")[0], autocommit=True) as observer:
        with store.together():
            steps = round(table, store)
            next(steps)
            other_thread.start()
            while other_thread.is_alive() and observer.execute(STANDS).fetchone() != (True,):
                pass
            next(steps, None)
        other_thread.join()

    (cancelled,) = ended
    assert {run.fire_time for run in cancelled} == {run.fire_time for run in table.runs}
    assert store.backfill(table.backfill.id).ended
    running = store.runs(states=[RunState.RUNNING])
    assert {run.fire_time for run in running if run.cancel_reason is None} <= {table.run.fire_time}


def test_a_job_that_fails_too_often_is_paused_while_another_node_cancels_its_run(
    store: PostgreSQLStore, other: PostgreSQLStore, postgresql_url: str, clock: VirtualClock
) -> None:
    """One round has the run, and wants its job to pause it; the other has the job, and wants the run to make way."""
    store.add([make_job(overlap=Overlap.CANCEL, pause_after=1, trigger=EVERY_MINUTE)])
    failing, firing = Node(store, "failing"), Node(other, "firing")
    advance(clock, SECOND, failing)
    failing.executor.end(Failed("no"))
    clock.move_to(NOW + MINUTE)
    other_thread = Thread(target=firing.tick)
    real_save = store.save

    def save(changes: Sequence[plan.Change], **expected: Any) -> Sequence[plan.Change]:
        if not other_thread.is_alive():
            other_thread.start()
            while other_thread.is_alive() and observer.execute(STANDS).fetchone() != (True,):
                pass
        return real_save(changes, **expected)

    store.save = save  # type: ignore[method-assign]
    with psycopg.connect(postgresql_url.partition("?")[0], autocommit=True) as observer:
        failing.tick()
        other_thread.join()
    store.save = real_save  # type: ignore[method-assign]
    advance(clock, SECOND, failing, firing)

    assert [*failing.record.of(StoreLost), *firing.record.of(StoreLost)] == []
    assert store.get("job").paused
