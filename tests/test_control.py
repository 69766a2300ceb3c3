"""What people ask of jobs and runs: by the production loop under the virtual clock, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.nodes import Node, advance
from tests.samples import NOW, held_run, make_backfill, make_hold, make_job, next_version

from tickwork import (
    Backfill,
    BackfillEndedError,
    BackfillNotFoundError,
    BackgroundScheduler,
    FunctionReferenceError,
    IntervalTrigger,
    InvalidJobError,
    Job,
    JobNotFoundError,
    Retention,
    Retry,
    RetryRefusedError,
    RunNotFoundError,
    RunState,
    plan,
)
from tickwork.backfill import MAX_OPEN_BACKFILLS
from tickwork.codec import UnreadableTrigger
from tickwork.executors.asyncio import invoke_async
from tickwork.executors.call import Call, invoke
from tickwork.plan import Change
from tickwork.refs import find_function
from tickwork.run import Failed, Given, Origin, Run, Succeeded
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.testing import ManualScheduler, VirtualClock

MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

seen: list[Any] = []
"""What the jobs of this file were called with."""
broken: set[str] = set()
"""What keeps them from succeeding."""


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()
    broken.clear()


@pytest.fixture
def scheduler(store_url: str | None) -> Iterator[ManualScheduler]:
    scheduler = ManualScheduler(store_url, start=NOW, timezone="UTC")
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def crawl(folder: str, day: date | None = None, *, deep: bool = False) -> None:
    seen.append((folder, day, deep))
    if broken:
        raise OSError(", ".join(broken))


def states(runs: Any) -> list[str]:
    return [run.state.value for run in runs]


# run now, with other arguments


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({}, ("a", None, True)),
        ({"args": ["b"]}, ("b", None, True)),
        ({"kwargs": {"day": date(2026, 3, 1)}}, ("a", date(2026, 3, 1), False)),
        ({"kwargs": {"day": "2026-03-01"}}, ("a", date(2026, 3, 1), False)),
        ({"args": (), "kwargs": {"folder": "c"}}, ("c", None, False)),
    ],
)
def test_what_a_run_is_given_takes_the_place_of_what_its_job_keeps(
    scheduler: ManualScheduler, options: dict[str, Any], received: tuple[Any, ...]
) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"], kwargs={"deep": True})

    run = scheduler.run_job_now("crawl", **options)
    scheduler.run_due()

    assert seen == [received]
    assert scheduler.get_run(run.id).state is RunState.SUCCEEDED
    scheduler.advance(HOUR)
    assert seen[1:] == [("a", None, True)], "the schedule goes on with the job's own"


def test_what_a_run_is_given_is_kept_as_plain_json(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])

    run = scheduler.run_job_now("crawl", kwargs={"day": date(2026, 3, 1)})

    assert run.given == Given(("a",), {"day": "2026-03-01"})
    assert scheduler.get_run(run.id) == run


def test_the_retries_of_a_run_are_given_the_same(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"], retry=Retry(max_attempts=2, delay=60))
    broken.add("no network")

    scheduler.run_job_now("crawl", args=["b"])
    scheduler.advance(MINUTE)

    assert seen == [("b", None, False), ("b", None, False)]


def test_what_a_run_is_given_survives_a_restart(tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path}/jobs.db", VirtualClock(NOW)
    first = ManualScheduler(url, clock=clock)
    first.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    first.start()
    first.run_job_now("crawl", args=["b"])
    first.shutdown()

    second = ManualScheduler(url, clock=clock)
    second.start()
    second.run_due()
    second.shutdown()

    assert seen == [("b", None, False)]


def test_a_run_of_its_own_arguments_leaves_the_jobs_unchecked(scheduler: ManualScheduler) -> None:
    """That the arguments of one run fit says nothing of those of its job, nor the reverse."""
    job = scheduler.add_job(take, "interval", hours=1, id="take", kwargs={"number": 1})
    scheduler.advance(HOUR)  # the job's own are known to fit
    scheduler._store.save([plan_of(scheduler.get_job(job.id), "text")])

    scheduler.run_job_now("take")
    scheduler.run_due()

    (run,) = scheduler.get_runs("take", states=[RunState.FAILED])
    assert run.reason is not None
    assert run.reason.startswith("InvalidJobError: argument 'number' of take: expected int, got 'text'")
    assert seen == [1, 1]


def take(number: int) -> None:
    seen.append(number)


def plan_of(job: Any, number: Any) -> Any:
    """A run with arguments that no verb would let pass, as a program of another version may have written it."""
    return plan.run_now(job, NOW + MINUTE, None, Given((), {"number": number}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"args": "b"}, "args: expected a list or tuple, got 'b'"),
        ({"args": 7}, "args: expected a list or tuple, got 7"),
        ({"args": ["b", "c", "d"]}, "argument 'day' of crawl: expected"),
        ({"kwargs": ["b"]}, r"kwargs: expected a dict, got \['b'\]"),
        ({"kwargs": {"depp": True}}, "args, kwargs: expected what crawl.* takes, got"),
        ({"args": [7]}, "argument 'folder' of crawl: expected str, got 7"),
        ({"kwargs": {"day": "someday"}}, "argument 'day' of crawl: expected"),
        ({"args": ["\ud800"]}, "expected text that can be written as UTF-8"),
        ({"args": ["x" * 300_000]}, "args: expected at most 262144 characters of JSON"),
        ({"kwargs": {"deep": float("nan")}}, "deep"),
        ({"kwargs": {7: 7}}, "7"),
    ],
)
def test_arguments_that_the_function_cannot_take_are_refused_at_once(
    scheduler: ManualScheduler, options: dict[str, Any], message: str
) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])

    with pytest.raises(InvalidJobError, match=message):
        scheduler.run_job_now("crawl", **options)

    assert scheduler.get_runs() == []


def test_where_the_function_is_not_known_its_arguments_cannot_be_checked(scheduler: ManualScheduler) -> None:
    job = scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    changed = job._replace(func="elsewhere:crawl", version=2, revision=2)
    scheduler._store.save([Change(changed)])

    assert scheduler.run_job_now("crawl").state is RunState.PENDING
    with pytest.raises(FunctionReferenceError):
        scheduler.run_job_now("crawl", args=["b"])


# retry of a closed run


def latest(scheduler: ManualScheduler, job_id: str = "crawl") -> Run:
    return scheduler.get_runs(job_id, limit=1)[0]


def test_a_failed_run_is_tried_again_with_all_its_retries(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"], retry=Retry(max_attempts=3))
    broken.add("no network")
    scheduler.advance(HOUR)
    assert [run.attempt for run in scheduler.get_runs("crawl")] == [3, 2, 1]

    fourth = scheduler.retry_run(latest(scheduler).id, by="alice")
    scheduler.run_due()

    runs = scheduler.get_runs("crawl")
    assert [(run.attempt, run.tries, run.asked_by) for run in runs[:3]] == [
        (6, 3, "alice"),
        (5, 2, "alice"),
        (4, 1, "alice"),
    ]
    assert {run.fire_time for run in runs} == {fourth.fire_time} == {NOW + HOUR}
    assert len(seen) == 6
    broken.clear()
    scheduler.retry_run(runs[0].id)
    scheduler.run_due()
    answer = scheduler.why("crawl", NOW + HOUR)
    assert answer.verdict.value == "succeeded"
    assert answer.sentence.startswith("attempt 7, asked for by hand, ran on node")
    assert len(answer.runs) == 7


def test_a_run_is_tried_again_with_what_it_was_given(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    broken.add("no network")
    run = scheduler.run_job_now("crawl", args=["b"])
    scheduler.run_due()
    broken.clear()

    again = scheduler.retry_run(run.id)
    scheduler.run_due()

    assert seen == [("b", None, False)] * 2
    assert (again.origin, again.key) == (run.origin, run.key)
    assert scheduler.get_run(again.id).state is RunState.SUCCEEDED
    assert scheduler.get_run(run.id).state is RunState.FAILED


def test_what_never_began_can_be_run_after_all(scheduler: ManualScheduler) -> None:
    """Missed, skipped, cancelled: each row stays, and the attempt after it runs, also of a paused job."""
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    scheduler.pause_job("crawl", by="alice")
    scheduler.advance(HOUR)
    scheduler.resume_job("crawl")
    skipped = latest(scheduler)
    scheduler.pause_job("crawl")
    cancelled = scheduler.cancel_run(scheduler.run_job_now("crawl").id)

    scheduler.retry_run(skipped.id)
    scheduler.retry_run(cancelled.id)
    scheduler.run_due()

    assert states(scheduler.get_runs("crawl")).count("succeeded") == 2
    assert [scheduler.get_run(run.id).state for run in (skipped, cancelled)] == [RunState.SKIPPED, RunState.CANCELLED]
    assert scheduler.why("crawl", NOW + HOUR).verdict.value == "succeeded"


def test_the_retries_of_what_someone_asked_for_begin_although_the_job_is_paused(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"], retry=Retry(2, delay=60))
    broken.add("no network")
    scheduler.advance(HOUR + MINUTE)
    scheduler.pause_job("crawl")

    scheduler.retry_run(latest(scheduler).id)
    scheduler.advance(MINUTE)

    assert [run.attempt for run in scheduler.get_runs("crawl", states=[RunState.FAILED])] == [4, 3, 2, 1]


def test_a_run_is_tried_again_once_however_often_someone_asks(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    broken.add("no network")
    scheduler.advance(HOUR)
    run = latest(scheduler)

    again = scheduler.retry_run(run.id)

    with pytest.raises(RetryRefusedError, match=f"got {run.id}, which attempt 2 follows: it is pending"):
        scheduler.retry_run(run.id)
    with pytest.raises(RetryRefusedError, match=f"got {again.id}, which is pending: wait for its end, or cancel it"):
        scheduler.retry_run(again.id)
    scheduler.run_due()
    with pytest.raises(RetryRefusedError, match=f"retry {again.id}"):
        scheduler.retry_run(run.id)


def test_what_succeeded_is_run_again_only_on_purpose(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    scheduler.advance(HOUR)
    run = latest(scheduler)

    with pytest.raises(RetryRefusedError, match="pass even_if_succeeded=True"):
        scheduler.retry_run(run.id)

    assert scheduler.retry_run(run.id, even_if_succeeded=True).attempt == 2


def test_a_job_that_was_removed_or_added_anew_runs_no_old_run(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    broken.add("no network")
    scheduler.advance(HOUR)
    run = latest(scheduler)
    scheduler.remove_job("crawl")

    for _ in range(2):
        with pytest.raises(RetryRefusedError, match=f"got {run.id} of 'crawl', which was removed: add the job again"):
            scheduler.retry_run(run.id)
        scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"], replace_existing=True)


@pytest.mark.parametrize("run_id", ["", "nobody", "7-1-1", "x" * 10_000])
def test_a_run_that_never_was_is_not_tried_again(scheduler: ManualScheduler, run_id: str) -> None:
    with pytest.raises(RunNotFoundError):
        scheduler.retry_run(run_id)


def test_an_attempt_that_someone_asked_for_waits_for_room(scheduler: ManualScheduler) -> None:
    """It counts as any attempt does: with one instance at most, the fire time that comes meanwhile is skipped."""
    job = scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    broken.add("no network")
    scheduler.advance(HOUR)
    waiting = plan.retry(scheduler.get_job("crawl"), latest(scheduler), None, NOW + HOUR).runs[0]

    change = plan.fire(job._replace(next_fire_time=NOW + 2 * HOUR), [waiting], NOW + 2 * HOUR, None)

    assert change is not None
    assert states(change.runs) == ["skipped"]


# backfill


def outage(scheduler: ManualScheduler, hours: int = 5, **options: Any) -> None:
    """A job whose fire times of so many hours were all skipped."""
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"], **options)
    scheduler.pause_job("crawl")
    scheduler.advance(hours * HOUR)
    scheduler.resume_job("crawl")


def backfilled(scheduler: ManualScheduler) -> list[Run]:
    """The runs of backfills in the order of their births."""
    return [run for run in reversed(scheduler.get_runs(limit=1000)) if run.origin is Origin.BACKFILL]


def hours_of(runs: Iterable[Run]) -> list[float]:
    return [(run.fire_time - NOW) / HOUR for run in runs]


def test_what_never_ran_is_run_after_all(scheduler: ManualScheduler) -> None:
    outage(scheduler, 5)
    scheduler.advance(HOUR)  # and this one ran

    backfill = scheduler.backfill_job("crawl", NOW + 2 * HOUR, NOW + 6 * HOUR, by="alice", kwargs={"deep": True})
    scheduler.advance(MINUTE)

    assert hours_of(backfilled(scheduler)) == [2, 3, 4, 5]
    assert seen == [("a", None, False), *[("a", None, True)] * 4]
    done = scheduler.get_backfill(backfill.id)
    assert (done.born, done.passed_over, done.cursor, done.ended, done.reason) == (4, 1, None, True, None)
    assert scheduler.get_backfills("crawl") == [done] == scheduler.get_backfills(ended=True)
    assert scheduler.get_backfills(ended=False) == scheduler.get_backfills("nobody") == []


def test_why_tells_of_a_backfill(scheduler: ManualScheduler) -> None:
    outage(scheduler, 3)
    scheduler.backfill_job("crawl", NOW, NOW + 2 * HOUR, by="alice")
    scheduler.run_due()

    answer = scheduler.why("crawl", NOW + HOUR)

    assert answer.verdict.value == "succeeded"
    assert answer.sentence.startswith("run after all for alice, ran on node")
    assert "; before that skipped: paused at 2026-01-01T00:00:00Z" in answer.sentence
    assert states(answer.runs) == ["skipped", "succeeded"]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("hours", [1, 9, 10, 11, 49, 50, 51, 120])
def test_a_backfill_goes_in_order_whatever_its_length(
    scheduler: ManualScheduler, hours: int, newest_first: bool
) -> None:
    outage(scheduler, hours)

    backfill = scheduler.backfill_job("crawl", NOW + MINUTE, NOW + hours * HOUR, newest_first=newest_first)
    scheduler.run_due()

    assert hours_of(backfilled(scheduler)) == sorted(range(1, hours + 1), reverse=newest_first)
    assert scheduler.get_backfill(backfill.id).ended


@pytest.fixture
def store(store_url: str | None) -> Iterator[Store]:
    store = make_store(store_url, clock=VirtualClock(NOW))
    store.open()
    yield store
    store.close()


def at(minutes: float) -> datetime:
    return NOW + minutes * MINUTE


def pass_time(store: Store, duration: timedelta, *nodes: Node) -> None:
    assert isinstance(store.clock, VirtualClock)
    if nodes:
        advance(store.clock, duration, *nodes)
    else:
        store.clock.advance(duration)


def past(store: Store, minutes: int = 60, **fields: Any) -> tuple[Job, Backfill]:
    """A job of each minute whose last *minutes* are to be run after all."""
    pass_time(store, minutes * MINUTE)
    job = make_job(next_fire_time=at(minutes + 1), last_fire_time=at(minutes))
    backfill = make_backfill(job, NOW, at(minutes), **fields)
    store.add([job])
    store.add_backfill(backfill)
    return job, backfill


def active(store: Store) -> Sequence[Run]:
    return store.runs(states=[RunState.PENDING, RunState.RUNNING], limit=1000)


def of_backfills(store: Store, *states: RunState) -> list[Run]:
    return [run for run in store.runs(states=states, limit=1000) if run.backfill is not None]


def test_a_backfill_has_a_few_runs_at_a_time_on_all_nodes_together(store: Store) -> None:
    past(store, 60, max_instances=3)
    nodes = [Node(store, name, takes=7 * SECOND) for name in "ab"]

    for _ in range(40):
        pass_time(store, SECOND, *nodes)
        assert sum(run.backfill is not None for run in active(store)) <= 3

    pass_time(store, 5 * MINUTE, *nodes)
    (done,) = store.backfills()
    assert (done.born, done.ended) == (61, True)
    assert {run.fire_time for run in of_backfills(store)} == {at(minute) for minute in range(61)}


def test_a_backfill_is_in_nobodys_way_and_nobody_in_its(store: Store) -> None:
    """With one instance each, the schedule's fire times run on time beside it, and what they do holds it not up."""
    past(store, 60)
    node = Node(store, "a", takes=50 * SECOND)

    pass_time(store, 10 * MINUTE, node)

    on_time = [run for run in store.runs(limit=999) if run.origin is Origin.SCHEDULE]
    assert "skipped" not in states(on_time)
    assert [run.lateness for run in on_time if run.started_at is not None] == [timedelta(0)] * 9
    assert len(of_backfills(store, RunState.SUCCEEDED)) == 11


