"""The loop, driven by hand on a virtual clock: one node or several, on every store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Never, Self, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import samples
from tests.nodes import FlakyStore, Node, advance
from tests.samples import EVERY_MINUTE, HOUR, MINUTE, NOW, SECOND, make_job, make_run, next_version

from tickwork import plan
from tickwork.errors import StoreUnavailableError
from tickwork.events import (
    JobChanged,
    JobFired,
    JobOverdue,
    JobRecovered,
    RunSettled,
    RunStarted,
    StoreLost,
    StoreRecovered,
)
from tickwork.executors.call import Call, RunContext, kept_of, success
from tickwork.executors.call import begin as begin_call
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.jobstate import Entry, StoredState
from tickwork.node import Node as SeenNode
from tickwork.node import NodeState
from tickwork.plan import Settlement
from tickwork.policies import ONCE, Overlap, Retry
from tickwork.run import Cancelled, Ending, Failed, Lost, Origin, Progress, Released, Run, RunState, Skipped, Succeeded
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.stores.memory import MemoryStore
from tickwork.stores.parts import PART
from tickwork.stores.sqlite import SQLiteStore
from tickwork.testing import VirtualClock
from tickwork.triggers import DateTrigger, IntervalTrigger

OpenStore: TypeAlias = Callable[[], Store]

EVERY_SECOND = IntervalTrigger(seconds=1, start_date=NOW)
MILLISECOND = timedelta(milliseconds=1)
MICROSECOND = timedelta(microseconds=1)
AHEAD = 50 * MILLISECOND
LEASE = 10 * SECOND
PLENTY = 100_000


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def open_store(store_url: str | None, clock: VirtualClock) -> Iterator[OpenStore]:
    """Makes each node's own way to the one store."""
    opened: list[Store] = []

    def open_store() -> Store:
        store = opened[0] if opened and store_url is None else make_store(store_url, clock=clock)
        store.open()
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store()


# firing and starting


def test_a_run_is_claimed_a_little_ahead_and_starts_at_its_exact_time(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(next_fire_time=NOW + SECOND)])
    node = Node(store)

    look_at = node.tick()
    clock.move_to(look_at)
    start_at = node.tick()
    claimed = store.runs()
    clock.move_to(NOW + SECOND - MICROSECOND)
    node.tick()
    started_early = node.fire_times()
    clock.move_to(NOW + SECOND)
    node.tick()

    assert (look_at, start_at) == (NOW + SECOND - AHEAD, NOW + SECOND)
    assert [(run.state, run.node, run.fire_time) for run in claimed] == [(RunState.RUNNING, "a", NOW + SECOND)]
    assert started_early == []
    assert node.fire_times() == [NOW + SECOND]
    assert node.executor.started[0].started_at == NOW + SECOND


def test_a_call_has_the_arguments_of_its_job_and_copies_of_them(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(args=([1],), kwargs={"a": {"b": 2}}, max_instances=9)])
    node = Node(store)

    node.tick()
    node.executor.started[0].args[0].append("spoiled")
    node.executor.started[0].kwargs["a"].clear()
    advance(clock, MINUTE, node)

    assert (node.executor.started[1].args, node.executor.started[1].kwargs) == (([1],), {"a": {"b": 2}})


def test_an_hour_of_seconds_is_fired_without_drift_and_each_answered_once(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(trigger=EVERY_SECOND)])
    node = Node(store, takes=100 * MILLISECOND)

    advance(clock, 10 * MINUTE, node)

    assert node.fire_times() == [NOW + number * SECOND for number in range(601)]
    assert all(call.started_at == call.run.fire_time for call in node.executor.started)
    check_ledger(store)


def test_a_job_that_fires_more_often_than_runs_are_claimed_ahead_loses_nothing(
    store: Store, clock: VirtualClock
) -> None:
    store.add([make_job(trigger=IntervalTrigger(seconds=0.01, start_date=NOW), max_instances=99)])
    node = Node(store, takes=5 * MILLISECOND)

    advance(clock, 3 * SECOND, node)

    assert node.fire_times() == [NOW + number * 10 * MILLISECOND for number in range(301)]
    assert all(call.started_at == call.run.fire_time for call in node.executor.started)


def test_several_nodes_fire_each_time_once(open_store: OpenStore, clock: VirtualClock) -> None:
    stores = [open_store() for _ in range(3)]
    stores[0].add([
        make_job(f"job-{number}", trigger=IntervalTrigger(seconds=period, start_date=NOW), next_fire_time=NOW)
        for number, period in enumerate([0.2, 1, 1, 7])
    ])  # fmt: skip
    nodes = [Node(store, name, takes=50 * MILLISECOND) for store, name in zip(stores, "abc", strict=True)]

    for turn in range(60):
        advance(clock, SECOND, *nodes[turn % 3 :], *nodes[: turn % 3])

    started = Counter((call.job.id, call.run.fire_time) for node in nodes for call in node.executor.started)
    assert set(started.values()) == {1}
    assert Counter(job_id for job_id, _ in started) == {"job-0": 301, "job-1": 61, "job-2": 61, "job-3": 9}
    assert all(node.executor.started for node in nodes)
    check_ledger(stores[0])
    assert {run.state for run in stores[0].runs(limit=PLENTY) if run.fire_time < clock.now()} == {RunState.SUCCEEDED}


def test_more_jobs_than_one_batch_takes_fire_at_the_same_instant(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(f"job-{number:04}") for number in range(1_000)])
    node = Node(store, takes=timedelta(0), batch=100)

    advance(clock, SECOND, node)

    assert len(node.fire_times()) == 1_000
    assert {run.state for run in store.runs(limit=PLENTY)} == {RunState.SUCCEEDED}


def test_active_runs_never_exceed_max_instances_on_all_nodes_together(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    stores = [open_store() for _ in range(2)]
    stores[0].add([make_job(trigger=EVERY_SECOND, max_instances=2, coalesce=False)])
    nodes = [Node(store, name, takes=2500 * MILLISECOND) for store, name in zip(stores, "ab", strict=True)]

    for _ in range(200):
        advance(clock, 100 * MILLISECOND, *nodes)
        assert sum(len(node.executor.running) for node in nodes) <= 2

    check_ledger(stores[0])
    states = Counter(run.state for run in stores[0].runs(limit=PLENTY))
    assert states[RunState.SUCCEEDED] >= 10
    assert states[RunState.SKIPPED] >= 3


def test_what_was_missed_while_no_node_was_there_becomes_one_run(store: Store, clock: VirtualClock) -> None:
    store.add([make_job()])
    clock.advance(60 * MINUTE + SECOND)
    node = Node(store)

    node.tick()

    assert node.fire_times() == [NOW + 60 * MINUTE]
    assert [(run.state, run.fire_time, run.through) for run in store.runs()] == [
        (RunState.RUNNING, NOW + 60 * MINUTE, None),
        (RunState.SKIPPED, NOW, NOW + 59 * MINUTE),
    ]


def test_catching_up_runs_each_missed_time_once_and_in_order(open_store: OpenStore, clock: VirtualClock) -> None:
    stores = [open_store(), open_store()]
    stores[0].add([make_job(coalesce=False)])
    clock.advance(5 * 60 * MINUTE)
    nodes = [Node(store, name, takes=10 * MILLISECOND) for store, name in zip(stores, "ab", strict=True)]

    advance(clock, MINUTE / 2, *nodes)

    started = sorted((call.started_at, call.run.fire_time) for node in nodes for call in node.executor.started)
    assert [fire_time for _, fire_time in started] == [NOW + number * MINUTE for number in range(301)]
    check_ledger(stores[0])


def test_nothing_is_fired_while_the_node_is_paused(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(trigger=EVERY_SECOND)])
    node = Node(store)
    node.loop.paused = True

    advance(clock, 5 * SECOND, node)
    while_paused = node.fire_times()
    node.loop.resume()
    advance(clock, MILLISECOND * 40, node)

    assert while_paused == []
    assert node.fire_times() == [NOW + 5 * SECOND]


def test_a_manual_run_starts_at_once_when_the_bell_rings(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(next_fire_time=NOW + 60 * MINUTE)])
    node = Node(store)
    advance(clock, SECOND / 2, node)

    store.save([plan.run_now(store.get("job"), clock.now())])
    node.loop.wake()
    node.tick()

    assert [call.run.origin for call in node.executor.started] == [Origin.MANUAL]
    assert node.executor.started[0].started_at == NOW + SECOND / 2


def test_without_a_bell_news_are_found_within_a_poll(open_store: OpenStore, clock: VirtualClock) -> None:
    node = Node(open_store())
    advance(clock, SECOND / 2, node)

    open_store().add([make_job(next_fire_time=clock.now())])
    advance(clock, SECOND, node)

    assert node.fire_times() == [NOW + SECOND / 2]


# ending


def test_what_a_call_did_is_in_the_ledger_as_it_was_reported(store: Store, clock: VirtualClock) -> None:
    store.add([make_job()])
    node = Node(store)
    node.tick()
    clock.advance(3 * SECOND)
    node.executor.started[0].progress = Progress(3, 4)

    node.executor.end(Succeeded([1, 2]))
    clock.advance(SECOND / 10)
    node.tick()

    (run,) = store.runs()
    assert (run.state, run.result, run.progress) == (RunState.SUCCEEDED, [1, 2], Progress(3, 4))
    assert (run.started_at, run.ended_at) == (NOW, NOW + 3 * SECOND)
    assert [event.run for event in node.record.of(RunSettled)] == [run]


def test_an_outcome_that_is_reported_while_others_are_written_is_written_next(
    store: Store, clock: VirtualClock
) -> None:
    """It rings no bell of its own, and must not wait for the next poll."""
    flaky = FlakyStore(store)
    flaky_store: Any = flaky
    store.add([make_job("a"), make_job("b")])
    node = Node(flaky_store)
    node.tick()
    first, second = node.executor.running
    clock.advance(SECOND / 2)
    flaky.between = lambda verb: (
        node.executor.end(call=second) if verb == "settle" and second in node.executor.running else None
    )

    node.executor.end(call=first)
    look_at = node.tick()
    clock.move_to(look_at)
    node.tick()

    assert look_at <= NOW + SECOND / 2 + 20 * MILLISECOND
    assert {run.state for run in store.runs()} == {RunState.SUCCEEDED}


def test_a_failed_run_is_tried_again_after_its_delay(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(retry=Retry(3, 5 * SECOND))])
    node = Node(store)
    advance(clock, SECOND, node)

    node.executor.end(Failed("broken"))
    advance(clock, 4 * SECOND, node)
    before = len(node.executor.started)
    advance(clock, SECOND, node)
    node.executor.end()
    advance(clock, SECOND, node)

    assert before == 1
    assert [(call.run.attempt, call.started_at) for call in node.executor.started] == [(1, NOW), (2, NOW + 6 * SECOND)]
    assert [(run.attempt, run.state) for run in store.runs()] == [(2, RunState.SUCCEEDED), (1, RunState.FAILED)]


def test_progress_is_written_soon(store: Store, clock: VirtualClock) -> None:
    store.add([make_job()])
    node = Node(store)
    advance(clock, SECOND / 2, node)
    call = node.executor.started[0]

    RunContext(call).progress(1, 10, "one of ten")
    advance(clock, 50 * MILLISECOND, node)

    (run,) = store.runs()
    assert (run.progress, run.started_at) == (Progress(1, 10, "one of ten"), NOW)
    assert node.rings > 0


# leases


