"""What users get for tests of their own schedules."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests import deeds
from tests.deeds import Stage

from tickwork import Retry
from tickwork.errors import InvalidJobError, SchedulerNotRunningError
from tickwork.run import RunState
from tickwork.stores.memory import MemoryStore
from tickwork.testing import ManualScheduler, VirtualClock

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage(secrets.token_hex(4))
    yield stage
    del deeds.STAGES[stage.name]


@pytest.fixture
def scheduler(store_url: str | None) -> Iterator[ManualScheduler]:
    scheduler = ManualScheduler(store_url, start=START)
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()
    scheduler._store.close()


def test_a_virtual_clock_stands_still_until_it_is_moved_and_never_goes_back() -> None:
    clock = VirtualClock(START)

    clock.advance(HOUR)
    clock.move_to(START + DAY)

    assert clock.now() == START + DAY
    with pytest.raises(InvalidJobError, match="move_to: expected an instant from 2026-03-02 00:00:00"):
        clock.move_to(START)
    with pytest.raises(InvalidJobError):
        clock.advance(-HOUR)


def test_a_number_means_seconds(scheduler: ManualScheduler) -> None:
    scheduler.start()

    scheduler.advance(90)
    scheduler.clock.advance(0.5)

    assert scheduler.clock.now() == START + timedelta(seconds=90.5)


@pytest.mark.parametrize("duration", [-1, None, "1 moon", True, float("nan"), float("inf"), 10**12, timedelta.max])
def test_what_is_no_duration_moves_nothing(scheduler: ManualScheduler, duration: Any) -> None:
    scheduler.start()

    for advance in (scheduler.advance, scheduler.clock.advance):
        with pytest.raises(InvalidJobError, match="advance: expected "):
            advance(duration)

    assert scheduler.clock.now() == START


def test_code_that_awaits_the_verbs_can_be_tested(scheduler: ManualScheduler) -> None:
    async def story() -> None:
        await scheduler.aio.start()
        await scheduler.aio.add_job(deeds.nothing, "interval", hours=1, id="hourly")
        scheduler.advance(HOUR)
        await scheduler.aio.pause_job("hourly", reason="moved")
        assert [run.state for run in await scheduler.aio.get_runs()] == [RunState.SUCCEEDED]
        await scheduler.aio.shutdown()

    asyncio.run(story())

    assert not scheduler.running


@pytest.mark.parametrize("start", [datetime(2026, 3, 1), "2026-03-01", None])
def test_a_clock_needs_an_instant_with_a_zone(start: Any) -> None:
    with pytest.raises(InvalidJobError, match="start: expected a"):
        VirtualClock(start)


def test_a_month_passes_in_a_moment(scheduler: ManualScheduler) -> None:
    scheduler.add_job(deeds.nothing, "cron", hour=3, id="nightly")
    scheduler.start()

    scheduler.advance(31 * DAY)

    runs = scheduler.get_runs("nightly")
    assert [run.fire_time for run in reversed(runs)] == [START + day * DAY + 3 * HOUR for day in range(31)]
    assert {run.state for run in runs} == {RunState.SUCCEEDED}
    assert {run.lateness for run in runs} == {timedelta(0)}
    assert scheduler.clock.now() == START + 31 * DAY


def test_nothing_happens_until_time_moves(scheduler: ManualScheduler, stage: Stage) -> None:
    scheduler.start()
    scheduler.add_job(deeds.show, args=[stage.name], id="now")
    scheduler.add_job(deeds.show, "date", run_date=START + HOUR, args=[stage.name], id="later")
    before = stage.seen.qsize()

    scheduler.run_due()
    due = stage.seen.qsize()
    scheduler.advance(HOUR - timedelta(microseconds=1))
    early = stage.seen.qsize()
    scheduler.advance(timedelta(microseconds=1))

    assert (before, due, early, stage.seen.qsize()) == (0, 1, 1, 2)


def test_a_coroutine_is_run_to_its_end(scheduler: ManualScheduler, stage: Stage) -> None:
    scheduler.start()
    job = scheduler.add_job(deeds.show_async, args=[stage.name])

    scheduler.run_due()

    assert [run.result for run in scheduler.get_runs(job.id)] == ["shown"]


def test_a_coroutine_is_run_to_its_end_inside_of_an_event_loop_too(scheduler: ManualScheduler, stage: Stage) -> None:
    scheduler.start()
    job = scheduler.add_job(deeds.show_async, args=[stage.name])

    async def story() -> None:
        scheduler.run_due()

    asyncio.run(story())

    assert [run.result for run in scheduler.get_runs(job.id)] == ["shown"]


def test_retries_come_when_their_delay_is_over(scheduler: ManualScheduler) -> None:
    scheduler.start()
    job = scheduler.add_job(deeds.fail, retry=Retry(3, HOUR))

    scheduler.advance(HOUR + HOUR / 2)

    assert [(run.attempt, run.state, run.started_at) for run in scheduler.get_runs(job.id)] == [
        (3, RunState.PENDING, None), (2, RunState.FAILED, START + HOUR), (1, RunState.FAILED, START),
    ]  # fmt: skip


def test_two_manual_runs_at_one_instant_are_two_runs(scheduler: ManualScheduler) -> None:
    scheduler.start()
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    first, second = scheduler.run_job_now("job"), scheduler.run_job_now("job")
    scheduler.advance(timedelta(seconds=1))

    assert first.id != second.id
    assert {scheduler.get_run(run.id).state for run in (first, second)} == {RunState.SUCCEEDED}


def test_pause_resume_and_changes_follow_the_virtual_clock(scheduler: ManualScheduler) -> None:
    scheduler.start()
    scheduler.add_job(deeds.nothing, "interval", hours=1, id="job")

    scheduler.advance(2 * HOUR)
    scheduler.pause_job("job")
    scheduler.advance(3 * HOUR)
    scheduler.resume_job("job")
    scheduler.advance(HOUR)

    rows = [(run.state, (run.fire_time - START) / HOUR) for run in reversed(scheduler.get_runs("job"))]
    assert rows == [
        (RunState.SUCCEEDED, 1), (RunState.SUCCEEDED, 2), (RunState.SKIPPED, 3), (RunState.SUCCEEDED, 6),
    ]  # fmt: skip


def test_it_must_be_started_and_can_be_started_again(scheduler: ManualScheduler) -> None:
    with pytest.raises(SchedulerNotRunningError):
        scheduler.advance(HOUR)
    for hours in (1, 2):
        scheduler.start()
        scheduler.add_job(deeds.nothing, "interval", hours=1, id=f"job-{hours}")
        scheduler.advance(HOUR)
        scheduler.shutdown()

    assert not scheduler.running
    assert len(scheduler.get_runs("job-1")) == 2


def test_two_manual_schedulers_share_a_clock_and_a_store() -> None:
    clock = VirtualClock(START)
    store = MemoryStore(clock=clock)
    a, b = ManualScheduler(store, clock=clock), ManualScheduler(store, clock=clock)
    a.start()
    b.start()
    a.add_job(deeds.nothing, "interval", hours=1, id="job")

    a.advance(HOUR)
    b.run_due()

    assert len(b.get_runs("job")) == 1


def test_a_store_with_another_clock_is_refused() -> None:
    with pytest.raises(InvalidJobError, match="clock"):
        ManualScheduler(MemoryStore(), start=START)