def test_where_room_is_scarce_the_schedule_goes_first(store: Store) -> None:
    """Of what waits for the one place of a node, the run of a fire time is taken before those of a backfill."""
    job, _ = past(store, 60, max_instances=5)
    pass_time(store, 3 * MINUTE, Node(store, "a", room=0))
    assert len(of_backfills(store, RunState.PENDING)) == 5
    (waiting,) = [run for run in active(store) if run.backfill is None]

    (claim,) = store.claim(make_hold("b"), executor="threads", limit=1)

    assert (claim.job.id, claim.run.id) == (job.id, waiting.id)


def test_another_node_goes_on_with_a_backfill_where_one_has_died(store: Store) -> None:
    past(store, 20)
    pass_time(store, 30 * SECOND, Node(store, "a", takes=7 * SECOND))  # and it is never heard of again

    pass_time(store, 5 * MINUTE, Node(store, "b", takes=7 * SECOND))

    runs = of_backfills(store)
    assert len(runs) == len({run.fire_time for run in runs}) == 21
    assert states(runs).count("lost") == 1
    assert store.backfills()[0].ended


def test_its_runs_are_tried_again_as_the_job_says_and_keep_their_place(store: Store) -> None:
    job, _ = past(store, 3)
    store.save([next_version(job, retry=Retry(2, delay=30))])
    node = Node(store, "a")
    pass_time(store, SECOND, node)

    node.executor.end(Failed("broken"))
    pass_time(store, 10 * SECOND, node)

    (waiting,) = active(store)
    assert (waiting.attempt, waiting.backfill is not None, waiting.by_hand) == (2, True, False)
    assert store.backfills()[0].born == 1