def test_a_long_run_keeps_its_lease(open_store: OpenStore, clock: VirtualClock) -> None:
    a, b = Node(open_store(), "a", takes=5 * MINUTE), Node(open_store(), "b")
    open_store().add([make_job(trigger=IntervalTrigger(minutes=60, start_date=NOW))])

    advance(clock, 6 * MINUTE, a, b)

    (run,) = open_store().runs()
    assert (run.state, run.node, run.duration) == (RunState.SUCCEEDED, "a", 5 * MINUTE)


def test_a_run_whose_node_is_silent_is_lost_within_its_lease_and_its_late_outcome_is_dropped(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    store = open_store()
    store.add([make_job(trigger=IntervalTrigger(minutes=60, start_date=NOW))])
    a, b = Node(open_store(), "a"), Node(open_store(), "b")
    a.tick()

    advance(clock, LEASE - MICROSECOND, b)
    in_time = store.runs()[0].state
    advance(clock, MICROSECOND + AHEAD, b)
    lost = store.runs()[0]
    a.executor.end(Succeeded("late"))
    advance(clock, SECOND, a, b)

    assert in_time is RunState.RUNNING
    assert lost.state is RunState.LOST
    assert lost.reason == "node a did not renew its lease, which ended at 2026-01-01T00:00:10Z (closed by node b)"
    assert store.runs() == [lost]
    assert a.record.of(RunSettled) == []
    assert [event.run for event in b.record.of(RunSettled)] == [lost]


def test_the_run_of_a_node_whose_lifeline_is_cut_is_lost_long_before_its_lease_ends(clock: VirtualClock) -> None:
    store, cut = MemoryStore(clock=clock), {"b"}
    store.cut_lifelines = lambda: cut  # type: ignore[method-assign]
    store.add([make_job(trigger=EVERY_MINUTE, retry=Retry(max_attempts=2))])
    a, b = Node(store, "a"), Node(store, "b")
    a.tick()

    advance(clock, SECOND * 2, b)
    (before,) = store.runs()
    cut.add("a")
    advance(clock, 2 * SECOND, b)
    (second, first) = store.runs()
    a.executor.end(Succeeded("late"))
    advance(clock, SECOND, a, b)

    assert (before.state, before.node) == (RunState.RUNNING, "a")
    assert (first.state, first.reason) == (
        RunState.LOST, "node a is gone: its process has died, or was cut off from the store (closed by node b)",
    )  # fmt: skip
    assert first.ended_at <= NOW + 3 * SECOND + AHEAD
    assert (second.state, second.node, second.attempt) == (RunState.RUNNING, "b", 2), "which takes itself for alive"
    assert store.run(first.id) == first, "the late outcome changes nothing"


def test_a_node_tells_at_once_that_its_lifeline_has_gone_and_that_it_is_back(clock: VirtualClock) -> None:
    store, held = MemoryStore(clock=clock), ["one"]
    store.hold_lifeline = lambda node: held[0]  # type: ignore[method-assign]
    node = Node(store)
    told = []

    for lifeline in ("one", "", "two"):
        held[0] = lifeline
        node.loop.wake()
        advance(clock, timedelta(milliseconds=20), node)
        told.append(store.nodes()[0].lifeline)

    assert told == ["one", "", "two"]


def test_after_an_outage_no_lifeline_is_looked_at_until_the_others_had_time_to_come_back(clock: VirtualClock) -> None:
    flaky = FlakyStore(MemoryStore(clock=clock))
    looks: list[datetime] = []
    flaky.between = lambda verb: looks.append(clock.now()) if verb == "cut_lifelines" else None
    node = Node(flaky)  # type: ignore[arg-type]
    advance(clock, 5 * SECOND, node)

    flaky.down = "before"
    advance(clock, 5 * SECOND, node)
    flaky.down, back = None, clock.now()
    advance(clock, 5 * SECOND, node)

    assert [at for at in looks if at < back]
    assert next(at for at in looks if at >= back) >= back + 2 * SECOND - AHEAD


def test_a_lost_run_is_tried_again_on_another_node(open_store: OpenStore, clock: VirtualClock) -> None:
    store = open_store()
    store.add([make_job(trigger=IntervalTrigger(minutes=60, start_date=NOW), retry=Retry(2))])
    a, b = Node(open_store(), "a"), Node(open_store(), "b", takes=SECOND)
    a.tick()

    advance(clock, LEASE + 3 * SECOND, b)
    a.executor.end(Failed("late"))
    advance(clock, SECOND, a, b)

    assert [(run.attempt, run.state, run.node) for run in store.runs()] == [
        (2, RunState.SUCCEEDED, "b"),
        (1, RunState.LOST, "a"),
    ]
    assert [call.run.attempt for call in b.executor.started] == [2]


def test_a_node_that_lost_a_run_asks_its_call_to_end(open_store: OpenStore, clock: VirtualClock) -> None:
    open_store().add([make_job(trigger=IntervalTrigger(minutes=60, start_date=NOW))])
    a, b = Node(open_store(), "a"), Node(open_store(), "b")
    a.tick()
    advance(clock, LEASE + SECOND, b)

    advance(clock, SECOND, a, b)

    assert a.executor.cancelled == a.executor.started


def test_a_node_that_stood_still_beyond_its_lease_keeps_what_nobody_has_taken(
    store: Store, clock: VirtualClock
) -> None:
    store.add([make_job(trigger=IntervalTrigger(minutes=60, start_date=NOW))])
    node = Node(store)
    node.tick()
    clock.advance(3 * LEASE)

    node.tick()
    node.executor.end()
    advance(clock, SECOND, node)

    assert [run.state for run in store.runs()] == [RunState.SUCCEEDED]


def test_a_node_that_stood_still_beyond_its_lease_starts_nothing_that_it_held(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    store = open_store()
    store.add(
        [
            make_job(
                next_fire_time=NOW + SECOND,
                trigger=IntervalTrigger(minutes=60, start_date=NOW + SECOND),
                retry=Retry(2),
            )
        ]
    )
    a, b = Node(open_store(), "a"), Node(open_store(), "b")
    clock.move_to(NOW + SECOND - AHEAD)
    a.tick()
    clock.advance(2 * LEASE)

    advance(clock, 5 * SECOND, a, b)

    assert [call.run.attempt for node in (a, b) for call in node.executor.started] == [1]
    assert [(run.attempt, run.state) for run in store.runs()] == [(1, RunState.RUNNING)], (
        "it gave back what had not begun"
    )


def test_a_run_that_was_given_to_a_node_that_was_not_told_so_is_run_once_all_the_same(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    store = open_store()
    store.add([make_job(next_fire_time=NOW + SECOND, trigger=IntervalTrigger(hours=1, start_date=NOW + SECOND))])
    flaky: Any = FlakyStore(store)
    node = Node(flaky, takes=SECOND)
    flaky.verbs, flaky.down = frozenset({"fire"}), "after"
    clock.move_to(NOW + SECOND)
    node.tick()
    flaky.down = None

    advance(clock, LEASE + 5 * SECOND, node)

    assert node.fire_times() == [NOW + SECOND]
    assert [(run.attempt, run.state) for run in store.runs()] == [(1, RunState.SUCCEEDED)]


# timeouts and cancellation


def test_a_call_that_takes_too_long_is_asked_to_end_and_has_timed_out(
    store: Store, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    store.add([make_job(trigger=DateTrigger(NOW), timeout=3 * SECOND, retry=Retry(2, delay=MINUTE))])
    node = Node(store)
    node.tick()
    (call,) = node.executor.started

    advance(clock, 3 * SECOND - MICROSECOND, node)
    in_time = [*node.executor.cancelled]
    advance(clock, MICROSECOND, node)
    too_long = [*node.executor.cancelled]
    advance(clock, SECOND, node)
    goes_on = store.run(call.run.id)
    node.executor.end(Lost("its task was cancelled before it ended"), call=call)
    advance(clock, SECOND, node)

    assert (in_time, too_long) == ([], [call])
    asked = f"run {call.run.id} of job {call.job.id!r} is asked to end: it took longer than its timeout of 0:00:03"
    assert caplog.messages == [f"{asked} (attempt 1 of 2, again in 60 s)"]
    assert (goes_on.state, goes_on.reason) == (RunState.RUNNING, "it took longer than its timeout of 0:00:03")
    second, first = store.runs()
    assert (first.state, first.reason) == (RunState.TIMED_OUT, "it took longer than its timeout of 0:00:03")
    assert (second.attempt, second.available_at) == (2, first.ended_at and first.ended_at + MINUTE)


def test_a_timeout_counts_from_the_beginning_of_the_call(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(trigger=DateTrigger(NOW), timeout=SECOND)])
    node = Node(store, stuck=True)
    advance(clock, SECOND / 2, node)
    (call,) = node.executor.waiting
    node.executor.waiting.clear()
    call.started_at = clock.now()

    advance(clock, SECOND - MICROSECOND, node)
    in_time = [*node.executor.cancelled]
    advance(clock, 2 * MICROSECOND, node)

    assert in_time == []
    assert node.executor.cancelled == [call]


def test_a_call_that_ends_in_time_is_not_asked_to(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(timeout=30 * SECOND)])
    node = Node(store, takes=29 * SECOND)

    advance(clock, 5 * MINUTE, node)

    assert node.executor.cancelled == []
    assert {run.state for run in store.runs() if run.fire_time < clock.now()} == {RunState.SUCCEEDED}


def test_a_call_is_ended_in_time_while_the_store_is_away(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(trigger=DateTrigger(NOW), timeout=3 * SECOND)])
    flaky: Any = FlakyStore(store)
    node = Node(flaky)
    node.tick()
    flaky.down = "before"

    advance(clock, 3 * SECOND, node)

    assert node.executor.cancelled == node.executor.started


def test_a_run_is_cancelled_from_any_node(open_store: OpenStore, clock: VirtualClock) -> None:
    store = open_store()
    store.add([make_job(trigger=DateTrigger(NOW), retry=Retry(5))])
    node = Node(open_store())
    node.tick()
    (call,) = node.executor.started

    store.cancel([plan.cancel(store.run(call.run.id), "no need", clock.now())])
    advance(clock, SECOND, node)
    node.executor.end(Lost("its task was cancelled before it ended"), call=call)
    advance(clock, SECOND, node)

    assert node.executor.cancelled == [call]
    assert [(run.state, run.reason) for run in store.runs()] == [(RunState.CANCELLED, "no need")]


def test_a_run_that_was_claimed_ahead_and_is_cancelled_never_begins(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(next_fire_time=NOW + SECOND, trigger=DateTrigger(NOW + SECOND))])
    node = Node(store)
    clock.move_to(NOW + SECOND - AHEAD)
    node.tick()
    (run,) = store.runs()

    store.cancel([plan.cancel(run, "no need", clock.now())])
    node.loop.wake()
    advance(clock, SECOND, node)

    assert node.executor.started == []
    assert [(run.state, run.reason) for run in store.runs()] == [(RunState.CANCELLED, "no need")]


def test_a_run_that_was_to_end_and_whose_node_died_is_cancelled_and_not_tried_again(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    store = open_store()
    store.add([make_job(trigger=DateTrigger(NOW), retry=Retry(5))])
    dead, alive = Node(open_store(), "dead"), Node(open_store(), "alive")
    dead.tick()
    store.cancel([plan.cancel(store.runs()[0], "no need", clock.now())])

    advance(clock, LEASE + 2 * SECOND, alive)

    assert [(run.state, run.reason) for run in store.runs()] == [(RunState.CANCELLED, "no need (closed by node alive)")]


def test_a_fire_time_takes_the_place_of_the_run_that_goes_on(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(overlap=Overlap.CANCEL)])
    node = Node(store)
    node.tick()
    (old,) = node.executor.started

    advance(clock, MINUTE + SECOND, node)
    asked, running = [*node.executor.cancelled], len(node.executor.running)
    node.executor.end(Lost("its task was cancelled before it ended"), call=old)
    advance(clock, SECOND, node)

    assert (asked, running) == ([old], 1), "the new one waits for the old one to end"
    assert node.fire_times() == [NOW, NOW + MINUTE]
    assert [(run.fire_time, run.state) for run in store.runs()] == [
        (NOW + MINUTE, RunState.RUNNING), (NOW, RunState.CANCELLED)
    ]  # fmt: skip


