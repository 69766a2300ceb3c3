"""`expect_every`: a job that does not succeed for too long is told of once, whatever keeps it, on every store."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.deeds import nothing
from tests.nodes import FlakyStore, Node, advance
from tests.samples import EVERY_MINUTE, HOUR, MINUTE, NOW, SECOND, make_backfill, make_job, make_run

from tickwork import InvalidJobError, RunContext, plan
from tickwork.events import JobOverdue, JobRecovered
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.run import Failed, Origin, RunState
from tickwork.scheduler import BackgroundScheduler
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.stores.memory import MemoryStore
from tickwork.stores.sqlite import SQLiteStore
from tickwork.testing import ManualScheduler, VirtualClock
from tickwork.triggers import DateTrigger, IntervalTrigger

EVERY = 5 * MINUTE


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def open_store(store_url: str | None, clock: VirtualClock) -> Iterator[Callable[[], Store]]:
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
def store(open_store: Callable[[], Store]) -> Store:
    return open_store()


def watched(id: str = "job", **fields: Any) -> Job:
    return make_job(id, **({"expect_every": EVERY} | fields))


def told(*nodes: Node) -> list[tuple[str, timedelta]]:
    """Which jobs were told to be overdue, and when they were to have succeeded, after NOW."""
    return [(one.job.id, one.expected_by - NOW) for node in nodes for one in node.record.of(JobOverdue)]


# what keeps a job from succeeding


def test_a_job_that_runs_but_fails_is_told_of_once_and_when_it_succeeds_again(
    store: Store, clock: VirtualClock
) -> None:
    store.add([watched()])
    node = Node(store)

    def end_all(outcome: Failed | None) -> None:
        while node.executor.running:
            node.executor.end(outcome)

    for minute in range(20):
        advance(clock, MINUTE, node)
        end_all(Failed("no") if 2 <= minute < 15 else None)
    advance(clock, SECOND, node)

    assert told(node) == [("job", 7 * MINUTE)]
    (recovered,) = node.record.of(JobRecovered)
    assert (recovered.job.id, recovered.succeeded_at) == ("job", NOW + 16 * MINUTE)
    assert timedelta(0) <= recovered.overdue_at - (NOW + 7 * MINUTE) < SECOND
    assert node.record.of(JobOverdue)[0].succeeded_at == NOW + 2 * MINUTE
    assert store.expectations(overdue=True) == []


def test_the_log_says_when_it_last_succeeded(caplog: pytest.LogCaptureFixture) -> None:
    with ManualScheduler(start=NOW) as scheduler:
        scheduler.add_job(fail_when_it_is_late, "interval", minutes=1, id="job", expect_every=EVERY)
        scheduler.add_job("tests.deeds:fail", "interval", minutes=1, id="never", expect_every=EVERY)
        scheduler.advance(2 * EVERY)

    said = [one.removeprefix("job ") for one in caplog.messages if "is overdue" in one]
    assert said == [
        "'never' is overdue: it was to succeed by 2026-01-01 00:05:00+00:00, and has not yet",
        "'job' is overdue: it was to succeed by 2026-01-01 00:06:00+00:00, and last did at 2026-01-01 00:01:00+00:00",
    ]


def fail_when_it_is_late(run: RunContext) -> None:
    if run.fire_time > NOW + MINUTE:
        raise OSError("late")


def test_what_is_found_in_the_round_of_a_beat_is_counted_once(store: Store, clock: VirtualClock) -> None:
    store.add([watched(trigger=DateTrigger(NOW), next_fire_time=None)])
    node = Node(store)
    node.tick()
    clock.advance(EVERY)  # by now a beat is due, too

    node.tick()

    assert node.loop.overdue == len(store.expectations(overdue=True)) == 1


def test_a_run_that_does_not_end_is_no_success(store: Store, clock: VirtualClock) -> None:
    store.add([watched()])
    advance(clock, HOUR, node := Node(store))

    assert told(node) == [("job", EVERY)]


def test_a_job_that_no_node_knows_is_told_of(store: Store, clock: VirtualClock) -> None:
    store.add([watched(func="nowhere:to_be_found")])
    advance(clock, HOUR, node := Node(store))

    assert told(node) == [("job", EVERY)]


def test_a_job_whose_node_died_is_told_of_by_a_survivor_and_by_one_node_alone(
    open_store: Callable[[], Store], clock: VirtualClock
) -> None:
    jobs = [watched("other's", executor="special"), watched("ours")]
    stores = [open_store() for _ in range(3)]
    stores[0].add(jobs)
    survivors = [Node(store, name, takes=SECOND) for store, name in zip(stores, "abc", strict=True)]

    advance(clock, HOUR, *survivors)

    assert told(*survivors) == [("other's", EVERY)]


def test_a_job_that_pauses_itself_is_told_of_and_one_that_a_person_paused_is_not(clock: VirtualClock) -> None:
    store = MemoryStore(clock=clock)
    store.add([watched("by itself", pause_after=2), watched("by hand")])
    advance(clock, SECOND, node := Node(store))
    while node.executor.running:
        node.executor.end(Failed("no"))
    BackgroundScheduler(store).pause_job("by hand")
    for _ in range(2):
        advance(clock, MINUTE, node)
        while node.executor.running:
            node.executor.end(Failed("no"))
    advance(clock, HOUR, node)

    assert [job.paused for job in store.jobs()] == [True, True]
    assert told(node) == [("by itself", EVERY)]


def test_a_late_outcome_that_is_dropped_is_no_success(open_store: Callable[[], Store], clock: VirtualClock) -> None:
    frozen, other = Node(open_store(), "frozen"), Node(open_store(), "other")
    frozen.loop.store.add([watched(trigger=DateTrigger(NOW))])
    advance(clock, SECOND, frozen, other)
    advance(clock, MINUTE, other)
    frozen.executor.end()
    advance(clock, EVERY, frozen, other)

    assert [run.state for run in other.loop.store.runs()] == [RunState.LOST]
    assert told(frozen, other) == [("job", EVERY)]
    assert other.loop.store.expectations(overdue=True)[0].succeeded_at is None


def test_what_is_backfilled_is_no_proof_that_today_is_done(store: Store, clock: VirtualClock) -> None:
    """Somebody runs last week after all, at night, while today's fire times fail."""
    since = IntervalTrigger(minutes=1, start_date=NOW - HOUR)
    job = watched(trigger=since, next_fire_time=NOW + MINUTE, last_fire_time=NOW)
    store.add([job])
    store.add_backfill(make_backfill(job, NOW - HOUR, NOW))
    node = Node(store)
    while clock.now() < NOW + 2 * EVERY:
        advance(clock, SECOND, node)
        for call in [*node.executor.running]:
            node.executor.end(None if call.run.backfill else Failed("no"), call=call)

    assert sum(run.state is RunState.SUCCEEDED for run in store.runs(limit=1000)) == 61
    assert told(node) == [("job", EVERY)]
    assert store.expectations()[0].succeeded_at is None


