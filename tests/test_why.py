"""What became of one instant: a table of cases on every store, and laws that hold for any history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nodes import Node, advance
from tests.samples import EVERY_MINUTE, HOUR, MINUTE, NOW, SECOND, make_job, make_run, next_version

from tickwork import InvalidJobError, JobNotFoundError, Retention
from tickwork.codec import UnreadableTrigger
from tickwork.job import Job
from tickwork.plan import COALESCED
from tickwork.policies import Overlap, Retry
from tickwork.run import Failed, Lost, Origin, Progress, RunState
from tickwork.scheduler import BackgroundScheduler, Scheduler
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.stores.memory import MemoryStore
from tickwork.testing import ManualScheduler, VirtualClock
from tickwork.triggers import (
    AnyOf,
    BusinessDays,
    CronTrigger,
    DateTrigger,
    FilteredTrigger,
    Holidays,
    IntervalTrigger,
    JitteredTrigger,
    Trigger,
)
from tickwork.triggers.preview import preview
from tickwork.why import Answer, Evidence, Verdict, explain

DAY = timedelta(days=1)
CHUSEOK = datetime(2026, 9, 25, tzinfo=UTC)
"""Nine in Seoul, on a Friday; the next business day is the Monday after it."""
NINE = CronTrigger(hour=9, timezone="Asia/Seoul")
BUT_HOLIDAYS = FilteredTrigger(NINE, exclude=Holidays("KR"))
ON_BUSINESS_DAYS = FilteredTrigger(NINE, only=BusinessDays("KR"), shift="next")


def nothing() -> None: ...


def fail() -> None:
    raise ValueError("no such folder")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def store(store_url: str | None, clock: VirtualClock) -> Iterator[Store]:
    store = make_store(store_url, clock=clock)
    store.open()
    yield store
    store.close()


@pytest.fixture
def scheduler(store: Store) -> Scheduler:
    """It is not started: nodes do the work, and this one asks."""
    return BackgroundScheduler(store)


def at(minutes: float) -> datetime:
    return NOW + minutes * MINUTE


def ask(scheduler: Scheduler, minutes: float, job_id: str = "job") -> Answer:
    return scheduler.why(job_id, at(minutes))


# what has its row


def test_a_fire_time_that_ran(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    advance(clock, 3 * MINUTE, Node(store, "a", takes=SECOND))

    answer = ask(scheduler, 2)

    assert (answer.verdict, answer.fire_time, answer.manual) == (Verdict.SUCCEEDED, at(2), False)
    assert (answer.before, answer.after) == (at(1), at(3))
    assert [(run.fire_time, run.attempt) for run in answer.runs] == [(at(2), 1)]
    assert str(answer) == "ran on node a from 2026-01-01 00:02 UTC until 2026-01-01 00:02:01 UTC, and succeeded"


def test_a_fire_time_whose_attempts_failed(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(retry=Retry(2, delay=10 * SECOND))])
    node = Node(store, "a")
    node.tick()
    node.executor.end(Failed("ValueError: no"))
    advance(clock, 11 * SECOND, node)
    node.executor.end(Failed("OSError: gone"))
    advance(clock, SECOND, node)

    answer = ask(scheduler, 0)

    assert answer.verdict is Verdict.FAILED
    assert [run.attempt for run in answer.runs] == [1, 2]
    assert answer.sentence.startswith("attempt 2 ran on node a from 2026-01-01 00:00:10")
    assert answer.sentence.endswith(", and failed: OSError: gone; attempt 1 failed: ValueError: no")


def test_a_fire_time_that_waits_to_be_tried_again(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(retry=Retry(2, delay=10 * MINUTE))])
    node = Node(store, "a")
    node.tick()
    node.executor.end(Failed("ValueError: no"))
    advance(clock, SECOND, node)

    answer = ask(scheduler, 0)

    assert answer.verdict is Verdict.PENDING
    assert "attempt 2 waits for its time, 2026-01-01 00:10" in answer.sentence
    assert answer.sentence.endswith("; attempt 1 failed: ValueError: no")


def test_a_fire_time_that_waits_for_room(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    advance(clock, 2 * SECOND, Node(store, "a", room=0))

    answer = ask(scheduler, 0)

    assert answer.verdict is Verdict.PENDING
    assert answer.sentence == "waits since 2026-01-01 00:00 UTC for a node that has room and knows its function"


def test_a_waiting_run_of_a_job_that_is_paused_now(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    advance(clock, 2 * SECOND, Node(store, "a", room=0))
    scheduler.pause_job("job", reason="the disk is full")

    answer = ask(scheduler, 0)

    assert answer.sentence == "waits until the job is resumed, which is paused since 2026-01-01 00:00:02 UTC"


def test_a_fire_time_that_runs(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    node = Node(store, "a")
    advance(clock, 5 * SECOND, node)
    call = node.executor.running[0]
    call.progress = Progress(3, 4, "pages")
    node.loop.progress(call)
    advance(clock, SECOND, node)

    answer = ask(scheduler, 0)
    clock.advance(HOUR)
    later = ask(scheduler, 0)

    assert answer.verdict is Verdict.RUNNING
    assert answer.sentence.startswith(
        "runs on node a since 2026-01-01 00:00 UTC, 3 of 4 pages done; its lease goes until 2026-01-01 00:00:15"
    )
    assert "; its lease ended at 2026-01-01 00:00:15" in later.sentence
    assert later.sentence.endswith(", and it is lost unless its node comes back")


def test_a_fire_time_whose_run_before_it_was_still_going(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    store.add([make_job()])
    advance(clock, 2 * MINUTE, Node(store, "a"))

    answer = ask(scheduler, 1)

    running = store.evidence("job", NOW).before[0]
    assert answer.verdict is Verdict.SKIPPED
    assert answer.sentence == f"skipped: max_instances is 1, and run {running.id} was still running"


def test_a_fire_time_that_no_node_was_there_for(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(misfire_grace_time=30 * SECOND)])
    node = Node(store, "a", takes=SECOND)
    advance(clock, 70 * SECOND, node)
    clock.move_to(at(10) + 5 * SECOND)
    advance(clock, MINUTE, node)

    answer = ask(scheduler, 5)

    assert answer.verdict is Verdict.MISSED
    assert answer.fire_time == at(5)
    assert answer.sentence == (
        "missed: fired 0:08:05 late, and misfire_grace_time is 0:00:30; no node was alive, since node a on web-1 was "
        "last heard of at 2026-01-01 00:01:07.950000 UTC, until 2026-01-01 00:10:05 UTC; one row answers for all from "
        "2026-01-01 00:02 UTC through 2026-01-01 00:09 UTC"
    )


def test_before_nodes_were_recorded_the_ledger_has_to_tell_that_nobody_was_there(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    ran = make_run(
        job := make_job(misfire_grace_time=30 * SECOND), state=RunState.SUCCEEDED, started_at=NOW, ended_at=at(1)
    )
    store.add([job])
    store.save([next_version(job, ran, next_fire_time=at(2), last_fire_time=NOW)])
    clock.move_to(at(10) + 5 * SECOND)
    advance(clock, MINUTE, Node(store, "a", takes=SECOND))

    sentence = ask(scheduler, 5).sentence

    assert "; the ledger shows no node at work from 2026-01-01 00:01 UTC until 2026-01-01 00:10:05 UTC" in sentence


@pytest.mark.parametrize("stops", [True, False], ids=["stopped", "killed"])
def test_what_ran_late_because_no_node_was_alive_says_so(
    store: Store, clock: VirtualClock, scheduler: Scheduler, stops: bool
) -> None:
    store.add([make_job()])
    before = Node(store, "before", takes=SECOND)
    advance(clock, 70 * SECOND, before)
    if stops:
        before.loop.presence.sign_off()
    clock.move_to(at(10) + 5 * SECOND)
    node = Node(store, "after", takes=SECOND)
    advance(clock, 2 * MINUTE, node)

    late, coalesced, punctual = ask(scheduler, 10), ask(scheduler, 5), ask(scheduler, 11)

    left = "stopped at 2026-01-01 00:01:10 UTC" if stops else "was last heard of at 2026-01-01 00:01:07.950000 UTC"
    nobody = (
        f"; no node was alive, since node before on web-1 {left}, until node after on web-1 started at "
        "2026-01-01 00:10:05 UTC"
    )
    assert late.verdict is Verdict.SUCCEEDED
    assert late.sentence == (
        f"ran on node after from 2026-01-01 00:10:05 UTC until 2026-01-01 00:10:06 UTC, and succeeded{nobody}"
    )
    assert nobody in coalesced.sentence
    assert "no node" not in punctual.sentence


def test_a_fire_time_that_is_due_while_no_node_is_alive_says_since_when(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    store.add([make_job()])
    advance(clock, SECOND, node := Node(store, "a", takes=SECOND))
    node.loop.presence.sign_off()
    clock.advance(HOUR)
    nobody = ask(scheduler, 1)
    advance(clock, SECOND, other := Node(store, "b", stuck=True, room=0))

    taken_over = ask(scheduler, 61.5)

    assert other.executor.started == []
    assert nobody.verdict is Verdict.DUE
    assert nobody.sentence == (
        "due since 2026-01-01 00:01 UTC, and no node has fired it yet: no node was alive, since node a on web-1 stopped "
        "at 2026-01-01 00:00:01 UTC, and no other has started"
    )
    assert "no node was alive" not in taken_over.sentence


def test_what_a_node_began_just_before_it_died_is_not_blamed_on_nobody(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    """It was last heard of before that, and told the ledger of the start: it was alive."""
    store.add([make_job(next_fire_time=NOW + 2 * SECOND)])
    advance(clock, 2 * SECOND, Node(store, "dying"))
    clock.advance(MINUTE)
    advance(clock, MINUTE, Node(store, "other", takes=SECOND))

    answer = scheduler.why("job", NOW + 2 * SECOND)

    assert answer.verdict is Verdict.LOST
    assert "no node" not in answer.sentence


def test_fire_times_that_were_coalesced_name_the_run_that_stands_for_them(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    store.add([make_job()])
    clock.advance(5 * MINUTE)
    advance(clock, 10 * SECOND, Node(store, "a", takes=SECOND))

    answer = ask(scheduler, 2)

    assert answer.verdict is Verdict.SKIPPED
    assert answer.sentence.startswith(f"skipped: {COALESCED}; that is run {store.evidence('job', at(5)).before[0].id}")
    assert answer.sentence.endswith("through 2026-01-01 00:04 UTC")


def test_a_fire_time_that_fell_into_a_pause(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    node = Node(store, "a", takes=SECOND)
    advance(clock, 90 * SECOND, node)
    scheduler.pause_job("job", reason="the source is being moved")
    clock.move_to(at(5) + SECOND)
    during = ask(scheduler, 3), ask(scheduler, 9)
    scheduler.resume_job("job")

    after = ask(scheduler, 3)

    assert [answer.verdict for answer in during] == [Verdict.PAUSED, Verdict.PAUSED]
    assert during[0].sentence == (
        "the job is paused since 2026-01-01 00:01:30 UTC: the source is being moved; "
        "when it is resumed this is recorded as skipped"
    )
    assert during[1].sentence.endswith("it runs only if it is resumed before")
    assert after.verdict is Verdict.SKIPPED
    assert after.sentence.startswith("skipped: paused at 2026-01-01T00:01:30Z: the source is being moved")


def test_who_paused_and_who_resumed_is_told(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    scheduler.pause_job("job", reason="the source moves", by="alice")
    clock.move_to(at(5))
    during = ask(scheduler, 3)

    scheduler.resume_job("job", by="bob")

    assert during.sentence.startswith("the job is paused since 2026-01-01 00:00 UTC by alice: the source moves; ")
    assert ask(scheduler, 3).sentence.startswith(
        "skipped: paused by alice at 2026-01-01T00:00:00Z: the source moves; resumed by bob"
    )


def test_a_run_that_someone_asked_for(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    node = Node(store, "a", takes=SECOND)
    advance(clock, 30 * SECOND + SECOND / 4, node)
    scheduler.run_job_now("job", by="alice")
    node.loop.wake()
    advance(clock, 2 * SECOND, node)

    answer = ask(scheduler, 0.5)

    assert answer.manual
    assert (answer.verdict, answer.fire_time) == (Verdict.SUCCEEDED, NOW + 30.25 * SECOND)
    assert answer.sentence.startswith("run by hand for alice, ran on node a from")
    assert (answer.before, answer.after) == (at(0), at(1))


def test_a_fire_time_at_which_someone_asked_for_a_run_too(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    store.add([make_job(max_instances=2)])
    node = Node(store, "a", takes=SECOND)
    advance(clock, SECOND / 2, node)
    scheduler.run_job_now("job")
    node.loop.wake()
    advance(clock, 9 * SECOND, node)

    answer = ask(scheduler, 0)

    assert (answer.fire_time, answer.manual) == (NOW, False)
    assert [run.origin for run in answer.runs] == [Origin.SCHEDULE, Origin.MANUAL]
    assert "; besides it was run by hand, ran on node a" in answer.sentence


def test_a_lost_run(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(trigger=IntervalTrigger(hours=1, start_date=NOW))])
    advance(clock, 5 * SECOND, Node(store, "a"))
    other = Node(store, "b")
    advance(clock, MINUTE, other)

    answer = ask(scheduler, 0)

    assert answer.verdict is Verdict.LOST
    assert "and was lost: node a did not renew its lease" in answer.sentence


# what the policies of a job have done


def test_a_run_that_timed_out(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(timeout=5 * SECOND)])
    node = Node(store, "a")
    advance(clock, 6 * SECOND, node)

    asked = ask(scheduler, 0)
    node.executor.end(Lost("its task was cancelled before it ended"))
    advance(clock, SECOND, node)
    ended = ask(scheduler, 0)

    assert asked.verdict is Verdict.RUNNING
    assert asked.sentence.startswith(
        "runs on node a since 2026-01-01 00:00 UTC; it was asked to end: it took longer than its timeout of 0:00:05; "
        "its lease goes until"
    )
    assert ended.verdict is Verdict.TIMED_OUT
    assert ended.sentence == (
        "ran on node a from 2026-01-01 00:00 UTC until 2026-01-01 00:00:06 UTC, and timed out: "
        "it took longer than its timeout of 0:00:05"
    )


def test_a_run_that_someone_asked_to_end(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    node = Node(store, "a")
    advance(clock, SECOND, node)
    scheduler.cancel_run(store.runs()[0].id, reason="no need")
    node.loop.wake()
    advance(clock, SECOND, node)

    asked = ask(scheduler, 0)
    node.executor.end(Lost("its task was cancelled before it ended"))
    advance(clock, SECOND, node)

    assert asked.verdict is Verdict.RUNNING
    assert "; it was asked to end: no need; its lease goes until" in asked.sentence
    assert ask(scheduler, 0).verdict is Verdict.CANCELLED
    assert ask(scheduler, 0).sentence.endswith("00:00:02 UTC, and was cancelled: no need")


def test_a_run_that_was_asked_to_end_and_succeeded_all_the_same(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    store.add([make_job()])
    node = Node(store, "a")
    advance(clock, SECOND, node)
    scheduler.cancel_run(store.runs()[0].id, reason="no need")
    node.loop.wake()
    advance(clock, SECOND, node)
    node.executor.end()
    advance(clock, SECOND, node)

    assert ask(scheduler, 0).verdict is Verdict.SUCCEEDED
    assert ask(scheduler, 0).sentence.endswith(", and succeeded; it had been asked to end: no need")


def test_a_run_that_was_cancelled_before_it_began(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    advance(clock, 2 * SECOND, Node(store, "a", room=0))
    scheduler.cancel_run(store.runs()[0].id, reason="no need")

    assert ask(scheduler, 0).sentence == "was cancelled: no need"


def test_a_run_whose_place_was_taken(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(overlap=Overlap.CANCEL)])
    node = Node(store, "a")
    advance(clock, MINUTE + SECOND, node)

    going_on, waiting = ask(scheduler, 0), ask(scheduler, 1)
    node.executor.end(Lost("its task was cancelled before it ended"))
    advance(clock, SECOND, node)

    taken = "the fire time 2026-01-01T00:01:00Z took its place"
    assert f"; it was asked to end: {taken}; its lease" in going_on.sentence
    assert waiting.sentence.endswith(f"max_instances is 1, and run {going_on.runs[0].id} is still running")
    assert ask(scheduler, 0).sentence.endswith(f", and was cancelled: {taken}")
    assert ask(scheduler, 1).verdict is Verdict.RUNNING


def test_a_fire_time_that_waits_for_the_run_before_it(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(overlap=Overlap.QUEUE)])
    advance(clock, 2 * MINUTE + 2 * SECOND, Node(store, "a"))

    waits, no_room = ask(scheduler, 1), ask(scheduler, 2)

    running = store.evidence("job", NOW).before[0]
    assert waits.verdict is Verdict.PENDING
    assert waits.sentence == (
        f"waits since 2026-01-01 00:01 UTC: max_instances is 1, and run {running.id} is still running"
    )
    assert no_room.sentence == f"skipped: max_waiting is 1, and run {waits.runs[0].id} was still waiting"


def test_a_run_that_someone_asked_for_waits_for_the_one_that_goes_on(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    store.add([make_job()])
    node = Node(store, "a")
    advance(clock, 30 * SECOND, node)
    scheduler.run_job_now("job")
    advance(clock, SECOND, node)

    answer = ask(scheduler, 0.5)

    running = store.evidence("job", NOW).before[0]
    assert answer.sentence == (
        f"run by hand, waits since 2026-01-01 00:00:30 UTC: max_instances is 1, and run {running.id} is still running"
    )


def test_a_job_that_is_paused_because_it_fails(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(pause_after=1)])
    node = Node(store, "a")
    advance(clock, SECOND, node)
    node.executor.end(Failed("ValueError: no"))
    advance(clock, SECOND, node)

    answer = ask(scheduler, 1)

    assert answer.verdict is Verdict.PAUSED
    assert answer.sentence.startswith("the job is paused since 2026-01-01 00:00:01")
    assert answer.sentence.endswith(
        "UTC: it failed 1 times in a row, the last time with: ValueError: no; it runs only if it is resumed before"
    )


@pytest.mark.parametrize(
    ("most", "told"),
    [
        (0, "missed: fired 0:05:30 late, and catch_up is 0; the ledger shows no node at work"),
        (1, f"skipped: {COALESCED}; that is run "),
        (2, "missed: catch_up is 2, and so many later ones are run; the ledger shows no node at work"),
    ],
)
def test_fire_times_that_are_not_made_up(
    store: Store, clock: VirtualClock, scheduler: Scheduler, most: int, told: str
) -> None:
    store.add([make_job(catch_up=most)])
    clock.advance(5.5 * MINUTE)
    advance(clock, SECOND, Node(store, "a", takes=SECOND / 10))

    assert ask(scheduler, 2).sentence.startswith(told)


# what has no row


def test_what_lies_ahead(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])

    answer = ask(scheduler, 100)

    assert (answer.verdict, answer.fire_time, answer.runs) == (Verdict.COMING, at(100), ())
    assert answer.sentence == "will run at 2026-01-01 01:40 UTC"
    assert (answer.before, answer.after) == (at(99), at(101))


def test_what_is_due_and_no_node_has_fired(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    clock.advance(5 * MINUTE)

    verdicts = [ask(scheduler, minutes).verdict for minutes in (0, 3, 5, 6)]

    assert verdicts == [Verdict.DUE, Verdict.DUE, Verdict.DUE, Verdict.COMING]
    assert ask(scheduler, 3).sentence == "due since 2026-01-01 00:03 UTC, and no node has fired it yet"


def test_what_is_no_fire_time_has_the_nearest_ones(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    advance(clock, 2 * MINUTE, Node(store, "a", takes=SECOND))

    past, ahead = ask(scheduler, 1.5), ask(scheduler, 7.5)

    assert {past.verdict, ahead.verdict} == {Verdict.NOT_A_FIRE_TIME}
    assert (past.fire_time, past.before, past.after) == (None, at(1), at(2))
    assert past.sentence == (
        "not a fire time of this job (the nearest are 2026-01-01 00:01 UTC and 2026-01-01 00:02 UTC)"
    )
    assert (ahead.before, ahead.after) == (at(7), at(8))


def test_between_two_fire_times_that_one_row_answers_for(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    store.add([make_job()])
    clock.advance(10 * MINUTE)
    advance(clock, SECOND, Node(store, "a"))

    answer = ask(scheduler, 4.5)

    assert (answer.verdict, answer.before, answer.after) == (Verdict.NOT_A_FIRE_TIME, at(4), at(5))


def test_before_the_trigger_was_set(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])

    answer = ask(scheduler, -5)

    assert answer.verdict is Verdict.NOT_A_FIRE_TIME
    assert answer.sentence == (
        "not a fire time of this job: its trigger, every minute from 2026-01-01 00:00 UTC, was set at "
        "2026-01-01 00:00 UTC (the nearest is 2026-01-01 00:00 UTC)"
    )


def test_the_ledger_counts_and_not_the_trigger_of_today(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    store.add([make_job()])
    node = Node(store, "a", takes=SECOND)
    advance(clock, 150 * SECOND, node)
    scheduler.reschedule_job("job", "interval", hours=1, start_date=at(30))
    advance(clock, HOUR, node)

    verdicts = {minutes: ask(scheduler, minutes).verdict for minutes in (1, 1.5, 2, 3, 29, 30, 90)}

    assert verdicts == {
        1: Verdict.SUCCEEDED, 1.5: Verdict.NOT_A_FIRE_TIME, 2: Verdict.SUCCEEDED, 3: Verdict.NOT_A_FIRE_TIME,
        29: Verdict.NOT_A_FIRE_TIME, 30: Verdict.SUCCEEDED, 90: Verdict.COMING,
    }  # fmt: skip
    assert (ask(scheduler, 1.5).before, ask(scheduler, 1.5).after) == (at(1), at(2))


def test_a_row_for_several_of_a_trigger_that_has_changed_is_believed(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    store.add([make_job()])
    clock.advance(10 * MINUTE)
    scheduler.reschedule_job("job", "interval", hours=1)

    answer = ask(scheduler, 4)

    assert answer.verdict is Verdict.SKIPPED
    assert answer.sentence == (
        "skipped: rescheduled before it was fired; one row answers for all from 2026-01-01 00:00 UTC through "
        "2026-01-01 00:10 UTC"
    )


def test_a_fire_time_that_was_passed_over_by_hand(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(next_fire_time=at(1))])
    scheduler.modify_job("job", next_run_time=at(60) + SECOND)

    over, by_hand, later = ask(scheduler, 30), ask(scheduler, 60 + 1 / 60), ask(scheduler, 61)

    assert (over.verdict, over.after) == (Verdict.PASSED_OVER, at(60) + SECOND)
    assert (by_hand.verdict, by_hand.fire_time) == (Verdict.COMING, at(60) + SECOND)
    assert later.verdict is Verdict.COMING


def test_after_the_last_fire_time(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(trigger=IntervalTrigger(minutes=1, start_date=NOW, end_date=at(2)))])
    advance(clock, 10 * MINUTE, Node(store, "a", takes=SECOND))

    answer = ask(scheduler, 5)

    assert (answer.verdict, answer.before, answer.after) == (Verdict.ENDED, at(2), None)
    assert answer.sentence.endswith("has ended (the nearest is 2026-01-01 00:02 UTC)")
    assert ask(scheduler, 1.5).verdict is Verdict.NOT_A_FIRE_TIME


def test_a_date_that_had_passed_when_it_was_added(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job(trigger=DateTrigger(at(-9)), next_fire_time=at(-9))])

    before = ask(scheduler, -9)
    advance(clock, MINUTE, Node(store, "a", takes=SECOND))
    after = ask(scheduler, -9)

    assert (before.verdict, after.verdict) == (Verdict.DUE, Verdict.SUCCEEDED)


def test_a_job_that_was_removed(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    advance(clock, 2 * MINUTE, Node(store, "a", takes=SECOND))
    scheduler.remove_job("job")

    ran, between, after = ask(scheduler, 1), ask(scheduler, 1.5), ask(scheduler, 9)

    assert ran.verdict is Verdict.SUCCEEDED
    assert (between.verdict, between.before, between.after) == (Verdict.NOT_A_FIRE_TIME, at(1), at(2))
    assert after.verdict is Verdict.REMOVED
    assert after.sentence == "the job was removed at 2026-01-01 00:02 UTC (the nearest is 2026-01-01 00:02 UTC)"


def test_what_the_ledger_keeps_no_more(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([make_job()])
    advance(clock, 10 * MINUTE, Node(store, "a", takes=SECOND))
    scheduler.prune(Retention(age=None, count=3))

    pruned, kept = ask(scheduler, 2), ask(scheduler, 8)

    assert (pruned.verdict, pruned.fire_time) == (Verdict.PRUNED, at(2))
    assert pruned.sentence == "not known any more: the ledger of this job was pruned through 2026-01-01 00:07 UTC"
    assert kept.verdict is Verdict.SUCCEEDED
    assert ask(scheduler, 2.5).verdict is Verdict.NOT_A_FIRE_TIME


def test_what_was_pruned_before_the_trigger_was_set_is_not_guessed_at(
    store: Store, clock: VirtualClock, scheduler: Scheduler
) -> None:
    store.add([make_job()])
    advance(clock, 10 * MINUTE, Node(store, "a", takes=SECOND))
    scheduler.reschedule_job("job", "interval", hours=1)
    scheduler.prune(Retention(age=None, count=3))

    assert ask(scheduler, 2.5).verdict is Verdict.PRUNED


def test_a_trigger_that_only_a_newer_version_can_read() -> None:
    job = make_job(trigger=UnreadableTrigger({"kind": "lunar"}, "expected a kind in JSON, got 'lunar'"))

    unknown, known = (
        explain(Evidence("job", job, before=rows), at(5), at(9))
        for rows in ([], [make_run(job, at(5), state=RunState.SUCCEEDED)])
    )

    assert unknown.verdict is Verdict.UNKNOWN
    assert "lunar" in unknown.sentence
    assert known.verdict is Verdict.SUCCEEDED


# what the trigger says itself


def seoul_job(trigger: Trigger, **fields: Any) -> Job:
    added_at = CHUSEOK - 7 * DAY
    trigger = trigger.anchored(added_at, "job")
    return make_job(
        trigger=trigger, **({"anchored_at": added_at, "next_fire_time": trigger.next_after(added_at)} | fields)
    )


def test_a_fire_time_that_falls_on_a_holiday(store: Store, clock: VirtualClock, scheduler: Scheduler) -> None:
    store.add([seoul_job(BUT_HOLIDAYS)])

    ahead = scheduler.why("job", CHUSEOK)
    clock.move_to(CHUSEOK - 7 * DAY)
    advance(clock, 14 * DAY, Node(store, "a", takes=SECOND, poll=HOUR, prune=DAY, lease=DAY))
    past, beside = scheduler.why("job", CHUSEOK), scheduler.why("job", CHUSEOK + HOUR)

    assert ahead.verdict is past.verdict is Verdict.EXCLUDED
    assert past.sentence == (
        "not a fire time of this job: excluded: Chuseok (KR) "
        "(the nearest are 2026-09-23 09:00+09:00 and 2026-09-27 09:00+09:00)"
    )
    assert (past.fire_time, past.before, past.after) == (None, CHUSEOK - 2 * DAY, CHUSEOK + 2 * DAY)
    assert beside.verdict is Verdict.NOT_A_FIRE_TIME


def test_a_fire_time_that_is_shifted(scheduler: Scheduler) -> None:
    scheduler.add_jobs([seoul_job(ON_BUSINESS_DAYS)])

    moved, there = scheduler.why("job", CHUSEOK), scheduler.why("job", CHUSEOK + 3 * DAY)

    assert moved.verdict is Verdict.SHIFTED
    assert moved.sentence.startswith(
        "not a fire time of this job: shifted to 2026-09-28 09:00+09:00: Chuseok (KR) (the nearest"
    )
    assert (there.verdict, there.fire_time) == (Verdict.COMING, CHUSEOK + 3 * DAY)


def test_a_fire_time_that_jitter_moves(scheduler: Scheduler) -> None:
    scheduler.add_jobs([job := seoul_job(JitteredTrigger(NINE, HOUR))])

    moved = scheduler.why("job", CHUSEOK)

    fire_time = job.trigger.next_after(CHUSEOK)
    assert fire_time is not None
    assert (moved.verdict, moved.after) == (Verdict.SHIFTED, fire_time)
    assert moved.sentence.startswith("not a fire time of this job: its jitter moves it to 2026-09-25 09:")
    assert scheduler.why("job", fire_time).verdict is Verdict.COMING


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        (JitteredTrigger(BUT_HOLIDAYS, 30), "excluded: Chuseok (KR)"),
        (FilteredTrigger(BUT_HOLIDAYS, exclude="mon"), "excluded: Chuseok (KR)"),
        (FilteredTrigger(ON_BUSINESS_DAYS, exclude="2026-09-28"), "shifted to 2026-09-28 00:00 UTC: Chuseok (KR); and there excluded: the date"),
        (AnyOf([CronTrigger(hour=3), BUT_HOLIDAYS]), "excluded: Chuseok (KR)"),
        (FilteredTrigger(NINE, exclude="08:00-10:00", include="mon"), "excluded: within 08:00-10:00"),
        (JitteredTrigger(ON_BUSINESS_DAYS, 30), "shifted to 2026-09-28 00:00:"),
        (FilteredTrigger(NINE, exclude="2026-09-25/2026-12-31", shift="next"), "excluded: within 2026-09-25/2026-12-31, and no day"),
    ],
)  # fmt: skip
def test_what_triggers_around_others_say(trigger: Trigger, told: str) -> None:
    answer = explain(Evidence("job", seoul_job(trigger)), CHUSEOK, NOW)

    assert answer.sentence.startswith(f"not a fire time of this job: {told}")


@pytest.mark.parametrize(
    "trigger",
    [
        BUT_HOLIDAYS, ON_BUSINESS_DAYS, FilteredTrigger(NINE, only=BusinessDays("KR"), shift="previous"),
        JitteredTrigger(NINE, HOUR), JitteredTrigger(BUT_HOLIDAYS, 30),
        AnyOf([CronTrigger(hour=12), FilteredTrigger(CronTrigger("0 */7 * * *"), exclude=["sat-sun", "06:00-09:00"])]),
    ],
)  # fmt: skip
def test_why_agrees_with_the_preview(trigger: Trigger) -> None:
    job = seoul_job(trigger)

    for tick in preview(job.trigger, job.anchored_at, 40):
        answer = explain(Evidence("job", job), tick.at, NOW)

        if tick.excluded is None:
            assert (answer.verdict, answer.fire_time) == (Verdict.COMING, tick.at)
        else:
            assert answer.verdict is Verdict.EXCLUDED
            assert answer.sentence.startswith(f"not a fire time of this job: excluded: {tick.excluded}")
        if tick.shifted_from is not None and tick.shifted_from > job.anchored_at:
            moved = explain(Evidence("job", job), tick.shifted_from, NOW)
            assert moved.verdict is Verdict.SHIFTED
            assert f": shifted to {tick.at:%Y-%m-%d %H:%M} UTC: {tick.why}" in moved.sentence


def test_of_the_time_before_it_was_set_a_trigger_says_nothing() -> None:
    job = seoul_job(BUT_HOLIDAYS, anchored_at=CHUSEOK + DAY, next_fire_time=CHUSEOK + 2 * DAY)

    answer = explain(Evidence("job", job), CHUSEOK, CHUSEOK + DAY)

    assert answer.verdict is Verdict.NOT_A_FIRE_TIME
    assert "was set at 2026-09-26 00:00 UTC" in answer.sentence


# the question


@pytest.mark.parametrize("every", [0.25, 1, 60])
def test_an_instant_without_a_fraction_stands_for_its_second(
    store: Store, clock: VirtualClock, scheduler: Scheduler, every: float
) -> None:
    start = NOW + SECOND / 8
    store.add([make_job(trigger=IntervalTrigger(seconds=every, start_date=start), next_fire_time=start)])
    node = Node(store, "a", takes=SECOND / 100)
    advance(clock, 2 * MINUTE + SECOND / 2, node)

    past, to_come = ask(scheduler, 1), ask(scheduler, 3)
    exactly, beside = scheduler.why("job", at(1) + SECOND / 8), scheduler.why("job", at(1) + SECOND / 10)

    assert (past.verdict, past.fire_time) == (Verdict.SUCCEEDED, at(1) + SECOND / 8)
    assert (to_come.verdict, to_come.fire_time) == (Verdict.COMING, at(3) + SECOND / 8)
    assert exactly.verdict is Verdict.SUCCEEDED
    assert beside.verdict is Verdict.NOT_A_FIRE_TIME


@pytest.mark.parametrize(
    ("asked", "instant"),
    [
        (datetime(2026, 1, 1, 9, tzinfo=UTC), datetime(2026, 1, 1, 9, tzinfo=UTC)),
        ("2026-01-01T09:00Z", datetime(2026, 1, 1, 9, tzinfo=UTC)),
        ("2026-01-01 18:00+09:00", datetime(2026, 1, 1, 9, tzinfo=UTC)),
        ("2026-01-01 18:00", datetime(2026, 1, 1, 9, tzinfo=UTC)),
        (datetime(2026, 1, 1, 18), datetime(2026, 1, 1, 9, tzinfo=UTC)),
        ("2026-01-01", datetime(2025, 12, 31, 15, tzinfo=UTC)),
        ("18:00", datetime(2026, 1, 1, 9, tzinfo=UTC)),
        (" 18:00:30 ", datetime(2026, 1, 1, 9, 0, 30, tzinfo=UTC)),
        ("09:00Z", datetime(2026, 1, 1, 9, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("zone_of", ["scheduler", "cron", "jittered cron"])
def test_how_an_instant_may_be_written(asked: Any, instant: datetime, zone_of: str) -> None:
    zones = {zone_of: "Asia/Seoul"}
    scheduler = BackgroundScheduler(MemoryStore(clock=VirtualClock(NOW)), timezone=zones.get("scheduler"))
    cron = CronTrigger("0 * * * *", timezone="Asia/Seoul")
    trigger = {"cron": cron, "jittered cron": JitteredTrigger(cron, 30, "job")}.get(zone_of, EVERY_MINUTE)
    scheduler.add_jobs([make_job(trigger=trigger, anchored_at=NOW - DAY)])

    assert scheduler.why("job", asked).instant == instant


def test_a_time_without_a_zone_is_in_that_of_the_job_before_that_of_the_scheduler() -> None:
    scheduler = BackgroundScheduler(MemoryStore(clock=VirtualClock(NOW)), timezone="Europe/Berlin")
    scheduler.add_jobs([
        make_job("in seoul", trigger=CronTrigger("0 * * * *", timezone="Asia/Seoul")), make_job("anywhere"),
    ])  # fmt: skip

    assert scheduler.timezone == "Europe/Berlin"
    assert scheduler.why("in seoul", "2026-01-01 18:00").instant == datetime(2026, 1, 1, 9, tzinfo=UTC)
    assert scheduler.why("anywhere", "2026-01-01 18:00").instant == datetime(2026, 1, 1, 17, tzinfo=UTC)


def test_a_sentence_says_its_times_in_the_zone_in_which_they_are_read() -> None:
    scheduler = BackgroundScheduler(MemoryStore(clock=VirtualClock(NOW)), timezone="Europe/Berlin")
    scheduler.add_jobs([
        make_job("in seoul", trigger=NINE, anchored_at=NOW - DAY, next_fire_time=NOW + DAY),
        make_job("anywhere", trigger=IntervalTrigger(hours=7), anchored_at=NOW, next_fire_time=NOW + 7 * HOUR),
        make_job("in utc", trigger=CronTrigger(hour=9, timezone="UTC"), anchored_at=NOW, next_fire_time=NOW + 9 * HOUR),
    ])  # fmt: skip

    assert scheduler.why("in seoul", "2026-01-02 09:00").sentence == "will run at 2026-01-02 09:00+09:00"
    assert scheduler.why("anywhere", "2026-01-01 08:00").sentence == "will run at 2026-01-01 08:00+01:00"
    assert scheduler.why("in utc", "09:00").sentence == "will run at 2026-01-01 09:00 UTC"
    assert scheduler.why("in seoul", "2026-01-02 09:00", say=str).sentence == "will run at 2026-01-02 00:00:00+00:00"
    told = scheduler.why("in seoul", "2026-01-03 09:30").sentence
    assert told == "not a fire time of this job (the nearest are 2026-01-03 09:00+09:00 and 2026-01-04 09:00+09:00)"
    assert scheduler.why("in seoul", "9999-12-31 23:00Z").sentence.endswith("(the nearest is 9999-12-31 09:00+09:00)")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("2026-01-01 18:00", "at: expected a time with a time zone, got the naive"),
        ("18:00", "at: expected a time with a time zone"),
        (datetime(2026, 1, 1), "at: expected a time with a time zone"),
        ("yesterday", "at: expected a time such as"),
        ("2026", "at: expected a time such as"),
        (1_795_413_600, "at: expected a datetime or an ISO 8601 string"),
        (None, "at: expected a datetime or an ISO 8601 string"),
    ],
)
def test_what_is_no_instant(asked: Any, message: str) -> None:
    scheduler = BackgroundScheduler(MemoryStore(clock=VirtualClock(NOW)))
    scheduler.add_jobs([make_job()])

    with pytest.raises(InvalidJobError, match=message):
        scheduler.why("job", asked)


def test_a_job_that_nobody_knows(scheduler: Scheduler) -> None:
    with pytest.raises(JobNotFoundError):
        ask(scheduler, 0)


def test_how_instants_are_written_is_the_callers_choice(store: Store, scheduler: Scheduler) -> None:
    store.add([make_job()])

    answer = scheduler.why("job", at(5), say=lambda instant: f"{instant:%H.%M}")

    assert answer.sentence == "will run at 00.05"


def test_the_readme_way(tmp_path: Path) -> None:
    scheduler = ManualScheduler(f"sqlite:///{tmp_path}/jobs.db", start=NOW)
    scheduler.add_job(fail, "interval", hours=1, id="refresh")
    scheduler.start()
    scheduler.advance(HOUR)

    answer = scheduler.why("refresh", NOW + HOUR)

    assert answer.verdict == "failed"
    assert answer.sentence.endswith("and failed: ValueError: no such folder")
    scheduler.shutdown()


# laws


def test_every_state_of_a_run_is_a_verdict() -> None:
    assert {state.value for state in RunState} < {verdict.value for verdict in Verdict}


@pytest.mark.parametrize("state", RunState)
def test_every_state_of_a_run_has_its_words(state: RunState) -> None:
    node = "a" if state is RunState.RUNNING else None
    row = make_run(make_job(), state=state, node=node, ended_at=at(1) if state.closed else None)

    answer = explain(Evidence("job", make_job(), before=[row]), NOW, at(2))

    assert answer.verdict == state
    assert "None" not in answer.sentence


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    deeds = st.sampled_from(["wait", "wait", "node", "pause", "resume", "reschedule", "move", "run", "prune", "again"])
    return draw(st.lists(st.tuples(deeds, st.integers(1, 400)), max_size=14))


@settings(max_examples=150)
@given(
    history=histories(), asked=st.lists(st.integers(-100, 4_000), min_size=1, max_size=6),
    coalesce=st.booleans(), grace=st.none() | st.just(45 * SECOND),
)  # fmt: skip
def test_any_instant_of_any_history_has_one_answer_that_agrees_with_the_ledger(
    history: list[tuple[str, int]], asked: list[int], coalesce: bool, grace: timedelta | None
) -> None:
    clock = VirtualClock(NOW)
    store = MemoryStore(clock=clock)
    scheduler = BackgroundScheduler(store)
    node = Node(store, "a", takes=70 * SECOND)
    store.add([make_job(coalesce=coalesce, misfire_grace_time=grace)])
    for deed, number in history:
        do(deed, number, scheduler, clock, node)

    for second in asked:
        check_answer(scheduler, store, NOW + second * SECOND)


def do(deed: str, number: int, scheduler: Scheduler, clock: VirtualClock, node: Node) -> None:
    match deed:
        case "wait":
            clock.advance(number * SECOND)
        case "node":
            advance(clock, number * SECOND, node)
        case "pause":
            scheduler.pause_job("job", reason="why not")
        case "resume":
            scheduler.resume_job("job")
        case "reschedule":
            scheduler.reschedule_job("job", "interval", seconds=number)
        case "move":
            scheduler.modify_job("job", next_run_time=clock.now() + number * SECOND)
        case "run":
            scheduler.run_job_now("job")
        case "prune":
            scheduler.prune(Retention(age=number * SECOND, count=1 + number % 7))
        case "again":
            scheduler.remove_job("job")
            scheduler.add_jobs([make_job(next_fire_time=clock.now() + number * SECOND, anchored_at=clock.now())])


def check_answer(scheduler: Scheduler, store: Store, instant: datetime) -> None:
    answer = scheduler.why("job", instant)
    rows = [run for run in store.runs(limit=10_000) if run.fire_time == instant and run.origin is Origin.SCHEDULE]

    if rows:
        scheduled = {run.id for run in answer.runs if run.origin is Origin.SCHEDULE}
        assert scheduled
        assert scheduled <= {run.id for run in rows}
        assert answer.verdict in {run.state.value for run in rows}
    assert bool(answer.runs) or answer.verdict not in set(RunState)
    assert answer.verdict in set(RunState) or all(run.origin is Origin.MANUAL for run in answer.runs)
    assert answer.sentence
    assert answer.before is None or answer.before < (answer.fire_time or instant)
    assert answer.after is None or answer.after > (answer.fire_time or instant)
    if answer.fire_time is not None and not any(run.through for run in answer.runs):
        assert instant <= answer.fire_time < instant + SECOND


@given(
    trigger=st.sampled_from([
        EVERY_MINUTE, CronTrigger("*/7 1-5 * * *"), DateTrigger(at(50)), IntervalTrigger(seconds=0.3, start_date=NOW),
        FilteredTrigger(EVERY_MINUTE, exclude="00:30-02:00"), JitteredTrigger(CronTrigger("*/7 1-5 * * *"), 90, "job"),
        FilteredTrigger(CronTrigger("*/7 * * * *"), exclude=["thu", "01:00-01:30"], shift="next"),
    ]),
    next_minutes=st.none() | st.floats(0, 200), last_minutes=st.none() | st.floats(-200, 200),
    paused=st.booleans(), pruned=st.none() | st.floats(-200, 200), removed=st.booleans(),
    asked=st.floats(-300, 300), now=st.floats(-10, 300), whole=st.booleans(),
)  # fmt: skip
def test_without_a_row_there_is_an_answer_whatever_the_job_has_become(
    trigger: Trigger, next_minutes: float | None, last_minutes: float | None, paused: bool, pruned: float | None,
    removed: bool, asked: float, now: float, whole: bool,
) -> None:  # fmt: skip
    job: Job | None = make_job(
        trigger=trigger, next_fire_time=None if next_minutes is None else at(next_minutes),
        last_fire_time=None if last_minutes is None else at(last_minutes), paused_at=NOW if paused else None,
    )  # fmt: skip
    evidence = Evidence(
        "job", None if removed else job, removed_at=at(100) if removed else None,
        pruned_through=None if pruned is None else at(pruned),
    )  # fmt: skip
    instant = at(asked).replace(microsecond=0) if whole else at(asked)

    answer = explain(evidence, instant, at(now))

    assert answer.runs == ()
    assert answer.verdict not in set(RunState)
    assert (answer.verdict is Verdict.COMING) <= (answer.fire_time is not None and answer.fire_time > at(now))
