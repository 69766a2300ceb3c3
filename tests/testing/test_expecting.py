"""What a test expects of a schedule, and what it is told when that is not so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests import deeds

from tickwork import InvalidJobError, JobNotFoundError, Retry, RunContext, TriggerError
from tickwork.testing import ManualScheduler

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def fail_on_the_fifth(run: RunContext) -> None:
    if run.fire_time.day == 5:
        raise RuntimeError("the fifth")


@pytest.fixture
def scheduler() -> ManualScheduler:
    scheduler = ManualScheduler(start=START)
    scheduler.start()
    scheduler.add_job(fail_on_the_fifth, "cron", hour=3, id="nightly")
    return scheduler


def test_what_ran_is_returned_in_its_order(scheduler: ManualScheduler) -> None:
    scheduler.advance(4 * DAY)

    runs = scheduler.assert_ran("nightly", times=4)
    [third] = scheduler.assert_ran("nightly", at="2026-03-03 03:00Z")

    assert [run.fire_time for run in runs] == [START + day * DAY + 3 * HOUR for day in range(4)]
    assert third == runs[2]


def test_what_failed_is_told_with_its_reason(scheduler: ManualScheduler) -> None:
    scheduler.advance(6 * DAY)

    with pytest.raises(AssertionError) as at_one:
        scheduler.assert_ran("nightly", at="2026-03-05 03:00Z")
    with pytest.raises(AssertionError) as in_all:
        scheduler.assert_ran("nightly", times=6)

    assert str(at_one.value).startswith("expected 'nightly' to have run at 2026-03-05 03:00Z: ")
    assert "RuntimeError: the fifth" in str(at_one.value)
    first, told, upcoming = str(in_all.value).splitlines()
    assert first == "expected 'nightly' to have run 6 times by 2026-03-07 00:00 UTC, got 5"
    assert "RuntimeError: the fifth" in told
    assert upcoming == "  its next fire time is 2026-03-07 03:00 UTC"
    assert len(scheduler.assert_ran("nightly", state="failed")) == 1
    scheduler.assert_ran("nightly", at="2026-03-05 03:00Z", state="failed", times=1)


def test_what_never_was_a_fire_time_is_told_so(scheduler: ManualScheduler) -> None:
    scheduler.advance(DAY)

    with pytest.raises(AssertionError, match=r"to have run at 2026-03-01 04:00Z: .*2026-03-01 03:00"):
        scheduler.assert_ran("nightly", at="2026-03-01 04:00Z")


def test_what_is_paused_is_told_so(scheduler: ManualScheduler) -> None:
    scheduler.pause_job("nightly", reason="the source is being moved")
    scheduler.advance(DAY)

    with pytest.raises(AssertionError, match="got 0\n  it is paused: the source is being moved"):
        scheduler.assert_ran("nightly")


def test_of_many_others_only_a_few_are_told(scheduler: ManualScheduler) -> None:
    scheduler.add_job(deeds.fail, "interval", hours=1, id="broken")
    scheduler.advance(DAY)

    with pytest.raises(AssertionError) as told:
        scheduler.assert_ran("broken")

    assert "  ... 19 others, and:" in str(told.value)
    assert len(str(told.value).splitlines()) == 8


def test_what_did_not_run_at_all_or_at_one_instant(scheduler: ManualScheduler) -> None:
    scheduler.assert_not_ran("nightly")
    scheduler.assert_ran("nightly", times=0)
    scheduler.advance(DAY)

    scheduler.assert_not_ran("nightly", at="2026-03-01 04:00Z")
    with pytest.raises(AssertionError, match="expected 'nightly' not to have run at 2026-03-01 03:00Z: "):
        scheduler.assert_not_ran("nightly", at="2026-03-01 03:00Z")
    with pytest.raises(AssertionError, match="expected 'nightly' not to have run at all: "):
        scheduler.assert_not_ran("nightly")


def test_each_attempt_that_failed_counts(scheduler: ManualScheduler) -> None:
    scheduler.add_job(deeds.fail, "date", run_date=START, retry=Retry(3), id="broken")
    scheduler.run_due()

    runs = scheduler.assert_ran("broken", at=START, state="failed", times=3)

    assert [run.attempt for run in runs] == [1, 2, 3]


def test_a_job_that_nobody_knows_is_an_error_of_its_own(scheduler: ManualScheduler) -> None:
    for expect in (scheduler.assert_ran, scheduler.assert_not_ran):
        with pytest.raises(JobNotFoundError, match="did you mean 'nightly'"):
            expect("nightli")


@pytest.mark.parametrize("state", ["ran", None, 5])
def test_a_state_that_is_none_is_refused(scheduler: ManualScheduler, state: Any) -> None:
    with pytest.raises(InvalidJobError, match="state: expected the state of a run"):
        scheduler.assert_ran("nightly", state=state)


def test_time_moves_to_an_instant_as_people_write_it() -> None:
    scheduler = ManualScheduler(start=START, timezone="Asia/Seoul")
    scheduler.start()

    scheduler.advance_to("2026-03-29 03:00")
    early = scheduler.clock.now()
    scheduler.advance_to("18:00")
    scheduler.advance_to(scheduler.clock.now() + HOUR)

    assert early == datetime(2026, 3, 28, 18, tzinfo=UTC)
    assert scheduler.clock.now() == datetime(2026, 3, 29, 10, tzinfo=UTC)
    with pytest.raises(InvalidJobError, match="advance_to: expected an instant from 2026-03-29 10:00"):
        scheduler.advance_to(START)


def test_what_happened_instead_is_said_in_the_zone_of_the_job() -> None:
    scheduler = ManualScheduler(start=START, timezone="Asia/Seoul")
    scheduler.add_job(deeds.fail, "cron", hour=3, id="nightly")
    scheduler.start()
    scheduler.advance_to("2026-03-29 03:00")

    with pytest.raises(AssertionError) as raised:
        scheduler.assert_ran("nightly", times=1)

    said = str(raised.value)
    assert said.startswith("expected 'nightly' to have run 1 times by 2026-03-29 03:00+09:00, got 0\n  ")
    assert "\n  2026-03-29 03:00+09:00: ran on node " in said
    assert said.endswith("\n  its next fire time is 2026-03-30 03:00+09:00")


@pytest.mark.parametrize("instant", ["soon", "2026-03-29 03:00", datetime(2026, 3, 29), None, 5])
def test_what_is_no_instant_is_refused(scheduler: ManualScheduler, instant: Any) -> None:
    with pytest.raises((InvalidJobError, TriggerError), match="advance_to: expected"):
        scheduler.advance_to(instant)


def test_in_a_with_statement_it_is_started_and_shut_down() -> None:
    with ManualScheduler() as scheduler:
        assert scheduler.running

    assert not scheduler.running


def test_it_may_be_shut_down_within() -> None:
    with ManualScheduler() as scheduler:
        scheduler.shutdown()
