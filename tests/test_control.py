"""What people ask of jobs and runs: by the production loop under the virtual clock, on every store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.samples import NOW

from tickwork import FunctionReferenceError, InvalidJobError, Retry, RetryRefusedError, RunNotFoundError, RunState, plan
from tickwork.plan import Change
from tickwork.run import Given, Run
from tickwork.testing import ManualScheduler, VirtualClock

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

seen: list[Any] = []
"""What the jobs of this file were called with."""
broken: set[str] = set()
"""What keeps them from succeeding."""


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()
    broken.clear()


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    return None if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def scheduler(url: str | None) -> Iterator[ManualScheduler]:
    scheduler = ManualScheduler(url, start=NOW, timezone="UTC")
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
    assert run.reason == "InvalidJobError: argument 'number' of take: expected int, got 'text'"
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
