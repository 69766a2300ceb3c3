"""Every decision, as tables of cases and as laws that hold for any trigger, policy and lateness."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.samples import (
    EVERY_MINUTE,
    MINUTE,
    NOW,
    SECOND,
    held_run,
    make_backfill,
    make_hold,
    make_job,
    make_run,
    new_uid,
)

from tickwork import plan
from tickwork.backfill import Answered, Backfill
from tickwork.errors import InvalidJobError, RetryRefusedError, TriggerError
from tickwork.job import Job
from tickwork.plan import MAX_MADE_UP, Change
from tickwork.policies import Overlap, Retry
from tickwork.run import (
    TRANSITIONS,
    Cancelled,
    Failed,
    Given,
    Lost,
    Missed,
    Origin,
    Outcome,
    Progress,
    Released,
    Run,
    RunState,
    Skipped,
    Succeeded,
    TimedOut,
)
from tickwork.triggers import CronTrigger, DateTrigger, IntervalTrigger, Trigger
from tickwork.triggers.ticks import first_of_latest

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
HOLD = make_hold("a")
OUTCOMES: list[Outcome] = [
    Succeeded(7), Failed("broken", "traceback"), TimedOut("too slow"), Cancelled("asked"), Lost("silent"),
    Skipped("paused"), Missed("waited"), Released(),
]  # fmt: skip


def at(minutes: float) -> datetime:
    return NOW + minutes * MINUTE


def told(change: Change | None) -> list[tuple[str, float, float]]:
    """The rows of a change: state, first minute, last minute."""
    assert change is not None
    return [
        (run.state.value, (run.fire_time - NOW) / MINUTE, ((run.through or run.fire_time) - NOW) / MINUTE)
        for run in change.runs
    ]  # fmt: skip


# fire: what was missed together


@pytest.mark.parametrize(
    ("policies", "active", "now", "rows"),
    [
        pytest.param({"catch_up": 2}, [], 0, [("running", 0, 0)], id="on time"),
        pytest.param(
            {"catch_up": 2}, [], 5, [("missed", 0, 3), ("running", 4, 4), ("pending", 5, 5)], id="the latest two of six"
        ),
        pytest.param({"catch_up": 9}, [], 1, [("running", 0, 0), ("pending", 1, 1)], id="fewer than allowed"),
        pytest.param(
            {"catch_up": 2}, ["running"], 5, [("missed", 0, 3), ("pending", 4, 4), ("pending", 5, 5)], id="both wait"
        ),
        pytest.param({"catch_up": 1}, [], 5, [("skipped", 0, 4), ("running", 5, 5)], id="one is coalescing"),
        pytest.param(
            {"catch_up": 1, "coalesce": False},
            [],
            5,
            [("skipped", 0, 4), ("running", 5, 5)],
            id="whatever coalesce says",
        ),
        pytest.param({"catch_up": 0}, [], 0.5, [("running", 0, 0)], id="none, but it was not missed"),
        pytest.param(
            {"catch_up": 0}, [], 5.5, [("missed", 0, 4), ("running", 5, 5)], id="none, and the latest was not missed"
        ),
        pytest.param(
            {"catch_up": 0, "misfire_grace_time": 10 * SECOND},
            [],
            5.5,
            [("missed", 0, 5)],
            id="none, and all were missed",
        ),
        pytest.param(
            {"catch_up": 3, "misfire_grace_time": 90 * SECOND},
            [],
            5,
            [("missed", 0, 3), ("running", 4, 4), ("pending", 5, 5)],
            id="within a window",
        ),
    ],
)
def test_of_what_was_missed_together_the_latest_so_many_are_run(
    policies: dict[str, Any], active: list[str], now: float, rows: list[tuple[str, float, float]]
) -> None:
    job = make_job(**policies)

    change = plan.fire(job, some_active(job, active), at(now), HOLD)

    assert told(change) == rows
    assert change is not None
    check_answers(job, change)


def test_what_is_not_made_up_says_so() -> None:
    change = plan.fire(make_job(catch_up=2), [], at(5), HOLD)

    assert change is not None
    assert change.runs[0].reason == "catch_up is 2, and so many later ones are run"


# fire: while too many runs are active


def cancelled(change: Change | None) -> list[tuple[str, float, str | None]]:
    """The runs that a change cancels: what they become, their minute, and why."""
    assert change is not None
    return [(run.state.value, (run.fire_time - NOW) / MINUTE, run.cancel_reason) for run in change.cancelled]


@pytest.mark.parametrize(
    ("policies", "active", "now", "rows"),
    [
        pytest.param({"overlap": Overlap.QUEUE}, ["running"], 0, [("pending", 0, 0)], id="one waits"),
        pytest.param(
            {"overlap": Overlap.QUEUE}, ["running", "pending"], 0, [("skipped", 0, 0)], id="no second one waits"
        ),
        pytest.param(
            {"overlap": Overlap.QUEUE, "max_waiting": 2},
            ["running", "pending"],
            0,
            [("pending", 0, 0)],
            id="a second may",
        ),
        pytest.param(
            {"overlap": Overlap.QUEUE},
            ["running"],
            2,
            [("skipped", 0, 1), ("pending", 2, 2)],
            id="the latest of several waits",
        ),
        pytest.param({"overlap": Overlap.QUEUE}, [], 0, [("running", 0, 0)], id="nothing in the way"),
        pytest.param({"overlap": Overlap.CANCEL}, ["running"], 0, [("pending", 0, 0)], id="it takes the place"),
        pytest.param(
            {"overlap": Overlap.CANCEL},
            ["running"],
            2,
            [("skipped", 0, 1), ("pending", 2, 2)],
            id="the latest takes the place",
        ),
        pytest.param(
            {"overlap": Overlap.CANCEL, "misfire_grace_time": 90 * SECOND},
            ["running"],
            2.9,
            [("missed", 0, 1), ("pending", 2, 2)],
            id="only what is not too late",
        ),
    ],
)
def test_overlapping_fire_times_are_skipped_wait_or_take_over(
    policies: dict[str, Any], active: list[str], now: float, rows: list[tuple[str, float, float]]
) -> None:
    job = make_job(**policies)

    change = plan.fire(job, some_active(job, active), at(now), HOLD)

    assert told(change) == rows
    assert change is not None
    check_answers(job, change)


def test_what_makes_way_is_closed_if_it_waits_and_asked_to_end_if_it_runs() -> None:
    job = make_job(overlap=Overlap.CANCEL)
    running, waiting = held_run(job, at(-1)), make_run(job, at(-2))

    change = plan.fire(job, [running, waiting], at(0), HOLD)

    why = "the fire time 2026-01-01T00:00:00Z took its place"
    assert cancelled(change) == [("cancelled", -2, why), ("running", -1, why)]
    assert change is not None
    assert [run.version for run in change.cancelled] == [2, 2]


@pytest.mark.parametrize(
    ("max_instances", "asked", "makes_way"),
    [(3, [], [-3]), (2, [], [-3, -2]), (1, [], [-3, -2, -1]), (3, [-1], []), (2, [-2], [-3]), (1, [-3, -2, -1], [])],
)
def test_of_several_the_oldest_make_way_and_no_more_of_them_than_must(
    max_instances: int, asked: list[int], makes_way: list[int]
) -> None:
    job = make_job(overlap=Overlap.CANCEL, max_instances=max_instances)
    active = [
        plan.cancel(run, "asked", NOW) if minute in asked else run
        for minute, run in ((minute, held_run(job, at(minute))) for minute in (-1, -3, -2))
    ]

    change = plan.fire(job, active, at(0), HOLD)

    assert [minute for _, minute, _ in cancelled(change)] == makes_way
    assert told(change) == [("pending", 0, 0)]


def test_what_was_asked_to_end_is_not_asked_again() -> None:
    job = make_job(overlap=Overlap.CANCEL)
    ending = plan.cancel(held_run(job, at(-1)), "asked", NOW)

    change = plan.fire(job, [ending], at(0), HOLD)

    assert cancelled(change) == []
    assert told(change) == [("pending", 0, 0)]


@pytest.mark.parametrize("overlap", Overlap)
def test_ahead_of_its_time_a_fire_time_waits_whatever_becomes_of_it(overlap: Overlap) -> None:
    job = make_job(overlap=overlap)

    assert plan.fire(job, [held_run(job, at(-1))], at(-0.01), HOLD) is None


# ending a call early


@pytest.mark.parametrize(
    ("asked", "outcome", "ending"),
    [
        (None, Succeeded(1), Succeeded(1)),
        (TimedOut("slow"), Succeeded(1), TimedOut("slow")),
        (TimedOut("slow"), Lost("its task was cancelled"), TimedOut("slow")),
        (TimedOut("slow"), Failed("broken"), TimedOut("slow")),
        (Cancelled("asked"), Lost("its task was cancelled"), Cancelled("asked")),
        (Cancelled("asked"), Failed("broken"), Cancelled("asked")),
        (Cancelled("asked"), Succeeded(1), Succeeded(1)),
        (Cancelled("asked"), Released(), Cancelled("asked")),
    ],
)
def test_what_a_call_that_was_asked_to_end_has_come_to(asked: Any, outcome: Outcome, ending: Outcome) -> None:
    assert plan.ending(asked, outcome) == ending


def test_cancelling_closes_what_waits_and_marks_what_runs() -> None:
    job = make_job()
    waiting, running = make_run(job), held_run(job)

    closed, marked = plan.cancel(waiting, "no need", at(1)), plan.cancel(running, "no need", at(1))

    assert (closed.state, closed.ended_at, closed.reason, closed.version) == (RunState.CANCELLED, at(1), "no need", 2)
    assert marked == running._replace(cancel_reason="no need", version=2)


@pytest.mark.parametrize(
    ("outcome", "policies", "again"),
    [
        (Failed("broken", raised=("ValueError", "Exception")), {"on": ["ValueError"]}, True),
        (Failed("broken", raised=("ValueError", "Exception")), {"on": ["KeyError"]}, False),
        (Failed("broken", raised=("ValueError", "Exception")), {"give_up_on": ["Exception"]}, False),
        (TimedOut("slow"), {}, True),
        (TimedOut("slow"), {"give_up_on": [TimeoutError]}, False),
        (TimedOut("slow"), {"on": [KeyError]}, False),
        (Lost("silent"), {"on": [KeyError], "give_up_on": [BaseException]}, True),
        (Cancelled("asked"), {}, False),
    ],
)
def test_which_endings_are_tried_again(outcome: Outcome, policies: dict[str, Any], again: bool) -> None:
    run = held_run(make_job())

    settlement = plan.settle(run, Retry(2, delay=30, backoff=2, **policies), outcome, at(1))

    assert (settlement.attempt is not None) is again
    if settlement.attempt is not None:
        assert settlement.attempt.available_at == at(1.5)


@pytest.mark.parametrize("outcome", [TimedOut("slow"), Failed("broken"), Lost("silent")])
def test_what_somebody_asked_to_end_is_not_tried_again_however_it_ends(outcome: Outcome) -> None:
    run = plan.cancel(held_run(make_job()), "no need", NOW)

    assert plan.settle(run, Retry(5), outcome, at(1)).attempt is None


@pytest.mark.parametrize(
    ("overlap", "active", "rows"),
    [
        (Overlap.SKIP, ["waiting to be tried again"], [("skipped", 0, 0)]),
        (Overlap.QUEUE, ["running", "pending"], [("skipped", 0, 0)]),
        (Overlap.CANCEL, ["running", "pending"], [("pending", 0, 0)]),
    ],
)
def test_a_job_that_makes_up_for_all_it_missed_overlaps_as_others_do(
    overlap: Overlap, active: list[str], rows: list[tuple[str, float, float]]
) -> None:
    """Only what waits to be made up for is joined by further fire times."""
    job = make_job(overlap=overlap, coalesce=False)
    runs = [make_run(job, at(-1), attempt=2)] if active == ["waiting to be tried again"] else some_active(job, active)

    assert told(plan.fire(job, runs, at(0), HOLD)) == rows


FAILED, TIMED_OUT, LOST, DID = RunState.FAILED, RunState.TIMED_OUT, RunState.LOST, RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("pause_after", "newest", "too_often"),
    [
        (None, [(3, FAILED), (2, FAILED)], False),
        (2, [(3, FAILED), (2, FAILED), (1, DID)], True),
        (2, [(3, FAILED), (2, DID), (1, FAILED)], False),
        (3, [(3, FAILED), (2, FAILED)], False),
        (2, [(3, TIMED_OUT), (2, LOST), (1, DID)], True),
        (1, [(3, FAILED)], True),
        (2, [(3, FAILED), (3, FAILED), (2, DID)], False),
        (2, [(3, FAILED), (3, FAILED), (2, FAILED), (2, FAILED)], True),
        (2, [(3, DID), (3, FAILED), (2, FAILED)], False),
    ],
)
def test_a_job_fails_too_often_when_its_last_fire_times_all_did(
    pause_after: int | None, newest: list[tuple[float, RunState]], too_often: bool
) -> None:
    """Counted by fire times: of each, the last attempt decides."""
    job = make_job(pause_after=pause_after)

    assert plan.fails_too_often(job, [make_run(job, at(minute), state=state) for minute, state in newest]) is too_often


# fire: a job that fires each minute from minute 0 on


@pytest.mark.parametrize(
    ("policies", "active", "now", "rows", "following"),
    [
        pytest.param({}, [], 0, [("running", 0, 0)], 1, id="on time"),
        pytest.param({}, [], -0.01, [("running", 0, 0)], 1, id="a little ahead"),
        pytest.param({}, [], 0.5, [("running", 0, 0)], 1, id="half a minute late"),
        pytest.param({}, [], 3.5, [("skipped", 0, 2), ("running", 3, 3)], 4, id="what was missed together becomes one run"),
        pytest.param({}, ["running"], 0, [("skipped", 0, 0)], 1, id="no room for a second instance"),
        pytest.param({}, ["pending"], 0, [("skipped", 0, 0)], 1, id="a waiting run takes the room too"),
        pytest.param({}, ["running"], 3, [("skipped", 0, 3)], 4, id="no room for any of those missed together"),
        pytest.param({"max_instances": 2}, ["running"], 0, [("running", 0, 0)], 1, id="room for a second instance"),
        pytest.param({"max_instances": 2}, ["running"] * 2, 0, [("skipped", 0, 0)], 1, id="no room for a third"),
        pytest.param({"misfire_grace_time": 90 * SECOND}, [], 1.5, [("skipped", 0, 0), ("running", 1, 1)], 2, id="just in grace"),
        pytest.param({"misfire_grace_time": 30 * SECOND}, [], 0.5, [("running", 0, 0)], 1, id="at the end of the grace"),
        pytest.param({"misfire_grace_time": 30 * SECOND}, [], 0.51, [("missed", 0, 0)], 1, id="out of grace"),
        pytest.param({"misfire_grace_time": 30 * SECOND}, [], 3.51, [("missed", 0, 3)], 4, id="all out of grace"),
        pytest.param(
            {"misfire_grace_time": 90 * SECOND}, [], 5, [("missed", 0, 3), ("skipped", 4, 4), ("running", 5, 5)], 6,
            id="some out of grace, some coalesced",
        ),
        pytest.param(
            {"misfire_grace_time": 90 * SECOND}, ["running"], 5, [("missed", 0, 3), ("skipped", 4, 5)], 6,
            id="some out of grace, no room for the rest",
        ),
        pytest.param(
            {"coalesce": False, "max_instances": 9}, [], 2, [("running", 0, 0), ("running", 1, 1), ("running", 2, 2)], 3,
            id="each on its own",
        ),
        pytest.param(
            {"coalesce": False}, [], 2, [("running", 0, 0), ("pending", 1, 1), ("pending", 2, 2)], 3,
            id="each on its own, one after another",
        ),
        pytest.param({"coalesce": False}, ["running"], 0, [("skipped", 0, 0)], 1, id="overlap is not made up"),
        pytest.param({"coalesce": False}, ["running"], 1, [("pending", 0, 0), ("pending", 1, 1)], 2, id="what was missed waits"),
        pytest.param({"coalesce": False}, ["pending"], 0, [("pending", 0, 0)], 1, id="while it catches up, all are made up"),
        pytest.param(
            {"coalesce": False, "misfire_grace_time": 90 * SECOND}, [], 5,
            [("missed", 0, 3), ("running", 4, 4), ("pending", 5, 5)], 6, id="only what is in grace is made up",
        ),
    ],
)  # fmt: skip
def test_what_becomes_of_a_fire_time(
    policies: dict[str, Any], active: list[str], now: float, rows: list[tuple[str, float, float]], following: float
) -> None:
    job = make_job(**policies)

    change = plan.fire(job, some_active(job, active), at(now), HOLD)

    assert told(change) == rows
    assert change is not None
    assert change.job.next_fire_time == at(following)
    assert change.job.last_fire_time == at(following - 1)
    assert change.job.version == job.version + 1


@pytest.mark.parametrize("coalesce", [True, False])
def test_a_fire_time_that_lies_ahead_waits_for_an_active_run_to_end(coalesce: bool) -> None:
    job = make_job(coalesce=coalesce)

    change = plan.fire(job, some_active(job, ["running"]), NOW - MICROSECOND, HOLD)

    assert change is None


@pytest.mark.parametrize("overlap", Overlap)
def test_nothing_is_decided_while_nobody_knows_whether_what_is_in_the_way_goes_on(overlap: Overlap) -> None:
    """Its lease has ended: in a moment its node renews it, or it is lost and in nobody's way."""
    job = make_job(overlap=overlap, max_instances=2)
    going_on, doubtful = some_active(job, ["running"])[0], held_run(job, at(-2), lease_until=at(1))

    assert plan.fire(job, [going_on, doubtful], at(1), HOLD) is None
    assert plan.fire(job, [going_on, doubtful], at(1) - MICROSECOND, HOLD) is not None
    assert plan.fire(job, [doubtful], at(1), HOLD) is not None, "there is room for both"