def test_what_somebody_runs_by_hand_is_a_success_and_another_attempt_at_the_past_is_not() -> None:
    run = make_run(watched(), state=RunState.SUCCEEDED, ended_at=NOW)

    counted = {origin: plan.fulfils(run._replace(origin=origin)) for origin in Origin}

    assert counted == {Origin.SCHEDULE: True, Origin.MANUAL: True, Origin.BACKFILL: False}
    assert not plan.fulfils(run._replace(state=RunState.FAILED))


# from when it counts


def test_what_is_resumed_counts_from_then(clock: VirtualClock) -> None:
    scheduler, seen = watching(clock, "nowhere:to_be_found")
    scheduler.pause_job("job")
    scheduler.advance(HOUR)
    scheduler.resume_job("job")
    scheduler.advance(EVERY - SECOND)
    early = [*seen]

    scheduler.advance(SECOND)

    assert early == []
    assert [one.expected_by for one in seen] == [NOW + HOUR + EVERY]


def test_a_pause_ends_what_was_told_and_a_new_silence_is_told_anew(clock: VirtualClock) -> None:
    scheduler, seen = watching(clock, "nowhere:to_be_found")
    scheduler.advance(EVERY)
    overdue = scheduler.get_overdue()
    scheduler.pause_job("job")
    paused = scheduler.get_overdue()
    scheduler.resume_job("job")
    scheduler.advance(EVERY)

    assert [one.overdue_at for one in overdue] == [NOW + EVERY]
    assert paused == []
    assert [one.expected_by - NOW for one in seen] == [EVERY, 2 * EVERY]


