"""Jobs that are gone from the code are retired, and nothing that a living node declares ever is; on every store.

Each worker is a whole scheduler, driven by hand; one that is not driven any more was killed, or stands still.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import cycle, islice
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.nodes import FlakyStore
from tests.samples import HOUR, MINUTE, NOW, SECOND, make_job

from tickwork import BackgroundScheduler, InvalidJobError, Verdict, plan
from tickwork.cli.words import say_state
from tickwork.declaration import app_of, declaration_of
from tickwork.events import JobOverdue
from tickwork.job import Job
from tickwork.presence import JUDGE_EVERY
from tickwork.retention import Retention
from tickwork.run import RunState
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.stores.memory import MemoryStore
from tickwork.stores.sqlite import SQLiteStore
from tickwork.testing import ManualScheduler, VirtualClock
from tickwork.timing import Timing

LEASE = 10 * SECOND
OTHER_APP = "json:dumps"
"""A function of another package."""
MakeWorker = Callable[..., ManualScheduler]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def make_worker(store_url: str | None, clock: VirtualClock) -> Iterator[MakeWorker]:
    """Starts a worker whose code declares these jobs, every one of them each minute."""
    memory = MemoryStore(clock=clock)
    made: list[ManualScheduler] = []

    def make_worker(
        *ids: str, func: str = "tests.samples:work", app: str | None = None,
        behind: Callable[[Store], Any] = lambda store: store, **policies: Any,
    ) -> ManualScheduler:  # fmt: skip
        store = behind(memory if store_url is None else make_store(store_url, clock=clock))
        worker = ManualScheduler(store, clock=clock)
        worker._timing, worker._app = Timing(lease=LEASE, rest=timedelta(0), short_rest=timedelta(0)), app
        for id in ids:
            worker.add_job("tests.samples:work", "interval", minutes=1, start_date=NOW, id=id, **policies)
            if func != "tests.samples:work":
                worker._declared[id] = worker._declared[id]._replace(func=func, declared=app or app_of(func))
        worker.start()
        made.append(worker)
        return worker

    yield make_worker
    for worker in made:
        leave_alone(worker)


def drive(clock: VirtualClock, duration: timedelta, *workers: ManualScheduler) -> None:
    until = clock.now() + duration
    while clock.now() < until:
        clock.advance(SECOND)
        for worker in workers:
            worker.run_due()


def leave_alone(worker: ManualScheduler) -> None:
    """As if its process had been killed: it does not even hand over at the end of the tests."""
    atexit.unregister(worker._leave)
    worker._store.close()


def retired(worker: ManualScheduler) -> list[str]:
    return sorted(job.id for job in worker.get_jobs() if job.retired_at is not None)


def job_of(worker: ManualScheduler, id: str) -> Job:
    job = worker.get_job(id)
    assert job is not None
    return job


# what is gone is retired


def test_a_job_that_is_gone_from_the_code_is_retired_by_the_next_deploy(
    make_worker: MakeWorker, clock: VirtualClock
) -> None:
    old = make_worker("kept", "gone")
    drive(clock, MINUTE, old)
    old.shutdown()
    kept = job_of(old, "kept")
    new = make_worker("kept")
    drive(clock, SECOND, new)
    ran = len(new.get_runs("gone"))
    drive(clock, HOUR, new)

    gone = job_of(new, "gone")
    assert (retired(new), gone.retired_at, gone.paused) == (["gone"], NOW + MINUTE + SECOND, True)
    assert gone.pause_reason == plan.RETIRED
    assert ran == len(new.get_runs("gone")) == 1, "its ledger is kept, and it does not fire"
    assert job_of(new, "kept").revision == kept.revision, "an unchanged definition is not touched"
    assert len(new.get_runs("kept")) == 61


@pytest.mark.parametrize("killed", [False, True])
def test_in_a_rolling_deploy_it_is_retired_when_the_last_node_is_gone_that_declares_it(
    make_worker: MakeWorker, clock: VirtualClock, killed: bool
) -> None:
    first, second = [make_worker("kept", "gone") for _ in range(2)]
    drive(clock, MINUTE, first, second)
    new = make_worker("kept", "new")
    drive(clock, MINUTE, first, second, new)
    first.shutdown()
    drive(clock, MINUTE, second, new)
    during = retired(new)
    if not killed:
        second.shutdown()
    drive(clock, LEASE / 2, new)
    soon = retired(new)
    drive(clock, LEASE, new)

    assert during == []
    assert soon == ([] if killed else ["gone"])
    assert retired(new) == ["gone"]


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_round_that_is_undone_delays_no_retirement_and_is_not_logged(
    make_worker: MakeWorker, clock: VirtualClock, fails: Literal["before", "after"], caplog: pytest.LogCaptureFixture
) -> None:
    """What a beat found and did counts once its commit is done; until then each round looks anew."""
    stores: list[FlakyStore] = []

    def flaky(store: Store) -> FlakyStore:
        stores.append(FlakyStore(store))
        return stores[-1]

    old, new = make_worker("kept", "gone"), make_worker("kept", behind=flaky)
    drive(clock, MINUTE, old, new)
    drive(clock, LEASE / 2, new)
    stores[0].down, stores[0].verbs = fails, frozenset({"commit"})
    drive(clock, LEASE, new)
    logged = "is retired" in caplog.text
    stores[0].down = None
    drive(clock, 5 * SECOND, new)

    assert not logged
    assert retired(new) == ["gone"]


@pytest.mark.parametrize("killed", [False, True])
def test_behind_a_rolling_deploy_jobs_are_as_the_code_that_is_left_declares_them(
    make_worker: MakeWorker, clock: VirtualClock, killed: bool
) -> None:
    """Though a worker of the old code was started again in its middle, and took them back to what it declares."""
    old = make_worker("changed", "same", expect_every=HOUR)
    new = make_worker("changed", expect_every=3 * HOUR)
    same = job_of(new, "same")
    again = make_worker("changed", "same", expect_every=HOUR)
    drive(clock, MINUTE, old, new, again)
    old.shutdown()
    drive(clock, LEASE, new, again)
    during = job_of(new, "changed").expect_every
    if not killed:
        again.shutdown()
    drive(clock, 2 * LEASE, new)

    assert during == HOUR
    assert job_of(new, "changed").expect_every == 3 * HOUR
    expect_by = new._store.expectations()[0].expect_by
    assert expect_by is not None
    assert expect_by > NOW + 3 * HOUR, "what is expected counts by it, too"
    assert job_of(new, "same").revision == same.revision + 1, "which is retired, and was not touched before"


def test_what_a_person_changed_stays_while_nodes_of_the_same_code_come_and_go(
    make_worker: MakeWorker, clock: VirtualClock
) -> None:
    first, second = make_worker("job"), make_worker("job")
    drive(clock, MINUTE, first, second)
    first.modify_job("job", max_instances=7)
    second.shutdown()
    drive(clock, MINUTE, first)

    assert job_of(first, "job").max_instances == 7


def test_a_rollback_brings_it_back_as_after_a_downtime(make_worker: MakeWorker, clock: VirtualClock) -> None:
    old = make_worker("kept", "coalesced", "caught up", coalesce=True)
    old.modify_job("caught up", coalesce=False)
    drive(clock, MINUTE, old)
    old.shutdown()
    new = make_worker("kept")
    drive(clock, 5 * MINUTE, new)
    new.shutdown()
    again = make_worker("kept", "coalesced")
    again.add_job("tests.samples:work", "interval", minutes=1, start_date=NOW, id="later", coalesce=False)
    drive(clock, SECOND, again)

    runs = [(run.state, run.fire_time, run.through) for run in again.get_runs("coalesced")]
    assert retired(again) == ["caught up"]
    assert runs[:2] == [
        (RunState.SUCCEEDED, NOW + 6 * MINUTE, None), (RunState.SKIPPED, NOW + 2 * MINUTE, NOW + 5 * MINUTE),
    ]  # fmt: skip
    assert job_of(again, "coalesced").paused_at is None


def test_nothing_is_lost_of_one_that_makes_up_for_what_it_missed(make_worker: MakeWorker, clock: VirtualClock) -> None:
    old = make_worker("kept", "job", coalesce=False)
    drive(clock, MINUTE, old)
    old.shutdown()
    drive(clock, 5 * MINUTE, between := make_worker("kept", coalesce=False))
    between.shutdown()
    again = make_worker("kept", "job", coalesce=False)
    drive(clock, MINUTE, again)

    fire_times = sorted(run.fire_time for run in again.get_runs("job"))
    assert fire_times == [NOW + minutes * MINUTE for minutes in range(1, 8)]
    assert {run.state for run in again.get_runs("job")} == {RunState.SUCCEEDED}


def test_code_that_declares_nothing_more_retires_all_of_its_app_if_that_has_a_name(
    make_worker: MakeWorker, clock: VirtualClock
) -> None:
    make_worker("named", app="shop").shutdown()
    make_worker("unnamed").shutdown()
    nameless = make_worker()
    drive(clock, MINUTE, nameless)
    before = retired(nameless)
    drive(clock, SECOND, make_worker(app="shop"))

    assert before == []
    assert retired(nameless) == ["named"]


# what must not be retired


def test_two_apps_on_one_store_leave_each_other_alone(make_worker: MakeWorker, clock: VirtualClock) -> None:
    """Whether they are alive or not, by the packages of their functions or by the names that they give themselves."""
    make_worker("theirs", func=OTHER_APP).shutdown()
    make_worker("named", app="other").shutdown()
    ours = make_worker("ours")
    drive(clock, HOUR, ours)

    assert retired(ours) == []


def test_tenants_that_declare_ids_of_their_own_from_one_module(make_worker: MakeWorker, clock: VirtualClock) -> None:
    """One that died is taken for a version of the code that is gone, and loses nothing by it; with names it is not."""
    first, second = make_worker("sync-1", coalesce=False), make_worker("sync-2", coalesce=False)
    named = [make_worker(f"named-{number}", app=f"tenant-{number}") for number in (1, 2)]
    drive(clock, 2 * MINUTE, first, second, *named)
    together = retired(first)
    drive(clock, 2 * MINUTE, first, named[0])
    alone = retired(first)
    again = make_worker("sync-2", coalesce=False)
    drive(clock, 2 * MINUTE, first, again, named[0])

    assert together == []
    assert alone == ["sync-2"]
    assert retired(first) == []
    assert sorted(run.fire_time for run in again.get_runs("sync-2")) == [NOW + n * MINUTE for n in range(1, 7)]


def test_a_worker_that_crashes_and_is_started_again(make_worker: MakeWorker, clock: VirtualClock) -> None:
    workers = [make_worker("a", "b") for _ in range(2)]
    for _ in range(3):
        drive(clock, MINUTE, *workers)
        workers = [workers[1]]
        drive(clock, 2 * LEASE, *workers)
        drive(clock, 2 * LEASE)
        workers = [make_worker("a", "b"), make_worker("a", "b")]
        assert retired(workers[0]) == []

    assert job_of(workers[0], "a").revision == 1


def test_a_node_that_was_taken_for_dead_brings_its_jobs_back_by_itself(
    make_worker: MakeWorker, clock: VirtualClock
) -> None:
    frozen, other = make_worker("kept", "ours"), make_worker("kept")
    drive(clock, MINUTE, frozen, other)
    drive(clock, MINUTE, other)
    meanwhile = retired(other)
    other.prune(Retention(age=timedelta(0), count=None))
    drive(clock, MINUTE, frozen, other)
    back = retired(other)
    make_worker("kept", "another").shutdown()
    drive(clock, 2 * MINUTE, frozen, other)

    assert meanwhile == ["ours"]
    assert back == []
    assert retired(other) == ["another"], "what it declares is known again, too"
    assert other.get_runs("ours")[0].fire_time == NOW + 5 * MINUTE


def test_what_was_added_at_run_time_and_what_has_ended_is_left_alone(
    make_worker: MakeWorker, clock: VirtualClock
) -> None:
    old = make_worker("kept")
    old.add_job("tests.samples:work", "interval", minutes=1, id="by a user")
    old.add_job("tests.samples:work", "date", run_date=NOW + SECOND, id="at run time")
    drive(clock, MINUTE, old)
    old.shutdown()
    once = make_worker("kept")
    once.shutdown()
    once.add_job("tests.samples:work", "date", run_date=NOW + SECOND, id="declared, and over")
    once.start()
    drive(clock, SECOND, once)
    once.shutdown()
    drive(clock, MINUTE, new := make_worker("kept"))

    assert retired(new) == []
    assert job_of(new, "declared, and over").ended


@settings(
    max_examples=40, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.differing_executors],
)  # fmt: skip
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["start", "stop", "kill", "thaw", "wait"]), st.integers(0, 9),
            st.sets(st.sampled_from("abc"), min_size=1),
        ),
        max_size=25,
    )
)  # fmt: skip
@example(
    deeds=[("start", 0, {"a"}), ("start", 0, {"a", "b"}), ("stop", 1, {"a"})]
)  # it came and went between two beats
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_whatever_happens_no_job_is_retired_that_a_living_node_declares_and_every_other_is(
    kind: str, tmp_path_factory: pytest.TempPathFactory, deeds: Sequence[tuple[str, int, set[str]]]
) -> None:
    """Nodes of three versions of the code start, stop, are killed or frozen, and come back, in any order."""
    clock = VirtualClock(NOW)
    memory, path = MemoryStore(clock=clock), tmp_path_factory.mktemp("any") / "jobs.db"
    driven: list[ManualScheduler] = []
    frozen: list[ManualScheduler] = []

    def start(ids: set[str]) -> None:
        worker = ManualScheduler(memory if kind == "memory" else SQLiteStore(path, clock=clock), clock=clock)
        worker._timing, worker._app = Timing(lease=LEASE, rest=timedelta(0), short_rest=timedelta(0)), "app"
        for id in sorted(ids):
            worker.add_job("tests.samples:work", "interval", minutes=1, start_date=NOW, id=id)
        worker.start()
        driven.append(worker)

    def check(*, settled: bool) -> None:
        store = memory if kind == "memory" else SQLiteStore(path, clock=clock)
        store.open()
        alive = {node.id for node in store.nodes(alive=True)}
        known = [worker for worker in (*driven, *frozen) if worker.health().node in alive]
        declared = {id for worker in known for id in worker._declared}
        gone = {job.id for job in store.jobs() if job.retired_at is not None}
        assert not gone & {id for worker in driven for id in worker._declared}
        if settled and driven:
            assert gone == {job.id for job in store.jobs()} - declared
        store.close()

    for deed, number, ids in deeds:
        match deed:
            case "start":
                start(ids)
            case "stop" if driven:
                driven.pop(number % len(driven)).shutdown()
            case "kill" if driven:
                frozen.append(driven.pop(number % len(driven)))
            case "thaw" if frozen:
                driven.append(frozen.pop(number % len(frozen)))
                driven[-1].run_due()
            case _:
                drive(clock, number * SECOND, *driven)
        check(settled=False)
    drive(clock, 3 * LEASE + JUDGE_EVERY, *driven)
    check(settled=True)
    for worker in (*driven, *frozen):
        leave_alone(worker)


@pytest.mark.parametrize("store_url", ["sqlite", "postgresql", "redis"], indirect=True)
def test_nodes_that_start_and_stop_at_the_same_time_on_one_store(store_url: str) -> None:
    """Real threads: what a living node declares is not retired by one that looks while it starts."""

    def live(ids: Sequence[str]) -> list[str]:
        scheduler = BackgroundScheduler(store_url, lease=timedelta(seconds=10))
        for id in ids:
            scheduler.add_job("tests.samples:work", "interval", hours=1, id=id)
        scheduler.start()
        wrong = [job.id for _ in range(5) for job in scheduler.get_jobs() if job.id in ids and job.retired_at]
        scheduler.shutdown()
        return wrong

    versions = [["a", "b"], ["b", "c"], ["a", "c"], ["a"], ["c"]]
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(live, islice(cycle(versions), 40))]

    assert [*filter(None, found)] == []


# what people see and do


def test_a_person_may_resume_it_and_it_goes_on_without_its_code(make_worker: MakeWorker, clock: VirtualClock) -> None:
    make_worker("kept", "gone").shutdown()
    new = make_worker("kept")
    drive(clock, 3 * MINUTE, new)
    new.resume_job("gone")
    drive(clock, 3 * MINUTE, new)
    new.shutdown()
    drive(clock, MINUTE, newer := make_worker("kept"))

    assert retired(newer) == []
    assert job_of(newer, "gone").declared is None
    states = [(run.state, run.fire_time) for run in newer.get_runs("gone", limit=3)]
    assert states[0] == (RunState.SUCCEEDED, NOW + 7 * MINUTE)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_pause_of_a_person_outlives_both(make_worker: MakeWorker, clock: VirtualClock, before: bool) -> None:
    old = make_worker("kept", "gone")
    if before:
        old.pause_job("gone", reason="the source moves")
    old.shutdown()
    new = make_worker("kept")
    drive(clock, MINUTE, new)
    if not before:
        new.pause_job("gone", reason="the source moves")
    new.shutdown()
    gone = retired(new)
    again = make_worker("kept", "gone")

    assert gone == ["gone"]
    job = job_of(again, "gone")
    assert (job.retired_at, job.paused, job.pause_reason) == (None, True, "the source moves")


def test_one_that_is_retired_and_expected_is_overdue_until_it_succeeds_again(
    make_worker: MakeWorker, clock: VirtualClock
) -> None:
    make_worker("kept", "gone", expect_every=5 * MINUTE).shutdown()
    new = make_worker("kept")
    told: list[JobOverdue] = []
    new._listeners.tell = lambda event: told.append(event) if isinstance(event, JobOverdue) else None  # type: ignore[method-assign]
    drive(clock, HOUR, new)
    overdue = [one.job_id for one in new.get_overdue()]
    again = make_worker("kept", "gone", expect_every=5 * MINUTE)
    still = [one.job_id for one in again.get_overdue()]
    drive(clock, MINUTE, again)

    assert [event.job.id for event in told] == ["gone"]
    assert overdue == still == ["gone"]
    assert again.get_overdue() == []


def test_one_that_is_retired_and_paused_by_a_person_is_expected_no_more(
    make_worker: MakeWorker, clock: VirtualClock
) -> None:
    make_worker("kept", "gone", expect_every=5 * MINUTE).shutdown()
    new = make_worker("kept")
    drive(clock, 10 * MINUTE, new)
    before = [one.job_id for one in new.get_overdue()]
    new.pause_job("gone")

    assert (before, new.get_overdue()) == (["gone"], [])


def test_why_says_that_it_is_retired(make_worker: MakeWorker, clock: VirtualClock) -> None:
    make_worker("kept", "gone").shutdown()
    drive(clock, 2 * MINUTE, new := make_worker("kept"))

    answer = new.why("gone", NOW + MINUTE)

    assert answer.verdict is Verdict.RETIRED
    assert answer.sentence.startswith(
        "the job is retired since 2026-01-01 00:00:01 UTC: no running code declares it; if some does again, "
    )


def test_who_declares_a_job_is_not_for_users_to_say(make_worker: MakeWorker) -> None:
    with pytest.raises(InvalidJobError, match="modify_job: expected one of .*, got 'declared'"):
        make_worker("job").modify_job("job", declared="another")


def test_lists_show_it_as_retired(make_worker: MakeWorker) -> None:
    make_worker("kept", "gone").shutdown()
    (new := make_worker("kept")).run_due()

    assert [say_state(job_of(new, id)) for id in ("kept", "gone")] == ["scheduled", "retired"]


def test_a_changed_definition_comes_back_as_it_is_declared_now(make_worker: MakeWorker, clock: VirtualClock) -> None:
    make_worker("kept", "job").shutdown()
    drive(clock, MINUTE, between := make_worker("kept"))
    between.shutdown()

    again = make_worker("kept", "job", max_instances=7)

    assert (job_of(again, "job").max_instances, retired(again)) == (7, [])


# the parts


def test_retiring_and_coming_back_leave_a_job_as_it_was() -> None:
    job = make_job(declared="app", next_fire_time=NOW + HOUR)

    back = plan.come_back(plan.retire(job, NOW).job).job

    assert back == job._replace(version=job.version + 2, revision=job.revision + 2)


def test_the_application_of_a_function_is_its_package_or_module() -> None:
    assert [app_of(func) for func in ("app.jobs:refresh", "shop:Cart.clean", "__main__:work")] == [
        "app",
        "shop",
        "__main__",
    ]


def test_what_declares_the_same_has_the_same_name() -> None:
    jobs = [make_job(id, declared="app") for id in "abc"]

    names = {declaration_of(some, None).name for some in (jobs, jobs[::-1])}

    assert len(names) == 1
    assert declaration_of(jobs, "shop").apps == {"shop"}
    assert declaration_of(jobs[:2], None).name not in names
    assert declaration_of([*jobs[:2], jobs[2]._replace(max_instances=2)], None).name not in names
    assert declaration_of([], None).name == ""
    assert declaration_of([], "shop").name != ""


@pytest.mark.parametrize("wrong", ["", "two\nlines", 7, b"app", ["app"], "x" * 201, "\ud800"])
def test_what_is_no_name_of_an_app(wrong: Any) -> None:
    with pytest.raises(InvalidJobError, match="^app: expected "):
        BackgroundScheduler(app=wrong)


def test_declarations_are_forgotten_with_the_last_node_that_names_them(
    make_worker: MakeWorker, clock: VirtualClock
) -> None:
    make_worker("old").shutdown()
    clock.advance(HOUR)
    worker = make_worker("new")
    store: Store = worker._opened_store()
    before = [job.id for job in store.undeclared(["tests"])]
    worker.prune()

    assert before == [job.id for job in store.undeclared(["tests"])] == ["old"]
    assert store.undeclared([]) == store.undeclared(["another"]) == []
    store.declare(declaration_of([make_job("old")], "tests"))
    assert [job.id for job in store.undeclared(["tests"])] == ["old"], "no living node names it"