def test_a_born_run_is_held_or_waits() -> None:
    job = make_job()

    held = plan.fire(job, [], NOW - SECOND, HOLD)
    waiting = plan.fire(job, [], NOW - SECOND, None)

    assert held is not None
    assert waiting is not None
    assert held.runs == (held_run(job, available_at=NOW),)
    assert waiting.runs == (make_run(job),)


def test_a_closed_row_says_when_and_why() -> None:
    job = make_job(misfire_grace_time=SECOND)
    running = held_run(job, at(-1), lease_until=at(3))

    missed = plan.fire(job, [], at(2.5), HOLD)
    in_the_way = plan.fire(make_job(uid=job.uid), [running], at(2.5), HOLD)
    coalesced = plan.fire(make_job(), [], at(2.5), HOLD)

    assert missed is not None
    assert in_the_way is not None
    assert coalesced is not None
    assert missed.runs[0].reason == "fired 0:02:30 late, and misfire_grace_time is 0:00:01"
    assert in_the_way.runs[0].reason == f"max_instances is 1, and run {running.id} was still running"
    assert coalesced.runs[0].reason == "coalesced: several fire times were due at once, and the latest of them was run"
    for run in (missed.runs[0], in_the_way.runs[0], coalesced.runs[0]):
        assert run.ended_at == at(2.5)
        assert run.started_at is None