def test_another_length_counts_anew_and_none_ends_it(clock: VirtualClock) -> None:
    scheduler, seen = watching(clock, "nowhere:to_be_found")
    scheduler.advance(MINUTE)
    scheduler.modify_job("job", name="renamed")
    scheduler.modify_job("job", expect_every=600)
    scheduler.advance(HOUR)
    scheduler.modify_job("job", expect_every=None)
    scheduler.advance(HOUR)

    assert [one.expected_by - NOW for one in seen] == [11 * MINUTE]
    assert scheduler.get_overdue() == []


def test_a_restart_neither_forgets_nor_repeats(clock: VirtualClock, tmp_path: Path) -> None:
    def run(duration: timedelta) -> list[JobOverdue]:
        store = SQLiteStore(tmp_path / "jobs.db", clock=clock)
        scheduler, seen = watching(clock, "nowhere:to_be_found", store)
        scheduler.advance(duration)
        scheduler.shutdown()
        return seen

    before, across, after = run(MINUTE), run(EVERY), run(HOUR)

    assert [len(seen) for seen in (before, across, after)] == [0, 1, 0]


def test_what_fell_due_while_no_node_was_alive_is_told_by_the_first_that_is(store: Store, clock: VirtualClock) -> None:
    store.add([watched(executor="special")])
    clock.advance(HOUR)
    advance(clock, SECOND, node := Node(store))

    assert told(node) == [("job", EVERY)]


def test_a_success_counts_though_the_store_is_lost_between_its_row_and_what_is_expected(
    store: Store, clock: VirtualClock
) -> None:
    """A store that cannot undo has the row by then."""
    store.add([watched(trigger=DateTrigger(NOW))._replace(next_fire_time=NOW)])
    flaky = FlakyStore(store)
    node = Node(flaky, takes=SECOND)  # type: ignore[arg-type]
    node.tick()
    flaky.verbs, flaky.down = frozenset({"fulfil"}), "before"
    advance(clock, 2 * SECOND, node)
    flaky.down = None

    advance(clock, 2 * SECOND, node)

    (expectation,) = store.expectations()
    assert expectation.succeeded_at == NOW + SECOND
    assert [run.state for run in store.runs()] == [RunState.SUCCEEDED]


def test_a_job_that_has_done_its_work_is_not_expected_to_succeed_again(store: Store, clock: VirtualClock) -> None:
    ends = IntervalTrigger(minutes=1, start_date=NOW, end_date=NOW + 3 * MINUTE)
    store.add([
        watched("once", trigger=DateTrigger(NOW)), watched("ends", trigger=ends),
        watched("ends badly", trigger=ends, executor="special"),
    ])  # fmt: skip
    advance(clock, HOUR, node := Node(store, takes=SECOND))

    assert told(node) == [("ends badly", EVERY)]


def test_one_that_fires_again_after_it_had_ended_is_expected_again(clock: VirtualClock) -> None:
    ended = watched(next_fire_time=None, trigger=DateTrigger(NOW))
    again = ended._replace(next_fire_time=NOW + HOUR)

    assert plan.expect_anew(ended, again, NOW) == Expectation("job", ended.uid, NOW + EVERY)
    assert plan.expect_anew(again, again._replace(next_fire_time=NOW + 2 * HOUR), NOW) is None
    assert plan.expect_anew(again, again._replace(name="renamed", trigger=EVERY_MINUTE), NOW) is None