def test_a_fire_time_that_waits_begins_when_the_run_before_it_ends(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(overlap=Overlap.QUEUE, max_waiting=2)])
    node = Node(store, takes=2 * MINUTE + 30 * SECOND)

    advance(clock, 10 * MINUTE, node)

    begun = [call.started_at for call in node.executor.started]
    assert [at and round((at - NOW) / SECOND) for at in begun] == [0, 150, 300, 450]
    skipped = [run for run in store.runs() if run.state is RunState.SKIPPED]
    assert skipped
    assert all(run.reason and run.reason.startswith("max_waiting is 2, and run ") for run in skipped)
    check_ledger(store)


def test_a_job_that_fails_too_often_is_paused_with_the_reason(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(pause_after=3, retry=Retry(2))])
    node = Node(store)
    endings = iter(
        [Failed("a"), Failed("b"), Failed("c"), Succeeded(), *[Failed(f"broken {n}") for n in range(6)], Succeeded()]
    )

    for _ in range(20):
        advance(clock, 30 * SECOND, node)
        while node.executor.running:
            node.executor.end(next(endings))
            advance(clock, SECOND, node)

    job = store.get("job")
    assert job.pause_reason == "it failed 3 times in a row, the last time with: broken 5"
    assert [run.state for run in store.runs(limit=8)][:6] == [RunState.FAILED] * 6
    assert next(endings) == Succeeded(), "it did not run again"


def test_a_job_that_fails_too_often_is_paused_although_somebody_just_changes_it(
    store: Store, clock: VirtualClock
) -> None:
    flaky: Any = FlakyStore(store)
    node = Node(flaky)
    store.add([make_job(pause_after=2)])

    def rename(verb: str) -> None:
        """Between the moments at which a round reads the job and writes it."""
        if verb == "jobs":
            flaky.between = lambda _: None
            store.save([next_version(store.get("job"), name="renamed")])

    for _ in range(2):
        advance(clock, SECOND, node)
        node.executor.end(Failed("broken"))
        flaky.between = rename
        advance(clock, MINUTE - SECOND, node)

    job = store.get("job")
    assert (job.name, job.pause_reason) == ("renamed", "it failed 2 times in a row, the last time with: broken")
    assert len(store.runs()) == 2
    assert len(node.record.of(JobChanged)) == 1


def test_a_run_that_has_timed_out_and_is_cancelled_besides_is_not_tried_again(
    store: Store, clock: VirtualClock
) -> None:
    store.add([make_job(trigger=DateTrigger(NOW), timeout=SECOND, retry=Retry(5))])
    node = Node(store)
    node.tick()
    (call,) = node.executor.started
    advance(clock, 2 * SECOND, node)

    store.cancel([plan.cancel(store.run(call.run.id), "no need", clock.now())])
    advance(clock, 2 * SECOND, node)
    node.executor.end(Succeeded(), call=call)
    advance(clock, 2 * SECOND, node)

    (run,) = store.runs()
    assert (run.state, run.cancel_reason) == (RunState.TIMED_OUT, "no need")


def test_a_job_whose_runs_are_lost_too_often_is_paused_too(open_store: OpenStore, clock: VirtualClock) -> None:
    store = open_store()
    store.add([make_job(pause_after=2)])
    for name in "abc":
        advance(clock, MINUTE, Node(open_store(), name))  # it is not ticked again: its process died

    advance(clock, MINUTE, Node(open_store(), "survivor"))

    assert (store.get("job").pause_reason or "").startswith("it failed 2 times in a row")


# outages of the store