def test_a_job_whose_trigger_ends_has_no_next_fire_time() -> None:
    job = make_job(trigger=DateTrigger(NOW))

    change = plan.fire(job, [], NOW, HOLD)

    assert change is not None
    assert change.job.ended
    assert told(change) == [("running", 0, 0)]


def test_catching_up_goes_on_where_it_stopped() -> None:
    """MAX_MADE_UP runs wait at once; the others follow as those end, and none is left out."""
    job = make_job(coalesce=False)
    now = at(MAX_MADE_UP * 2)

    first = plan.fire(job, [], now, None)
    assert first is not None
    full = plan.fire(first.job, first.runs, now, HOLD)
    second = plan.fire(first.job, first.runs[2:], now, HOLD)

    assert len(first.runs) == MAX_MADE_UP
    assert full is None
    assert told(second) == [("pending", MAX_MADE_UP, MAX_MADE_UP), ("pending", MAX_MADE_UP + 1, MAX_MADE_UP + 1)]


def test_catching_up_does_not_hold_back_a_job_that_may_run_more_often_at_once() -> None:
    """MAX_MADE_UP bounds the runs that wait, not those that run."""
    job = make_job(coalesce=False, max_instances=MAX_MADE_UP * 2)
    running = [held_run(job, at(-number)) for number in range(1, MAX_MADE_UP + 1)]

    change = plan.fire(job, running, NOW, HOLD)

    assert told(change) == [("running", 0, 0)]


def test_the_latest_of_a_year_of_missed_seconds_is_found_with_few_questions() -> None:
    asked = Asked(IntervalTrigger(seconds=1, start_date=NOW))

    latest, following = plan.latest_fire_time(asked, NOW, NOW + timedelta(days=365, microseconds=5))

    assert latest == NOW + timedelta(days=365)
    assert following == latest + SECOND
    assert asked.questions < 120


def test_a_trigger_that_stands_still_is_an_error_and_not_an_endless_loop() -> None:
    with pytest.raises(TriggerError, match="expected a fire time after"):
        plan.latest_fire_time(Stuck(), NOW, at(5))


# fire: the laws

starts = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))
intervals = st.builds(
    lambda seconds, start, end: IntervalTrigger(
        seconds=seconds, start_date=start, end_date=start + end if end else None
    ),
    st.sampled_from([0.2, 1, 7, 60, 61.5, 3600]),
    starts,
    st.none() | st.timedeltas(timedelta(0), timedelta(days=2)),
)
crons = st.builds(
    CronTrigger,
    st.sampled_from(["* * * * *", "*/7 * * * *", "0 3 * * *", "30 2 * * *", "0 0 1 * *", "15 1-4 * * mon-fri"]),
    timezone=st.sampled_from(["UTC", "Asia/Seoul", "Europe/Berlin", "America/New_York"]),
)
some_triggers: st.SearchStrategy[Trigger] = st.one_of(intervals, crons, st.builds(DateTrigger, starts))
lateness = st.one_of(
    st.timedeltas(timedelta(milliseconds=-50), timedelta(seconds=2)),
    st.timedeltas(timedelta(0), timedelta(hours=2)),
    st.timedeltas(timedelta(0), timedelta(days=400)),
    st.sampled_from([timedelta(0), -MICROSECOND, MICROSECOND, MINUTE, HOUR]),
)
graces = st.none() | st.sampled_from([MICROSECOND, SECOND, MINUTE, HOUR, timedelta(days=1)])


@st.composite
def due_jobs(draw: st.DrawFn) -> Job:
    """A job that is about to fire at one of its trigger's fire times, with any policies."""
    trigger = draw(some_triggers)
    first = trigger.next_after(draw(starts))
    assume(first is not None)
    return make_job(
        trigger=trigger, next_fire_time=first, coalesce=draw(st.booleans()), misfire_grace_time=draw(graces),
        catch_up=draw(st.none() | st.integers(0, 5)),
        max_instances=draw(st.integers(1, 5)), overlap=draw(st.sampled_from(Overlap)), max_waiting=draw(st.integers(1, 3)),
    )  # fmt: skip