def test_what_a_success_promises() -> None:
    job = watched()
    run = make_run(job, state=RunState.SUCCEEDED, started_at=NOW, ended_at=NOW + SECOND)

    assert plan.succeeded(job, run) == Expectation("job", job.uid, NOW + SECOND + EVERY, NOW + SECOND)
    assert plan.succeeded(job._replace(next_fire_time=None), run) == Expectation("job", job.uid, None, NOW + SECOND)


# faults


@pytest.mark.parametrize("down", ["before", "after"])
def test_a_fault_of_the_store_neither_swallows_nor_doubles_what_is_told(
    open_store: Callable[[], Store], clock: VirtualClock, down: str
) -> None:
    """The write may have had its effect, and only its reply was lost; the other node finds nothing left to tell."""
    flaky = FlakyStore(open_store())
    flaky.add([watched(executor="special")])
    nodes = [Node(flaky, "a"), Node(open_store(), "b")]  # type: ignore[arg-type]
    advance(clock, EVERY - SECOND, *nodes)
    flaky.down, flaky.verbs = down, frozenset({"find_overdue" if down == "before" else "beat"})  # type: ignore[assignment]
    advance(clock, SECOND, nodes[0])
    clock.advance(3 * SECOND)
    nodes[0].tick()
    flaky.down = None
    advance(clock, MINUTE, *nodes)

    assert told(*nodes) == [("job", EVERY)]


def test_what_was_found_in_a_round_whose_reply_was_lost_is_counted_once(store: Store, clock: VirtualClock) -> None:
    flaky: Any = FlakyStore(store)
    flaky.add([watched(trigger=DateTrigger(NOW), next_fire_time=None)])
    node = Node(flaky)
    node.tick()
    flaky.down, flaky.verbs = "after", frozenset({"commit"})
    clock.advance(EVERY)
    node.tick()
    flaky.down = None
    clock.advance(5 * SECOND)  # by now a beat is due

    node.tick()

    assert told(node) == [("job", EVERY)]
    assert node.loop.overdue == len(store.expectations(overdue=True)) == 1


def test_a_clock_that_is_set_back_keeps_no_job_from_being_found(store: Store, clock: VirtualClock) -> None:
    node = Node(store)
    advance(clock, MINUTE, node)
    clock._now -= HOUR  # what a virtual clock refuses, a real one does
    store.add([watched(trigger=DateTrigger(clock.now()), next_fire_time=None, expect_every=SECOND)])
    clock.advance(2 * SECOND)

    advance(clock, SECOND, node)

    assert [event.job.id for event in node.record.of(JobOverdue)] == ["job"]


def test_a_job_that_was_removed_while_it_fell_overdue_is_not_told_of(clock: VirtualClock) -> None:
    flaky = FlakyStore(store := MemoryStore(clock=clock))
    store.add([watched(executor="special")])
    flaky.between = lambda verb: store.remove() if verb == "find_overdue" and clock.now() >= NOW + EVERY else None  # type: ignore[assignment,return-value]
    advance(clock, HOUR, node := Node(flaky))  # type: ignore[arg-type]

    assert told(node) == []


# what it costs, and bad input


def test_ten_thousand_of_them_are_told_of_within_seconds(store: Store, clock: VirtualClock) -> None:
    store.add([watched(f"job-{number}", executor="special") for number in range(10_000)])
    advance(clock, EVERY + 2 * SECOND, node := Node(store))

    assert len(told(node)) == 10_000


@pytest.mark.parametrize("wrong", [0, -1, 0.5, "1 hr", True, float("nan"), float("inf"), 10**12, [], b"60"])
def test_what_is_no_length(wrong: Any) -> None:
    scheduler = ManualScheduler()

    with pytest.raises(InvalidJobError, match="^expect_every: expected "):
        scheduler.add_job("tests.samples:work", "interval", minutes=1, expect_every=wrong)


