"""The verbs that users know, on real threads and both stores; the tests wait for events, and never for time to pass."""

from __future__ import annotations

import functools
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests import deeds
from tests.deeds import PATIENCE, Ledger, Stage
from tests.nodes import FlakyStore
from tests.processes.patience import wait_until

import tickwork
from tickwork import (
    BackgroundScheduler,
    BlockingScheduler,
    CronTrigger,
    DateTrigger,
    IntervalTrigger,
    Retry,
    driver,
    listeners,
)
from tickwork.errors import (
    FunctionReferenceError,
    InvalidJobError,
    JobExistsError,
    JobNotFoundError,
    RunClosedError,
    RunNotFoundError,
    SchedulerAlreadyRunningError,
    SchedulerNotRunningError,
    StoreURLError,
    TriggerError,
)
from tickwork.events import JobAdded, JobChanged, JobRemoved, SchedulerStarted, SchedulerStopped
from tickwork.executors.threads import ThreadExecutor
from tickwork.node import NodeState
from tickwork.policies import Overlap
from tickwork.run import RunState
from tickwork.stores.memory import MemoryStore
from tickwork.stores.sqlite import SQLiteStore
from tickwork.triggers import FilteredTrigger, JitteredTrigger

HOUR = timedelta(hours=1)
MakeScheduler = Callable[..., BackgroundScheduler]


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage(secrets.token_hex(4))
    yield stage
    stage.go.set()
    del deeds.STAGES[stage.name]


@pytest.fixture
def make_scheduler(store_url: str | None, stage: Stage) -> Iterator[MakeScheduler]:
    """Makes schedulers on one store, and ends those that still run."""
    store: Any = MemoryStore() if store_url is None else store_url
    made: list[BackgroundScheduler] = []

    def make_scheduler(**options: Any) -> BackgroundScheduler:
        made.append(BackgroundScheduler(store, **options))
        stage.scheduler = made[-1]
        return made[-1]

    yield make_scheduler
    stage.go.set()
    for scheduler in made:
        if scheduler.running:
            scheduler.shutdown(timeout=5)
        scheduler._store.close()


@pytest.fixture
def scheduler(make_scheduler: MakeScheduler) -> BackgroundScheduler:
    """One that runs."""
    scheduler = make_scheduler()
    scheduler.start()
    return scheduler