def test_leases_whose_renewal_could_not_be_committed_are_renewed_at_once_when_it_can(
    clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that was undone renewed nothing; with a third of a lease between two tries, a second would come too late."""
    store = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    store.open()
    store.add([make_job(trigger=DateTrigger(NOW))])
    node = Node(store)
    node.tick()
    together = store.together

    @contextmanager
    def undone() -> Iterator[None]:
        with together():
            yield
            raise StoreUnavailableError("disk full")

    clock.advance(LEASE / 3)
    monkeypatch.setattr(store, "together", undone)
    node.tick()
    monkeypatch.setattr(store, "together", together)
    advance(clock, SECOND, node)

    (run,) = store.runs()
    assert run.lease_until is not None
    assert run.lease_until > NOW + LEASE / 3 + LEASE
    store.close()


@pytest.mark.parametrize("down", ["before", "after"])
def test_an_outage_pauses_firing_and_loses_nothing(store: Store, clock: VirtualClock, down: Any) -> None:
    flaky: Any = FlakyStore(store)
    store.add([make_job(trigger=EVERY_SECOND), make_job("minutely")])
    node = Node(flaky, takes=100 * MILLISECOND)
    advance(clock, 10 * SECOND + SECOND / 2, node)

    flaky.down = down
    advance(clock, 10 * SECOND, node)
    during = [fire_time for fire_time in node.fire_times() if fire_time > NOW + 11 * SECOND]
    flaky.down = None
    advance(clock, 30 * SECOND, node)

    assert during == []
    assert len(node.record.of(StoreLost)) == len(node.record.of(StoreRecovered)) == 1
    assert node.record.of(StoreRecovered)[0].since == node.record.of(StoreLost)[0].at
    assert node.loop.outage is None
    assert node.fire_times()[-20:] == [NOW + number * SECOND for number in range(31, 51)]
    assert len(node.fire_times()) == len({(call.run.id) for call in node.executor.started})
    check_ledger(store)
    ended = [run.state for run in store.runs(limit=PLENTY) if run.fire_time < clock.now() - LEASE - SECOND]
    assert set(ended) <= {RunState.SUCCEEDED, RunState.SKIPPED, RunState.LOST}
    assert ended.count(RunState.LOST) <= (0 if down == "before" else 1)


def test_while_the_store_is_away_the_node_asks_again_soon_and_then_once_a_poll(
    store: Store, clock: VirtualClock
) -> None:
    flaky: Any = FlakyStore(store)
    node = Node(flaky)
    flaky.down = "before"
    waits = []

    for _ in range(8):
        look_at = node.tick()
        waits.append((look_at - clock.now()) / MILLISECOND)
        clock.move_to(look_at)

    assert waits == [50, 100, 200, 400, 800, 1000, 1000, 1000]


@pytest.mark.parametrize("down", ["before", "after"])
def test_outcomes_that_are_reported_during_an_outage_are_written_after_it(
    store: Store, clock: VirtualClock, down: Any
) -> None:
    flaky: Any = FlakyStore(store)
    store.add([make_job("a", trigger=EVERY_MINUTE, retry=Retry(2, MINUTE)), make_job("b")])
    node = Node(flaky)
    node.tick()
    flaky.down = down
    advance(clock, 2 * SECOND, node)

    for call in [*node.executor.running]:
        node.executor.end(Failed("broken") if call.job.id == "a" else Succeeded("fine"), call=call)
    advance(clock, 3 * SECOND, node)
    flaky.down = None
    advance(clock, 2 * SECOND, node)

    rows = {(run.job_id, run.attempt): run for run in store.runs()}
    assert {key: run.state for key, run in rows.items()} == {
        ("a", 1): RunState.FAILED, ("a", 2): RunState.PENDING, ("b", 1): RunState.SUCCEEDED,
    }  # fmt: skip
    assert rows["a", 1].ended_at == NOW + 2 * SECOND


@pytest.mark.parametrize("down", ["before", "after"])
def test_an_outage_shorter_than_a_lease_costs_no_lease(open_store: OpenStore, clock: VirtualClock, down: Any) -> None:
    """A renewal that failed is made up as soon as the store is back, and not a third of a lease later."""
    flaky: Any = FlakyStore(open_store())
    store = open_store()
    store.add([make_job(trigger=IntervalTrigger(minutes=60, start_date=NOW))])
    a, b = Node(flaky, "a"), Node(open_store(), "b")
    advance(clock, 3 * SECOND, a, b)

    flaky.down = down
    advance(clock, 6 * SECOND, a, b)
    flaky.down = None
    advance(clock, MINUTE, a, b)

    assert [run.state for run in store.runs()] == [RunState.RUNNING]
    assert a.executor.cancelled == []


@pytest.mark.parametrize("verb", ["fire", "claim", "settle", "renew", "lost", "outlook", "run", "get"])
@pytest.mark.parametrize("down", ["before", "after"])
def test_whichever_verb_fails_the_schedule_goes_on_afterwards(
    store: Store, clock: VirtualClock, verb: str, down: Any
) -> None:
    flaky: Any = FlakyStore(store)
    flaky.verbs = frozenset({verb})
    store.add([make_job("seconds", trigger=EVERY_SECOND, retry=Retry(2)), make_job("long", retry=Retry(2))])
    node = Node(flaky, takes=300 * MILLISECOND)
    advance(clock, 3 * SECOND + SECOND / 2, node)

    flaky.down = down
    advance(clock, 15 * SECOND, node)
    flaky.down = None
    advance(clock, 20 * SECOND, node)

    check_ledger(store)
    assert node.loop.outage is None
    assert node.fire_times()[-3:] == [NOW + number * SECOND for number in (36, 37, 38)]
    for run in store.runs(limit=PLENTY):
        assert run.state.closed or run.fire_time >= clock.now() - SECOND / 2, run


# jobs that this node cannot handle


class BrokenTrigger:
    """A trigger with a bug."""

    kind = "broken"

    def next_after(self, instant: datetime) -> datetime | None:
        raise ZeroDivisionError("a bug")


def test_a_trigger_that_raises_sets_only_its_job_aside(clock: VirtualClock) -> None:
    store = MemoryStore(clock=clock)
    store.add(
        [
            make_job("broken", trigger=BrokenTrigger(), next_fire_time=NOW - SECOND),
            make_job("fine", trigger=EVERY_SECOND),
        ]
    )
    node = Node(store, takes=timedelta(0))

    advance(clock, MINUTE, node)

    assert len(node.fire_times()) == 61
    assert store.get("broken").next_fire_time == NOW - SECOND
    assert store.runs(job_id="broken") == []


def test_many_triggers_that_raise_do_not_keep_others_from_firing_for_long(clock: VirtualClock) -> None:
    """No due job waits longer than a poll, whatever stands before it."""
    store = MemoryStore(clock=clock)
    broken = [
        make_job(f"broken-{number}", trigger=BrokenTrigger(), next_fire_time=NOW - SECOND) for number in range(20)
    ]
    store.add([*broken, make_job("fine")])
    node = Node(store, room=4)

    advance(clock, SECOND, node)

    assert [call.job.id for call in node.executor.started] == ["fine"]


def test_an_unknown_function_leaves_its_runs_to_a_node_that_knows_it(
    open_store: OpenStore, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.add([make_job("later", func="tests.samples:appears_later"), make_job("now")])
    a, b = Node(open_store(), "a"), Node(open_store(), "b")

    advance(clock, SECOND, a)
    waiting = store.runs(job_id="later")
    monkeypatch.setattr(samples, "appears_later", samples.work, raising=False)
    advance(clock, 2 * SECOND, a, b)

    assert [call.job.id for call in a.executor.started] == ["now"]
    assert [run.state for run in waiting] == [RunState.PENDING]
    assert [call.job.id for call in b.executor.started] == ["later"]


def test_a_retry_of_a_function_that_is_unknown_here_is_given_back(open_store: OpenStore, clock: VirtualClock) -> None:
    store = open_store()
    store.add([job := make_job("later", func="tests.nowhere:work", next_fire_time=None)])
    store.save([next_version(job, make_run(job))])
    node = Node(open_store())

    advance(clock, 5 * SECOND, node)

    (run,) = store.runs()
    assert (run.state, run.node) == (RunState.PENDING, None)
    assert run.version <= 5, "it is not claimed again and again"


# jobs that change while their run is held


@pytest.mark.parametrize("outcome", [Skipped("paused before it began"), Cancelled("its job was removed")])
def test_a_run_that_was_claimed_ahead_does_not_start_after_its_job_was_paused_or_removed(
    store: Store, clock: VirtualClock, outcome: Any
) -> None:
    store.add([make_job(next_fire_time=NOW + SECOND), make_job("other", next_fire_time=NOW + SECOND)])
    node = Node(store)
    clock.move_to(NOW + SECOND - AHEAD)
    node.tick()

    job = store.get("job")
    if isinstance(outcome, Skipped):
        store.save([plan.pause(job, clock.now(), None)])
    else:
        store.remove(["job"])
    node.loop.withdraw(job.uid, outcome)
    advance(clock, 2 * SECOND, node)

    assert [call.job.id for call in node.executor.started] == ["other"]
    (run,) = store.runs(job_id="job")
    assert (run.state, run.reason, run.started_at) == (outcome.state, outcome.reason, None)


def test_a_run_that_was_claimed_ahead_starts_with_what_its_job_has_become(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(next_fire_time=NOW + SECOND, kwargs={"which": "old"})])
    node = Node(store)
    clock.move_to(NOW + SECOND - AHEAD)
    node.tick()

    job = store.get("job")
    store.save([plan.modify(job, {"kwargs": {"which": "new"}}, clock.now())])
    node.loop.withdraw(job.uid, Released())
    advance(clock, AHEAD, node)

    assert [call.kwargs for call in node.executor.started] == [{"which": "new"}]
    assert node.executor.started[0].started_at == NOW + SECOND


def test_a_run_that_began_is_not_withdrawn(store: Store, clock: VirtualClock) -> None:
    store.add([make_job()])
    node = Node(store)
    node.tick()

    node.loop.withdraw(store.get("job").uid, Skipped("paused"))
    advance(clock, SECOND, node)

    assert [run.state for run in store.runs()] == [RunState.RUNNING]


# room


def test_no_more_is_taken_than_there_is_room_for(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(f"job-{number}") for number in range(10)])
    node = Node(store, room=3)

    advance(clock, SECOND / 2, node)

    assert len(node.executor.started) == 3
    assert len(store.runs()) == 3
    assert sum(job.last_fire_time is None for job in store.jobs()) == 7


def test_catching_up_takes_no_more_than_there_is_room_for(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(coalesce=False, max_instances=10)])
    clock.advance(5 * MINUTE)
    node = Node(store, room=2)

    advance(clock, SECOND / 2, node)

    assert len(node.executor.started) == 2
    assert sorted(run.state for run in store.runs()) == [RunState.PENDING] * 4 + [RunState.RUNNING] * 2


def test_without_room_a_job_is_left_to_others_and_its_run_waits_after_a_poll(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    store = open_store()
    store.add([make_job("first", next_fire_time=NOW - SECOND), make_job("second")])
    a = Node(open_store(), "a", room=1)
    advance(clock, SECOND / 2, a)
    unfired = store.runs(job_id="second")

    advance(clock, 2 * SECOND, a)
    waiting = store.runs(job_id="second")
    b = Node(open_store(), "b")
    b.tick()

    assert unfired == []
    assert [run.state for run in waiting] == [RunState.PENDING]
    assert [call.job.id for call in b.executor.started] == ["second"]


def test_a_node_with_room_fires_at_once_what_another_has_no_room_for(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    open_store().add([make_job("first", next_fire_time=NOW - SECOND), make_job("second")])
    a, b = Node(open_store(), "a", room=1), Node(open_store(), "b", room=1)

    advance(clock, 10 * MILLISECOND, a, b)

    assert [[call.job.id for call in node.executor.started] for node in (a, b)] == [["first"], ["second"]]


def test_what_is_late_leaves_one_place_to_what_is_on_time_and_is_done_all_the_same(
    store: Store, clock: VirtualClock
) -> None:
    late = [make_job(f"late-{number}", next_fire_time=NOW - 60 * MINUTE) for number in range(6)]
    waiting = [make_run(job, NOW - 60 * MINUTE) for job in late[:3]]
    store.add([*late, on_time := make_job("on time", trigger=IntervalTrigger(seconds=15, start_date=NOW))])
    store.save([next_version(job, run, next_fire_time=None) for job, run in zip(late[:3], waiting, strict=True)])
    node = Node(store, room=3, takes=10 * SECOND)

    advance(clock, 59 * SECOND, node)

    punctual = [call for call in node.executor.started if call.job.uid == on_time.uid]
    assert [call.started_at for call in punctual] == [NOW + number * 15 * SECOND for number in range(4)]
    assert sum(run.job_id != "on time" for run in store.runs(states=[RunState.SUCCEEDED])) == len(late)


def test_a_single_place_is_for_what_is_late_too(store: Store, clock: VirtualClock) -> None:
    store.add([make_job("late", next_fire_time=NOW - 60 * MINUTE)])
    node = Node(store, room=1)

    advance(clock, SECOND, node)

    assert [call.job.id for call in node.executor.started] == ["late"]


def test_what_waits_on_time_is_claimed_before_what_is_late(store: Store, clock: VirtualClock) -> None:
    store.add([late := make_job("late", next_fire_time=None), retried := make_job("retried", next_fire_time=None)])
    store.save([next_version(late, make_run(late, NOW - MINUTE)), next_version(retried, make_run(retried, NOW))])
    node = Node(store, room=1)

    advance(clock, SECOND, node)

    assert [call.job.id for call in node.executor.started] == ["retried"]


def test_jobs_that_catch_up_are_fired_a_few_in_each_round(store: Store, clock: VirtualClock) -> None:
    """So that no round takes long, however much was missed."""
    store.add([make_job(f"job-{number}", coalesce=False) for number in range(10)])
    clock.advance(5 * MINUTE)
    node = Node(store, batch=20)

    node.tick()
    at_first = len(store.runs())
    advance(clock, SECOND, node)

    assert at_first == 4 * 6  # it stops after the first that makes them 20
    assert len(store.runs()) == 10 * 6


def test_what_is_stuck_in_an_executor_is_given_back_after_a_poll(open_store: OpenStore, clock: VirtualClock) -> None:
    store = open_store()
    store.add([make_job()])
    a = Node(open_store(), "a", stuck=True, room=1)
    advance(clock, SECOND / 2, a)
    in_time = store.runs()[0].state

    a.executor.room = 0
    advance(clock, 2 * SECOND, a)

    assert in_time is RunState.RUNNING
    assert [(run.state, run.node) for run in store.runs()] == [(RunState.PENDING, None)]


# stopping


def test_stopping_gives_back_what_was_held_and_takes_nothing_more(open_store: OpenStore, clock: VirtualClock) -> None:
    store = open_store()
    store.add([make_job(next_fire_time=NOW + SECOND), make_job("later", next_fire_time=NOW + 2 * SECOND)])
    a, b = Node(open_store(), "a"), Node(open_store(), "b")
    clock.move_to(NOW + SECOND - AHEAD)
    a.tick()

    a.loop.stop(None)
    advance(clock, 30 * MILLISECOND, a)
    advance(clock, 3 * SECOND, b)

    assert a.loop.finished
    assert a.executor.started == []
    assert [call.job.id for call in b.executor.started] == ["job", "later"]
    assert b.executor.started[0].started_at == NOW + SECOND


def test_stopping_waits_for_what_runs(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(trigger=IntervalTrigger(minutes=60, start_date=NOW))])
    node = Node(store, takes=MINUTE)
    node.tick()

    node.loop.stop(None)
    advance(clock, MINUTE - SECOND, node)
    waiting = node.loop.finished
    advance(clock, 2 * SECOND, node)

    assert not waiting
    assert node.loop.finished
    assert [run.state for run in store.runs()] == [RunState.SUCCEEDED]


def test_at_the_deadline_calls_are_cancelled_and_a_moment_later_left_behind(store: Store, clock: VirtualClock) -> None:
    store.add([make_job("obeys"), make_job("ignores")])
    node = Node(store)
    node.tick()
    obeys = next(call for call in node.executor.running if call.job.id == "obeys")

    node.loop.stop(clock.now() + 5 * SECOND)
    advance(clock, 5 * SECOND - MICROSECOND, node)
    before = [*node.executor.cancelled]
    advance(clock, 10 * MILLISECOND, node)
    node.executor.end(Failed("cancelled"), call=obeys)
    advance(clock, SECOND - 20 * MILLISECOND, node)
    waiting = node.loop.finished
    advance(clock, SECOND / 10, node)

    assert before == []
    assert {call.job.id for call in node.executor.cancelled} == {"obeys", "ignores"}
    assert not waiting
    assert node.loop.finished
    assert {run.job_id: run.state for run in store.runs()} == {"obeys": RunState.FAILED, "ignores": RunState.RUNNING}


def test_stopping_during_an_outage_finishes_when_no_outcome_would_be_believed_any_more(
    store: Store, clock: VirtualClock
) -> None:
    flaky: Any = FlakyStore(store)
    store.add([make_job(), make_job("held", next_fire_time=NOW + AHEAD)])
    node = Node(flaky)
    node.tick()
    flaky.down = "before"

    node.loop.stop(None)
    node.executor.end()
    advance(clock, LEASE - SECOND, node)
    waiting = node.loop.finished
    advance(clock, 4 * SECOND, node)

    assert not waiting
    assert node.loop.finished
    assert [call.job.id for call in node.executor.started] == ["job"]


def test_what_is_told_to_listeners_is_what_happened(store: Store, clock: VirtualClock) -> None:
    store.add([make_job()])
    node = Node(store, takes=SECOND)

    advance(clock, MINUTE / 2, node)

    assert [type(event) for event in node.record.events] == [JobFired, RunStarted, RunSettled]


# anything at all

EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("pass"), st.sampled_from([0.001, 0.049, 0.2, 0.95, 1, 4, 11, 61]), st.sets(st.integers(0, 2))
        ),
        st.tuples(st.just("down"), st.integers(0, 2), st.sampled_from([None, None, "before", "after"])),
        st.tuples(st.just("end"), st.integers(0, 2), st.sampled_from([Succeeded(), Failed("broken")])),
        st.tuples(st.sampled_from(["pause", "resume", "remove", "modify", "run now", "reschedule"]), st.integers(0, 1)),
    ),
    max_size=25,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS)
def test_whatever_happens_each_fire_time_is_answered_once(events: list[Any]) -> None:
    """Nodes freeze, stores fail, jobs change: no run starts twice, and once all is well again nothing is left open."""
    clock = VirtualClock(NOW)
    store = MemoryStore(clock=clock)
    store.add(
        [
            make_job("0", trigger=EVERY_SECOND, retry=Retry(2, SECOND)),
            make_job(
                "1",
                trigger=IntervalTrigger(seconds=7, start_date=NOW),
                coalesce=False,
                max_instances=3,
                misfire_grace_time=MINUTE,
            ),
        ]
    )
    stores: list[Any] = [FlakyStore(store) for _ in range(3)]
    nodes = [Node(one, name, room=5) for one, name in zip(stores, "abc", strict=True)]

    for event in events:
        match event:
            case ("pass", seconds, awake) if awake:
                advance(clock, seconds * SECOND, *(nodes[number] for number in awake))
            case ("pass", seconds, _):
                clock.advance(seconds * SECOND)
            case ("down", number, how):
                stores[number].down = how
            case ("end", number, outcome) if nodes[number].executor.running:
                nodes[number].executor.end(outcome)
            case ("end", _, _):
                pass
            case (verb, number):
                _change(store, nodes, verb, str(number), clock.now())
        check_ledger(store)
    for node, one in zip(nodes, stores, strict=True):
        one.down, node.executor.takes = None, timedelta(0)
    advance(clock, 2 * MINUTE, *nodes)

    started = [call.run.id for node in nodes for call in node.executor.started]
    check_ledger(store)
    assert len(started) == len(set(started)), "no run starts twice"
    for run in store.runs(limit=PLENTY):
        assert run.state.closed or run.fire_time >= clock.now() - SECOND or _waits_for_its_paused_job(store, run), run
    for job in store.jobs():
        assert job.paused or job.next_fire_time is None or job.next_fire_time >= clock.now()


def _change(store: Store, nodes: list[Node], verb: str, job_id: str, now: datetime) -> None:
    """What a scheduler's verbs do: write, and let go of what the first node holds."""
    found = store.jobs(ids=[job_id])
    if not found:
        return
    job = found[0]
    outcome: Any = Skipped(verb)
    match verb:
        case "pause":
            store.save([plan.pause(job, now, None)])
        case "resume":
            store.save([plan.resume(job, now)])
        case "remove":
            store.remove([job_id])
            outcome = Cancelled(verb)
        case "modify":
            store.save([plan.modify(job, {"kwargs": {"version": job.version}}, now)])
            outcome = Released()
        case "run now":
            store.save([plan.run_now(job, now)])
        case "reschedule":
            store.save([plan.reschedule(job, IntervalTrigger(seconds=2), now)])
    if verb not in ("resume", "run now"):
        nodes[0].loop.withdraw(job.uid, outcome)


def _waits_for_its_paused_job(store: Store, run: Run) -> bool:
    return run.state is RunState.PENDING and any(job.uid == run.job_uid and job.paused for job in store.jobs())


def check_ledger(store: Store) -> None:
    """Promises 1, 2, 4 and 6: each fire time up to the last one has one answer, and attempts follow one another."""
    rows: dict[int, list[Run]] = {}
    for run in store.runs(limit=PLENTY):
        rows.setdefault(run.job_uid, []).append(run)
    for uid, runs in rows.items():
        keys = [(run.fire_time, run.origin, run.attempt) for run in runs]
        assert len(keys) == len(set(keys))
        for run in runs:
            assert run.attempt == 1 or (run.fire_time, run.origin, run.attempt - 1) in keys
        answers = sorted(
            (run.fire_time, run.through or run.fire_time)
            for run in runs
            if run.origin is Origin.SCHEDULE and run.attempt == 1
        )
        for (_, end), (begin, _) in pairwise(answers):
            assert begin > end, "two rows answer for one fire time"
        job = next((job for job in store.jobs() if job.uid == uid), None)
        if job is not None:
            assert sum(run.state is RunState.RUNNING for run in runs) <= job.max_instances
            _check_gapless(job, answers)


def _check_gapless(job: Job, answers: list[tuple[datetime, datetime]]) -> None:
    """Since its trigger was set, each of the job's fire times has an answer."""
    since = [answer for answer in answers if answer[0] > job.anchored_at or job.revision == 1]
    for (_, end), (begin, _) in pairwise(since):
        assert job.trigger.next_after(end) == begin, f"no answer for {job.trigger.next_after(end)}"
    if answers:
        assert job.last_fire_time == answers[-1][1]


# what the review found


def test_a_clock_that_is_set_back_does_not_silence_the_node(store: Store, clock: VirtualClock) -> None:
    store.add([make_job("hourly", trigger=IntervalTrigger(hours=1, start_date=NOW), next_fire_time=NOW + HOUR)])
    node = Node(store)
    advance(clock, MINUTE, node)
    clock._now -= HOUR  # what a virtual clock refuses, a real one does
    set_back_to = clock.now()

    look_at = node.tick()
    store.add([make_job("new", next_fire_time=set_back_to + SECOND)])
    advance(clock, 3 * SECOND, node)

    assert look_at <= set_back_to + node.loop.timing.poll
    assert node.fire_times() == [set_back_to + SECOND]


def test_jobs_that_wait_for_their_own_runs_do_not_hide_what_is_due_behind_them(
    store: Store, clock: VirtualClock
) -> None:
    """A job that catches up and has enough runs waiting is asked again after a poll, and not in each round."""
    overdue = IntervalTrigger(seconds=1, start_date=NOW - HOUR)
    store.add([
        make_job(f"late-{number}", trigger=overdue, coalesce=False, next_fire_time=NOW - HOUR, uid=number + 1)
        for number in range(4)
    ])  # fmt: skip
    node = Node(store, room=4)
    advance(clock, SECOND, node)
    store.add([make_job("on-time", next_fire_time=clock.now(), uid=99)])
    node.executor.room = 8

    advance(clock, 3 * SECOND, node)

    assert "on-time" in {call.job.id for call in node.executor.started}


def test_a_node_that_is_paused_or_stops_does_not_spin(store: Store, clock: VirtualClock) -> None:
    """However much is due that it would have taken, it looks no more often than it rests."""
    store.add([make_job(f"job-{number}", uid=number + 1) for number in range(20)])
    node = Node(store, room=1)
    node.tick()
    node.loop.paused = True

    ticks = ticks_within(clock, SECOND, node)
    node.loop.stop(None)
    ticks_while_stopping = ticks_within(clock, SECOND, node)

    assert ticks <= 60
    assert ticks_while_stopping <= 60


def ticks_within(clock: VirtualClock, duration: timedelta, node: Node) -> int:
    until, ticks = clock.now() + duration, 0
    while clock.now() < until:
        clock.move_to(max(node.tick(), clock.now() + MICROSECOND))
        ticks += 1
        assert ticks < 10_000, "it spins"
    return ticks


def test_calls_that_told_their_progress_are_forgotten_with_the_rest(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(trigger=EVERY_SECOND)])
    node = Node(store)

    for _ in range(10):
        advance(clock, SECOND, node)
        call = node.executor.running[0]
        RunContext(call).progress(1)
        node.executor.end(call=call)
        advance(clock, 50 * MILLISECOND, node)

    assert node.loop._progressed == set()