@given(due_jobs(), lateness, st.data())
def test_each_fire_time_has_exactly_one_answer(job: Job, late: timedelta, data: st.DataObject) -> None:
    """A born run, or one closed row whose [fire_time, through] covers it; up to last_fire_time, and none beyond."""
    assert job.next_fire_time is not None
    now = job.next_fire_time + late
    active = some_active(job, data.draw(st.lists(st.sampled_from(["running", "pending"]), max_size=6)))

    change = plan.fire(job, active, now, HOLD)

    assume(change is not None)
    assert change is not None
    check_answers(job, change)


@settings(max_examples=60)
@given(due_jobs(), st.lists(lateness, min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_consecutive_fires_leave_no_gap_and_no_overlap(job: Job, latenesses: list[timedelta], random: Any) -> None:
    """Whatever ends in between: each fire begins where the last one stopped, and time moves forward only."""
    active: list[Run] = []
    for late in latenesses:
        if job.next_fire_time is None:
            break
        change = plan.fire(job, active, job.next_fire_time + late, HOLD)
        if change is None:
            active = active[len(active) // 2 + 1 :]
            continue

        check_answers(job, change)
        assert change.job.next_fire_time is None or change.job.next_fire_time > job.next_fire_time
        assert change.job.last_fire_time is not None
        assert change.job.last_fire_time >= job.next_fire_time
        assert change.job.next_fire_time == job.trigger.next_after(change.job.last_fire_time)
        assert change.job.version == job.version + 1
        job = change.job
        active = [run for run in (*active, *change.runs) if not run.state.closed and random.random() < 0.7]


@given(due_jobs(), lateness, st.data())
def test_no_more_runs_are_startable_than_max_instances(job: Job, late: timedelta, data: st.DataObject) -> None:
    assert job.next_fire_time is not None
    active = some_active(job, data.draw(st.lists(st.sampled_from(["running", "pending"]), max_size=6)))

    change = plan.fire(job, active, job.next_fire_time + late, HOLD)

    if change is not None:
        held = sum(run.state is RunState.RUNNING for run in change.runs)
        assert held == 0 or len(active) + held <= job.max_instances
        if job.made_up in (0, 1):
            assert sum(not run.state.closed for run in change.runs) <= 1
        assert sum(run.state is RunState.PENDING for run in change.runs) <= MAX_MADE_UP


@given(due_jobs(), lateness)
def test_without_a_grace_time_nothing_is_missed_and_with_one_nothing_late_runs(job: Job, late: timedelta) -> None:
    job = job._replace(catch_up=None)
    assert job.next_fire_time is not None
    now = job.next_fire_time + late

    change = plan.fire(job, [], now, HOLD)

    assert change is not None
    for run in change.runs:
        if job.misfire_grace_time is None:
            assert run.state is not RunState.MISSED
        elif run.state is RunState.MISSED:
            assert (run.through or run.fire_time) < now - job.misfire_grace_time
        else:
            assert run.fire_time >= now - job.misfire_grace_time


@given(due_jobs(), lateness)
def test_a_run_is_born_for_the_latest_fire_time_when_coalescing_and_for_each_when_not(
    job: Job, late: timedelta
) -> None:
    assert job.next_fire_time is not None
    now = job.next_fire_time + late
    latest, _ = plan.latest_fire_time(job.trigger, job.next_fire_time, now)

    change = plan.fire(job, [], now, HOLD)

    assert change is not None
    born = [run.fire_time for run in change.runs if not run.state.closed]
    if job.made_up in (0, 1):
        assert born in ([latest], [])
        assert born or job.misfire_grace_time is not None or job.made_up == 0
    else:
        assert job.made_up is None or len(born) <= job.made_up
        assert all(job.trigger.next_after(a) == b for a, b in pairwise(born))


@settings(max_examples=60)
@given(some_triggers, starts, st.timedeltas(timedelta(0), timedelta(hours=3)), st.integers(1, 20))
def test_the_first_of_the_latest_is_where_a_walk_would_find_it(
    trigger: Trigger, since: datetime, span: timedelta, count: int
) -> None:
    first = trigger.next_after(since)
    assume(first is not None)
    assert first is not None
    walked = [first]
    while (
        (following := trigger.next_after(walked[-1])) is not None and following <= first + span and len(walked) < 5000
    ):
        walked.append(following)

    found = first_of_latest(trigger, first, walked[-1], count)

    assert found == walked[-count:][0]


@given(some_triggers, starts, st.timedeltas(timedelta(seconds=-10), timedelta(hours=30)))
@example(IntervalTrigger(seconds=1, start_date=NOW), NOW, timedelta(0))
def test_the_latest_fire_time_is_where_a_walk_would_end(trigger: Trigger, since: datetime, span: timedelta) -> None:
    first = trigger.next_after(since)
    assume(first is not None)
    assert first is not None
    until = first + span

    found = plan.latest_fire_time(trigger, first, until)

    walked: datetime = first
    while (following := trigger.next_after(walked)) is not None and following <= until and walked - first < HOUR:
        walked = following
    assume(following is None or following > until)  # a walk of more than an hour takes too long
    assert found == (walked, following)


# settle


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.state.value)
def test_a_run_ends_as_its_outcome_says(outcome: Outcome) -> None:
    run = held_run(make_job(), version=5)

    settled, attempt, *_ = plan.settle(run, Retry(), outcome, at(1), started_at=at(0.5), progress=Progress(1, 2))

    assert attempt is None
    assert settled.state is outcome.state
    assert settled.state in TRANSITIONS[run.state]
    assert settled.version == 6
    assert settled.lease_until is None
    if isinstance(outcome, Released):
        assert (settled.node, settled.ended_at, settled.started_at) == (None, None, None)
    else:
        assert (settled.node, settled.ended_at, settled.started_at) == ("a", at(1), at(0.5))
        assert settled.progress == Progress(1, 2)
        assert settled.duration == MINUTE / 2
        assert settled.reason == getattr(outcome, "reason", None)
        assert settled.error == getattr(outcome, "error", None)
        assert settled.result == getattr(outcome, "result", None)


def test_what_the_row_knew_already_is_kept() -> None:
    run = held_run(make_job(), started_at=at(0.1), progress=Progress(3))

    settled = plan.settle(run, Retry(), Lost("silent"), at(1)).run

    assert (settled.started_at, settled.progress) == (at(0.1), Progress(3))


@pytest.mark.parametrize(
    ("begun", "cancel_reason", "state", "reason"),
    [
        (True, None, RunState.LOST, "node a did not renew its lease, which ended at 2026-01-01T00:00:10Z"),
        (True, "not needed", RunState.CANCELLED, "not needed"),
        (False, None, RunState.PENDING, None),
        (False, "not needed", RunState.PENDING, None),
    ],
)  # fmt: skip
def test_what_becomes_of_a_run_whose_lease_has_ended(
    begun: bool, cancel_reason: str | None, state: RunState, reason: str | None
) -> None:
    run = held_run(make_job(), cancel_reason=cancel_reason)
    assert run.lease_until is not None

    outcome = plan.lost(run, run.lease_until, begun=begun)

    assert (outcome.state, getattr(outcome, "reason", None)) == (state, reason)


def test_a_run_whose_node_is_gone_is_lost_before_its_lease_has_ended() -> None:
    outcome = plan.lost(held_run(make_job()), NOW, begun=True)

    assert isinstance(outcome, Lost)
    assert outcome.reason == "node a is gone: its process has died, or was cut off from the store"


@pytest.mark.parametrize(
    ("retry", "run", "raised", "said"),
    [
        (Retry(), {}, ("ValueError",), ""),
        (Retry(3, delay=1, backoff=2), {}, ("ValueError",), " (attempt 1 of 3, again in 1 s)"),
        (Retry(3, delay=1, backoff=2), {"attempt": 2}, ("ValueError",), " (attempt 2 of 3, again in 2 s)"),
        (Retry(3, delay=0.25), {}, None, " (attempt 1 of 3, again in 0.25 s)"),
        (Retry(3), {"attempt": 3}, ("ValueError",), " (attempt 3 of 3, the last)"),
        (Retry(3), {"attempt": 5, "counted_from": 5}, ("ValueError",), " (attempt 1 of 3, again in 0 s)"),
        (Retry(3, on=OSError), {}, ("ValueError",), " (attempt 1 of 3, not tried again)"),
        (Retry(3), {"cancel_reason": "no need"}, ("ValueError",), " (attempt 1 of 3, not tried again)"),
    ],
)
def test_the_log_says_whether_a_failed_attempt_is_tried_again(
    retry: Retry, run: dict[str, Any], raised: Any, said: str
) -> None:
    ended = held_run(make_job(), **run)

    assert plan.say_attempt(ended, retry, raised) == said
    assert ("again in" in said) is (
        plan.settle(ended, retry, Lost("gone") if raised is None else Failed("no", raised=raised), NOW).attempt
        is not None
    )


@pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.RUNNING])
@pytest.mark.parametrize("outcome", [Succeeded(), Lost("silent"), Released()], ids=lambda outcome: outcome.state.value)
def test_only_a_run_that_runs_can_be_settled(state: RunState, outcome: Outcome) -> None:
    run = make_run(make_job(), state=state)

    with pytest.raises(AssertionError, match="cannot go from"):
        plan.settle(run, Retry(), outcome, NOW)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.state.value)