def watching(clock: VirtualClock, func: str, store: Store | None = None) -> tuple[ManualScheduler, list[JobOverdue]]:
    """A scheduler with a job that cannot succeed, and what is told of it as it happens."""
    scheduler = ManualScheduler(store, clock=clock)
    seen: list[JobOverdue] = []
    scheduler._listeners.tell = lambda event: seen.append(event) if isinstance(event, JobOverdue) else None  # type: ignore[method-assign]
    scheduler.add_job("tests.samples:work", "interval", minutes=1, id="job", expect_every=EVERY)
    scheduler._declared = {id: job._replace(func=func) for id, job in scheduler._declared.items()}
    scheduler.start()
    atexit.unregister(scheduler._leave)
    return scheduler, seen


def test_a_success_counts_for_the_job_as_it_is_by_then(store: Store, clock: VirtualClock) -> None:
    """It may have got another trigger or another `expect_every` while it ran."""
    store.add([watched(trigger=DateTrigger(NOW), next_fire_time=NOW)])
    node = Node(store)
    advance(clock, SECOND, node)
    again = plan.modify(
        store.get("job"), {"trigger": IntervalTrigger(minutes=1), "expect_every": 2 * MINUTE}, clock.now()
    )
    store.save([again], expected=[one for one in [plan.expect_anew(store.get("job"), again.job, clock.now())] if one])

    node.executor.end()
    advance(clock, SECOND, node)

    (expected,) = store.expectations()
    assert expected.succeeded_at is not None
    assert expected.expect_by == expected.succeeded_at + 2 * MINUTE


@pytest.mark.parametrize(
    ("trigger", "refused"),
    [
        ({"trigger": "interval", "hours": 2}, True),
        ({"trigger": "interval", "hours": 2, "jitter": 600}, True),
        ({"trigger": "interval", "hours": 2, "jitter": 7200}, False),
        ({"trigger": "interval", "hours": 1}, False),
        ({"trigger": "interval", "minutes": 59}, False),
        ({"trigger": "cron", "hour": 3}, True),
        ({"trigger": "cron", "hour": "9-17", "day_of_week": "mon-fri"}, False),
        ({"trigger": "cron", "hour": 3, "minute": "0,30"}, False),
        ({"trigger": "date", "run_date": "2026-03-05T00:00Z"}, False),
        ({"trigger": None}, False),
    ],
)
def test_what_no_run_could_keep_is_refused_and_what_some_can_is_not(trigger: dict[str, Any], refused: bool) -> None:
    scheduler = ManualScheduler(start=datetime(2026, 3, 1, tzinfo=UTC))
    expected = "expect_every: expected no less than the time between two fire times, got 1:00:00, and its trigger, "

    with pytest.raises(InvalidJobError, match=expected) if refused else nullcontext():
        scheduler.add_job(nothing, id="job", expect_every=3600, **trigger)


def test_a_change_after_which_no_run_could_keep_it_is_refused() -> None:
    with ManualScheduler(start=NOW) as scheduler:
        scheduler.add_job(nothing, "interval", hours=1, id="job", expect_every=2 * HOUR)
        before = scheduler.get_job("job")

        with pytest.raises(InvalidJobError, match="expect_every: expected no less than"):
            scheduler.modify_job("job", expect_every=60)
        with pytest.raises(InvalidJobError, match="expect_every: expected no less than"):
            scheduler.modify_job("job", trigger=IntervalTrigger(hours=3))
        with pytest.raises(InvalidJobError, match="expect_every: expected no less than"):
            scheduler.reschedule_job("job", "interval", hours=3)

        assert scheduler.get_job("job") == before
        both = scheduler.modify_job("job", trigger=IntervalTrigger(hours=3), expect_every=4 * HOUR)
        assert both.expect_every == 4 * HOUR
