"""Clocks that are wrong: a node whose machine's clock disagrees with its store's does nothing by it, and others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from queue import Queue
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import deeds
from tests.nodes import Node, advance
from tests.processes.patience import wait_until
from tests.samples import HOUR, MINUTE, NOW, SECOND, instants, make_backfill, make_job, make_run, next_version, work

from tickwork import BackgroundScheduler
from tickwork.clock import SystemClock
from tickwork.codec import UnreadableTrigger
from tickwork.events import RunStarted
from tickwork.plan import CLOCK_TOLERANCE, clock_error
from tickwork.run import RunState
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.stores.memory import MemoryStore
from tickwork.stores.postgresql import PostgreSQLStore
from tickwork.stores.redis import RedisStore
from tickwork.testing import VirtualClock
from tickwork.triggers import DateTrigger, IntervalTrigger

OpenStore: TypeAlias = Callable[[], Store]

SERVERS: dict[str, type[PostgreSQLStore | RedisStore]] = {"postgresql": PostgreSQLStore, "redis": RedisStore}
EVERY_SECOND = IntervalTrigger(seconds=1, start_date=NOW)
MICROSECOND = timedelta(microseconds=1)


class WallClock:
    """A machine's clock that is *off* by so much, beside a right one."""

    def __init__(self, right: VirtualClock | SystemClock, off: timedelta = timedelta(0)) -> None:
        self.right = right
        self.off = off

    def now(self) -> datetime:
        return self.right.now() + self.off


class SetClock(VirtualClock):
    """A clock that can be set back, too."""

    def set_back(self, duration: timedelta) -> None:
        self._now -= duration


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture
def open_store(store_url: str | None, clock: SetClock) -> Iterator[OpenStore]:
    opened: list[Store] = []

    def open_store() -> Store:
        store = make_store(store_url, clock=clock)
        store.open()
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        store.close()


@given(now=instants, error=st.timedeltas(-9 * HOUR, 9 * HOUR), known=st.none() | st.just(HOUR))
def test_a_clock_is_wrong_beyond_the_tolerance_and_right_again_within_half_of_it(
    now: datetime, error: timedelta, known: timedelta | None
) -> None:
    tolerance = CLOCK_TOLERANCE if known is None else CLOCK_TOLERANCE / 2

    assert clock_error(now + error, now, known=known) == (error if abs(error) > tolerance else None)


@pytest.mark.parametrize("error", [CLOCK_TOLERANCE + MICROSECOND, -HOUR])
def test_a_node_with_a_wrong_clock_fires_and_claims_nothing_says_so_and_goes_on_when_it_is_set(
    open_store: OpenStore, clock: SetClock, caplog: pytest.LogCaptureFixture, error: timedelta
) -> None:
    store = open_store()
    store.wall_clock = wall = WallClock(clock)
    store.add([make_job(trigger=EVERY_SECOND, max_instances=100)])
    node = Node(store)
    advance(clock, 2 * SECOND, node)
    (call, *_) = node.executor.running

    wall.off = error
    advance(clock, 5 * SECOND, node)
    wrong, (seen,) = node.fire_times(), store.nodes()
    node.executor.end(call=call)
    advance(clock, 5 * SECOND, node)
    wall.off = timedelta(0)
    advance(clock, 2 * SECOND, node)

    assert wrong == [NOW, NOW + SECOND, NOW + 2 * SECOND], "what it held began"
    assert store.run(call.run.id).state is RunState.SUCCEEDED, "what it had begun was settled"
    assert (seen.clock_error, seen.firing) == (error, False)
    assert store.nodes()[0].firing
    assert node.fire_times()[3:] == [NOW + 12 * SECOND, NOW + 13 * SECOND, NOW + 14 * SECOND], (
        "it coalesces, and goes on"
    )
    (told,) = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    side = "ahead of" if error > timedelta(0) else "behind"
    assert told.startswith("this node fires nothing until its clock is set")
    assert told.endswith(f"its clock is {abs(error).total_seconds():.0f} s {side} the store's")


def test_a_wrong_clock_is_told_at_once_also_if_a_beat_was_just_made(clock: SetClock) -> None:
    store = MemoryStore(clock=clock)
    store.wall_clock = wall = WallClock(clock)
    node = Node(store)
    node.tick()
    clock.move_to(node.loop.presence.beat_at)

    told = []
    for off in (HOUR, timedelta(0)):
        wall.off = off
        node.loop.wake()
        advance(clock, timedelta(milliseconds=50), node)  # a round of a beat, and the one that it woke
        told.append(store.nodes()[0].clock_error)

    assert told == [HOUR, None]