def test_what_a_run_logs_can_be_read(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler(log_level="WARNING")
    ledger = Ledger(scheduler)
    scheduler.start()

    scheduler.add_job(deeds.tell, args=["all is well", "all is lost"])

    run = ledger.next()
    assert [(line.level, line.text) for line in scheduler.get_log(run.id).lines] == [("WARNING", "all is lost")]
    with pytest.raises(RunNotFoundError):
        scheduler.get_log("nobody")


@pytest.mark.parametrize("level", ["LOUD", "", True, 2.5, object(), "warning"])
def test_a_level_that_logging_does_not_know_is_refused(level: Any) -> None:
    with pytest.raises(InvalidJobError, match="log_level: expected a level of logging"):
        BackgroundScheduler(log_level=level)


def test_runs_hand_on_what_they_keep_in_their_state(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    ledger = Ledger(scheduler)
    scheduler.add_job(deeds.count, "interval", hours=1, id="count")
    scheduler.start()

    for _ in range(2):
        scheduler.run_job_now("count")
        ledger.next()
    scheduler.reschedule_job("count", "cron", hour=3)
    scheduler.modify_job("count", max_instances=1)
    scheduler.shutdown()
    again = make_scheduler()

    assert again.get_state("count") == {"times": 2}


def test_a_state_can_be_read_set_and_cleared_from_outside(scheduler: BackgroundScheduler) -> None:
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    states = [
        scheduler.get_state("job"),
        scheduler.set_state("job", {"a": 1, "b": [2], "c": None}),
        scheduler.set_state("job", {"b": 3}),
        scheduler.clear_state("job", "a", "not there"),
        scheduler.clear_state("job"),
        scheduler.clear_state("job"),
        scheduler.get_state("job"),
    ]

    assert states == [{}, {"a": 1, "b": [2], "c": None}, {"a": 1, "b": 3, "c": None}, {"b": 3, "c": None}, {}, {}, {}]
    for verb in (scheduler.get_state, scheduler.clear_state, lambda job_id: scheduler.set_state(job_id, {})):
        with pytest.raises(JobNotFoundError):
            verb("nobody")
    for values, message in (
        ({"a": object()}, r"state\['a'\]: expected plain JSON"),
        ({"a": "x" * 70_000}, "state: expected at most 65536"),
        ([("a", 1)], "set_state: expected a dict"),
        (None, "set_state: expected a dict"),
        ({"": 1}, "state: a key: expected 1 to 200"),
    ):
        with pytest.raises(InvalidJobError, match=message):
            scheduler.set_state("job", values)  # type: ignore[arg-type]
    assert scheduler.get_state("job") == {}


def memory_scheduler(**options: Any) -> BackgroundScheduler:
    return BackgroundScheduler(**options)


# jobs run


def test_a_function_runs_with_its_arguments_and_its_result_is_in_the_ledger(
    scheduler: BackgroundScheduler, stage: Stage
) -> None:
    ledger = Ledger(scheduler)

    job = scheduler.add_job(deeds.show, args=[stage.name, 1, [2]], kwargs={"three": 3})

    assert stage.see() == ((1, [2]), {"three": 3})
    run = ledger.next()
    assert (run.job_id, run.state, run.result) == (job.id, RunState.SUCCEEDED, [1, [2]])
    assert scheduler.get_run(run.id) == run
    assert scheduler.get_runs(job.id) == [run]
    assert run.lateness is not None
    assert run.lateness < timedelta(seconds=5)


def test_a_coroutine_runs_in_the_schedulers_own_event_loop(scheduler: BackgroundScheduler, stage: Stage) -> None:
    ledger = Ledger(scheduler)

    job = scheduler.add_job(deeds.show_async, args=[stage.name])

    assert job.executor == "asyncio"
    assert stage.see() == "tickwork-asyncio"
    assert ledger.next().result == "shown"


def test_a_parameter_with_the_annotation_receives_the_run(scheduler: BackgroundScheduler, stage: Stage) -> None:
    ledger = Ledger(scheduler)

    job = scheduler.add_job(deeds.show_context, args=[stage.name], id="told")

    seen = stage.see()
    run = ledger.next()
    assert seen == (run.id, run.key, job.id, run.fire_time, 1)


@pytest.mark.parametrize("end", ["timeout", "cancel"])
def test_a_coroutine_that_is_to_end_is_cancelled_where_it_waits(
    scheduler: BackgroundScheduler, stage: Stage, end: str
) -> None:
    ledger = Ledger(scheduler)
    job = scheduler.add_job(deeds.hold_async, args=[stage.name], timeout=0.05 if end == "timeout" else None)
    assert stage.begun.wait(PATIENCE)

    if end == "cancel":
        (run,) = scheduler.get_runs(job.id)
        scheduler.cancel_run(run.id, reason="no need")

    assert stage.see() == "cleaned up"
    run = ledger.next()
    expected = (RunState.TIMED_OUT, "it took longer than its timeout of 0:00:00.050000")
    assert (run.state, run.reason) == (expected if end == "timeout" else (RunState.CANCELLED, "no need"))


def test_a_function_on_a_thread_that_has_timed_out_keeps_its_place_until_it_returns(
    scheduler: BackgroundScheduler, stage: Stage
) -> None:
    ledger = Ledger(scheduler)
    job = scheduler.add_job(deeds.hold_until_cancelled, args=[stage.name], timeout=0.05)

    assert stage.see() == "cancelled"
    (goes_on,) = scheduler.get_runs(job.id)
    stage.go.set()
    run = ledger.next()

    assert goes_on.state is RunState.RUNNING
    assert (run.state, run.result) == (RunState.TIMED_OUT, None)


def test_a_run_that_has_ended_or_never_was_cannot_be_cancelled(scheduler: BackgroundScheduler) -> None:
    ledger = Ledger(scheduler)
    scheduler.add_job(deeds.nothing)
    run = ledger.next()

    with pytest.raises(
        RunClosedError, match=f"expected a run that has not ended, got {run.id}, which ended as succeeded"
    ):
        scheduler.cancel_run(run.id)
    with pytest.raises(RunNotFoundError):
        scheduler.cancel_run("7-1-1")
    with pytest.raises(InvalidJobError, match="reason: expected 1 to 500 printable characters"):
        scheduler.cancel_run(run.id, reason="")


@pytest.mark.parametrize("by", ["", "x" * 201, "a\nb", "\ud800", 7, b"alice"])
def test_a_name_that_cannot_be_kept_is_refused(scheduler: BackgroundScheduler, by: Any) -> None:
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")
    run = scheduler.run_job_now("job")

    for verb, name in (("pause_job", "job"), ("resume_job", "job"), ("run_job_now", "job"), ("cancel_run", run.id)):
        with pytest.raises(InvalidJobError, match="by: expected 1 to 200 printable characters, got"):
            getattr(scheduler, verb)(name, by=by)


@pytest.mark.parametrize("func", [deeds.counted, deeds.counted_async, "tests.deeds:counted"])
def test_a_generator_function_whose_body_no_call_would_run_is_refused(func: Any) -> None:
    with pytest.raises(
        InvalidJobError,
        match="func: expected a function that does its work when it is called, got the generator function 'tests.deeds:counted",
    ):
        memory_scheduler().add_job(func)


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ({"overlap": "wait"}, "overlap: expected skip, queue, cancel, got 'wait'"),
        ({"max_waiting": 0}, "max_waiting: expected a whole number from 1 to 1000, got 0"),
        (
            {"timeout": 0},
            "timeout: expected seconds, a timedelta or a text such as '10m' or '1h 30m', from 0.001s to 10000d, got 0",
        ),
        ({"timeout": -1}, "timeout: expected seconds, a timedelta or a text"),
        ({"timeout": "soon"}, "timeout: expected seconds, a timedelta or a text"),
        (
            {"pause_after": 100, "retry": Retry(200)},
            "pause_after: expected at most 10000 attempts in so many failures, got 100 failures of 200",
        ),
        ({"pause_after": 0}, "pause_after: expected a whole number from 1 to 100, got 0"),
        ({"retry": 3}, "retry: expected a tickwork.Retry, got 3"),
    ],
)
def test_an_impossible_policy_is_refused(policies: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        memory_scheduler().add_job(deeds.nothing, **policies)

    assert str(caught.value).startswith(message)


def test_policies_have_defaults_that_a_scheduler_may_change(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler(job_defaults={"timeout": 30, "overlap": "queue", "pause_after": 3})

    job = scheduler.add_job(deeds.nothing, "interval", hours=1, timeout=None)

    assert (job.timeout, job.overlap, job.pause_after) == (None, Overlap.QUEUE, 3)


def test_a_job_that_raises_has_failed_and_is_tried_again(scheduler: BackgroundScheduler) -> None:
    ledger = Ledger(scheduler)

    scheduler.add_job(deeds.fail, args=["no luck"], retry=Retry(2), id="fails")

    first, second = ledger.next(), ledger.next()
    assert [(run.attempt, run.state) for run in (first, second)] == [(1, RunState.FAILED), (2, RunState.FAILED)]
    assert first.reason == "RuntimeError: no luck"
    assert first.error is not None
    assert first.error.endswith("RuntimeError: no luck\n")
    assert "deeds.py" in first.error
    assert "call.py" not in first.error


def test_an_interval_goes_on(scheduler: BackgroundScheduler) -> None:
    ledger = Ledger(scheduler)

    job = scheduler.add_job(deeds.nothing, "interval", seconds=0.1)

    runs = [ledger.next() for _ in range(3)]
    assert [(run.fire_time - job.anchored_at) / timedelta(seconds=0.1) for run in runs] == [1, 2, 3]


def test_what_a_job_returns_raises_or_reports_cannot_stop_the_schedule(
    scheduler: BackgroundScheduler, stage: Stage
) -> None:
    ledger = Ledger(scheduler)

    scheduler.add_job(deeds.show, args=[stage.name], id="fine")
    for ref in (
        "returns_surrogate",
        "raises_surrogate",
        "raises_unprintable",
        "returns_circular",
        "reports_nan",
        "exits",
    ):
        scheduler.add_job(f"tests.test_scheduler:{ref}", id=ref)

    ended = {run.job_id: run.state for run in (ledger.next() for _ in range(7))}
    assert ended == {
        "fine": RunState.SUCCEEDED, "returns_surrogate": RunState.SUCCEEDED, "returns_circular": RunState.SUCCEEDED,
        "raises_surrogate": RunState.FAILED, "raises_unprintable": RunState.FAILED, "reports_nan": RunState.FAILED,
        "exits": RunState.FAILED,
    }  # fmt: skip


def returns_surrogate() -> str:
    return b"\xff".decode(errors="surrogateescape")


def raises_surrogate() -> None:
    raise ValueError(returns_surrogate())


def raises_unprintable() -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    raise UnprintableError


def returns_circular() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def reports_nan() -> None:
    from tickwork import current_run

    current_run().progress(float("nan"))


def exits() -> None:
    sys.exit(3)


# verbs


def test_a_job_is_as_it_was_added(scheduler: BackgroundScheduler) -> None:
    job = scheduler.add_job(
        deeds.nothing, "cron", hour=3, timezone="Asia/Seoul", id="nightly", name="Nightly", coalesce=False,
        misfire_grace_time=30, max_instances=4, retry=Retry(3), executor="asyncio",
    )  # fmt: skip

    assert scheduler.get_job("nightly") == job
    assert (job.func, job.name, job.trigger) == (
        "tests.deeds:nothing",
        "Nightly",
        CronTrigger(hour=3, timezone="Asia/Seoul"),
    )
    assert (job.coalesce, job.misfire_grace_time, job.max_instances) == (False, timedelta(seconds=30), 4)
    assert (job.retry, job.executor) == (Retry(3), "asyncio")
    assert job.next_run_time == job.next_fire_time == job.trigger.next_after(job.anchored_at)


def test_defaults_lose_nothing(scheduler: BackgroundScheduler) -> None:
    job = scheduler.add_job(deeds.nothing, "interval", hours=1)

    assert (job.misfire_grace_time, job.coalesce, job.max_instances, job.retry) == (None, True, 1, Retry())
    assert (job.id, job.name, job.executor) == ("tests.deeds:nothing", "nothing", "threads")


def test_job_defaults_are_the_policies_of_jobs_that_choose_none(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler(
        job_defaults={"coalesce": False, "misfire_grace_time": 5, "max_instances": 3, "retry": Retry(2), "executor": "io"},
        executors={"io": ThreadExecutor(2)}, timezone="Asia/Seoul",
    )  # fmt: skip

    job = scheduler.add_job(deeds.nothing, "cron", hour=3, id="a")
    other = scheduler.add_job(
        deeds.nothing, "interval", hours=1, id="b", misfire_grace_time=None, max_instances=1, retry=None
    )

    assert (job.coalesce, job.misfire_grace_time, job.max_instances) == (False, timedelta(seconds=5), 3)
    assert (job.retry, job.executor, job.trigger) == (Retry(2), "io", CronTrigger(hour=3, timezone="Asia/Seoul"))
    assert (other.misfire_grace_time, other.max_instances, other.retry) == (None, 1, Retry())


def test_jobs_are_listed_as_they_fire_next_then_the_paused_then_the_ended(scheduler: BackgroundScheduler) -> None:
    now = datetime.now(UTC)
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="paused", next_run_time=None)
    scheduler.add_job(deeds.nothing, "date", run_date=now + 2 * HOUR, id="later")
    scheduler.add_job(deeds.nothing, "date", run_date=now + HOUR, id="sooner")

    found = [job.id for job in scheduler.get_jobs()]

    assert found == ["sooner", "later", "paused"]
    assert scheduler.get_job("nobody") is None


def test_a_job_can_be_paused_and_resumed(scheduler: BackgroundScheduler) -> None:
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    paused = scheduler.pause_job("job", reason="moved")
    resumed = scheduler.resume_job("job")

    assert (paused.paused, paused.pause_reason, paused.next_run_time) == (True, "moved", None)
    assert (resumed.paused, resumed.next_run_time) == (False, paused.next_fire_time)
    assert scheduler.get_job("job") == resumed


def test_a_job_can_be_modified(scheduler: BackgroundScheduler) -> None:
    now = datetime.now(UTC)
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    scheduler.modify_job(
        "job", max_instances=2, misfire_grace_time=9, name="new", func=deeds.fail, kwargs={"message": "x"}
    )
    job = scheduler.modify_job("job", next_run_time=now + HOUR / 2)

    assert (job.max_instances, job.misfire_grace_time, job.name) == (2, timedelta(seconds=9), "new")
    assert (job.func, job.kwargs, job.executor) == ("tests.deeds:fail", {"message": "x"}, "threads")
    assert job.next_fire_time == now + HOUR / 2
    assert scheduler.get_job("job") == job


def test_jitter_and_calendars_are_options_of_every_trigger(scheduler: BackgroundScheduler) -> None:
    weekdays = scheduler.add_job(
        deeds.nothing,
        "cron",
        hour=9,
        exclude=["sat-sun", "2999-12-25"],
        shift="next",
        jitter=30,
        timezone="Asia/Seoul",
        id="job",
    )
    around = scheduler.add_job(deeds.nothing, IntervalTrigger(minutes=10), only="09:00-18:00", id="around")
    once = scheduler.add_job(deeds.nothing, "date", run_date="2999-01-01", jitter=5, timezone="UTC", id="once")

    assert isinstance(weekdays.trigger, JitteredTrigger)
    assert weekdays.trigger.seed == "job"
    assert scheduler.get_job("job") == weekdays
    assert isinstance(around.trigger, FilteredTrigger)
    assert once.next_fire_time is not None
    assert once.next_fire_time.year == 2999


def test_a_one_off_with_jitter_that_lies_in_the_past_runs_at_once(scheduler: BackgroundScheduler) -> None:
    ledger = Ledger(scheduler)

    job = scheduler.add_job(deeds.nothing, "date", run_date="2020-01-01", timezone="UTC", jitter=5)

    assert ledger.next().job_id == job.id
    assert job.id != "tests.deeds:nothing"  # it got a random id, as any one-off


def test_a_job_can_be_rescheduled_and_stays_paused(scheduler: BackgroundScheduler) -> None:
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job", next_run_time=None)

    job = scheduler.reschedule_job("job", "cron", minute=5)

    assert job.trigger == CronTrigger(minute=5)
    assert job.paused


def test_a_job_can_be_removed_and_its_id_used_again(scheduler: BackgroundScheduler) -> None:
    old = scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    scheduler.remove_job("job")
    gone = scheduler.get_job("job")
    new = scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")
    scheduler.remove_all_jobs()

    assert gone is None
    assert new.uid != old.uid
    assert scheduler.get_jobs() == []


def test_a_job_runs_now_even_if_it_is_paused_and_its_schedule_stays(
    scheduler: BackgroundScheduler, stage: Stage
) -> None:
    ledger = Ledger(scheduler)
    job = scheduler.add_job(deeds.show, "interval", hours=1, id="job", args=[stage.name], next_run_time=None)

    run = scheduler.run_job_now("job")

    assert ledger.next().id == run.id
    again = scheduler.get_job("job")
    assert again is not None
    assert (again.next_fire_time, again.paused) == (job.next_fire_time, True)


def test_jobs_can_be_added_in_bulk_all_or_none(scheduler: BackgroundScheduler) -> None:
    batch = [scheduler.new_job(deeds.nothing, "interval", hours=1, id=f"job-{number}") for number in range(100)]

    scheduler.add_jobs(batch)
    with pytest.raises(JobExistsError):
        scheduler.add_jobs(
            [
                scheduler.new_job(deeds.nothing, "interval", hours=1, id="new"),
                scheduler.new_job(deeds.nothing, "interval", hours=1, id="job-5"),
            ]
        )

    assert len(scheduler.get_jobs()) == 100


def test_many_jobs_are_a_list_of_jobs() -> None:
    scheduler = BackgroundScheduler()
    job = scheduler.new_job(deeds.nothing, "interval", hours=1, id="alone")

    with pytest.raises(InvalidJobError, match=r"expected a list of jobs .*, got the job 'alone' alone: pass \[new_job"):
        scheduler.add_jobs(job)  # type: ignore[arg-type]
    for other in (None, 5, [job, None], "jobs"):
        with pytest.raises(InvalidJobError, match="expected a list of jobs that new_job made, got"):
            scheduler.add_jobs(other)  # type: ignore[arg-type]
    assert scheduler.get_jobs() == []


def test_only_anchored_triggers_are_stored(make_scheduler: MakeScheduler) -> None:
    """Whether or not the scheduler runs when they are added: an open interval has one phase for all."""
    scheduler = make_scheduler()

    scheduler.add_jobs([scheduler.new_job(deeds.nothing, "interval", hours=1, id="before")])
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="declared")
    scheduler.start(paused=True)
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="after")

    for job in scheduler.get_jobs():
        assert job.trigger == IntervalTrigger(hours=1, start_date=job.anchored_at)
        assert job.next_fire_time == job.anchored_at + HOUR