@pytest.mark.parametrize(("attempt", "max_attempts"), [(1, 1), (1, 2), (2, 2), (1, 3), (2, 3), (5, 3)])
def test_a_next_attempt_follows_failure_timeout_and_loss_as_far_as_the_policy_goes(
    outcome: Outcome, attempt: int, max_attempts: int
) -> None:
    run = held_run(make_job(), attempt=attempt)

    following = plan.settle(run, Retry(max_attempts, 5 * SECOND), outcome, at(1)).attempt

    if isinstance(outcome, Failed | TimedOut | Lost) and attempt < max_attempts:
        assert following == make_run(make_job(uid=run.job_uid), attempt=attempt + 1, available_at=at(1) + 5 * SECOND)
    else:
        assert following is None


@pytest.mark.parametrize("attempt", [1, 2, 3, 4, 7])
def test_a_retry_policy_counts_from_the_attempt_that_someone_asked_for(attempt: int) -> None:
    """Three attempts in all, whatever number the first of them has; and each waits as long as it would have."""
    policy = Retry(3, delay=10, backoff=2)
    job = make_job(retry=policy)
    closed = held_run(job, attempt=attempt).ended_with(Lost("silent"), NOW, None, None)
    (run,) = plan.retry(job, closed, None, NOW, by="alice").runs
    waits = []

    for _ in range(9):
        settlement = plan.settle(run._replace(state=RunState.RUNNING), policy, Failed("broken"), NOW)
        if settlement.attempt is None:
            break
        run = settlement.attempt
        waits.append(run.available_at - NOW)

    assert (run.attempt, run.tries) == (attempt + 3, 3)
    assert waits == [10 * SECOND, 20 * SECOND]


def test_a_run_is_not_tried_again_before_its_end_nor_twice_nor_without_its_job() -> None:
    job = make_job()
    open_run, done = make_run(job), held_run(job).ended_with(Succeeded(), NOW, None, None)
    failed = held_run(job).ended_with(Failed("broken"), NOW, None, None)
    second = make_run(job, attempt=2)
    several = make_run(job, state=RunState.MISSED, through=at(9))
    cases = [
        (job, open_run, None, f"a run that has ended, got {open_run.id}, which is pending: wait for its end, or cancel it"),
        (job, failed, second, f"the last attempt at its fire time, got {failed.id}, which attempt 2 follows: it is pending"),
        (
            job, failed, second._replace(state=RunState.FAILED),
            f"the last attempt at its fire time, got {failed.id}, which attempt 2 follows: retry {second.id}",
        ),
        (job, several, None, f"a run of one fire time, got {several.id}, which answers for several"),
        (job, done, None, f"a run that did not succeed, got {done.id}, which did: pass even_if_succeeded=True"),
        (None, failed, None, f"a run of a job that exists, got {failed.id} of 'job', which was removed"),
    ]  # fmt: skip

    for of, run, later, message in cases:
        with pytest.raises(RetryRefusedError, match=message):
            plan.retry(of, run, later, NOW)

    assert plan.retry(job, done, None, NOW, even_if_succeeded=True).runs[0].attempt == 2


def test_the_attempts_of_a_run_have_what_it_was_given() -> None:
    given = Given((1,), {"folder": "b"})
    (run,) = plan.run_now(make_job(), NOW, "alice", given).runs

    settlement = plan.settle(run._replace(state=RunState.RUNNING), Retry(2), Failed("broken"), at(1))

    assert settlement.attempt is not None
    assert (settlement.attempt.given, settlement.attempt.asked_by) == (given, "alice")


def test_the_attempts_of_a_manual_run_are_manual() -> None:
    run = held_run(make_job(), origin=Origin.MANUAL)

    following = plan.settle(run, Retry(2), Failed("broken"), at(1)).attempt

    assert following is not None
    assert following.origin is Origin.MANUAL
    assert following.key == run.key
    assert following.id != run.id


def test_the_longest_policies_stay_within_the_calendar() -> None:
    """What check_job lets pass, no decision stumbles over."""
    longest = timedelta(days=10_000)
    job = make_job(retry=Retry(2, longest), misfire_grace_time=longest)

    change = plan.fire(job, [], NOW, HOLD)
    settlement = plan.settle(held_run(job), job.retry, Failed("broken"), NOW)

    assert told(change) == [("running", 0, 0)]
    assert settlement.attempt is not None
    with pytest.raises(InvalidJobError, match="Retry delay"):
        Retry(2, timedelta.max)
    with pytest.raises(InvalidJobError, match="misfire_grace_time"):
        plan.modify(job, {"misfire_grace_time": timedelta.max}, NOW)


# pause, resume


def test_pausing_says_since_when_and_why() -> None:
    job = make_job()

    change = plan.pause(job, at(5), "the source is moved")

    assert change.runs == ()
    assert change.job == job._replace(version=2, paused_at=at(5), pause_reason="the source is moved")
    assert change.job.next_run_time is None


@pytest.mark.parametrize(("second", "kept"), [(None, "first"), ("second", "second")])
def test_pausing_again_keeps_the_beginning_and_the_reason_unless_there_is_a_new_one(
    second: str | None, kept: str
) -> None:
    job = plan.pause(make_job(), at(5), "first").job

    again = plan.pause(job, at(9), second).job

    assert (again.paused_at, again.pause_reason) == (at(5), kept)


@pytest.mark.parametrize(
    ("reason", "kept"), [(None, ("the source moves", "alice")), ("it moves again", ("it moves again", "bob"))]
)
def test_a_reason_is_whose_it_is(reason: str | None, kept: tuple[str, str]) -> None:
    paused = plan.pause(make_job(), at(5), "the source moves", "alice").job

    again = plan.pause(paused, at(6), reason, "bob").job

    assert (again.pause_reason, again.paused_by) == kept
    assert again.paused_at == at(5)
    assert plan.resume(again, at(7), "carol").job.paused_by is None