def test_failures_of_the_past_do_not_pause_a_job(store: Store) -> None:
    job, _ = past(store, 20, max_instances=5)
    store.save([next_version(job, pause_after=2)])
    node = Node(store, "a")
    pass_time(store, SECOND, node)

    for _ in range(5):
        node.executor.end(Failed("broken"))
    pass_time(store, SECOND, node)

    assert not store.get("job").paused
    assert len(of_backfills(store, RunState.FAILED)) == 5


def test_a_backfill_stands_still_while_its_job_is_paused(store: Store) -> None:
    past(store, 20)
    scheduler = BackgroundScheduler(store)
    scheduler.pause_job("job")
    node = Node(store, "a", takes=SECOND)

    pass_time(store, MINUTE, node)
    assert store.runs() == []
    scheduler.resume_job("job")
    pass_time(store, MINUTE, node)

    assert store.backfills()[0].ended


def test_a_cancelled_backfill_ends_with_all_of_its_runs(store: Store) -> None:
    job, backfill = past(store, 20, max_instances=2)
    store.save([next_version(job, retry=Retry(9))])
    scheduler = BackgroundScheduler(store)
    node = Node(store, "a", room=1)
    pass_time(store, SECOND, node)
    assert sorted(states(active(store))) == ["pending", "running"]

    cancelled = scheduler.cancel_backfill(backfill.id, reason="wrong folder", by="alice")
    pass_time(store, 2 * SECOND, node)

    assert (cancelled.ended, cancelled.reason) == (True, "wrong folder (by alice)")
    assert [call.run.cancel_reason for call in node.executor.cancelled] == ["wrong folder (by alice)"]
    node.executor.end(Failed("half way"))
    pass_time(store, 30 * SECOND, node)
    assert states(store.runs()) == ["cancelled", "cancelled"]
    with pytest.raises(BackfillEndedError, match=f"expected one that goes on, got {backfill.id}, which has ended"):
        scheduler.cancel_backfill(backfill.id)