@pytest.mark.parametrize(("ended", "rests"), [(4, True), (5, False)])
def test_a_rest_ends_when_so_much_has_ended_that_it_is_worth_a_round(
    store: Store, clock: VirtualClock, ended: int, rests: bool
) -> None:
    store.add([make_job(f"job-{number}") for number in range(10)])
    node = Node(store, batch=20)
    advance(clock, SECOND, node)
    node.executor.end(call=node.executor.running[0])
    advance(clock, node.loop.timing.rest, node)  # and from here on it rests

    for call in node.executor.running[:ended]:
        node.executor.end(call=call)
    node.tick()

    settled = [run for run in store.runs() if run.state is RunState.SUCCEEDED]
    assert len(settled) == (1 if rests else 1 + ended)


@pytest.mark.parametrize("hopeless", [Succeeded(result=object()), Failed("\ud800")], ids=["object", "surrogate"])
def test_an_ending_that_cannot_be_written_is_told_as_that_and_those_before_and_behind_it_once(
    store: Store, clock: VirtualClock, hopeless: Ending
) -> None:
    """It is in the second part that a server is given, and the first is on its way."""
    store.add([make_job(f"job-{number:03}", trigger=DateTrigger(NOW), retry=Retry(2)) for number in range(3 * PART)])
    node = Node(store)
    advance(clock, SECOND, node)

    for number, call in enumerate([*node.executor.running]):
        outcome = hopeless if number == PART + 7 else Failed("it broke") if number % 50 == 49 else Succeeded()
        node.executor.end(outcome, call=call)
    advance(clock, SECOND / 10, node)

    first = [run for run in store.runs(limit=PLENTY) if run.attempt == 1]
    told = Counter(event.run.id for event in node.record.of(RunSettled))
    attempts = {run.job_id for run in store.runs(limit=PLENTY) if run.attempt == 2}
    assert len(first) == 3 * PART
    assert told == dict.fromkeys((run.id for run in first), 1)
    assert attempts == {run.job_id for run in first if run.state is RunState.FAILED}
    assert len(node.executor.running) == len(attempts) in (7, 8)  # what memory keeps it does not write


def test_endings_that_wait_for_the_commit_of_their_own_transactions_end_no_rest(
    store: Store, clock: VirtualClock
) -> None:
    store.add([make_job(f"job-{number}") for number in range(10)])
    node = Node(store, batch=20)
    advance(clock, SECOND, node)

    for call in node.executor.running[:6]:
        kept_of(call).settling = call.run
        node.executor.end(call=call)

    assert ticks_within(clock, SECOND, node) <= 60


def test_a_node_that_is_resumed_fires_at_once_however_short_ago_it_looked(store: Store, clock: VirtualClock) -> None:
    node = Node(store)
    node.loop.paused = True
    store.add([make_job()])
    node.tick()

    node.loop.resume()

    assert node.loop.next_tick() == clock.now()
    node.tick()
    assert node.fire_times() == [NOW]


def test_a_node_that_is_resumed_though_it_is_not_paused_rests_as_ever(store: Store, clock: VirtualClock) -> None:
    node, ticks = Node(store), 0

    for _ in range(100):
        node.loop.resume()
        if node.loop.next_tick() <= clock.now():
            node.tick()
            ticks += 1
        clock.advance(MILLISECOND)

    assert ticks <= 6


def test_so_much_without_news_of_it_lets_nobody_spin(store: Store, clock: VirtualClock) -> None:
    """As may be when it comes from another thread in the instant in which a round takes the news along."""
    node = Node(store)
    node.tick()
    node.loop._lookout.is_much = True

    assert ticks_within(clock, SECOND, node) <= 60


def test_a_store_that_failed_is_left_alone_however_much_has_ended(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(f"job-{number}") for number in range(10)])
    node = Node(store, batch=20)
    advance(clock, SECOND, node)
    tries = 0

    def fail(*_: object) -> Never:
        nonlocal tries
        tries += 1
        raise StoreUnavailableError("away")

    store.settle = fail  # type: ignore[assignment, method-assign]
    node.executor.end(call=node.executor.running[0])
    advance(clock, 10 * MILLISECOND, node)

    for call in node.executor.running[:6]:
        node.executor.end(call=call)
    node.tick()

    assert tries == 1


def test_a_held_run_does_not_start_after_its_job_was_paused(store: Store, clock: VirtualClock) -> None:
    """Not even when the pause comes while a round goes on."""
    store.add([make_job(next_fire_time=NOW + 10 * MILLISECOND)])
    node = Node(store)
    node.tick()
    real_outlook = store.outlook

    def outlook(*args: object, **kwargs: object) -> object:
        node.loop.withdraw(store.jobs()[0].uid, Skipped("paused"))
        clock.advance(20 * MILLISECOND)
        return real_outlook(*args, **kwargs)  # type: ignore[arg-type]

    store.outlook = outlook  # type: ignore[assignment, method-assign]
    node.loop.wake()
    clock.advance(node.loop.timing.rest - 15 * MILLISECOND)
    node.loop._lookout.rest_until = clock.now()
    node.tick()

    assert node.fire_times() == []


