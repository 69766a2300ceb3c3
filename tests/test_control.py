"""What people ask of jobs and runs: by the production loop under the virtual clock, on every store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.samples import NOW

from tickwork import FunctionReferenceError, InvalidJobError, Retry, RunState, plan
from tickwork.plan import Change
from tickwork.run import Given
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