def test_what_fails_just_as_it_is_cancelled_is_not_tried_again(store: Store) -> None:
    """The ending was decided before the node knew, and is written after."""
    job, backfill = past(store, 20)
    store.save([next_version(job, retry=Retry(9))])
    node = Node(store, "a")
    pass_time(store, SECOND, node)

    node.executor.end(Failed("broken"))
    BackgroundScheduler(store).cancel_backfill(backfill.id)
    pass_time(store, 10 * SECOND, node)

    assert states(store.runs()) == ["failed"]


def test_a_backfill_ends_with_its_job(store: Store) -> None:
    _, backfill = past(store, 20, max_instances=2)
    pass_time(store, SECOND, Node(store, "a", room=0))

    store.remove(["job"])
    pass_time(store, MINUTE, Node(store, "b"))

    ended = store.backfill(backfill.id)
    assert (ended.ended, ended.reason) == (True, "its job was removed")
    assert states(store.runs()) == ["cancelled", "cancelled"]


def test_what_ran_is_run_again_only_if_everything_is_asked_for(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    scheduler.advance(3 * HOUR)

    without = scheduler.backfill_job("crawl", NOW + MINUTE, NOW + 3 * HOUR)
    scheduler.run_due()
    assert (scheduler.get_backfill(without.id).born, len(seen)) == (0, 3)
    for _ in range(2):
        scheduler.backfill_job("crawl", NOW + MINUTE, NOW + 3 * HOUR, everything=True)
        scheduler.run_due()

    assert [(run.attempt, run.tries) for run in backfilled(scheduler)] == [(1, 1)] * 3 + [(2, 1)] * 3
    assert len(seen) == 9


def test_two_backfills_of_one_range_run_it_once(store: Store) -> None:
    job, _ = past(store, 20, max_instances=3)
    store.add_backfill(make_backfill(job, NOW, at(20), max_instances=3))

    pass_time(store, 5 * MINUTE, *(Node(store, name, takes=7 * SECOND) for name in "ab"))

    assert all(one.ended for one in store.backfills())
    assert sum(one.born for one in store.backfills()) == len(of_backfills(store)) == 21


def test_of_a_million_fire_times_a_few_are_born_at_a_time(store: Store) -> None:
    job = make_job(trigger=IntervalTrigger(seconds=1, start_date=NOW), next_fire_time=NOW + 1_000_000 * SECOND)
    pass_time(store, 1_000_000 * SECOND - MICROSECOND)
    store.add([job])

    scheduler = BackgroundScheduler(store)
    asked = scheduler.backfill_job("job", NOW, NOW + 2_000_000 * SECOND, max_instances=10, newest_first=True)
    pass_time(store, 10 * SECOND - MICROSECOND, Node(store, "a", takes=SECOND))

    assert asked.cursor == NOW + 999_999 * SECOND
    assert len(active(store)) <= 20
    assert 90 <= store.backfill(asked.id).born <= 110


def test_what_ran_already_is_passed_over_quickly(store: Store) -> None:
    _, backfill = past(store, 2000)
    for start in range(0, 2000, 500):
        job = store.get("job")
        ran = [held_run(job, at(minute)).ended_with(Succeeded(), at(minute), None, None) for minute in range(2000)]
        assert store.save([next_version(job, *ran[start : start + 500])])

    pass_time(store, 10 * SECOND, Node(store, "a", takes=SECOND))

    done = store.backfill(backfill.id)
    assert (done.born, done.passed_over, done.ended) == (1, 2000, True)


def test_a_trigger_that_cannot_be_asked_holds_up_no_other_backfill(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    job, stuck = past(store, 20, trigger=UnreadableTrigger({"kind": "lunar"}, "no moon here"))
    store.add_backfill(other := make_backfill(job, NOW, at(20)))

    pass_time(store, MINUTE - SECOND, Node(store, "a", takes=SECOND))

    assert store.backfill(other.id).ended
    assert not store.backfill(stuck.id).ended
    assert 1 <= sum("is left alone for a while" in message for message in caplog.messages) <= 3


def test_only_what_the_schedule_has_passed_is_run_after_all(scheduler: ManualScheduler) -> None:
    """What is due has its answer coming: with the backfill's it would have two."""
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    scheduler.pause_job("crawl")
    scheduler.advance(3 * HOUR)
    with pytest.raises(InvalidJobError, match=r"expected a range with fire times that 'crawl' has passed, got .*01:00"):
        scheduler.backfill_job("crawl", NOW + MINUTE, NOW + 3 * HOUR)
    scheduler.resume_job("crawl")

    backfill = scheduler.backfill_job("crawl", NOW + MINUTE, NOW + 99 * HOUR)

    assert backfill.end == NOW + 3 * HOUR
    scheduler.advance(2 * HOUR)
    assert sorted(hours_of(scheduler.get_runs("crawl", states=[RunState.SUCCEEDED]))) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("start", "end", "options", "message"),
    [
        (5, 1, {}, "expected an end that is not before the start"),
        (-9, -1, {}, "expected a range with fire times that 'crawl' has passed"),
        (9, 10, {}, "expected a range with fire times that 'crawl' has passed"),
        (1, 2, {"max_instances": 0}, "max_instances: expected a whole number from 1 to 100, got 0"),
        (1, 2, {"max_instances": 101}, "max_instances: expected a whole number from 1 to 100"),
        (1, 2, {"max_instances": True}, "max_instances: expected a whole number from 1 to 100"),
        (1, 2, {"everything": "yes"}, "everything: expected True or False, got 'yes'"),
        (1, 2, {"newest_first": 1}, "newest_first: expected True or False, got 1"),
        (1, 2, {"args": ["b", "c"]}, "argument 'day' of crawl"),
        (1, 2, {"by": ""}, "by: expected 1 to 200 printable characters"),
    ],
)
def test_what_cannot_be_run_after_all_is_refused_at_once(
    scheduler: ManualScheduler, start: int, end: int, options: dict[str, Any], message: str
) -> None:
    outage(scheduler, 5)

    with pytest.raises(InvalidJobError, match=message):
        scheduler.backfill_job("crawl", NOW + start * HOUR, NOW + end * HOUR, **options)

    assert scheduler.get_backfills() == []


@pytest.mark.parametrize("instant", [None, "yesterday", 7, b"2026-01-01"])
def test_what_is_no_instant_is_refused(scheduler: ManualScheduler, instant: Any) -> None:
    outage(scheduler, 5)

    with pytest.raises(InvalidJobError, match="end: expected"):
        scheduler.backfill_job("crawl", NOW, instant)
    with pytest.raises(InvalidJobError, match="start: expected"):
        scheduler.backfill_job("crawl", instant, NOW)


def test_a_range_is_written_as_the_instants_of_why_are(scheduler: ManualScheduler) -> None:
    outage(scheduler, 5)
    scheduler.reschedule_job("crawl", "cron", minute=0, timezone="Asia/Seoul")

    backfill = scheduler.backfill_job("crawl", "2026-01-01 10:00", "2026-01-01 11:00Z")

    assert backfill.start == datetime(2026, 1, 1, 1, tzinfo=UTC)


def test_all_of_time_is_a_range(scheduler: ManualScheduler) -> None:
    outage(scheduler, 5)

    backfill = scheduler.backfill_job(
        "crawl", datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), newest_first=True
    )
    scheduler.run_due()

    assert hours_of(backfilled(scheduler)) == [5, 4, 3, 2, 1, 0], "the trigger begins where it was set"
    assert scheduler.get_backfill(backfill.id).ended