def test_a_clock_on_the_edge_does_not_stop_and_start_its_node_by_turns(open_store: OpenStore, clock: SetClock) -> None:
    store = open_store()
    store.wall_clock = wall = WallClock(clock, CLOCK_TOLERANCE)
    store.add([make_job(trigger=EVERY_SECOND)])
    node = Node(store, takes=timedelta(0))

    fired = []
    for off in (CLOCK_TOLERANCE, CLOCK_TOLERANCE + SECOND, CLOCK_TOLERANCE - SECOND, CLOCK_TOLERANCE / 2):
        wall.off = off
        advance(clock, MINUTE, node)
        fired.append(len(node.fire_times()))

    assert fired[0] > 0
    assert fired[2] - fired[0] <= 1, "but for what it held"
    assert fired[3] > fired[2] + 1


@pytest.mark.parametrize("store_url", ["sqlite", "postgresql", "redis"], indirect=True)
def test_other_nodes_go_on_and_miss_nothing(open_store: OpenStore, clock: SetClock) -> None:
    right, wrong = open_store(), open_store()
    wrong.wall_clock = WallClock(clock, HOUR)
    right.add([make_job(trigger=EVERY_SECOND)])
    a, b = Node(right, "a", takes=timedelta(0)), Node(wrong, "b", takes=timedelta(0))

    advance(clock, MINUTE, a, b)

    assert a.fire_times() == [NOW + number * SECOND for number in range(61)]
    assert b.fire_times() == []


@pytest.mark.parametrize("store_url", ["memory", "sqlite"], indirect=True)
def test_where_the_machines_clock_is_the_stores_there_is_nothing_to_disagree_with(open_store: OpenStore) -> None:
    store = open_store()

    assert store.wall_clock is store.clock


def test_a_shared_clock_that_is_set_back_fires_nothing_twice_and_goes_on_when_it_is_there_again(
    open_store: OpenStore, clock: SetClock
) -> None:
    store = open_store()
    store.add([make_job(trigger=EVERY_SECOND)])
    node = Node(store, takes=timedelta(0))
    advance(clock, 10 * SECOND, node)

    clock.set_back(5 * SECOND)
    advance(clock, 4 * SECOND, node)
    before = len(node.fire_times())
    advance(clock, 6 * SECOND, node)

    assert before == 11
    assert node.fire_times() == [NOW + number * SECOND for number in range(16)]
    assert node.loop.clock_error is None


@pytest.mark.parametrize("store_url", [*SERVERS], indirect=True)
def test_on_a_server_a_wrong_clock_is_seen_everywhere_and_the_other_process_fires(store_url: str) -> None:
    """Real schedulers, and the server's own clock; the wall clock of one is set, and set right again."""
    wall = WallClock(SystemClock(), 61 * SECOND)
    kind = SERVERS[store_url.partition(":")[0]]
    stores = [kind(store_url), kind(store_url, wall_clock=wall)]
    right, wrong = schedulers = [BackgroundScheduler(store, poll=timedelta(seconds=0.1)) for store in stores]
    started: Queue[RunStarted] = Queue()
    for scheduler in (wrong, right):
        scheduler.add_listener(started.put, RunStarted)  # type: ignore[arg-type]
        scheduler.start()
    right.add_job(deeds.nothing, "interval", seconds=0.05, id="beat")

    def nodes_of(number: int) -> set[str | None]:
        return {started.get(timeout=deeds.PATIENCE).run.node for _ in range(number)}

    wait_until(lambda: [node.firing for node in right.get_nodes(alive=True)].count(False) == 1, "a node that says so")
    health, node_of_right = wrong.health(), right.health().node
    while_wrong = nodes_of(20)
    wall.off = timedelta(seconds=-1)
    wait_until(lambda: all(node.firing for node in right.get_nodes(alive=True)), "a node that is right again")
    right.shutdown()
    wait_until(lambda: wrong.health().node in nodes_of(1), "a run on it")
    ready = wrong.health().ready
    wrong.shutdown()

    assert while_wrong == {node_of_right}
    assert (health.ready, health.live) == (False, True)
    assert (
        health.outage == "this node fires nothing: its clock is 61 s ahead of the store's; set it, by NTP for example"
    )
    assert ready
    for scheduler in schedulers:
        scheduler._store.close()