def test_the_scheduler_can_be_paused_and_resumed(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    ledger = Ledger(scheduler)

    scheduler.start(paused=True)
    scheduler.add_job(deeds.nothing, id="job")
    health = scheduler.health()
    scheduler.resume()

    assert (health.running, health.paused, health.outage) == (True, True, None)
    assert ledger.next().job_id == "job"
    scheduler.pause()
    assert scheduler.health().paused


def test_listeners_are_told_of_what_they_want_to_hear_in_order(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    told: list[Any] = []
    done = threading.Event()
    scheduler.add_listener(told.append, SchedulerStarted, JobAdded, JobChanged, JobRemoved, SchedulerStopped)
    scheduler.add_listener(lambda event: done.set(), SchedulerStopped)

    scheduler.start()
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")
    scheduler.pause_job("job")
    scheduler.remove_job("job")
    scheduler.shutdown()

    assert done.wait(PATIENCE)
    assert [type(event) for event in told] == [SchedulerStarted, JobAdded, JobChanged, JobRemoved, SchedulerStopped]


def test_a_removed_listener_hears_nothing_more(scheduler: BackgroundScheduler) -> None:
    heard: list[Any] = []
    scheduler.add_listener(heard.append)

    scheduler.remove_listener(heard.append)
    scheduler.add_job(deeds.nothing, "interval", hours=1)

    assert heard == []
    with pytest.raises(InvalidJobError, match="remove_listener: expected a listener that was added"):
        scheduler.remove_listener(heard.append)


# declared jobs


def test_a_declared_job_is_stored_at_start(make_scheduler: MakeScheduler) -> None:
    scheduler, other = make_scheduler(), make_scheduler()

    decorated = scheduler.scheduled_job("interval", hours=1, id="declared")(deeds.nothing)
    here, elsewhere = scheduler.get_job("declared"), other.get_job("declared")
    scheduler.start()

    assert decorated is deeds.nothing
    assert here is not None
    assert elsewhere is None
    assert other.get_job("declared") == scheduler.get_job("declared")


def test_what_is_declared_unchanged_keeps_phase_pause_and_history(make_scheduler: MakeScheduler) -> None:
    first = make_scheduler()
    declare(first, hours=1)
    first.start()
    ledger = Ledger(first)
    run = first.run_job_now("declared")
    ledger.next()
    before = first.pause_job("declared", reason="moved")
    first.shutdown()

    second = make_scheduler()
    declare(second, hours=1)
    second.start()

    assert second.get_job("declared") == before
    assert [one.id for one in second.get_runs("declared")] == [run.id]


def test_what_is_declared_otherwise_is_rescheduled_and_stays_paused(make_scheduler: MakeScheduler) -> None:
    first = make_scheduler()
    declare(first, hours=1)
    first.start()
    first.pause_job("declared")
    first.shutdown()

    second = make_scheduler()
    declare(second, hours=2, max_instances=3)
    second.start()

    job = second.get_job("declared")
    assert job is not None
    assert isinstance(job.trigger, IntervalTrigger)
    assert (job.trigger.every, job.max_instances, job.paused) == (2 * HOUR, 3, True)


def test_replacing_an_existing_job_keeps_its_phase_if_nothing_else_changed(scheduler: BackgroundScheduler) -> None:
    first = scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    same = scheduler.add_job(deeds.nothing, "interval", hours=1, id="job", replace_existing=True)
    other = scheduler.add_job(deeds.nothing, "interval", hours=1, id="job", name="renamed", replace_existing=True)

    assert same == first
    assert (other.next_fire_time, other.trigger, other.uid) == (first.next_fire_time, first.trigger, first.uid)
    assert other.name == "renamed"


def test_schedulers_that_declare_the_same_at_once_store_it_once(make_scheduler: MakeScheduler) -> None:
    schedulers = [make_scheduler() for _ in range(4)]
    for scheduler in schedulers:
        for number in range(20):
            declare(scheduler, hours=1, id=f"job-{number}")

    with ThreadPoolExecutor(4) as pool:
        [*pool.map(lambda scheduler: scheduler.start(paused=True), schedulers)]

    jobs = schedulers[0].get_jobs()
    assert len(jobs) == 20
    assert {job.version for job in jobs} == {1}


def test_a_one_off_is_declared_once_and_runs_once(make_scheduler: MakeScheduler, stage: Stage) -> None:
    first = make_scheduler()
    ledger = Ledger(first)
    first.add_job(deeds.show, args=[stage.name], id="once")
    first.start()
    ledger.next()
    first.shutdown()

    second = make_scheduler()
    second.add_job(deeds.show, args=[stage.name], id="once")
    second.start()

    assert second.get_job("once") is not None
    assert len(second.get_runs("once")) == 1


# starting and stopping


def test_nodes_are_seen_from_start_to_shutdown(make_scheduler: MakeScheduler) -> None:
    first, second = make_scheduler(), make_scheduler()
    first.start()
    second.start(paused=True)

    both = {node.id: node for node in first.get_nodes(alive=True)}
    second.shutdown()
    (left,) = first.get_nodes(alive=True)
    known = {node.id: node.state for node in first.get_nodes()}

    assert both.keys() == {first.health().node, *known.keys() - {left.id}}
    assert left.id == first.health().node
    assert {*known.values()} == {NodeState.ALIVE, NodeState.STOPPED}
    assert (left.host, left.pid, left.version) == (socket.gethostname(), os.getpid(), tickwork.__version__)


def test_a_tick_that_does_not_come_back_or_never_ends_well_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a store that hangs, or by a bug: such a process is of no use until that is over, or it is restarted."""
    monkeypatch.setattr(driver, "STUCK", 0.2)
    monkeypatch.setattr(driver, "LONG_TICK", 0.1)
    store, gate = FlakyStore(MemoryStore()), threading.Event()
    scheduler = BackgroundScheduler(store, poll=timedelta(milliseconds=10))  # type: ignore[arg-type]
    scheduler.start()
    fine = scheduler.health()

    store.between = lambda verb: None if gate.wait(PATIENCE) else pytest.fail("nobody opened it")
    wait_until(lambda: not scheduler.health().live, "a health that tells of the stuck tick")
    stuck = scheduler.health()
    gate.set()
    wait_until(lambda: scheduler.health().live, "a health that tells of its end")
    store.between = lambda verb: 1 / 0  # type: ignore[assignment,return-value]
    wait_until(lambda: not scheduler.health().live, "a health that tells of ticks that fail")
    failing = scheduler.health()
    store.between = lambda verb: None
    wait_until(lambda: scheduler.health().ready, "a health that tells that all is well")
    scheduler.shutdown()

    assert (fine.live, fine.ready, fine.nodes) == (True, True, 1)
    assert (stuck.running, stuck.ready) == (True, False)
    assert str(stuck.outage).startswith("a tick has been going on for")
    assert str(failing.outage).startswith("a tick failed: ZeroDivisionError")
    assert (scheduler.health().live, scheduler.health().ready) == (True, False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to fork")
def test_a_forked_child_in_which_no_tick_can_come_is_not_taken_for_stuck() -> None:
    program = """
import os, sys, warnings
from tickwork import BackgroundScheduler, driver
warnings.simplefilter("ignore")
driver.STUCK = -1e9
scheduler = BackgroundScheduler()
scheduler.start()
child = os.fork()
if child == 0:
    os._exit(0 if scheduler.health().live and not scheduler.health().ready else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or (2 if scheduler.health().live else 0))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=PATIENCE).returncode == 0


def test_health_tells_of_lateness_and_of_listeners_that_fall_behind(
    make_scheduler: MakeScheduler, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "MAX_WAITING", 2)
    scheduler = make_scheduler()
    scheduler.add_listener(lambda event: deeds.hold(stage.name))
    scheduler.start()
    assert stage.begun.wait(PATIENCE)
    before = scheduler.health()
    for number in range(5):
        scheduler.add_job(deeds.nothing, "interval", hours=1, id=f"job-{number}")

    behind = scheduler.health()

    assert (before.lateness, before.events_dropped) == (None, 0)
    assert (behind.events_waiting, behind.events_dropped) == (3, 3)  # one of them is in its hands
    assert behind.ready, "it is no reason to take a node out of service"


def test_a_start_that_is_refused_leaves_no_node_alive(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")
    scheduler._declared["job"] = scheduler._declared["job"]._replace(trigger=object())

    with pytest.raises(AttributeError):
        scheduler.start()

    assert scheduler.get_nodes(alive=True) == []


def test_a_scheduler_can_be_started_again(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    ledger = Ledger(scheduler)
    nodes = set()

    for number in range(3):
        scheduler.start()
        nodes.add(scheduler.health().node)
        scheduler.add_job(deeds.nothing, id=f"job-{number}")
        assert ledger.next().job_id == f"job-{number}"
        scheduler.shutdown()
        assert not scheduler.running

    assert len(nodes) == 3


def test_starting_twice_and_stopping_what_does_not_run_are_errors(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()

    for verb in (scheduler.shutdown, scheduler.pause, scheduler.resume):
        with pytest.raises(
            SchedulerNotRunningError, match=r"expected a scheduler that runs, got one that does not: call start\(\)"
        ):
            verb()
    scheduler.start()
    with pytest.raises(SchedulerAlreadyRunningError, match=r"got one that does: call shutdown\(\)"):
        scheduler.start()

    assert scheduler.running


def test_shutdown_waits_for_what_runs(scheduler: BackgroundScheduler, stage: Stage) -> None:
    job = scheduler.add_job(deeds.hold, args=[stage.name])
    assert stage.begun.wait(PATIENCE)
    ended = threading.Thread(target=scheduler.shutdown)

    ended.start()
    stage.go.set()
    ended.join(PATIENCE)

    assert not ended.is_alive()
    assert [(run.state, run.result) for run in scheduler.get_runs(job.id)] == [(RunState.SUCCEEDED, "went on")]


def test_shutdown_without_waiting_returns_at_once_and_the_run_may_end(
    scheduler: BackgroundScheduler, stage: Stage
) -> None:
    ledger = Ledger(scheduler)
    scheduler.add_job(deeds.hold, args=[stage.name])
    assert stage.begun.wait(PATIENCE)

    scheduler.shutdown(wait=False)

    assert not scheduler.running
    stage.go.set()
    assert ledger.next().state is RunState.SUCCEEDED


def test_at_the_deadline_coroutines_are_cancelled_and_threads_left_behind(
    make_scheduler: MakeScheduler, stage: Stage
) -> None:
    scheduler = make_scheduler()
    scheduler._timing = type(scheduler._timing)(last_call=timedelta(milliseconds=200))
    coroutine, thread = Stage(f"{stage.name}-coroutine"), Stage(f"{stage.name}-thread")
    scheduler.start()
    scheduler.add_job(deeds.hold_async, args=[coroutine.name], id="coroutine")
    scheduler.add_job(deeds.hold, args=[thread.name], id="thread")
    assert coroutine.begun.wait(PATIENCE)
    assert thread.begun.wait(PATIENCE)

    scheduler.shutdown(timeout=0.05)

    assert coroutine.see() == "cleaned up"
    states = {run.job_id: run.state for run in scheduler.get_runs()}
    thread.go.set()
    assert states == {"coroutine": RunState.LOST, "thread": RunState.RUNNING}


@pytest.mark.parametrize("deed", [deeds.shut_down, deeds.shut_down_async])
def test_a_job_can_shut_its_scheduler_down(make_scheduler: MakeScheduler, stage: Stage, deed: Any) -> None:
    scheduler = make_scheduler()
    stopped = threading.Event()
    scheduler.add_listener(lambda event: stopped.set(), SchedulerStopped)
    scheduler.start()

    scheduler.add_job(deed, args=[stage.name], id="last")

    assert stage.see() == "returned"
    assert stopped.wait(PATIENCE)
    assert [run.state for run in scheduler.get_runs("last")] == [RunState.SUCCEEDED]


def test_a_listener_can_shut_its_scheduler_down(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    returned, stopped = threading.Event(), threading.Event()

    def listen(event: Any) -> None:
        scheduler.shutdown()
        returned.set()

    scheduler.add_listener(listen, JobAdded)
    scheduler.add_listener(lambda event: stopped.set(), SchedulerStopped)
    scheduler.start()
    scheduler.add_job(deeds.nothing, "interval", hours=1)

    assert returned.wait(PATIENCE)
    assert stopped.wait(PATIENCE)


def test_shutdown_ends_while_a_job_uses_the_scheduler(scheduler: BackgroundScheduler, stage: Stage) -> None:
    ledger = Ledger(scheduler)
    scheduler.add_job(deeds.use_the_scheduler, args=[stage.name], id="user")
    assert stage.begun.wait(PATIENCE)
    ended = threading.Thread(target=scheduler.shutdown)

    ended.start()
    stage.go.set()
    ended.join(PATIENCE)

    assert not ended.is_alive()
    assert ledger.next().state is RunState.SUCCEEDED
    assert "user" in stage.see()


def test_a_run_that_was_waiting_is_left_to_the_next_start(make_scheduler: MakeScheduler, stage: Stage) -> None:
    first = make_scheduler(executors={"threads": ThreadExecutor(1)})
    first.start()
    first.add_job(deeds.hold, "interval", hours=1, args=[stage.name], id="holds")
    first.run_job_now("holds")
    assert stage.begun.wait(PATIENCE)
    waiting = first.run_job_now("holds")
    stage.go.set()
    first.shutdown()
    state = first.get_run(waiting.id).state

    second = make_scheduler()
    ledger = Ledger(second)
    second.start()

    if state is RunState.PENDING:
        assert ledger.next().id == waiting.id
    else:
        assert state is RunState.SUCCEEDED


def test_a_blocking_scheduler_starts_until_it_is_shut_down(stage: Stage) -> None:
    scheduler = BlockingScheduler()
    stage.scheduler = scheduler
    scheduler.add_job(deeds.shut_down, args=[stage.name], id="last")

    scheduler.start()

    assert not scheduler.running
    assert [run.state for run in scheduler.get_runs("last")] == [RunState.SUCCEEDED]


def run_script(script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parent.parent
    return subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=30, check=False,
        env={"PYTHONPATH": str(root), "DB": str(tmp_path / "jobs.db"), "PATH": ""},
    )  # fmt: skip


def test_a_forked_child_cannot_start_what_its_parent_runs(tmp_path: Path) -> None:
    script = """
import os
from tickwork import BackgroundScheduler, ForkedSchedulerError
scheduler = BackgroundScheduler(f"sqlite:///{os.environ['DB']}")
scheduler.start()
child = os.fork()
if child == 0:
    try:
        scheduler.start()
    except ForkedSchedulerError as error:
        assert "start it after the fork" in str(error), error
        os._exit(0 if scheduler.get_jobs() == [] and not scheduler.running else 2)
    os._exit(1)
_, status = os.waitpid(child, 0)
assert scheduler.running
scheduler.shutdown()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""

    done = run_script(script, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_forked_child_can_start_what_its_parent_only_made_and_its_listeners_hear(tmp_path: Path) -> None:
    """As under a server that loads the application before it forks its workers."""
    script = """
import os, threading
from tickwork import BackgroundScheduler
from tickwork.events import SchedulerStarted
heard = threading.Event()
scheduler = BackgroundScheduler(f"sqlite:///{os.environ['DB']}")
scheduler.add_listener(lambda event: heard.set(), SchedulerStarted)
scheduler.add_job("tests.deeds:nothing", "interval", hours=1)
assert len(scheduler.get_jobs()) == 1
child = os.fork()
if child == 0:
    scheduler.start()
    ok = heard.wait(10) and len(scheduler.get_jobs()) == 1
    scheduler.shutdown()
    os._exit(0 if ok else 1)
_, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""

    done = run_script(script, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_script_that_forgets_to_shut_down_ends_all_the_same(tmp_path: Path) -> None:
    script = """
import os
from tickwork import BackgroundScheduler
scheduler = BackgroundScheduler(f"sqlite:///{os.environ['DB']}")
scheduler.start()
scheduler.add_job("tests.deeds:nothing", "interval", hours=1)
scheduler.add_listener(print)
"""

    done = run_script(script, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert list((tmp_path / "jobs.db.tickwork").glob("*.bell")) == []


# bad input


LONG_AGO = {"hours": 1, "end_date": "2001-01-01T00:00Z"}


def test_a_trigger_that_has_ended_is_refused_by_a_running_scheduler() -> None:
    scheduler = memory_scheduler()
    scheduler.start(paused=True)

    with pytest.raises(TriggerError, match="expected a trigger that fires after .*, got every hour"):
        scheduler.add_job(deeds.nothing, "interval", **LONG_AGO)

    scheduler.shutdown()


def test_a_declared_trigger_that_has_ended_ends_the_job_and_not_the_app() -> None:
    scheduler = memory_scheduler()
    scheduler.add_job(deeds.nothing, "interval", id="campaign", **LONG_AGO)

    scheduler.start(paused=True)

    job = scheduler.get_job("campaign")
    assert job is not None
    assert job.ended
    scheduler.shutdown()


def test_a_time_zone_that_does_not_exist_is_refused_at_once() -> None:
    with pytest.raises(TriggerError, match="Mars"):
        BackgroundScheduler(timezone="Mars")


def test_a_declared_job_can_be_changed_only_when_it_is_stored() -> None:
    scheduler = memory_scheduler()
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="declared")

    with pytest.raises(
        SchedulerNotRunningError, match=r"expected a stored job, got the declared 'declared': call start"
    ):
        scheduler.pause_job("declared")


def lambda_in_a_job() -> Any:
    return lambda: None


class Owner:
    def method(self) -> None: ...


NAIVE = datetime(2999, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("every day",), TriggerError, "trigger: expected a trigger or its word, got 'every day'"),
        (("intervall", {"hours": 1}), TriggerError, r"got 'intervall' \(did you mean 'interval'\?\)"),
        (("interval", {"hour": 1}), TriggerError, r"interval: expected an option of this trigger, got 'hour' \(did you mean 'hours'\?\)"),
        (("interval", {}), TriggerError, "interval: expected one millisecond or more, got nothing"),
        (("cron", {"hour": 24}), TriggerError, "cron"),
        (("cron", {"day": 31, "month": 2}), TriggerError, "cron"),
        (("cron", {"hour": 3, "timezone": "Mars/Olympus"}), TriggerError, "Mars/Olympus"),
        (("date", {"run_date": "tomorrow"}), TriggerError, "run_date: expected a time such as .*, got 'tomorrow'"),
        (("date", {"run_date": NAIVE}), TriggerError, "run_date: expected a time with a time zone, got the naive '2999-01-01 00:00:00'"),
        ((5,), TriggerError, "trigger: expected a trigger or its word, got 5"),
        ((DateTrigger(), {"hours": 1}), TriggerError, "trigger: expected exclude, .*jitter or nothing beside a finished trigger, got hours"),
        ((None, {"hours": 1}), InvalidJobError, r"trigger: expected its word, such as 'interval' or 'cron', before its options, got only \['hours'\]"),
        (("interval", {"hours": 1, "executor": "thread"}), InvalidJobError, r"executor: expected one of this scheduler's, got 'thread' \(did you mean 'threads'\?\)"),
        (("interval", {"hours": 1, "max_instances": 0}), InvalidJobError, "max_instances: expected a whole number from 1 to 10000, got 0"),
        (("interval", {"hours": 1, "max_instances": None}), InvalidJobError, "max_instances: expected a whole number"),
        (("interval", {"hours": 1, "coalesce": "no"}), InvalidJobError, "coalesce: expected True or False, got 'no'"),
        (("interval", {"hours": 1, "misfire_grace_time": -1}), InvalidJobError, "misfire_grace_time: expected seconds, a timedelta or a text"),
        (("interval", {"hours": 1, "misfire_grace_time": "1 moon"}), InvalidJobError, "misfire_grace_time: expected seconds, a timedelta or a text"),
        (("interval", {"hours": 1, "retry": 3}), InvalidJobError, "retry: expected a tickwork.Retry, got 3"),
        (("interval", {"hours": 1, "id": ""}), InvalidJobError, "id: expected 1 to 200 printable characters, got ''"),
        (("interval", {"hours": 1, "id": 5}), InvalidJobError, "id: expected 1 to 200 printable characters, got 5"),
        (("interval", {"hours": 1, "id": "a\nb"}), InvalidJobError, "id: expected 1 to 200 printable characters"),
        (("interval", {"hours": 1, "name": "x" * 201}), InvalidJobError, "name: expected 1 to 200 printable characters"),
        (("interval", {"hours": 1, "next_run_time": NAIVE}), InvalidJobError, "next_run_time: expected a time with a time zone, got the naive '2999-01-01 00:00:00': write"),
        (("interval", {"hours": 1, "next_run_time": "soon"}), InvalidJobError, "next_run_time: expected"),
        (("interval", {"hours": 1, "args": [1]}), InvalidJobError, r"args, kwargs: expected what nothing\(\) -> .*None.* takes, got args=\(1,\) kwargs={}: too many positional"),
        (("interval", {"hours": 1, "kwargs": {"x": 1}}), InvalidJobError, "unexpected keyword argument 'x'"),
        (("interval", {"hours": 1, "args": [object()]}), InvalidJobError, r"args\[0\]: expected plain JSON .*, got object"),
        (("interval", {"hours": 1, "kwargs": {"when": datetime(2026, 1, 1, tzinfo=UTC)}}), InvalidJobError, r"kwargs\['when'\]: expected plain JSON .*, got datetime"),
        (("interval", {"hours": 1, "args": [float("nan")]}), InvalidJobError, r"args\[0\]: expected a finite number, got nan"),
        (("interval", {"hours": 1, "args": [{1: 2}]}), InvalidJobError, r"args\[0\]: expected strings as keys, got 1: write '1'"),
        (("interval", {"hours": 1, "args": "abc"}), InvalidJobError, "args: expected a list or tuple, got 'abc'"),
        (("interval", {"hours": 1, "kwargs": [1]}), InvalidJobError, r"kwargs: expected a dict, got \[1\]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("running", [False, True])
def test_bad_options_are_refused_at_the_call(
    arguments: Any, error: type[Exception], message: str, running: bool
) -> None:
    scheduler = memory_scheduler()
    if running:
        scheduler.start(paused=True)
    trigger, options = (*arguments, {})[:2]

    with pytest.raises(error, match=message):
        scheduler.add_job(deeds.nothing, trigger, **options)

    assert scheduler.get_jobs() == []
    if running:
        scheduler.shutdown()


@pytest.mark.parametrize(
    ("func", "message"),
    [
        (lambda: None, "got a lambda at .*test_scheduler.py:.*: define it with def at the top of a module"),
        (lambda_in_a_job(), "got a lambda"),
        (Owner().method, "got a bound method.*: its object exists only in this process"),
        (functools.partial(deeds.fail, "x"), "got a partial.*: define a function that makes this call, or pass args= and kwargs="),
        ("tests.deeds.nothing", r"func: expected 'module:qualname', as in 'app.jobs:refresh', got 'tests.deeds.nothing': put a colon"),
        ("tests.deeds:nothin", "func: expected a callable under 'tests.deeds:nothin', got nothing"),
        ("tests.nowhere:work", "func: expected a module that can be imported, got 'tests.nowhere'"),
    ],
)  # fmt: skip
def test_a_function_that_others_cannot_find_is_refused(func: Any, message: str) -> None:
    with pytest.raises(FunctionReferenceError, match=message):
        memory_scheduler().add_job(func, "interval", hours=1)


def test_a_nested_function_is_refused() -> None:
    def nested() -> None: ...

    with pytest.raises(FunctionReferenceError, match="got a nested function at .*: move it to the top of its module"):
        memory_scheduler().add_job(nested, "interval", hours=1)
    with pytest.raises(InvalidJobError, match="func: expected a function or 'module:qualname', got 5"):
        memory_scheduler().add_job(5, "interval", hours=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("running", [False, True])
def test_an_id_that_is_taken_is_refused(running: bool) -> None:
    scheduler = memory_scheduler()
    if running:
        scheduler.start(paused=True)
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    with pytest.raises(
        JobExistsError,
        match="expected a new job id, got 'job', which exists: give another id=, or pass replace_existing=True",
    ):
        scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    assert len(scheduler.get_jobs()) == 1
    if running:
        scheduler.shutdown()


@pytest.mark.parametrize(
    "verb",
    ["modify_job", "pause_job", "resume_job", "remove_job", "run_job_now", "reschedule_job"],
)
def test_an_unknown_id_is_refused(scheduler: BackgroundScheduler, verb: str) -> None:
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="refresh")
    arguments = ("interval",) if verb == "reschedule_job" else ()
    options = {"hours": 1} if verb == "reschedule_job" else {}

    with pytest.raises(JobNotFoundError, match=r"expected the id of a job, got 'refrsh' \(did you mean 'refresh'\?\)"):
        getattr(scheduler, verb)("refrsh", *arguments, **options)


def test_an_unknown_run_is_refused(scheduler: BackgroundScheduler) -> None:
    with pytest.raises(
        RunNotFoundError, match="expected the id of a run, got 'nobody': it never was, or it has been pruned"
    ):
        scheduler.get_run("nobody")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_instance": 2}, r"modify_job: expected one of .*, got 'max_instance' \(did you mean 'max_instances'\?\)"),
        ({"id": "other"}, "modify_job: expected one of .*, got 'id'"),
        ({"minutes": 5}, "modify_job: expected options of the job, got 'minutes', one of its trigger's: use reschedule"),
        ({"next_run_time": None}, "next_run_time: expected a time, got None: pause_job pauses a job"),
        ({"next_run_time": NAIVE}, "next_run_time: expected a time with a time zone"),
        ({"next_run_time": "tomorrow"}, "next_run_time: expected .*, got 'tomorrow'"),
        ({"next_fire_time": NAIVE}, "next_fire_time: expected a time with a time zone"),
        ({"trigger": "interval"}, "trigger: expected a trigger, got a word: use reschedule_job"),
        ({"trigger": 5}, "trigger: expected a trigger or its word, got 5"),
        ({"executor": "thread"}, "executor: expected one of this scheduler's, got 'thread'"),
        ({"args": [1]}, "too many positional arguments"),
        ({"func": deeds.fail, "kwargs": {"x": 1}}, "unexpected keyword argument 'x'"),
        ({"max_instances": -1}, "max_instances: expected a whole number"),
    ],
)  # fmt: skip
def test_a_bad_change_is_refused_and_changes_nothing(
    scheduler: BackgroundScheduler, changes: dict[str, Any], message: str
) -> None:
    before = scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    with pytest.raises((InvalidJobError, TriggerError), match=message):
        scheduler.modify_job("job", **changes)

    assert scheduler.get_job("job") == before


def test_a_job_of_another_programs_executor_can_be_changed_here(make_scheduler: MakeScheduler) -> None:
    other = make_scheduler(executors={"gpu": ThreadExecutor(1)})
    other.start(paused=True)
    other.add_job(deeds.nothing, "interval", hours=1, id="job", executor="gpu")

    changed = make_scheduler().modify_job("job", name="renamed")

    assert (changed.name, changed.executor) == ("renamed", "gpu")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"job_defaults": {"coalesc": True}}, InvalidJobError, r"job_defaults: expected coalesce, .*, got 'coalesc' \(did you mean 'coalesce'\?\)"),
        ({"job_defaults": {"max_instances": "3"}}, InvalidJobError, "max_instances: expected a whole number from 1 to 10000, got '3'"),
        ({"job_defaults": {"executor": "nobody"}}, InvalidJobError, "executor: expected one of this scheduler's, got 'nobody'"),
        ({"lease": 0.5}, InvalidJobError, "lease: expected seconds, a timedelta or a text such as '10m' or '1h 30m', from 1s to 1h, got 0.5"),
        ({"lease": "5x"}, InvalidJobError, "lease: expected seconds, a timedelta or a text"),
        ({"poll": None}, InvalidJobError, "poll: expected seconds, a timedelta or a text"),
        ({"poll": timedelta(0)}, InvalidJobError, "poll: expected seconds, a timedelta or a text"),
        ({"store": ""}, StoreURLError, r"store: expected None \(memory\), 'sqlite:///jobs.db' .*, got ''"),
        ({"store": "jobs.db"}, StoreURLError, "got 'jobs.db'"),
        ({"store": "sqlite://jobs.db"}, StoreURLError, "got 'sqlite://jobs.db'"),
        ({"store": "sqlite:///:memory:"}, StoreURLError, "got 'sqlite:///:memory:'"),
        ({"store": "sqlite:///"}, StoreURLError, "got 'sqlite:///'"),
        ({"store": "mysql://me:secret@host/db"}, StoreURLError, r"store: expected None .*got 'mysql://\*\*\*@host/db'"),
        ({"store": Path("jobs.db")}, StoreURLError, "or a store, got .*Path"),
    ],
)  # fmt: skip
def test_bad_options_of_the_scheduler_itself_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        memory_scheduler(**options)

    assert "secret" not in str(raised.value)


def test_a_bad_timeout_is_refused_and_the_scheduler_runs_on(scheduler: BackgroundScheduler) -> None:
    with pytest.raises(InvalidJobError, match="timeout: expected seconds, a timedelta or a text"):
        scheduler.shutdown(timeout="soon")  # type: ignore[arg-type]

    assert scheduler.running


@pytest.mark.parametrize(("listener", "kinds", "message"), [
    (5, (), "add_listener: expected a callable that takes the event, got 5"),
    (print, ("JobAdded",), r"add_listener: expected event classes \(SchedulerStarted, .*\), got 'JobAdded'"),
])  # fmt: skip
def test_a_bad_listener_is_refused(listener: Any, kinds: Any, message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        memory_scheduler().add_listener(listener, *kinds)


def declare(scheduler: BackgroundScheduler, *, id: str = "declared", **options: Any) -> None:
    scheduler.add_job(deeds.nothing, "interval", id=id, **options)


def test_a_job_that_is_added_while_the_scheduler_shuts_down_is_stored(tmp_path: Path, stage: Stage) -> None:
    scheduler = BackgroundScheduler(f"sqlite:///{tmp_path}/jobs.db")
    stage.scheduler = scheduler
    scheduler.add_job(deeds.use_the_scheduler, args=[stage.name], id="adds another")
    scheduler.start()
    assert stage.begun.wait(PATIENCE)

    scheduler.shutdown(wait=False)
    stage.go.set()
    assert scheduler.wait_stopped(PATIENCE)

    stored = SQLiteStore(tmp_path / "jobs.db")
    stored.open()
    assert {job.id for job in stored.jobs()} == {"adds another", "added by a job"}
    stored.close()


def test_files_are_not_for_everybody(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")

    store.open()

    made = [tmp_path / "jobs.db", tmp_path / "jobs.db.tickwork", tmp_path / "jobs.db.tickwork" / "turn"]
    assert [path.stat().st_mode & 0o007 for path in made] == [0, 0, 0]
    store.close()


def test_a_decorator_without_its_trigger_is_refused() -> None:
    with pytest.raises(InvalidJobError, match="scheduled_job: expected a trigger, got the function 'nothing': write @"):
        memory_scheduler().scheduled_job(deeds.nothing)  # type: ignore[arg-type]


def test_an_option_that_is_nearly_one_of_the_jobs_is_recognised() -> None:
    with pytest.raises(InvalidJobError, match=r"got 'max_instance' \(did you mean 'max_instances'\?\)"):
        memory_scheduler().add_job(deeds.nothing, "interval", seconds=1, max_instance=1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("cron", "0 3 * * *"), "got '0 3 * * *' behind the trigger: write crontab='0 3 * * *'"),
        (("interval", 10), "got 10 behind the trigger: write its_name=10"),
        (("interval", [1], {"a": 2}), "got [1] behind the trigger: write its_name=[1]"),
    ],
)
def test_options_go_by_their_names(given: Any, message: str) -> None:
    with pytest.raises(InvalidJobError, match=re.escape(f"add_job: expected options by their names, {message}")):
        memory_scheduler().add_job(deeds.nothing, *given)
    with pytest.raises(InvalidJobError, match=re.escape(f"scheduled_job: expected options by their names, {message}")):
        memory_scheduler().scheduled_job(*given)


VERBS_OF_JOBS: dict[str, tuple[Any, ...]] = {
    "get_job": (), "modify_job": (), "reschedule_job": ("date",), "pause_job": (), "resume_job": (), "remove_job": (),
    "run_job_now": (), "get_state": (), "set_state": ({"a": 1},), "clear_state": (), "backfill_job": ("00:00Z", "01:00Z"),
    "get_backfills": (), "get_runs": (), "why": ("18:00Z",),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS_OF_JOBS)
@pytest.mark.parametrize("kind", ["job", "function", "number"])
def test_a_job_in_place_of_its_id_is_refused(make_scheduler: MakeScheduler, verb: str, kind: str) -> None:
    scheduler = make_scheduler()
    job = scheduler.new_job(deeds.nothing, "interval", hours=1, id="a")
    scheduler.add_jobs([job])

    with pytest.raises(InvalidJobError, match="job_id: expected the id of a job, got .*: pass its id, as job.id"):
        getattr(scheduler, verb)({"job": job, "function": deeds.nothing, "number": 7}[kind], *VERBS_OF_JOBS[verb])

    assert [job.id for job in scheduler.get_jobs()] == ["a"]


@pytest.mark.parametrize("verb", ["get_run", "get_log", "cancel_run", "retry_run"])
def test_a_run_in_place_of_its_id_is_refused(make_scheduler: MakeScheduler, verb: str) -> None:
    scheduler = make_scheduler()
    scheduler.add_jobs([scheduler.new_job(deeds.nothing, "interval", hours=1, id="a")])
    run = scheduler.run_job_now("a")

    with pytest.raises(InvalidJobError, match=r"run_id: expected the id of a run, got Run\(.*: pass its id, as run.id"):
        getattr(scheduler, verb)(run)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ("failed", "states: expected a list of states of runs, got 'failed': put it into a list"),
        (None, "states: expected a list of states of runs, got None"),
        (["fialed"], r"states: expected states of runs, got 'fialed' \(did you mean 'failed'"),
        ([None], "states: expected states of runs, got None"),
    ],
)
def test_what_are_no_states_is_refused(states: Any, message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        memory_scheduler().get_runs(states=states)