def test_of_what_was_pruned_nothing_is_known(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    scheduler.advance(5 * HOUR)
    scheduler.prune(Retention(age=None, count=2))

    with pytest.raises(InvalidJobError, match="expected a start after 2026-01-01 03:00:00.*pass everything=True"):
        scheduler.backfill_job("crawl", NOW, NOW + 5 * HOUR)

    scheduler.backfill_job("crawl", NOW + 4 * HOUR, NOW + 5 * HOUR)
    scheduler.backfill_job("crawl", NOW, NOW + 5 * HOUR, everything=True)


def test_no_more_backfills_go_on_than_a_round_looks_at(scheduler: ManualScheduler) -> None:
    outage(scheduler, 5)
    for _ in range(MAX_OPEN_BACKFILLS):
        scheduler.backfill_job("crawl", NOW, NOW + HOUR)

    with pytest.raises(InvalidJobError, match=f"expected fewer than {MAX_OPEN_BACKFILLS} backfills that go on"):
        scheduler.backfill_job("crawl", NOW, NOW + HOUR)


def test_unknown_jobs_and_backfills_are_refused(scheduler: ManualScheduler) -> None:
    with pytest.raises(JobNotFoundError):
        scheduler.backfill_job("nobody", NOW, NOW)
    for verb in (scheduler.get_backfill, scheduler.cancel_backfill):
        with pytest.raises(BackfillNotFoundError, match="expected the id of a backfill, got 'nobody'"):
            verb("nobody")


def test_a_run_of_a_backfill_is_tried_again_on_its_own(scheduler: ManualScheduler) -> None:
    """Such an attempt is of no backfill any more: it begins at once, whatever the backfill does."""
    outage(scheduler, 1)
    broken.add("no network")
    scheduler.backfill_job("crawl", NOW + HOUR, NOW + HOUR)
    scheduler.run_due()
    (run,) = scheduler.get_runs("crawl", states=[RunState.FAILED])
    broken.clear()
    scheduler.pause_job("crawl")

    again = scheduler.retry_run(run.id)
    scheduler.run_due()

    assert (again.origin, again.attempt, again.backfill, again.by_hand) == (Origin.BACKFILL, 2, None, True)
    assert scheduler.get_run(again.id).state is RunState.SUCCEEDED


def test_ended_backfills_are_forgotten_with_the_ledger(scheduler: ManualScheduler) -> None:
    outage(scheduler, 5)
    scheduler.backfill_job("crawl", NOW, NOW + HOUR)
    scheduler.run_due()
    scheduler.advance(timedelta(days=2))
    scheduler.pause_job("crawl")
    going_on = scheduler.backfill_job("crawl", NOW, NOW + HOUR, everything=True)

    scheduler.prune(Retention(age=timedelta(days=1)))

    assert [one.id for one in scheduler.get_backfills()] == [going_on.id]


# expire: how long a run may wait


def waits(run: Run) -> timedelta:
    assert run.expires_at is not None
    return run.expires_at - run.available_at


@pytest.mark.parametrize("delta", [-MICROSECOND, timedelta(0), MICROSECOND])
def test_at_the_limit_exactly_its_time_is_over(store: Store, delta: timedelta) -> None:
    """What waits is begun before its limit, and at or after it is closed: there is no instant between."""
    job = make_job(expire_after=10 * SECOND)
    waiting = plan.fire(job, [], NOW, None)
    assert waiting is not None
    store.add([job])
    store.fire(lambda *_: [waiting], executor="threads", until=NOW, limit=1)
    pass_time(store, 10 * SECOND + delta)

    claims, expired = store.claim(make_hold(), executor="threads", limit=1), store.expired(9)

    assert [len(claims), len(expired)] == ([1, 0] if delta < timedelta(0) else [0, 1])


def test_what_nobody_begins_in_time_is_missed(store: Store) -> None:
    """Whichever node comes by closes it, also one that could not have begun it."""
    store.add([make_job(expire_after=90 * SECOND, max_instances=9)])
    pass_time(store, 59 * SECOND, Node(store, "a", room=0))
    (waiting,) = active(store)
    assert (waiting.available_at, waits(waiting)) == (NOW + SECOND, 90 * SECOND)

    pass_time(store, 40 * SECOND, Node(store, "b", room=0))

    missed = store.run(waiting.id)
    assert (missed.state, missed.ended_at) == (RunState.MISSED, NOW + 91 * SECOND)
    assert missed.reason == (
        "it waited for 0:01:30, which is all that expire_after allows, and was not begun (closed by node b)"
    )
    answer = BackgroundScheduler(store).why("job", NOW)
    assert answer.sentence.startswith("missed: it waited for 0:01:30, which is all that expire_after allows")


def test_what_is_begun_in_time_may_take_its_time(store: Store) -> None:
    store.add([make_job(expire_after=SECOND, max_instances=9)])
    node = Node(store, "a", takes=50 * SECOND)

    pass_time(store, 59 * SECOND, node)

    assert states(store.runs()) == ["succeeded"]


def test_what_is_fired_late_begins_to_wait_then(store: Store) -> None:
    """How late a fire time may be fired is for misfire_grace_time to say."""
    store.add([make_job(expire_after=90 * SECOND)])
    pass_time(store, 30.5 * MINUTE)

    pass_time(store, 2 * SECOND, Node(store, "a", room=0))

    (waiting,) = active(store)
    assert (waiting.fire_time, waiting.available_at) == (at(30), at(30.5))
    assert waits(waiting) == 90 * SECOND


def test_a_call_that_its_executor_comes_to_too_late_is_not_made(store: Store) -> None:
    job = make_job(expire_after=SECOND)
    run = held_run(job, expires_at=NOW + SECOND)
    pass_time(store, SECOND)
    call = Call(job, run, find_function(job.func), store.clock, lambda call: None)

    outcomes = [invoke(call), asyncio.run(invoke_async(call))]

    assert [outcome.state for outcome in outcomes] == [RunState.MISSED] * 2
    assert call.started_at is None
    assert plan.settle(run, Retry(9), outcomes[0], NOW + SECOND).attempt is None


def test_each_attempt_may_wait_as_long(scheduler: ManualScheduler) -> None:
    """Counted from the end of a retry's delay, whoever asked for the first attempt."""
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"], retry=Retry(2, delay=60), expire_after=30)
    broken.add("no network")
    run = scheduler.run_job_now("crawl", expire_after=timedelta(seconds=7))
    scheduler.run_due()
    (second,) = scheduler.get_runs("crawl", states=[RunState.PENDING])
    scheduler.advance(MINUTE)

    third = scheduler.retry_run(second.id)

    assert (waits(run), waits(second), waits(third)) == (7 * SECOND,) * 3
    assert second.available_at == NOW + MINUTE


@pytest.mark.parametrize(
    ("options", "expected"), [({}, 30 * SECOND), ({"expire_after": None}, None), ({"expire_after": 2}, 2 * SECOND)]
)
def test_one_run_may_wait_longer_or_shorter_than_its_job_says(
    scheduler: ManualScheduler, options: dict[str, Any], expected: timedelta | None
) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"], expire_after=30)

    assert scheduler.run_job_now("crawl", **options).may_wait == expected


def test_another_attempt_waits_as_long_as_was_said_for_the_first(scheduler: ManualScheduler) -> None:
    """None was said for it, too; only a fire time that never had a run of its own waits as its job says."""
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"], expire_after=30)
    scheduler.advance(HOUR)
    broken.add("no network")
    patient = scheduler.run_job_now("crawl", expire_after=None)
    scheduler.pause_job("crawl")
    scheduler.backfill_job("crawl", NOW, NOW)
    scheduler.resume_job("crawl")
    scheduler.run_due()
    (backfilled,) = (run for run in scheduler.get_runs("crawl") if run.origin is Origin.BACKFILL)
    scheduler.pause_job("crawl")
    scheduler.advance(HOUR)
    scheduler.resume_job("crawl")
    (skipped,) = scheduler.get_runs("crawl", states=[RunState.SKIPPED])

    again = [scheduler.retry_run(run.id) for run in (patient, backfilled, skipped)]

    assert [run.may_wait for run in again] == [None, None, 30 * SECOND]


def test_what_was_missed_so_can_be_tried_again(store: Store) -> None:
    store.add([make_job(expire_after=10 * SECOND)])
    pass_time(store, 20 * SECOND, Node(store, "a", room=0))
    (missed,) = store.runs()

    again = BackgroundScheduler(store).retry_run(missed.id)

    assert (missed.state, waits(again)) == (RunState.MISSED, 10 * SECOND)


def test_what_is_backfilled_waits_as_long_as_it_takes(store: Store) -> None:
    past(store, 5)
    job = store.get("job")
    store.save([next_version(job, expire_after=SECOND)])

    pass_time(store, 30 * SECOND, Node(store, "a", room=0))

    assert states(of_backfills(store)) == ["pending"]


@pytest.mark.parametrize(
    "length", [0, -1, float("nan"), float("inf"), 1e12, "10 moons", True, timedelta(0), timedelta.max]
)
def test_what_is_no_length_of_waiting_is_refused(scheduler: ManualScheduler, length: Any) -> None:
    with pytest.raises(InvalidJobError, match="expire_after: expected"):
        scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"], expire_after=length)
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    with pytest.raises(InvalidJobError, match="expire_after: expected"):
        scheduler.run_job_now("crawl", expire_after=length)
    with pytest.raises(InvalidJobError, match="expire_after: expected"):
        scheduler.modify_job("crawl", expire_after=length)


# tags and metadata


@pytest.fixture
def labelled(scheduler: ManualScheduler) -> ManualScheduler:
    for id, tags, metadata in (
        ("a", ["nightly", "etl"], {"team": "search", "tier": "1"}),
        ("b", {"etl"}, {"team": "search"}),
        ("c", (), {}),
    ):
        scheduler.add_job(crawl, "interval", hours=1, id=id, args=[id], tags=tags, metadata=metadata)
    return scheduler


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({}, ["a", "b", "c"]),
        ({"tags": ["etl"]}, ["a", "b"]),
        ({"tags": ("etl", "nightly")}, ["a"]),
        ({"tags": {"etl"}, "metadata": {"tier": "1"}}, ["a"]),
        ({"metadata": {"team": "search"}}, ["a", "b"]),
        ({"metadata": {"team": "search", "tier": "2"}}, []),
        ({"tags": ["et"]}, []),
    ],
)
def test_jobs_are_found_by_all_of_their_labels(
    labelled: ManualScheduler, labels: dict[str, Any], found: list[str]
) -> None:
    assert [job.id for job in labelled.get_jobs(**labels)] == found