# what was put off until an instant that is far off, once the clock was set back


def test_a_job_that_a_node_left_alone_is_not_left_for_longer_when_the_clock_is_set_back(
    open_store: OpenStore, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its function is deployed meanwhile."""
    store = open_store()
    job = make_job(func="tests.samples:deployed_later", next_fire_time=NOW - 2 * HOUR)
    store.add([job])
    store.save([next_version(job, make_run(job, NOW - 2 * HOUR), next_fire_time=None)])
    node = Node(store)
    advance(clock, SECOND, node)

    clock.set_back(HOUR)
    monkeypatch.setattr("tests.samples.deployed_later", work, raising=False)
    advance(clock, SECOND, node)

    assert node.fire_times() == [NOW - 2 * HOUR]


def test_a_job_whose_runs_wait_is_looked_at_again_when_the_clock_is_set_back(
    open_store: OpenStore, clock: SetClock
) -> None:
    """It is aside for a poll, as enough of its runs wait."""
    store = open_store()
    long_since = IntervalTrigger(seconds=1, start_date=NOW - HOUR)
    store.add([make_job(trigger=long_since, coalesce=False, next_fire_time=NOW - HOUR)])
    node = Node(store, room=1)
    advance(clock, 1.5 * SECOND, node)
    aside = node.loop._aside.copy()

    clock.set_back(HOUR / 2)
    node.tick()

    assert aside
    assert all(until <= clock.now() + node.loop.timing.poll for until in node.loop._aside.values())


def test_a_backfill_that_cannot_be_read_is_asked_again_when_the_clock_is_set_back(
    open_store: OpenStore, clock: SetClock
) -> None:
    store = open_store()
    job = make_job(next_fire_time=None)
    store.add([job])
    store.add_backfill(make_backfill(job, NOW - HOUR, NOW, trigger=UnreadableTrigger({"kind": "lunar"}, "no moon")))
    node = Node(store)
    advance(clock, SECOND, node)
    stuck = node.loop._stuck.copy()

    clock.set_back(HOUR)
    node.tick()

    assert stuck
    assert all(until <= clock.now() + node.loop.timing.set_aside for until in node.loop._stuck.values())


def test_the_ledger_is_pruned_in_time_after_the_clock_was_set_back(open_store: OpenStore, clock: SetClock) -> None:
    node = Node(open_store())
    advance(clock, MINUTE, node)

    clock.set_back(24 * HOUR)
    node.tick()

    assert node.loop._pruning.look_at <= clock.now() + node.loop.timing.prune


def test_a_timeout_counts_on_when_the_clock_is_set_back(open_store: OpenStore, clock: SetClock) -> None:
    store = open_store()
    store.add([make_job(trigger=DateTrigger(NOW), timeout=30 * SECOND)])
    node = Node(store)
    advance(clock, 20 * SECOND, node)

    clock.set_back(HOUR)
    advance(clock, 9 * SECOND, node)
    before = [*node.executor.cancelled]
    advance(clock, 2 * SECOND, node)
    node.executor.end()
    node.tick()

    run = store.runs()[0]
    assert before == []
    assert [call.run.id for call in node.executor.cancelled] == [run.id]
    assert (run.state, run.started_at) == (RunState.TIMED_OUT, NOW)


def test_what_is_stuck_in_an_executor_is_given_back_after_the_clock_was_set_back(
    open_store: OpenStore, clock: SetClock
) -> None:
    store = open_store()
    store.add([make_job(trigger=DateTrigger(NOW))])
    node = Node(store, stuck=True, room=1)
    advance(clock, SECOND / 2, node)

    clock.set_back(HOUR)
    node.executor.room = 0
    advance(clock, 3 * SECOND, node)

    assert [(run.state, run.node) for run in store.runs()] == [(RunState.PENDING, None)]


def test_a_shutdown_takes_no_longer_when_the_clock_is_set_back(open_store: OpenStore, clock: SetClock) -> None:
    store = open_store()
    store.add([make_job(trigger=DateTrigger(NOW))])
    node = Node(store)
    node.tick()
    node.loop.stop(NOW + 5 * SECOND)
    advance(clock, SECOND, node)

    clock.set_back(HOUR)
    advance(clock, 6 * SECOND, node)

    assert node.loop.finished