def test_resuming_records_what_fell_into_the_pause_and_goes_on_in_phase() -> None:
    job = plan.pause(make_job(next_fire_time=at(3), last_fire_time=at(2)), at(2.5), "moved").job

    change = plan.resume(job, at(6.5))

    assert told(change) == [("skipped", 3, 6)]
    assert change.runs[0].reason == "paused at 2026-01-01T00:02:30Z: moved"
    assert change.job.next_fire_time == at(7)
    assert (change.job.paused_at, change.job.pause_reason) == (None, None)


def test_resuming_before_the_next_fire_time_records_nothing() -> None:
    job = plan.pause(make_job(next_fire_time=at(3)), at(2), None).job

    change = plan.resume(job, at(2.5))

    assert change.runs == ()
    assert change.job.next_fire_time == at(3)


def test_resuming_a_job_that_is_not_paused_changes_nothing_but_the_version() -> None:
    job = make_job(next_fire_time=at(-3))

    change = plan.resume(job, NOW)

    assert change == Change(job._replace(version=2))


def test_a_job_whose_trigger_ended_during_the_pause_has_ended() -> None:
    job = plan.pause(make_job(trigger=DateTrigger(at(1)), next_fire_time=at(1)), NOW, None).job

    change = plan.resume(job, at(2))

    assert change.job.ended
    assert told(change) == [("skipped", 1, 1)]


@given(due_jobs(), lateness, lateness)
def test_a_pause_leaves_no_gap(job: Job, paused_for: timedelta, late: timedelta) -> None:
    """Each fire time has one answer across pause, resume and the next fire."""
    assert job.next_fire_time is not None
    paused = plan.pause(job, job.next_fire_time - SECOND, "test").job

    resumed = plan.resume(paused, job.next_fire_time + paused_for)

    check_answers(job, resumed)
    if resumed.job.next_fire_time is not None:
        following = plan.fire(resumed.job, [], max(resumed.job.next_fire_time, resumed.job.next_fire_time + late), HOLD)
        assert following is not None
        check_answers(resumed.job, following)


# reschedule, modify


def test_a_new_trigger_counts_from_now() -> None:
    job = make_job(next_fire_time=at(1), last_fire_time=NOW)

    change = plan.reschedule(job, IntervalTrigger(minutes=5), at(0.5))

    assert change.job.trigger == IntervalTrigger(minutes=5, start_date=at(0.5))
    assert change.job.anchored_at == at(0.5)
    assert change.job.next_fire_time == at(5.5)
    assert change.job.revision == job.revision + 1
    assert change.job.version == job.version + 1
    assert change.runs == ()


def test_rescheduling_records_what_was_due_and_not_fired_yet() -> None:
    change = plan.reschedule(make_job(), IntervalTrigger(minutes=5), at(2.5))

    assert told(change) == [("skipped", 0, 2)]
    assert change.runs[0].reason == "rescheduled before it was fired"


def test_rescheduling_a_paused_job_leaves_it_paused_and_records_what_fell_into_the_pause() -> None:
    job = plan.pause(make_job(), NOW, "moved").job

    change = plan.reschedule(job, IntervalTrigger(minutes=5), at(2.5))

    assert change.job.paused
    assert told(change) == [("skipped", 0, 2)]


def test_a_job_that_has_ended_lives_again_with_a_new_trigger() -> None:
    job = make_job(trigger=DateTrigger(NOW), next_fire_time=None, last_fire_time=NOW)

    change = plan.reschedule(job, DateTrigger(at(5)), at(1))

    assert change.job.next_fire_time == at(5)


def test_what_was_fired_ahead_is_not_fired_again_by_a_new_trigger() -> None:
    job = make_job(next_fire_time=at(1), last_fire_time=NOW)

    change = plan.reschedule(job, EVERY_MINUTE, NOW - 40 * MICROSECOND)

    assert change.job.next_fire_time == at(1)


def test_a_trigger_that_will_never_fire_is_refused() -> None:
    with pytest.raises(TriggerError, match="expected a trigger that fires after 2026-01-01 00:00:00 UTC"):
        plan.reschedule(make_job(), IntervalTrigger(minutes=1, start_date=at(-10), end_date=at(-5)), NOW)


def test_a_date_in_the_past_fires_at_once_but_not_a_second_time() -> None:
    job = make_job(next_fire_time=at(5), last_fire_time=NOW)

    change = plan.reschedule(job, DateTrigger(at(1)), at(3))

    assert change.job.next_fire_time == at(1)
    with pytest.raises(InvalidJobError, match="expected an instant after the last fire time of 'job'"):
        plan.reschedule(job, DateTrigger(NOW), at(3))


def test_a_date_before_what_the_change_itself_records_as_skipped_is_refused() -> None:
    job = make_job()

    with pytest.raises(InvalidJobError, match="expected an instant after the last fire time of 'job'"):
        plan.reschedule(job, DateTrigger(at(4)), at(5.5))

    assert plan.reschedule(job, DateTrigger(at(5.2)), at(5.5)).job.next_fire_time == at(5.2)


def test_policies_change_and_the_schedule_does_not() -> None:
    job = make_job(next_fire_time=at(5), last_fire_time=NOW)

    change = plan.modify(job, {"max_instances": 3, "name": "new", "kwargs": {"a": 1}}, at(1))

    assert change.runs == ()
    assert change.job == job._replace(version=2, revision=2, max_instances=3, name="new", kwargs={"a": 1})


def test_modifying_the_trigger_reschedules() -> None:
    change = plan.modify(make_job(), {"trigger": IntervalTrigger(minutes=5), "name": "new"}, at(2.5))

    assert told(change) == [("skipped", 0, 2)]
    assert change.job.next_fire_time == at(7.5)
    assert change.job.name == "new"
    assert change.job.version == 2


def test_the_next_fire_time_can_be_moved_but_not_to_where_an_answer_stands_already() -> None:
    job = make_job(next_fire_time=at(5), last_fire_time=at(4))

    moved = plan.modify(job, {"next_fire_time": at(4.5)}, at(4.1))

    assert moved.job.next_fire_time == at(4.5)
    with pytest.raises(InvalidJobError, match="next_fire_time: expected an instant after the last fire time"):
        plan.modify(job, {"next_fire_time": at(4)}, at(4.1))


def test_moving_the_next_fire_time_of_an_overdue_job_records_what_was_due() -> None:
    change = plan.modify(make_job(), {"next_fire_time": at(10)}, at(2.5))

    assert told(change) == [("skipped", 0, 2)]
    assert change.job.next_fire_time == at(10)


@pytest.mark.parametrize("how", ["resume", "reschedule"])
def test_what_was_recorded_as_skipped_cannot_be_fired_any_more(how: str) -> None:
    if how == "resume":
        job = plan.resume(plan.pause(make_job(), NOW, None).job, at(5.5)).job
    else:
        job = plan.reschedule(make_job(), IntervalTrigger(minutes=5), at(5.5)).job

    with pytest.raises(InvalidJobError, match="expected an instant after the last fire time"):
        plan.modify(job, {"next_fire_time": at(5)}, at(5.6))

    assert job.last_fire_time == at(5)


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(
        InvalidJobError,
        match=r"modify_job: expected one of func, .*, got 'max_instance' \(did you mean 'max_instances'\?\)",
    ):
        plan.modify(make_job(), {"max_instance": 3}, NOW)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_instances": 0}, "max_instances: expected a whole number from 1 to 10000, got 0"),
        ({"max_instances": True}, "max_instances: expected a whole number from 1 to 10000, got True"),
        ({"coalesce": 1}, "coalesce: expected True or False, got 1"),
        ({"misfire_grace_time": 5}, "misfire_grace_time: expected a timedelta"),
        ({"misfire_grace_time": timedelta(0)}, "misfire_grace_time: expected"),
        ({"name": ""}, "name: expected 1 to 200 printable characters, got ''"),
        ({"executor": None}, "executor: expected 1 to 200 printable characters, got None"),
        ({"retry": 3}, r"retry: expected a tickwork.Retry, got 3: write Retry\(max_attempts=3\)"),
    ],
)
def test_an_impossible_policy_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        plan.modify(make_job(), changes, NOW)