def test_labels_are_kept_sorted_so_that_every_process_declares_the_same(labelled: ManualScheduler) -> None:
    job = labelled.get_job("a")
    assert job is not None
    assert (job.tags, job.metadata) == (("etl", "nightly"), {"team": "search", "tier": "1"})

    again = labelled.add_job(
        crawl, "interval", hours=1, id="a", args=["a"], tags={"nightly", "etl"},
        metadata={"tier": "1", "team": "search"}, replace_existing=True,
    )  # fmt: skip
    changed = labelled.add_job(
        crawl, "interval", hours=1, id="a", args=["a"], tags=["hourly"], replace_existing=True
    )  # fmt: skip

    assert again == job
    assert (changed.tags, changed.metadata, changed.next_fire_time) == (("hourly",), {}, job.next_fire_time)
    assert labelled.modify_job("a", tags=["x", "a", "x"]).tags == ("a", "x")


def test_jobs_are_paused_and_resumed_by_their_labels(labelled: ManualScheduler) -> None:
    paused = labelled.pause_jobs(tags=["etl"], reason="the source moves", by="alice")

    assert [(job.id, job.pause_reason, job.paused_by) for job in paused] == [
        ("a", "the source moves", "alice"), ("b", "the source moves", "alice"),
    ]  # fmt: skip
    assert [job.id for job in labelled.resume_jobs(metadata={"tier": "1"})] == ["a"]
    assert [job.id for job in labelled.get_jobs() if job.paused] == ["b"]
    for verb in (labelled.pause_jobs, labelled.resume_jobs):
        with pytest.raises(InvalidJobError, match="_jobs: expected tags or metadata, got neither"):
            verb()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"tags": "etl"}, "tags: expected a list of texts, got 'etl'"),
        ({"tags": None}, "tags: expected a list of texts, got None"),
        ({"tags": {"a": "b"}}, "tags: expected a list of texts"),
        ({"tags": [7]}, "tags: expected 1 to 100 printable characters, got 7"),
        ({"tags": [""]}, "tags: expected 1 to 100 printable characters, got ''"),
        ({"tags": ["x" * 101]}, "tags: expected 1 to 100 printable characters"),
        ({"tags": ["\ud800"]}, "tags: expected 1 to 100 printable characters"),
        ({"tags": [["a"]]}, "tags: expected 1 to 100 printable characters"),
        ({"tags": [str(number) for number in range(51)]}, "tags: expected at most 50, got 51"),
        ({"metadata": ["team"]}, r"metadata: expected a dict of texts, got \['team'\]"),
        ({"metadata": {"": "a"}}, "metadata key: expected 1 to 100 printable characters"),
        ({"metadata": {7: "a"}}, "metadata key: expected 1 to 100 printable characters, got 7"),
        ({"metadata": {"team": 7}}, r"metadata\['team'\]: expected 1 to 500 printable characters, got 7"),
        ({"metadata": {"team": "x" * 501}}, r"metadata\['team'\]: expected 1 to 500 printable characters"),
        ({"metadata": {str(n): "a" for n in range(51)}}, "metadata: expected at most 50 entries, got 51"),
    ],
)
def test_what_is_no_label_is_refused(labelled: ManualScheduler, labels: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        labelled.add_job(crawl, "interval", hours=1, id="d", args=["d"], **labels)
    with pytest.raises(InvalidJobError, match=message):
        labelled.modify_job("c", **labels)
    with pytest.raises(InvalidJobError, match=message):
        labelled.get_jobs(**labels)


@pytest.mark.parametrize("newest_first", [False, True])
def test_why_tells_what_a_backfill_has_still_to_come_to(scheduler: ManualScheduler, newest_first: bool) -> None:
    outage(scheduler, 5)
    broken.add("hold")  # so that the first run is followed by a long wait
    scheduler.modify_job("crawl", retry=Retry(max_attempts=2, delay=DAY))
    backfill = scheduler.backfill_job("crawl", NOW + HOUR, NOW + 4 * HOUR, newest_first=newest_first, by="alice")
    scheduler.run_due()

    first, last = (4, 1) if newest_first else (1, 4)
    told = {hour: scheduler.why("crawl", NOW + hour * HOUR).sentence for hour in (first, last, 5)}

    coming = f"; backfill {backfill.id} is to run it after all for alice"
    assert coming not in told[first]
    assert told[last].startswith("skipped: paused")
    assert told[last].endswith(coming)
    assert coming not in told[5], "it lies behind the end"
    scheduler.cancel_backfill(backfill.id)
    assert coming not in scheduler.why("crawl", NOW + last * HOUR).sentence


def test_why_tells_that_a_backfill_of_everything_runs_again_what_ran(scheduler: ManualScheduler) -> None:
    scheduler.add_job(crawl, "interval", hours=1, id="crawl", args=["a"])
    scheduler.advance(4 * HOUR)
    scheduler.pause_job("crawl")  # it stands still meanwhile

    some = scheduler.backfill_job("crawl", NOW, NOW + 4 * HOUR)
    quiet = scheduler.why("crawl", NOW + 2 * HOUR).sentence
    every = scheduler.backfill_job("crawl", NOW, NOW + 4 * HOUR, everything=True)

    assert some.id not in quiet
    assert scheduler.why("crawl", NOW + 2 * HOUR).sentence.endswith(f"; backfill {every.id} is to run it again")