def test_one_ending_that_cannot_be_decided_does_not_keep_others_from_being_settled(
    store: Store, clock: VirtualClock
) -> None:
    store.add([make_job("good", uid=1), make_job("bad", uid=2)])
    node = Node(store)
    node.tick()
    calls = {call.job.id: call for call in node.executor.running}

    node.executor.end(call=calls["good"])
    node.loop.report(calls["bad"], "no outcome at all")  # type: ignore[arg-type]
    advance(clock, SECOND, node)

    assert {run.job_id: run.state for run in store.runs()} == {"good": RunState.SUCCEEDED, "bad": RunState.FAILED}


def test_sleep_of_the_whole_machine_loses_no_run_of_a_node_that_wakes(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    store = open_store()
    store.add([make_job(trigger=IntervalTrigger(hours=1, start_date=NOW))])
    a, b = Node(open_store(), "a"), Node(open_store(), "b")
    advance(clock, SECOND, a, b)
    holder, other = (a, b) if a.executor.running else (b, a)
    clock.advance(10 * LEASE)

    advance(clock, SECOND, other)
    advance(clock, SECOND, holder)

    assert [(run.state, run.node) for run in store.runs()] == [(RunState.RUNNING, holder.name)]


# what runs log


def tell(call: Call, text: str) -> None:
    """Log a line inside of the run of *call*."""
    inside = copy_context()
    _, context = inside.run(begin_call, call, call.clock.now())
    inside.run(context.log.info, text)


def told(store: Store, run: Run) -> list[str]:
    return [line.text for line in store.log(run.id).lines]


@pytest.mark.parametrize("outcome", [Succeeded(), Failed("broken"), Lost("cut off")], ids=lambda one: one.state)
def test_the_log_is_kept_with_the_ending_whatever_it_is(store: Store, clock: VirtualClock, outcome: Ending) -> None:
    store.add([make_job(next_fire_time=NOW)])
    node = Node(store)
    advance(clock, SECOND, node)
    (call,) = node.executor.running
    tell(call, "the last words")

    node.executor.end(outcome)
    advance(clock, SECOND, node)

    (run,) = store.runs()
    assert run.state is outcome.state
    assert told(store, run) == ["the last words"]


def test_the_log_of_a_run_that_was_given_to_another_version_is_kept_all_the_same(
    store: Store, clock: VirtualClock
) -> None:
    """Somebody asks it to end just before it ends: the ending is written a second time, on the newer version."""
    store.add([make_job(next_fire_time=NOW)])
    node = Node(store)
    advance(clock, SECOND, node)
    (call,) = node.executor.running
    tell(call, "the last words")
    store.cancel([plan.cancel(call.run, "no need", clock.now())])

    node.executor.end(Succeeded())
    advance(clock, SECOND, node)

    assert told(store, call.run) == ["the last words"]


def test_what_a_node_that_dies_has_logged_is_there_as_of_its_last_renewal(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    store = open_store()
    store.add([make_job(trigger=DateTrigger(NOW), next_fire_time=NOW)])
    dies, survivor = Node(open_store(), "dies"), Node(open_store(), "survivor")
    advance(clock, SECOND, dies)
    (call,) = dies.executor.running
    tell(call, "first")
    advance(clock, LEASE / 2, dies)
    while_it_goes_on = told(store, call.run)
    tell(call, "never stored")

    clock.advance(2 * LEASE)
    advance(clock, 10 * SECOND, survivor)

    assert while_it_goes_on == ["first"]
    assert store.run(call.run.id).state is RunState.LOST
    assert told(store, call.run) == ["first"]


def test_a_log_is_written_again_only_when_there_is_more(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(trigger=DateTrigger(NOW), next_fire_time=NOW)])
    watched = FlakyStore(store)
    written: list[str] = []
    watched.between = lambda verb: written.append(verb) if verb == "keep_logs" else None
    node = Node(watched)  # type: ignore[arg-type]
    advance(clock, LEASE, node)
    tell(node.executor.running[0], "all there is")

    advance(clock, 3 * LEASE, node)

    assert written == ["keep_logs"]


# what runs make of the state of their job


def change_state(call: Call, **values: Any) -> None:
    """As a function does that sets these keys and returns."""
    state = RunContext(call).state
    state.update(values)
    success(call, None)


@pytest.mark.parametrize(
    ("outcome", "kept"), [(Succeeded(), {"page": 7}), (Failed("broken"), {}), (Lost("cut off"), {})], ids=str
)
def test_a_state_is_written_with_a_success_alone(
    store: Store, clock: VirtualClock, outcome: Ending, kept: dict[str, int]
) -> None:
    store.add([job := make_job(trigger=DateTrigger(NOW), next_fire_time=NOW)])
    node = Node(store)
    advance(clock, SECOND, node)
    change_state(node.executor.running[0], page=7)

    node.executor.end(outcome)
    advance(clock, SECOND, node)

    assert store.state(job.uid).values == kept


def test_a_run_whose_state_was_changed_by_another_fails_and_is_tried_again_on_the_new_one(
    store: Store, clock: VirtualClock
) -> None:
    store.add([job := make_job(max_instances=2, retry=Retry(2, delay=0), next_fire_time=NOW)])
    node = Node(store)
    advance(clock, MINUTE, node)
    first, second = node.executor.running
    for call in (first, second):
        change_state(call, page=call.run.fire_time.minute)

    node.executor.end(call=second)
    node.executor.end(call=first)
    advance(clock, SECOND, node)

    assert store.state(job.uid).values == {"page": 1}
    refused = store.run(first.run.id)
    assert refused.state is RunState.FAILED
    assert refused.reason is not None
    assert refused.reason.startswith("StateConflictError: state: expected to be the only one to change 'page'")
    (again,) = node.executor.running
    assert (again.run.fire_time, again.run.attempt) == (NOW, 2)
    change_state(again, page=2)
    node.executor.end(call=again)
    advance(clock, SECOND, node)
    assert store.state(job.uid).values == {"page": 2}


def test_runs_that_change_different_keys_do_not_mind_each_other(store: Store, clock: VirtualClock) -> None:
    store.add([job := make_job(max_instances=2, next_fire_time=NOW)])
    node = Node(store)
    advance(clock, MINUTE, node)
    for call in [*node.executor.running]:
        change_state(call, **{f"page {call.run.fire_time.minute}": True})
        node.executor.end(call=call)
    advance(clock, SECOND, node)

    assert store.state(job.uid).values == {"page 0": True, "page 1": True}


@pytest.mark.parametrize("down", ["before", "after"])
def test_a_state_is_written_once_whatever_becomes_of_the_reply(
    store: Store, clock: VirtualClock, down: Literal["before", "after"]
) -> None:
    """Also where a commit fails: what it wrote is written again, and what it did write is not taken for another's."""
    flaky = FlakyStore(store)
    store.add([job := make_job(trigger=DateTrigger(NOW), next_fire_time=NOW)])
    node = Node(flaky)  # type: ignore[arg-type]
    advance(clock, SECOND, node)
    (call,) = node.executor.running
    change_state(call, page=7)

    flaky.down, flaky.verbs = down, frozenset({"settle"})
    node.executor.end()
    node.tick()
    flaky.down = None
    advance(clock, 5 * SECOND, node)

    assert store.run(call.run.id).state is RunState.SUCCEEDED
    assert store.state(job.uid) == StoredState(1, {"page": Entry(1, 7)})


def test_a_state_is_written_although_somebody_asked_the_run_to_end(store: Store, clock: VirtualClock) -> None:
    """One that was to be cancelled and succeeded all the same has succeeded."""
    store.add([job := make_job(trigger=DateTrigger(NOW), next_fire_time=NOW)])
    node = Node(store)
    advance(clock, SECOND, node)
    (call,) = node.executor.running
    change_state(call, page=7)
    store.cancel([plan.cancel(call.run, "no need", clock.now())])

    node.executor.end()
    advance(clock, SECOND, node)

    assert store.run(call.run.id).state is RunState.SUCCEEDED
    assert store.state(job.uid).values == {"page": 7}


def test_a_run_that_timed_out_changes_no_state(store: Store, clock: VirtualClock) -> None:
    store.add([job := make_job(trigger=DateTrigger(NOW), next_fire_time=NOW, timeout=SECOND)])
    node = Node(store)
    advance(clock, 2 * SECOND, node)
    (call,) = node.executor.running
    change_state(call, page=7)

    node.executor.end()
    advance(clock, SECOND, node)

    assert store.run(call.run.id).state is RunState.TIMED_OUT
    assert store.state(job.uid).values == {}


# runs that their own transactions settle


@pytest.fixture
def database(clock: VirtualClock, database_url: str) -> Iterator[Store]:
    """A store with transactions, with one job in it."""
    store = make_store(database_url, clock=clock)
    store.open()
    store.add([make_job(trigger=DateTrigger(NOW), next_fire_time=NOW, retry=Retry(2, delay=0), timeout=HOUR)])
    yield store
    store.close()


def begun(node: Node, clock: VirtualClock) -> Call:
    """The job's one call, which goes on."""
    advance(clock, SECOND, node)
    (call,) = node.executor.running
    return call


def commit(call: Call, text: str = "inside") -> None:
    """As a function does that writes all it has in one transaction."""
    tell(call, text)
    with RunContext(call).transaction() as connection:
        connection.execute("create table mine (x text)")


@pytest.mark.parametrize("outcome", [Succeeded("late"), Failed("broken"), Lost("its task was cancelled")], ids=str)
def test_a_run_that_its_transaction_has_settled_stays_so_whatever_comes_of_its_call(
    database: Store, clock: VirtualClock, outcome: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(database)
    call = begun(node, clock)
    commit(call)
    settled = database.run(call.run.id)
    tell(call, "and after")

    advance(clock, 2 * SECOND, node)
    node.executor.end(outcome)
    advance(clock, SECOND, node)

    assert settled.state is RunState.SUCCEEDED
    assert database.runs() == [settled], "and it is not tried again"
    assert told(database, settled) == ["inside", "and after"]
    assert [event.run for event in node.record.of(RunSettled)] == [settled]
    assert ("stays succeeded" in caplog.text) == (not isinstance(outcome, Succeeded))
    node.loop.stop(None)
    advance(clock, SECOND, node)
    assert node.loop.finished


def test_a_settled_run_that_goes_on_is_neither_renewed_nor_taken_for_lost(
    database: Store, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    node, other = Node(database, "a"), Node(database, "b")
    call = begun(node, clock)
    commit(call)
    settled = database.run(call.run.id)
    RunContext(call).progress(1)

    advance(clock, 3 * LEASE, node, other)
    node.executor.end()
    advance(clock, SECOND, node, other)

    assert database.run(call.run.id) == settled
    assert node.executor.cancelled == []
    assert caplog.text == ""


def test_a_run_that_is_settled_while_its_lease_is_renewed_is_not_taken_for_lost(
    database: Store, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The renewal waits behind the transaction, finds the run closed, and must know by whom."""
    flaky = FlakyStore(database)
    node = Node(flaky)  # type: ignore[arg-type]
    call = begun(node, clock)
    real_renew, settled = database.renew, threading.Event()

    def renew(runs: Sequence[Run], lease_until: datetime) -> Sequence[Run]:
        if runs and not settled.is_set():
            settled.set()
            database.settle([plan.settle(database.run(call.run.id), ONCE, Succeeded(), clock.now())])
            kept_of(call).settled = database.run(call.run.id)
        return real_renew(runs, lease_until)

    database.renew = renew  # type: ignore[method-assign]
    advance(clock, LEASE, node)
    node.executor.end()
    advance(clock, SECOND, node)

    assert settled.is_set()
    assert node.executor.cancelled == []
    assert "taken over" not in caplog.text
    assert len(node.record.of(RunSettled)) == 1


def test_a_settled_run_that_times_out_afterwards_has_succeeded(database: Store, clock: VirtualClock) -> None:
    node = Node(database)
    call = begun(node, clock)
    commit(call)

    advance(clock, 2 * HOUR, node)
    node.executor.end(Lost("cancelled"))
    advance(clock, SECOND, node)

    assert [run.state for run in database.runs()] == [RunState.SUCCEEDED]


def test_the_end_of_a_settled_call_waits_for_a_store_that_is_down(database: Store, clock: VirtualClock) -> None:
    flaky = FlakyStore(database)
    node = Node(flaky)  # type: ignore[arg-type]
    call = begun(node, clock)
    commit(call)
    tell(call, "the last words")
    node.executor.end()

    flaky.down, flaky.verbs = "before", frozenset({"keep_logs"})
    advance(clock, SECOND, node)
    flaky.down = None
    advance(clock, 5 * SECOND, node)

    assert told(database, call.run) == ["inside", "the last words"]
    assert len(node.record.of(RunSettled)) == 1


def test_a_run_that_is_settled_while_its_call_is_written_off_has_succeeded(
    database: Store, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A coroutine was cancelled that waits for a thread, and the thread commits all the same."""
    node = Node(database)
    call = begun(node, clock)
    real_settle, written_off = database.settle, threading.Event()

    def settle(settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        if settlements and not written_off.is_set():
            written_off.set()
            (succeeded,) = real_settle([plan.settle(database.run(call.run.id), ONCE, Succeeded(), clock.now())])
            kept_of(call).settled = succeeded.run
        return real_settle(settlements)

    database.settle = settle  # type: ignore[method-assign]
    node.executor.end(Lost("its task was cancelled"))
    advance(clock, SECOND, node)

    assert written_off.is_set()
    assert [run.state for run in database.runs()] == [RunState.SUCCEEDED]
    assert [event.run for event in node.record.of(RunSettled)] == database.runs()
    assert "taken over" not in caplog.text


class Slow:
    """A transaction whose commit takes its time on a thread of its own, and then comes off or not."""

    def __init__(self, store: Store, call: Call) -> None:
        self.about_to, self.may = threading.Event(), threading.Event()
        self.fails = False
        self._store, self._call = store, call
        self._lend = store.lend
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._store.lend = self._lending  # type: ignore[method-assign]
        self._thread.start()
        assert self.about_to.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.may.set()
        self._thread.join(10)

    @contextmanager
    def _lending(self) -> Iterator[Any]:
        with self._lend() as connection:
            yield connection
            self.about_to.set()
            assert self.may.wait(10)
            if self.fails:
                raise StoreUnavailableError("the disk is full")

    def _work(self) -> None:
        with suppress(StoreUnavailableError):
            commit(self._call)


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_cancelled_coroutine_leaves_to_its_thread_is_decided_by_the_commit(
    database: Store, clock: VirtualClock, fails: bool
) -> None:
    """Its task reports that it was cancelled while the thread is about to commit; until that is done nobody knows."""
    database.save([next_version(database.get("job"), retry=ONCE)])
    node = Node(database)
    call = begun(node, clock)
    node.loop._lookout.renew_at = clock.now() + HOUR  # SQLite would wait for the thread, which waits for the test
    with Slow(database, call) as transaction:
        transaction.fails = fails
        node.executor.end(Lost("its task was cancelled"))
        node.loop.settle_reported(clock.now())
        node.loop.keep_what_was_written()
        meanwhile = [*node.record.of(RunSettled)]
    advance(clock, 2 * LEASE, node)

    (settled,) = database.runs()
    assert meanwhile == []
    assert settled.state is (RunState.LOST if fails else RunState.SUCCEEDED)
    assert [event.run for event in node.record.of(RunSettled)] == [settled]
    assert len(node.executor.started) == 1, "a job that is run at most once is not run again"


def test_a_commit_whose_reply_was_lost_is_told_as_what_it_is(
    database: Store, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The function fails, as it was told that its transaction did; and the ledger knows better."""
    database.save([next_version(database.get("job"), expect_every=MINUTE)], expected=[expected(database, clock)])
    clock.advance(2 * MINUTE)
    node = Node(database)
    call = begun(node, clock)
    real_lend = database.lend

    @contextmanager
    def lend() -> Iterator[Any]:
        with real_lend() as connection:
            yield connection
        raise StoreUnavailableError("the reply of commit is lost")

    database.lend = lend  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError):
        commit(call)
    node.executor.end(Failed("StoreUnavailableError: the reply of commit is lost"))
    advance(clock, SECOND, node)

    (run,) = database.runs()
    assert run.state is RunState.SUCCEEDED
    assert [event.run for event in node.record.of(RunSettled)] == [run]
    assert len(node.record.of(JobRecovered)) == 1
    assert "taken over" not in caplog.text


def test_a_success_that_its_transaction_has_settled_is_what_was_expected(database: Store, clock: VirtualClock) -> None:
    database.save([next_version(database.get("job"), expect_every=MINUTE)], expected=[expected(database, clock)])
    clock.advance(2 * MINUTE)
    node = Node(database)
    call = begun(node, clock)
    overdue = database.expectations(overdue=True)
    commit(call)
    (fulfilled,) = database.expectations()
    node.executor.end()
    advance(clock, HOUR, node)

    assert [one.job_id for one in overdue] == ["job"]
    assert (fulfilled.overdue_at, fulfilled.succeeded_at) == (None, database.run(call.run.id).ended_at)
    assert len(node.record.of(JobOverdue)) == 1
    assert len(node.record.of(JobRecovered)) == 1
    assert database.expectations(overdue=True) == [], "it has done its last work"


def expected(store: Store, clock: VirtualClock) -> Expectation:
    """What is expected of the job that has to succeed within a minute from now."""
    job = store.get("job")
    return Expectation(job.id, job.uid, clock.now() + MINUTE)


# commits that fail, or only seem to


@pytest.mark.parametrize("down", ["before", "after"])
def test_nothing_is_told_of_a_round_before_its_commit(store: Store, clock: VirtualClock, down: Any) -> None:
    flaky: Any = FlakyStore(store)
    store.add([make_job(trigger=DateTrigger(NOW), expect_every=SECOND)])
    node = Node(flaky)
    flaky.down, flaky.verbs = down, frozenset({"commit"})
    advance(clock, 2 * SECOND, node)
    meanwhile = [type(event) for event in node.record.events]
    overdue = node.loop.overdue
    flaky.down = None
    advance(clock, 2 * LEASE, node)
    node.executor.end()
    advance(clock, SECOND, node)

    assert meanwhile == [StoreLost]
    assert overdue == 0
    assert len(node.record.of(RunStarted)) == 1
    assert len(node.record.of(JobOverdue)) == 1
    assert [event.run.state for event in node.record.of(RunSettled)][-1] is RunState.SUCCEEDED


@pytest.mark.parametrize("down", ["before", "after"])
@pytest.mark.parametrize("ending", ["succeeded", "failed", "lost", "missed", "cancelled"])
def test_each_ending_is_told_once_whatever_becomes_of_the_commit_and_its_reply(
    open_store: OpenStore, clock: VirtualClock, down: Any, ending: str
) -> None:
    store = open_store()
    flaky: Any = FlakyStore(store)
    node, dead = Node(flaky, "a"), Node(open_store(), "dead", room=0 if ending == "missed" else 1)
    policies: dict[str, Any] = {
        "missed": {"expire_after": 5 * SECOND}, "cancelled": {"overlap": Overlap.CANCEL, "trigger": EVERY_MINUTE},
    }.get(ending, {})  # fmt: skip
    job = make_job(**{"trigger": DateTrigger(NOW)} | policies)
    store.add([job])
    if ending in ("lost", "missed"):
        node.loop.paused = True
        advance(clock, 2 * SECOND, dead)
    elif ending == "cancelled":
        waiting = make_run(job, NOW - SECOND, origin=Origin.MANUAL, available_at=NOW + HOUR)
        store.save([next_version(job, waiting, next_fire_time=NOW + MINUTE, last_fire_time=NOW)])
        advance(clock, MINUTE - SECOND, node)
    else:
        advance(clock, SECOND, node)
        node.executor.end(Failed("broken") if ending == "failed" else None)
    flaky.verbs = frozenset({"commit"})
    flaky.between = lambda _: setattr(flaky, "down", down) if store.runs(states=[RunState(ending)]) else None
    advance(clock, 2 * LEASE, node)
    flaky.between, flaky.down = lambda verb: None, None
    advance(clock, 2 * LEASE, node)

    closed = [run for run in store.runs() if run.state is RunState(ending)]
    assert [event.run for event in node.record.of(RunSettled) if event.run.state.closed] == closed
    assert len(closed) == 1


# nodes


def test_a_node_is_known_from_its_first_round_and_heard_of_within_its_lease(store: Store, clock: VirtualClock) -> None:
    node = Node(store, lease=LEASE)

    seen = [seen_after(clock, SECOND / 2, node, store) for _ in range(100)]

    assert {(one.id, one.seen_since, one.state) for one in seen} == {("a", NOW, NodeState.ALIVE)}
    assert max(clock_time - one.seen_at for one, clock_time in zip(seen, halves(100), strict=True)) <= LEASE / 2


@pytest.mark.parametrize("poll", [10 * MILLISECOND, SECOND, 3 * SECOND, 20 * MINUTE])
def test_an_idle_node_beats_a_few_times_a_lease_whatever_its_poll(clock: VirtualClock, poll: timedelta) -> None:
    counted = CountingStore(MemoryStore(clock=clock))
    node = Node(counted.as_store(), lease=LEASE, poll=poll)

    advance(clock, MINUTE, node)

    assert 9 <= counted.calls["beat"] <= 19
    assert counted.as_store().nodes()[0].state is NodeState.ALIVE


@pytest.mark.parametrize("apart", [0, 1, 27, 499, 500, 501, 973, 1_999])
def test_an_idle_node_has_one_round_a_poll_however_far_apart_its_first_looks_are(
    clock: VirtualClock, apart: int
) -> None:
    counted = CountingStore(MemoryStore(clock=clock))
    node = Node(counted.as_store(), lease=LEASE, poll=SECOND)  # which plans its looks for what is lost from here on
    clock.advance(apart * MILLISECOND)
    advance(clock, 5 * SECOND, node)
    counted.calls.clear()

    advance(clock, MINUTE, node)

    assert 59 <= counted.calls["outlook"] <= 60


def test_an_idle_node_has_one_round_a_poll_after_a_run_that_expired_between_two(clock: VirtualClock) -> None:
    store = MemoryStore(clock=clock)
    counted = CountingStore(store)
    node = Node(counted.as_store(), room=0, lease=LEASE, poll=SECOND)
    advance(clock, 5 * SECOND, node)
    store.add([make_job(trigger=DateTrigger(NOW), next_fire_time=clock.now(), expire_after=3.73 * SECOND)])
    advance(clock, 5 * SECOND, node)
    counted.calls.clear()

    advance(clock, MINUTE, node)

    assert [run.state for run in store.runs()] == [RunState.MISSED]
    assert 59 <= counted.calls["outlook"] <= 60


@pytest.mark.parametrize("poll", [1, 5, 20, 60])
def test_a_node_with_much_to_do_does_not_look_for_what_is_lost_in_each_round(clock: VirtualClock, poll: int) -> None:
    """But twice a poll at most; and when a lease ends, of which one is near at any time if a poll is long."""
    counted = CountingStore(MemoryStore(clock=clock))
    node = Node(counted.as_store(), lease=LEASE, poll=poll * SECOND, takes=3 * SECOND)
    counted.add([make_job(trigger=IntervalTrigger(seconds=0.5), max_instances=10)])
    advance(clock, 3 * poll * SECOND, node)
    counted.calls.clear()

    advance(clock, MINUTE, node)

    assert counted.calls["together"] > 200
    assert MINUTE / (poll * SECOND) <= counted.calls["lost"] <= MINUTE / min(poll * SECOND / 2, LEASE / 2)


def test_a_node_that_is_frozen_is_dead_after_its_lease_and_back_in_a_new_stretch(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    frozen, other = Node(open_store(), "frozen"), Node(open_store(), "other")
    advance(clock, MINUTE, frozen, other)
    advance(clock, 2 * LEASE, other)
    dead = {one.id: one.state for one in other.loop.store.nodes()}
    alone = len(other.loop.presence.living)
    advance(clock, LEASE, frozen, other)

    back = next(one for one in other.loop.store.nodes() if one.id == "frozen")

    assert dead == {"frozen": NodeState.DEAD, "other": NodeState.ALIVE}
    assert alone == 1
    assert (back.state, back.started_at, back.seen_since) == (NodeState.ALIVE, NOW, NOW + MINUTE + 2 * LEASE)
    assert len(other.loop.presence.living) == 2


def test_a_beat_that_did_not_get_through_is_told_again_and_one_whose_reply_was_lost_does_no_harm(
    clock: VirtualClock,
) -> None:
    flaky = FlakyStore(MemoryStore(clock=clock))
    node = Node(flaky, "a")  # type: ignore[arg-type]
    advance(clock, SECOND, node)
    for down in ("before", "after"):
        flaky.down, flaky.verbs = down, frozenset({"beat"})  # type: ignore[assignment]
        advance(clock, 4 * SECOND, node)
        flaky.down = None
        advance(clock, 2 * SECOND, node)

    (seen,) = flaky.nodes()

    assert (seen.seen_since, seen.state) == (NOW, NodeState.ALIVE)
    assert clock.now() - seen.seen_at <= LEASE / 2


def test_a_node_tells_what_it_does(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(f"job-{number}", next_fire_time=NOW + MINUTE) for number in range(3)])
    node = Node(store)
    advance(clock, MINUTE - SECOND, node)
    clock.advance(3 * SECOND)  # it stands still beyond the fire time
    node.loop.paused = False
    advance(clock, LEASE / 2, node)
    busy = store.nodes()[0]
    node.loop.paused = True
    while node.executor.running:
        node.executor.end()
    advance(clock, LEASE / 2, node)

    idle = store.nodes()[0]
    advance(clock, 5 * MINUTE, node)

    assert (busy.runs, busy.lateness, busy.paused) == (3, 2 * SECOND, False)
    assert (idle.runs, idle.lateness, idle.paused) == (0, 2 * SECOND, True)
    assert store.nodes()[0].lateness is None, "that was long ago"


def test_a_node_that_signs_off_has_stopped_and_one_whose_store_is_out_of_reach_stops_all_the_same(
    store: Store, clock: VirtualClock
) -> None:
    flaky = FlakyStore(store)
    nodes = [Node(store, "a"), Node(flaky, "b")]  # type: ignore[arg-type]
    advance(clock, SECOND, *nodes)
    flaky.down = "before"

    for node in nodes:
        node.loop.presence.sign_off()

    assert {one.id: (one.state, one.stopped_at) for one in store.nodes()} == {
        "a": (NodeState.STOPPED, NOW + SECOND), "b": (NodeState.ALIVE, None),
    }  # fmt: skip


def seen_after(clock: VirtualClock, duration: timedelta, node: Node, store: Store) -> SeenNode:
    advance(clock, duration, node)
    (seen,) = store.nodes()
    return seen


def halves(number: int) -> list[datetime]:
    return [NOW + half * SECOND / 2 for half in range(1, number + 1)]


class CountingStore:
    """A store that counts what is asked of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()

    def as_store(self) -> Store:
        return self  # type: ignore[return-value]

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        if not callable(verb):
            return verb

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            return verb(*args, **kwargs)

        return call


# what the simulation found


def test_a_run_that_expires_while_a_tick_goes_on_is_missed_in_it(store: Store, clock: VirtualClock) -> None:
    """The store's clock decides what has expired, and it goes on between the beginning of a tick and that question."""
    flaky: Any = FlakyStore(store)
    job = make_job(next_fire_time=None)
    store.add([job])
    store.save([next_version(job, make_run(job, expires_at=NOW + SECOND))])
    node = Node(flaky, room=0)
    flaky.between = lambda verb: clock.advance(2 * MILLISECOND) if verb == "cancelling" else None
    clock.move_to(NOW + SECOND - MILLISECOND)

    node.tick()

    (run,) = store.runs()
    assert (run.state, run.ended_at) == (RunState.MISSED, NOW + SECOND)


def test_an_end_that_others_have_written_is_not_taken_for_our_own(open_store: OpenStore, clock: VirtualClock) -> None:
    """A call whose run was taken over is asked to end and ends as lost, which its run is already: that is told once."""
    open_store().add([make_job(trigger=IntervalTrigger(hours=1, start_date=NOW))])
    a, b = Node(open_store(), "a"), Node(open_store(), "b")
    a.tick()
    advance(clock, LEASE + SECOND, b)

    a.executor.end(Lost("its task was cancelled before it ended"))
    advance(clock, SECOND, a)

    assert [event.run.state for event in b.record.of(RunSettled)] == [RunState.LOST]
    assert a.record.of(RunSettled) == []


def test_a_node_whose_clock_is_ahead_fires_nothing_early(store: Store, clock: VirtualClock) -> None:
    """What is due is decided by the store's clock."""
    fast: Any = FlakyStore(store)
    fast.clock = fast.wall_clock = VirtualClock(NOW + MINUTE)
    store.add([make_job(next_fire_time=NOW + SECOND)])
    node = Node(fast)

    node.tick()
    early = store.runs()
    clock.move_to(NOW + SECOND - AHEAD)
    fast.clock.advance(SECOND)
    node.tick()

    assert early == []
    assert [run.fire_time for run in store.runs()] == [NOW + SECOND]


def test_a_node_that_starts_after_an_outage_leaves_the_others_time_to_come_back(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    """It has not seen the outage in which their leases ended, and would take them for dead."""
    flaky: Any = FlakyStore(open_store())
    open_store().add([make_job(trigger=IntervalTrigger(hours=1, start_date=NOW))])
    a = Node(flaky, "a")
    a.tick()
    flaky.down = "before"
    advance(clock, 2 * LEASE, a)

    flaky.down = None
    b = Node(open_store(), "b")
    b.tick()
    advance(clock, MINUTE, a, b)

    assert [(run.state, run.node) for run in open_store().runs()] == [(RunState.RUNNING, "a")]


def test_a_node_that_starts_finds_what_a_dead_one_has_left_within_a_few_polls(
    open_store: OpenStore, clock: VirtualClock
) -> None:
    open_store().add([make_job(trigger=IntervalTrigger(hours=1, start_date=NOW))])
    Node(open_store(), "a").tick()
    clock.advance(2 * LEASE)

    advance(clock, 3 * SECOND, Node(open_store(), "b"))

    assert [run.state for run in open_store().runs()] == [RunState.LOST]


def test_a_clock_that_is_set_forward_during_a_tick_and_back_after_it_does_not_silence_the_node(
    store: Store, clock: VirtualClock
) -> None:
    flaky: Any = FlakyStore(store)
    node = Node(flaky)
    flaky.between = lambda verb: clock.advance(HOUR) if verb == "outlook" else None
    node.tick()
    flaky.between = lambda verb: None
    clock._now = NOW + SECOND  # what a virtual clock refuses, a real one does
    store.add([make_job(next_fire_time=NOW + SECOND)])

    advance(clock, 2 * SECOND, node)

    assert node.fire_times() == [NOW + SECOND]


def test_what_another_node_has_closed_is_not_told_again_by_one_whose_round_fails(clock: VirtualClock) -> None:
    """Both find the same run lost, at the same instant, and would write the same row."""
    memory = MemoryStore(clock=clock)
    memory.add([make_job(trigger=IntervalTrigger(hours=1, start_date=NOW))])
    Node(memory, "a").tick()
    flaky: Any = FlakyStore(memory)
    b, c = Node(memory, "b"), Node(flaky, "c")
    advance(clock, LEASE - SECOND, b, c)
    clock.advance(SECOND)

    flaky.between = lambda verb: b.tick() if verb == "lost" else None
    flaky.down, flaky.verbs = "after", frozenset({"fire"})
    c.tick()
    flaky.down = None
    advance(clock, 5 * SECOND, c)

    assert [event.run.state for node in (b, c) for event in node.record.of(RunSettled)] == [RunState.LOST]


def test_a_lost_run_shows_when_it_began_and_how_long_it_was_seen(open_store: OpenStore, clock: VirtualClock) -> None:
    """As far as its node had told: with its first renewal."""
    store = open_store()
    store.add([make_job(trigger=DateTrigger(NOW + SECOND), next_fire_time=NOW + SECOND)])
    a, b = Node(open_store(), "a"), Node(open_store(), "b")
    advance(clock, 6 * SECOND, a, b)

    advance(clock, 2 * LEASE, b)

    (lost,) = store.runs()
    assert (lost.state, lost.started_at) == (RunState.LOST, NOW + SECOND)
    assert lost.ended_at is not None
    assert lost.duration == lost.ended_at - NOW - SECOND


@pytest.mark.parametrize("ending", [RunState.MISSED, RunState.LOST, RunState.CANCELLED])
def test_what_two_nodes_close_at_one_instant_is_told_once_though_a_commit_of_one_was_undone(
    open_store: OpenStore, clock: VirtualClock, ending: RunState
) -> None:
    """The one whose commit failed does not know whether it took effect; the other's row is all but the same."""
    store = open_store()
    flaky: Any = FlakyStore(open_store())
    b, c = Node(open_store(), "b"), Node(flaky, "c")
    if ending is RunState.LOST:
        store.add([make_job(trigger=DateTrigger(NOW))])
        Node(store, "a").tick()
    elif ending is RunState.MISSED:
        store.add([make_job(trigger=DateTrigger(NOW), expire_after=LEASE, executor="elsewhere")])
        Node(store, "a").loop.tick()
        store.save([plan.run_now(store.jobs()[0], NOW, expire_after=LEASE)])
    else:
        store.add(
            [job := make_job(trigger=DateTrigger(NOW + LEASE), next_fire_time=NOW + LEASE, overlap=Overlap.CANCEL)]
        )
        store.save([next_version(job, make_run(job, NOW - SECOND, available_at=NOW + HOUR))])
    advance(clock, LEASE - SECOND, b, c)
    clock.advance(SECOND)

    flaky.down, flaky.verbs = "before", frozenset({"commit"})
    c.tick()
    flaky.down = None
    b.tick()
    advance(clock, 5 * SECOND, c, b)

    closed = [run for run in store.runs() if run.state is ending]
    told = [(node.name, event.run) for node in (b, c) for event in node.record.of(RunSettled) if event.run.state.closed]
    assert [run for _, run in told] == closed
    assert [run.reason.endswith(f"(closed by node {name})") for name, run in told if run.reason] == [True]


def test_a_beat_counts_no_call_that_ends_after_it_was_let_go_of(open_store: OpenStore, clock: VirtualClock) -> None:
    """Its run was taken over: what is still reported of it is not the end of a call that this node has in hand."""
    open_store().add([make_job(trigger=IntervalTrigger(hours=1, start_date=NOW))])
    a, b = Node(open_store(), "a"), Node(open_store(), "b")
    a.tick()
    advance(clock, LEASE + SECOND, b)
    a.tick()  # it finds that the run is lost
    clock.advance(LEASE / 2)

    a.executor.end()
    a.tick()

    assert {node.id: node.runs for node in open_store().nodes()} == {"a": 0, "b": 0}