# ensure


def test_what_is_declared_already_needs_no_change() -> None:
    stored = make_job(
        next_fire_time=at(7), last_fire_time=at(6), paused_at=at(6.5), pause_reason="why", version=9, revision=4
    )
    declared = make_job(anchored_at=at(8), next_fire_time=at(9))

    change = plan.ensure(stored, declared, at(8))

    assert change is None


def test_a_trigger_that_leaves_its_start_open_keeps_the_start_it_has() -> None:
    stored = make_job(
        trigger=IntervalTrigger(minutes=10, start_date=at(0.5)), anchored_at=at(0.5), next_fire_time=at(10.5)
    )

    unchanged = plan.ensure(stored, make_job(trigger=IntervalTrigger(minutes=10), anchored_at=at(3)), at(3))
    changed = plan.ensure(stored, make_job(trigger=IntervalTrigger(minutes=5), anchored_at=at(3)), at(3))

    assert unchanged is None
    assert changed is not None
    assert changed.job.next_fire_time == at(8)


def test_a_one_off_that_ran_does_not_run_again_because_it_is_declared_again() -> None:
    stored = make_job(trigger=DateTrigger(NOW), next_fire_time=None, last_fire_time=NOW)

    change = plan.ensure(stored, make_job(trigger=DateTrigger(), anchored_at=at(60)), at(60))

    assert change is None


def test_a_changed_policy_keeps_phase_pause_and_history() -> None:
    stored = make_job(next_fire_time=at(7), last_fire_time=at(6), paused_at=at(6.5), pause_reason="why")

    change = plan.ensure(stored, make_job(max_instances=2, kwargs={"a": 1}), at(8))

    assert change is not None
    assert change.runs == ()
    assert change.job == stored._replace(version=2, revision=2, max_instances=2, kwargs={"a": 1})


def test_a_changed_trigger_reschedules_and_a_pause_survives() -> None:
    stored = make_job(next_fire_time=at(7), paused_at=at(6), pause_reason="why")

    change = plan.ensure(stored, make_job(trigger=CronTrigger("0 3 * * *")), at(6.5))

    assert change is not None
    assert change.job.trigger == CronTrigger("0 3 * * *")
    assert change.job.next_fire_time == datetime(2026, 1, 1, 3, tzinfo=UTC)
    assert (change.job.paused_at, change.job.pause_reason) == (at(6), "why")


# run_now, first_fire_time


def test_a_manual_run_is_born_now_for_any_node_and_the_schedule_stays() -> None:
    job = make_job(next_fire_time=at(7), paused_at=at(6))

    change = plan.run_now(job, at(6.5))

    assert change.job == job._replace(version=2)
    assert change.runs == (make_run(job, at(6.5), origin=Origin.MANUAL),)


@pytest.mark.parametrize(
    ("trigger", "first"),
    [
        (DateTrigger(at(-5)), at(-5)),
        (DateTrigger(at(5)), at(5)),
        (EVERY_MINUTE, at(1)),
        (IntervalTrigger(minutes=1, start_date=at(9)), at(9)),
        (CronTrigger("30 * * * *"), at(30)),
    ],
)
def test_when_a_job_fires_first(trigger: Trigger, first: datetime) -> None:
    found = plan.first_fire_time(trigger, NOW)

    assert found == first


# helpers


class Asked:
    """A trigger that counts how often it is asked."""

    kind = "asked"

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self.questions = 0

    def next_after(self, instant: datetime) -> datetime | None:
        self.questions += 1
        return self.trigger.next_after(instant)

    def anchored(self, at: datetime, seed: str = "") -> Asked:
        return self

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @classmethod
    def from_json(cls, value: Any) -> Asked:
        raise NotImplementedError


class Stuck(Asked):
    """A trigger that breaks its promise: the next fire time is never later."""

    def __init__(self) -> None:
        super().__init__(EVERY_MINUTE)

    def next_after(self, instant: datetime) -> datetime | None:
        return NOW


def some_active(job: Job, states: Sequence[str]) -> list[Run]:
    """Active runs of *job* in these states, for earlier fire times; their leases go on."""
    goes_on = {"lease_until": NOW + timedelta(days=900)}
    return [
        held_run(job, fire_time, **goes_on) if state == "running" else make_run(job, fire_time)
        for state, fire_time in zip(states, (NOW - timedelta(days=900 + number) for number in count()), strict=False)
    ]


def check_answers(job: Job, change: Change) -> None:
    """The rows of *change* lie end to end from the job's next fire time on, without gap or overlap."""
    following = job.next_fire_time
    for run in change.runs:
        assert run.fire_time == following, "each row begins where the one before it ended"
        last = run.through or run.fire_time
        assert last >= run.fire_time
        assert run.through is None or run.state.closed, "a run answers for its own fire time only"
        assert run.through is None or run.through > run.fire_time
        assert job.trigger.next_after(last - MICROSECOND) == last, "a row ends at a fire time"
        following = job.trigger.next_after(last)
    assert change.job.next_fire_time == following


def test_a_declared_trigger_that_has_ended_ends_the_job() -> None:
    stored = make_job(next_fire_time=at(7), last_fire_time=at(6))
    declared = make_job(trigger=IntervalTrigger(hours=1, start_date=at(0), end_date=at(5)), anchored_at=at(6.5))

    change = plan.ensure(stored, declared, at(6.5))

    assert change is not None
    assert change.job.ended


def test_a_declared_date_that_was_fired_already_is_not_fired_again() -> None:
    stored = make_job(trigger=DateTrigger(at(7)), next_fire_time=None, last_fire_time=at(7))

    change = plan.ensure(stored, make_job(trigger=DateTrigger(at(6)), anchored_at=at(8)), at(8))

    assert change is not None
    assert change.job.ended


# any history of a job, decided by nothing but this module


