"""A node prunes by itself, a few rows at a time, and misses nothing over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.nodes import FlakyStore, Node, advance
from tests.samples import HOUR, MINUTE, NOW, SECOND, make_job, make_run, next_version

from tickwork import plan
from tickwork.pruning import FEW_ROWS, JOBS, REST, ROWS, Pruning
from tickwork.retention import Retention
from tickwork.run import RunState
from tickwork.stores import make_store
from tickwork.stores.base import Pruned, Store
from tickwork.stores.memory import MemoryStore
from tickwork.testing import ManualScheduler, VirtualClock
from tickwork.timing import Timing
from tickwork.triggers import DateTrigger, IntervalTrigger

EVERY = Timing().prune
PLENTY = 100_000


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def store(store_url: str | None, clock: VirtualClock) -> Iterator[Store]:
    store = make_store(store_url, clock=clock)
    store.open()
    yield store
    store.close()


class Asked:
    """A store that only notes what is asked of it, and answers what it was told to."""

    def __init__(self, *answers: Pruned) -> None:
        self.answers = [*answers]
        self.questions: list[tuple[int, int]] = []

    def prune(self, keep: Retention, *, after: int, jobs: int, rows: int) -> Pruned:
        assert jobs == JOBS
        self.questions.append((after, rows))
        return self.answers.pop(0)


def start_pruning(store: object, node: str = "a") -> Pruning:
    return Pruning(store, Retention(), node=node, every=EVERY, now=NOW)  # type: ignore[arg-type]


def test_each_node_begins_at_a_moment_of_its_own() -> None:
    begins = {start_pruning(Asked(), node=f"node-{number}").look_at for number in range(50)}

    assert len(begins) == 50
    assert all(NOW <= begin < NOW + EVERY for begin in begins)


def test_a_walk_goes_on_after_a_rest_and_begins_again_at_its_time() -> None:
    store = Asked(Pruned(ROWS, 7), Pruned(0, 99), Pruned(3, None), Pruned(0, None))
    pruning = start_pruning(store)

    looks: list[datetime] = []
    for hurry in (False, True, False, False):
        pruning.step(pruning.look_at, hurry=hurry)
        looks.append(pruning.look_at)

    begin = start_pruning(store).look_at
    assert store.questions == [(-1, ROWS), (7, FEW_ROWS), (99, ROWS), (-1, ROWS)]
    assert looks == [begin + REST, begin + 2 * REST, begin + EVERY, begin + 2 * EVERY]


def test_a_walk_that_took_longer_than_its_time_is_followed_by_the_next() -> None:
    pruning = start_pruning(Asked(Pruned(0, 1), Pruned(0, None)))
    pruning.step(NOW, hurry=False)

    pruning.step(NOW + 2 * EVERY, hurry=False)

    assert pruning.look_at == NOW + 2 * EVERY + REST


def test_a_node_prunes_what_it_has_written_while_the_schedule_goes_on(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(trigger=IntervalTrigger(seconds=10, start_date=NOW), keep=Retention(count=20, age=None))])
    node = Node(store, takes=SECOND)

    advance(clock, HOUR, node)

    assert node.fire_times() == [NOW + number * 10 * SECOND for number in range(361)]
    assert 20 <= len(store.runs(limit=PLENTY)) <= 20 + EVERY // (10 * SECOND) + 1


def test_a_step_is_no_part_of_a_rounds_commit(clock: VirtualClock) -> None:
    steps_in_a_round: list[bool] = []

    class WatchedStore(MemoryStore):
        in_round = False

        @contextmanager
        def together(self) -> Iterator[None]:
            with super().together():
                self.in_round = True
                yield
                self.in_round = False

        def prune(self, keep: Retention, *, after: int, jobs: int, rows: int) -> Pruned:
            steps_in_a_round.append(self.in_round)
            return super().prune(keep, after=after, jobs=jobs, rows=rows)

    store = WatchedStore(clock=clock)
    store.add([make_job(trigger=IntervalTrigger(seconds=10, start_date=NOW))])

    advance(clock, 2 * EVERY, Node(store, takes=SECOND))

    assert steps_in_a_round
    assert not any(steps_in_a_round)


def test_what_is_open_outlives_all_limits(store: Store, clock: VirtualClock) -> None:
    store.add([make_job(keep=Retention(count=1, age=timedelta(0)))])
    node = Node(store)

    advance(clock, 2 * EVERY, node)

    assert [run.fire_time for run in store.runs(states=[RunState.RUNNING])] == [NOW]


def test_what_was_pruned_is_not_fired_again(store: Store, clock: VirtualClock) -> None:
    """Promise 1 without the unique key: a job only moves forward, whether its rows are there or not."""
    store.add([make_job(keep=Retention(count=1, age=timedelta(0)), misfire_grace_time=None)])
    store.add([make_job("once", trigger=DateTrigger(NOW), keep=Retention(age=timedelta(0)))])
    node = Node(store, takes=SECOND)
    advance(clock, 2 * EVERY, node)
    fired = node.fire_times()

    declared = make_job("once", trigger=DateTrigger(NOW), keep=Retention(age=timedelta(0)))
    again = plan.ensure(store.get("once"), declared, clock.now())
    advance(clock, 2 * EVERY, node)

    assert store.runs(job_id="once") == []
    assert again is None
    assert node.fire_times()[: len(fired)] == fired
    assert len({*node.fire_times()}) == len(node.fire_times()) - 1, "NOW is a fire time of both jobs"


def test_an_outage_in_the_middle_of_it_ends_nothing(store: Store, clock: VirtualClock) -> None:
    job = make_job(keep=Retention(count=1, age=None))
    store.add([job])
    store.save([next_version(job, *(
        make_run(job, NOW - number * MINUTE, state=RunState.MISSED, ended_at=NOW) for number in range(1, 9)
    ))])  # fmt: skip
    flaky = FlakyStore(store)
    flaky.down, flaky.verbs = "before", frozenset({"prune"})
    node = Node(flaky, takes=SECOND)  # type: ignore[arg-type]

    advance(clock, 2 * EVERY, node)
    flaky.down = None
    advance(clock, 2 * EVERY, node)

    assert node.fire_times() == [NOW + number * MINUTE for number in range(int(4 * EVERY / MINUTE) + 1)]
    assert len(store.runs(limit=PLENTY)) < 20


def test_while_something_is_due_soon_steps_are_short(clock: VirtualClock) -> None:
    store = MemoryStore(clock=clock)
    starts = [NOW + number * SECOND / 50 for number in range(50)]
    store.add([
        make_job(f"job-{start}", trigger=IntervalTrigger(seconds=1, start_date=start), next_fire_time=start)
        for start in starts
    ])  # fmt: skip
    steps: list[int] = []
    real_prune = store.prune

    def prune(keep: Retention, *, after: int, jobs: int, rows: int) -> Pruned:
        steps.append(rows)
        return real_prune(keep, after=after, jobs=jobs, rows=rows)

    store.prune = prune  # type: ignore[method-assign]
    node = Node(store, takes=SECOND / 100, prune=SECOND)

    advance(clock, 3 * SECOND, node)

    assert {*steps} == {FEW_ROWS}


def test_a_manual_scheduler_keeps_all_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    found = []
    for keep in ({}, {"keep": Retention(age=timedelta(days=7))}):
        scheduler = ManualScheduler(start=NOW, **keep)  # type: ignore[arg-type]
        scheduler.add_job("tests.samples:work", "interval", hours=6, id="job")
        scheduler.start()
        scheduler.advance(timedelta(days=60))
        found.append(len(scheduler.get_runs("job", limit=1_000)))
        scheduler.shutdown()

    assert found == [240, 29]


def test_pruning_by_hand_takes_all_at_once(tmp_path: Path) -> None:
    scheduler = ManualScheduler(f"sqlite:///{tmp_path}/jobs.db", start=NOW)
    for number in range(120):
        scheduler.add_job("tests.samples:work", "interval", minutes=10, id=f"job-{number}")
    scheduler.start()
    scheduler.advance(2 * HOUR)

    deleted = scheduler.prune(Retention(count=2)), scheduler.prune(Retention(count=2)), scheduler.prune()

    assert deleted == (120 * 10, 0, 0)
    scheduler.shutdown()


def test_a_one_off_without_an_id_of_its_own_goes_with_its_row_and_others_stay(tmp_path: Path) -> None:
    scheduler = ManualScheduler(f"sqlite:///{tmp_path}/jobs.db", start=NOW)
    scheduler.add_job("tests.samples:work", "date", run_date=NOW, id="declared")
    scheduler.start()
    scheduler.add_job("tests.samples:work", "date", run_date=NOW, id="named")
    made_up = scheduler.add_job("tests.samples:work", "date", run_date=NOW)
    scheduler.advance(HOUR)

    scheduler.prune(Retention(age=MINUTE))

    assert scheduler.get_runs() == []
    assert [job.id for job in scheduler.get_jobs()] == ["declared", "named"]
    assert made_up.id not in ("declared", "named")
    scheduler.shutdown()
    again = ManualScheduler(f"sqlite:///{tmp_path}/jobs.db", start=NOW + 2 * HOUR)
    again.add_job("tests.samples:work", "date", run_date=NOW, id="declared")
    again.start()
    again.advance(HOUR)
    assert again.get_runs() == [], "a declared date that was fired is not fired again, though its row was pruned"
    again.shutdown()