class Ledger:
    """A job and its rows, and what nodes and people do to them; time only goes on."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.now = NOW
        self.rows: dict[str, Run] = {}
        self.backfills: list[Backfill] = []

    def write(self, change: Change) -> None:
        assert change.job.version == self.job.version + 1
        self.job = change.job
        for run in change.runs:
            self.bear(run)
        for run in change.cancelled:
            self.replace(run)

    def bear(self, run: Run) -> None:
        assert run.id not in self.rows, f"{run.id} is born twice"
        self.rows[run.id] = run

    def replace(self, run: Run) -> None:
        before = self.rows[run.id]
        assert not before.state.closed, f"{run.id} was closed"
        assert run.state is before.state or run.state in TRANSITIONS[before.state]
        self.rows[run.id] = run

    def open(self) -> list[Run]:
        return [run for run in self.rows.values() if not run.state.closed]

    def do(self, deed: str, number: int) -> None:
        waiting = [run for run in self.open() if run.state is RunState.PENDING]
        running = [run for run in self.open() if run.state is RunState.RUNNING]
        closed = [run for run in self.rows.values() if run.state.closed]
        match deed:
            case "wait":
                self.now += (number + 1) * 20 * SECOND
            case "outage":
                self.now += (number + 1) * 17 * MINUTE
            case "run now":
                self.now += MICROSECOND  # two that are asked for at one instant are two runs
                self.write(plan.run_now(self.job, self.now, "alice", None, self.job.expire_after))
            case "remove":
                self.remove()
            case "retire" if self.job.retired_at is None:
                self.write(plan.retire(self.job, self.now))
            case "come back" if self.job.retired_at is not None:
                self.write(plan.come_back(self.job))
            case "move":
                with contextlib.suppress(InvalidJobError):
                    self.write(plan.modify(self.job, {"next_fire_time": self.now + number * 30 * SECOND}, self.now))
            case "fire":
                due = self.job.next_fire_time
                if not self.job.paused and due is not None and due <= self.now:
                    hold = HOLD if number % 2 else None
                    change = plan.fire(
                        self.job, [run for run in self.open() if run.job_uid == self.job.uid], self.now, hold
                    )
                    if change is not None:
                        self.write(change)
            case "claim" if waiting:
                run = waiting[number % len(waiting)]
                if self.may_begin(run):
                    self.replace(run._replace(state=RunState.RUNNING, version=run.version + 1))
            case "settle" if running:
                outcome = OUTCOMES[number % len(OUTCOMES)]
                settlement = plan.settle(running[number % len(running)], self.job.retry, outcome, self.now)
                self.replace(settlement.run)
                if settlement.attempt is not None and settlement.attempt.job_uid == self.job.uid:
                    self.bear(settlement.attempt)
            case "expire":
                for run in waiting:
                    if run.expires_at is not None and run.expires_at <= self.now:
                        self.replace(plan.expire(run, self.now))
            case "cancel" if self.open():
                self.replace(plan.cancel(self.open()[number % len(self.open())], "asked", self.now))
            case "retry" if closed:
                run = closed[number % len(closed)]
                later = self.rows.get(run._replace(attempt=run.attempt + 1).id)
                job = self.job if run.job_uid == self.job.uid else None
                try:
                    self.write(plan.retry(job, run, later, self.now, even_if_succeeded=True))
                except RetryRefusedError:
                    assert later is not None or run.through is not None or job is None
            case "pause":
                self.write(plan.pause(self.job, self.now, None))
            case "resume":
                self.write(plan.resume(self.job, self.now))
            case "modify":
                trigger = IntervalTrigger(minutes=1 + number % 3)
                self.write(
                    plan.modify(self.job, {"trigger": trigger} if number % 2 else {"max_instances": 2}, self.now)
                )
            case "backfill":
                end = at(number)
                asked = make_backfill(
                    self.job, NOW, end, cursor=None, max_instances=1 + number % 3, everything=number % 2 == 0
                )
                with contextlib.suppress(InvalidJobError):
                    self.backfills.append(plan.backfill(self.job, asked, self.now))
            case "fill":
                self.backfills = [self.fill(backfill) for backfill in self.backfills]
            case _:
                pass

    def may_begin(self, run: Run) -> bool:
        """What a store looks at when it claims; a run of a backfill counts for its backfill alone."""
        running = [one for one in self.open() if one.state is RunState.RUNNING and one.backfill is None]
        has_room = run.backfill is not None or len(running) < self.job.max_instances
        may = run.job_uid == self.job.uid and (not self.job.paused or run.by_hand)
        return (
            has_room and may and run.available_at <= self.now and (run.expires_at is None or run.expires_at > self.now)
        )

    def remove(self) -> None:
        """As a store does it; then the same id is added again, which is another job."""
        for run in self.open():
            if run.state is RunState.PENDING:
                self.replace(run.ended_with(Cancelled("its job was removed"), self.now, None, None))
        self.backfills = [
            plan.end_backfill(one, "removed", self.now) if not one.ended else one for one in self.backfills
        ]
        self.job = self.job._replace(
            uid=new_uid(), version=1, revision=1, paused_at=None, retired_at=None, last_fire_time=None,
            next_fire_time=self.job.trigger.next_after(self.now),
        )  # fmt: skip

    def fill(self, backfill: Backfill) -> Backfill:
        if backfill.ended or self.job.paused:
            return backfill
        active = [run for run in self.open() if run.backfill == backfill.id]
        fire_times = plan.stretch(backfill, active)
        filling = plan.fill(backfill, active, fire_times, {one: self.answered(one) for one in fire_times}, self.now)
        for run in filling.runs:
            others = [one for one in self.open() if (one.job_uid, one.fire_time) == (run.job_uid, run.fire_time)]
            assert all(one.origin is Origin.MANUAL for one in others), "it runs already, or is about to"
            self.bear(run)
        assert len(active) + len(filling.runs) <= backfill.max_instances
        return filling.backfill

    def answered(self, fire_time: datetime) -> Answered:
        rows = [run for run in self.rows.values() if run.fire_time == fire_time and run.origin is not Origin.MANUAL]
        ran = [run for run in rows if run.state not in (RunState.MISSED, RunState.SKIPPED)]
        attempts = [run.attempt for run in rows if run.origin is Origin.BACKFILL]
        return Answered(bool(ran), any(not run.state.closed for run in rows), max(attempts, default=0))


DEEDS = (
    "wait", "wait", "outage", "fire", "fire", "fire", "fire", "claim", "claim", "settle", "settle", "expire", "cancel", "retry",
    "run now", "pause", "resume", "retire", "come back", "modify", "move", "remove", "backfill", "fill", "fill",
)  # fmt: skip
POLICIES = st.fixed_dictionaries({
    "overlap": st.sampled_from(Overlap), "max_instances": st.integers(1, 2), "max_waiting": st.integers(1, 2),
    "coalesce": st.booleans(), "catch_up": st.sampled_from([None, None, 0, 1, 3]),
    "misfire_grace_time": st.sampled_from([None, 30 * SECOND, 5 * MINUTE]),
    "expire_after": st.sampled_from([None, 30 * SECOND]), "retry": st.integers(1, 3).map(Retry),
})  # fmt: skip


@settings(max_examples=500)
@given(st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 11)), min_size=20, max_size=60), POLICIES)
def test_whatever_is_done_each_fire_time_has_exactly_one_answer(
    deeds: list[tuple[str, int]], policies: dict[str, Any]
) -> None:
    """The schedule's rows answer for all that it has passed, each once; what people ask for stands beside them."""
    ledger = Ledger(make_job(**policies))
    answers: dict[tuple[int, datetime], int] = {}

    for deed, number in deeds:
        before, known = ledger.job, {*ledger.rows}
        ledger.do(deed, number)
        born = [run for id, run in ledger.rows.items() if id not in known]
        first = [run for run in born if run.origin is Origin.SCHEDULE and run.attempt == 1]
        passed = fire_times_passed(before, ledger.job, ledger.now)
        for fire_time in passed:
            answered = sum(run.fire_time <= fire_time <= (run.through or run.fire_time) for run in first)
            answers[before.uid, fire_time] = answers.get((before.uid, fire_time), 0) + answered
        assert all(run.fire_time in passed for run in first), "an answer to what was not asked"
        running = [run for run in ledger.open() if run.state is RunState.RUNNING and run.job_uid == ledger.job.uid]
        assert sum(run.backfill is None for run in running) <= ledger.job.max_instances

    assert set(answers.values()) <= {1}
    keys = [(run.job_uid, run.fire_time, run.origin, run.attempt) for run in ledger.rows.values()]
    assert len(keys) == len({*keys})


def fire_times_passed(before: Job, after: Job, now: datetime) -> list[datetime]:
    """What the schedule has left behind: what was fired, and what was due by the trigger that it was walking and will not
    be fired any more.
    """
    passed: list[datetime] = []
    fire_time = before.next_fire_time if after.uid == before.uid else None
    while fire_time is not None:
        is_fired = after.last_fire_time is not None and fire_time <= after.last_fire_time
        is_dropped = fire_time <= now and (after.next_fire_time is None or fire_time < after.next_fire_time)
        if not is_fired and not is_dropped:
            break
        passed.append(fire_time)
        fire_time = before.trigger.next_after(fire_time)
    return passed
