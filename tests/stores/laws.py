"""The laws of stores: this suite is the definition, and whatever passes it is a store.

A store joins with a test class that inherits `StoreLaws` (and `BellLaws`, if several processes may
use it), and with one fixture, `make_store`: a function that makes another handle on the same place.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeAlias, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.samples import (
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    held_run,
    instants,
    jobs,
    json_values,
    make_backfill,
    make_hold,
    make_job,
    make_move,
    make_node,
    make_run,
    names,
    new_uid,
    next_version,
    nodes,
    runs_of,
    texts,
)

from tickwork.backfill import MAX_OPEN_BACKFILLS, Answered, Backfill
from tickwork.clock import MICROSECOND
from tickwork.declaration import declaration_of
from tickwork.errors import (
    BackfillNotFoundError,
    ConflictError,
    InvalidJobError,
    JobExistsError,
    JobNotFoundError,
    RunNotFoundError,
    SchedulerError,
    StoreError,
    StoreMovedError,
)
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.jobstate import Entry, StateChange, StoredState
from tickwork.moves import LedgerNote, MoveState, PackedJob, PackedRest, PackedRun
from tickwork.node import Node
from tickwork.plan import Change, Filling, Hold, Settlement, cancel, end_backfill, settle
from tickwork.policies import ONCE, Retry
from tickwork.retention import FOREVER, Retention
from tickwork.run import Cancelled, Failed, Given, Lost, Origin, Progress, Released, Run, RunState, Succeeded
from tickwork.runlog import NO_LOG, LogLine, RunLog
from tickwork.stores import base
from tickwork.stores.base import Census, Decide, Outlook, Store
from tickwork.stores.parts import PART
from tickwork.testing import VirtualClock
from tickwork.triggers import CronTrigger
from tickwork.why import Absence, Silence

MakeStore: TypeAlias = Callable[[], Store]
T = TypeVar("T")

PLENTY = 1_000
DONE = Succeeded()
LOG = RunLog((LogLine(NOW, "INFO", "app", "begins"), LogLine(NOW, "ERROR", "app.db", "two\nlines 한국어")))
many_examples = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)


class StoreLaws:
    """What every store does."""

    @pytest.fixture
    def clock(self) -> VirtualClock:
        return VirtualClock(NOW)

    @pytest.fixture
    def store(self, make_store: MakeStore) -> Iterator[Store]:
        store = make_store()
        store.open()
        yield store
        store.close()

    # add, get, jobs

    def test_what_is_added_can_be_read(self, store: Store) -> None:
        job = make_job()

        store.add([job])

        assert store.get("job") == job
        assert store.jobs() == [job]

    def test_adding_nothing_is_nothing(self, store: Store) -> None:
        store.add([])

        assert store.jobs() == []

    def test_jobs_are_added_all_or_none(self, store: Store) -> None:
        store.add([taken := make_job("b")])

        with pytest.raises(JobExistsError):
            store.add([make_job("a"), make_job("b"), make_job("c")])

        assert store.jobs() == [taken]

    def test_the_error_names_the_id_that_is_taken(self, store: Store) -> None:
        store.add([make_job("taken")])

        with pytest.raises(JobExistsError) as raised:
            store.add([make_job("new"), make_job("taken"), make_job("newer")])

        assert raised.value.job_id == "taken"

    def test_an_id_that_stands_twice_in_one_batch_is_refused(self, store: Store) -> None:
        with pytest.raises(JobExistsError) as raised:
            store.add([make_job("once"), make_job("twice"), make_job("twice")])

        assert raised.value.job_id == "twice"
        assert store.jobs() == []

    def test_a_job_that_was_added_before_is_not_added_again_under_any_id(self, store: Store) -> None:
        store.add([job := make_job("a")])
        new = make_job("new")

        for batch in ([job], [new, job], [new, job._replace(id="b")], [new, new._replace(id="newer")]):
            with pytest.raises(ConflictError, match="expected new jobs, got some that were added before"):
                store.add(batch)

        assert store.jobs() == [job]

    def test_an_unknown_id_is_an_error_that_names_the_nearest_one(self, store: Store) -> None:
        store.add([make_job("nightly-report"), make_job("refresh")])

        with pytest.raises(
            JobNotFoundError, match=r"got 'nightly-reprot' \(did you mean 'nightly-report'\?\)"
        ) as raised:
            store.get("nightly-reprot")

        assert raised.value.job_id == "nightly-reprot"

    def test_jobs_stand_in_the_order_of_their_ids(self, store: Store) -> None:
        ids = ["b", "a", "é", "Z", "aa", "10", "9", "😀", "ｚ"]
        store.add([make_job(id) for id in ids])

        found = [job.id for job in store.jobs()]

        assert found == sorted(ids)

    def test_jobs_can_be_read_page_by_page(self, store: Store) -> None:
        store.add([make_job(id) for id in "cabed"])

        pages = [[job.id for job in store.jobs(after=after, limit=2)] for after in ("", "b", "d", "e")]

        assert pages == [["a", "b"], ["c", "d"], ["e"], []]

    @pytest.mark.parametrize(
        ("ids", "expected"),
        [
            ([], []),
            (["b"], ["b"]),
            (["c", "a"], ["a", "c"]),
            (["a", "a"], ["a"]),
            (["nobody", "b"], ["b"]),
            ({"a", "b"}, ["a", "b"]),
        ],
    )
    def test_jobs_can_be_asked_for_by_their_ids(self, store: Store, ids: Sequence[str], expected: list[str]) -> None:
        store.add([make_job(id) for id in "abc"])

        found = [job.id for job in store.jobs(ids=ids)]

        assert found == expected

    def test_a_page_of_chosen_jobs_obeys_all_conditions(self, store: Store) -> None:
        store.add([make_job(id) for id in "abcde"])

        found = [job.id for job in store.jobs(ids=["a", "b", "d", "e"], after="a", limit=2)]

        assert found == ["b", "d"]

    @many_examples
    @given(job=jobs)
    def test_every_field_of_a_job_survives(self, store: Store, job: Job) -> None:
        store.add([job])

        found = store.get(job.id)

        assert found == job
        store.remove([job.id])

    @many_examples
    @given(job=jobs, becoming=jobs)
    def test_every_field_that_a_change_writes_survives(self, store: Store, job: Job, becoming: Job) -> None:
        store.add([job])
        becoming = becoming._replace(id=job.id, uid=job.uid, version=job.version + 1, revision=job.revision + 1)

        store.save([Change(becoming)])

        assert store.get(job.id) == becoming
        store.remove([job.id])

    @many_examples
    @given(run=runs_of(make_job("ledger", uid=1)))
    def test_every_field_of_a_run_survives(self, store: Store, run: Run) -> None:
        job = make_job("ledger")
        run = run._replace(job_uid=job.uid)
        store.remove()
        store.add([job])

        won = store.save([next_version(job, run)])

        assert won
        assert store.run(run.id) == run

    # together

    def test_what_is_written_together_is_there_at_its_end(self, store: Store) -> None:
        with store.together():
            store.add([make_job("a"), make_job("b")])
            store.remove(["a"])
            (change,) = fire(store)

            assert store.runs() == [*change.runs], "it sees what it wrote"

        assert [job.id for job in store.jobs()] == ["b"]
        assert store.runs() == [*change.runs]

    # save

    def test_of_two_changes_to_one_version_the_first_wins(self, store: Store) -> None:
        store.add([job := make_job()])
        first, second = next_version(job, name="first"), next_version(job, name="second")

        won = store.save([first])
        lost = store.save([second])

        assert won == [first]
        assert lost == []
        assert store.get("job").name == "first"

    def test_of_two_changes_to_one_version_the_first_wins_in_a_round_as_well(self, store: Store) -> None:
        store.add([job := make_job()])

        with store.together():
            won = [len(store.save([next_version(job, name=name)])) for name in ("first", "second")]

        assert (won, store.get("job").name) == ([1, 0], "first")

    def test_a_change_of_a_job_that_is_gone_loses(self, store: Store) -> None:
        store.add([job := make_job()])
        store.remove(["job"])
        store.add([again := make_job()])

        won = store.save([next_version(job, make_run(job))])

        assert won == []
        assert store.get("job") == again
        assert store.runs() == []

    def test_changes_win_and_lose_one_by_one(self, store: Store) -> None:
        store.add([a := make_job("a"), b := make_job("b"), c := make_job("c")])
        store.save([next_version(b, name="faster")])

        won = store.save([next_version(job, name="slower") for job in (a, b, c)])

        assert [change.job.id for change in won] == ["a", "c"]
        assert [job.name for job in store.jobs()] == ["slower", "faster", "slower"]

    @pytest.mark.parametrize("state", [RunState.PENDING, RunState.RUNNING, RunState.SUCCEEDED, RunState.MISSED])
    def test_a_change_whose_run_exists_already_loses_as_a_whole(self, store: Store, state: RunState) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, make_run(job, state=state))])
        job = store.get("job")

        won = store.save([next_version(job, make_run(job, NOW + MINUTE), make_run(job), name="slower")])

        assert won == []
        assert store.get("job") == job
        assert [run.fire_time for run in store.runs()] == [NOW]

    def test_a_change_brings_its_runs_with_it(self, store: Store) -> None:
        store.add([job := make_job()])
        waiting, closed = make_run(job), make_run(job, NOW + MINUTE, state=RunState.SKIPPED, ended_at=NOW, reason="why")

        store.save([next_version(job, waiting, closed)])

        assert store.runs() == [closed, waiting]

    def test_no_change_of_many_writers_is_lost(self, store: Store) -> None:
        store.add([make_job()])

        def write(_: int) -> None:
            while not store.save([_counted(store.get("job"))]):
                pass

        in_threads(write, 24)

        assert store.get("job").kwargs == {"count": 24}
        assert store.get("job").version == 25

    # whatever is written of a run is written of no other

    @pytest.mark.parametrize("verb", ["renew", "settle", "succeed", "release", "cancel", "keep_logs", "save_state"])
    def test_a_run_is_told_from_those_that_share_all_but_one_of_what_is_unique_of_it(
        self, store: Store, verb: str
    ) -> None:
        store.add([job := make_job(), other := make_job("other")])
        run = held_run(job)
        alike = [
            held_run(other), held_run(job, NOW + MINUTE), held_run(job, attempt=2),
            held_run(job, origin=Origin.MANUAL), held_run(job, origin=Origin.BACKFILL, backfill="one"),
        ]  # fmt: skip
        store.save([next_version(job, run, *(one for one in alike if one.job_id == job.id))])
        store.save([next_version(other, alike[0])])

        match verb:
            case "renew":
                store.renew([run], NOW + MINUTE)
            case "settle":
                store.settle([settle(run, job.retry, Failed("broken"), NOW)])
            case "succeed":
                store.settle([settle(run, job.retry, DONE, NOW)])
            case "release":
                store.settle([settle(run, job.retry, Released(), NOW)])
            case "cancel":
                store.cancel([cancel(run, "enough", NOW)])
            case "keep_logs":
                store.keep_logs([(run, LOG)])
            case _:
                gone = held_run(job, attempt=3)
                change = StateChange(job.uid, {"key": 0}, {"key": 1})
                assert store.save_state(change, gone) is None
                assert store.save_state(change, held_run(make_job())) is None
                assert store.save_state(change, run._replace(node="b")) is None
                assert store.save_state(change, run) is not None

        assert [store.run(one.id) for one in alike] == alike
        assert [store.log(one.id) for one in alike] == [NO_LOG] * len(alike)
        if verb not in ("keep_logs", "save_state"):
            assert store.run(run.id).version == 2

    def test_each_of_the_runs_that_share_all_but_one_of_what_is_unique_has_a_log_of_its_own(self, store: Store) -> None:
        store.add([job := make_job(), other := make_job("other")])
        runs = [
            held_run(job), held_run(job, NOW + MINUTE), held_run(job, attempt=2), held_run(job, origin=Origin.MANUAL),
            held_run(job, origin=Origin.BACKFILL, backfill="one"), held_run(other),
        ]  # fmt: skip
        store.save([next_version(job, *runs[:-1]), next_version(other, runs[-1])])
        logs = [RunLog((LogLine(NOW, "INFO", "app", str(number)),)) for number, _ in enumerate(runs)]

        store.keep_logs([*zip(runs, logs, strict=True)])

        assert [store.log(run.id) for run in runs] == logs
        ended = store.settle([settle(run, job.retry, Failed("broken"), NOW) for run in runs])
        assert [store.log(run.id) for run in runs] == logs
        store.keep_logs([(one.run, log) for one, log in zip(ended, logs[::-1], strict=True)])
        assert [store.log(run.id) for run in runs] == logs[::-1]

    def test_no_state_is_saved_for_a_run_that_never_was_though_it_shares_all_but_one_of_what_is_unique(
        self, store: Store
    ) -> None:
        store.add([job := make_job(), other := make_job("other")])
        store.save([next_version(job, held_run(job))])
        change = StateChange(job.uid, {"key": 0}, {"key": 1})
        strangers = [
            held_run(other), held_run(job, NOW + MINUTE), held_run(job, attempt=2), held_run(job, origin=Origin.MANUAL),
            held_run(job, node="b"),
        ]  # fmt: skip

        assert [store.save_state(change, one) for one in strangers] == [None] * len(strangers)
        assert store.state(job.uid) == StoredState()

    def test_a_waiting_run_is_closed_and_none_that_shares_all_but_one_of_what_is_unique_of_it(
        self, store: Store
    ) -> None:
        store.add([job := make_job(), other := make_job("other")])
        run = make_run(job)
        alike = [
            make_run(other), make_run(job, NOW + MINUTE), make_run(job, attempt=2),
            make_run(job, origin=Origin.MANUAL), make_run(job, origin=Origin.BACKFILL, backfill="one"),
        ]  # fmt: skip
        store.save([next_version(job, run, *(one for one in alike if one.job_id == job.id))])
        store.save([next_version(other, alike[0])])

        store.cancel([cancel(run, "enough", NOW)])

        assert [store.run(one.id) for one in alike] == alike
        assert store.run(run.id).state is RunState.CANCELLED

    def test_what_is_closed_stays_so_whatever_version_someone_believes_it_has(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        (settled,) = store.settle([settle(run, job.retry, Failed("broken"), NOW)])
        believed = run._replace(version=settled.run.version)

        won = [
            *store.renew([believed], NOW + MINUTE), *store.cancel([cancel(believed, "enough", NOW)]),
            *store.cancel([cancel(believed._replace(state=RunState.PENDING), "enough", NOW)]),
            *store.settle([settle(believed, job.retry, DONE, NOW)]),
            *store.settle([settle(believed, job.retry, Failed("again"), NOW)]),
            *store.settle([settle(believed, job.retry, Released(), NOW)]),
        ]  # fmt: skip

        assert won == []
        assert store.run(run.id) == settled.run

    @pytest.mark.parametrize("outcome", [DONE, Failed("broken"), Released()], ids=["succeeded", "failed", "released"])
    def test_an_ending_that_was_decided_on_an_older_version_is_not_written(
        self, store: Store, outcome: Succeeded | Failed | Released
    ) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        (renewed,) = store.renew([run], NOW + MINUTE)

        won = store.settle([settle(run, job.retry, outcome, NOW)])

        assert won == []
        assert store.run(run.id) == renewed

    def test_what_waits_is_neither_renewed_nor_settled(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := make_run(job, node="a"))])
        believed = held_run(job)

        won = [
            *store.renew([believed], NOW + MINUTE), *store.settle([settle(believed, job.retry, DONE, NOW)]),
            *store.settle([settle(believed, job.retry, Failed("broken"), NOW)]),
            *store.settle([settle(believed, job.retry, Released(), NOW)]),
        ]  # fmt: skip
        written = store.save_state(StateChange(job.uid, {"key": 0}, {"key": 1}), believed)

        assert (won, written) == ([], None)
        assert store.run(run.id) == run

    def test_giving_back_a_run_of_a_removed_job_leaves_its_others_that_go_on(self, store: Store) -> None:
        store.add([job := make_job(max_instances=2)])
        store.save([next_version(job, given_back := held_run(job), goes_on := held_run(job, NOW + MINUTE))])
        store.remove(["job"])

        store.settle([settle(given_back, job.retry, Released(), NOW)])

        assert store.run(given_back.id).state is RunState.CANCELLED
        assert store.run(goes_on.id) == goes_on

    def test_removing_a_job_cancels_no_run_of_another_and_ends_no_backfill_of_another(self, store: Store) -> None:
        store.add([job := make_job(), other := make_job("other")])
        store.save([next_version(job, make_run(job)), next_version(other, waiting := make_run(other))])
        backfill = make_backfill(other, NOW - HOUR, NOW)
        ended = end_backfill(done := make_backfill(job, NOW - HOUR, NOW), "enough", NOW)
        for one in (backfill, done):
            store.add_backfill(one)
        store.end_backfill(ended, lambda run: run)

        store.remove(["job"])

        assert store.run(waiting.id) == waiting
        assert store.backfill(backfill.id) == backfill
        assert store.backfill(done.id) == ended

    # remove

    def test_removing_returns_what_was_there(self, store: Store) -> None:
        store.add([make_job(id) for id in "abc"])

        removed = store.remove(["c", "nobody", "a", "a"])

        assert sorted(job.id for job in removed) == ["a", "c"]
        assert [job.id for job in store.jobs()] == ["b"]
        assert [job.id for job in store.remove()] == ["b"]
        assert store.remove() == []

    def test_removing_cancels_what_waits_and_leaves_what_runs(self, store: Store, clock: VirtualClock) -> None:
        store.add([job := make_job()])
        waiting, running = make_run(job), held_run(job, NOW + MINUTE)
        store.save([next_version(job, waiting, running)])
        clock.advance(SECOND)

        store.remove(["job"])

        cancelled = store.run(waiting.id)
        assert (cancelled.state, cancelled.ended_at) == (RunState.CANCELLED, NOW + SECOND)
        assert cancelled.reason == "its job was removed"
        assert cancelled.version == waiting.version + 1
        assert store.run(running.id) == running

    def test_what_still_runs_of_a_removed_job_can_be_settled_but_has_no_next_attempt(self, store: Store) -> None:
        store.add([job := make_job(retry=Retry(3))])
        store.save([next_version(job, run := held_run(job))])
        store.remove(["job"])

        won = store.settle([settle(run, job.retry, Failed("broken"), NOW)])

        assert len(won) == 1
        assert [one.state for one in store.runs()] == [RunState.FAILED]

    def test_a_run_that_is_given_back_after_its_job_was_removed_is_cancelled(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        store.remove(["job"])

        store.settle([settle(run, job.retry, Released(), NOW)])

        assert store.run(run.id).state is RunState.CANCELLED
        assert store.claim(make_hold(), executor="threads", limit=PLENTY) == []

    def test_outcomes_of_a_removed_job_do_not_touch_the_one_that_took_its_id(self, store: Store) -> None:
        store.add([old := make_job(retry=Retry(2))])
        store.save([next_version(old, late := held_run(old))])
        store.remove(["job"])
        store.add([new := make_job(retry=Retry(2))])
        store.save([next_version(new, current := held_run(new))])

        store.settle([settle(late, old.retry, Failed("broken"), NOW)])

        assert store.run(current.id) == current
        assert store.get("job") == new._replace(version=2)
        assert [(run.id, run.state) for run in store.runs()] == [
            (current.id, RunState.RUNNING),
            (late.id, RunState.FAILED),
        ]

    def test_a_removed_job_does_not_fire(self, store: Store) -> None:
        store.add([make_job()])
        store.remove(["job"])

        fired = fire(store)

        assert fired == []

    # fire

    def test_firing_writes_the_job_and_its_runs(self, store: Store) -> None:
        store.add([job := make_job()])

        (change,) = fire(store)

        assert change.job == job._replace(version=2, next_fire_time=NOW + MINUTE, last_fire_time=NOW)
        assert store.get("job") == change.job
        assert store.runs() == list(change.runs) == [make_run(job)]

    def test_jobs_fire_in_the_order_of_their_fire_times_and_not_beyond_the_limit(self, store: Store) -> None:
        store.add(
            [make_job(id, next_fire_time=NOW - age * SECOND) for id, age in zip("abcde", [1, 5, 3, 4, 2], strict=True)]
        )

        batches = [[change.job.id for change in fire(store, limit=2)] for _ in range(4)]

        assert batches == [["b", "d"], ["c", "e"], ["a"], []]

    def test_jobs_that_came_due_since_then_fire_without_those_before_them(self, store: Store) -> None:
        ages = zip("abcde", [1, 5, 3, 4, 2], strict=True)
        store.add([make_job(id, next_fire_time=NOW - age * SECOND) for id, age in ages])

        lately = [change.job.id for change in fire(store, since=NOW - 3 * SECOND, limit=2)]
        again = [change.job.id for change in fire(store, since=NOW - 3 * SECOND)]
        store.save([next_version(store.get("b"), name="changed meanwhile")])
        rest = [change.job.id for change in fire(store)]

        assert (lately, again, rest) == (["c", "e"], ["a"], ["b", "d"])
        assert fire(store) == fire(store, since=NOW - MINUTE) == []

    def test_what_was_too_late_once_is_on_time_again_when_the_clock_was_set_back(self, store: Store) -> None:
        store.add([make_job(id, next_fire_time=NOW - age * SECOND) for id, age in zip("ab", [5, 1], strict=True)])

        lately = [change.job.id for change in fire(store, since=NOW - 3 * SECOND)]
        on_time = [change.job.id for change in fire(store, since=NOW - 6 * SECOND)]

        assert (lately, on_time) == (["b"], ["a"])

    def test_a_job_fires_at_its_fire_time_and_not_a_microsecond_earlier(self, store: Store) -> None:
        store.add([make_job()])

        early = fire(store, until=NOW - timedelta(microseconds=1))
        on_time = fire(store, until=NOW)

        assert early == []
        assert len(on_time) == 1

    def test_paused_ended_and_skipped_jobs_do_not_fire_nor_those_of_other_executors(self, store: Store) -> None:
        store.add(
            [
                make_job("paused", paused_at=NOW),
                make_job("ended", next_fire_time=None),
                skipped := make_job("skipped"),
                make_job("elsewhere", executor="asyncio"),
                make_job("fires"),
            ]
        )

        fired = fire(store, skip={skipped.uid})

        assert [change.job.id for change in fired] == ["fires"]

    def test_what_is_skipped_takes_no_place_in_the_limit(self, store: Store) -> None:
        store.add([skipped := make_job("early", next_fire_time=NOW - SECOND)])
        store.add([make_job(id, next_fire_time=NOW - SECOND / (2 + place)) for place, id in enumerate("abc")])

        fired = [[change.job.id for change in fire(store, limit=2, skip={skipped.uid})] for _ in range(2)]

        assert fired == [["a", "b"], ["c"]]

    def test_deciding_not_yet_leaves_the_job_as_it_is(self, store: Store) -> None:
        store.add([job := make_job()])

        fired = store.fire(lambda *_: [], executor="threads", until=NOW, limit=PLENTY)

        assert fired == []
        assert store.get("job") == job
        assert store.runs() == []

    def test_a_decision_is_given_the_job_as_it_is_its_active_runs_and_the_time_of_the_store(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.add(
            [
                job := make_job("job", kwargs={"a": [1, 2]}, retry=Retry(3)),
                other := make_job("other", next_fire_time=None),
            ]
        )
        waiting, running = make_run(job, NOW - 2 * MINUTE), held_run(job, NOW - MINUTE)
        closed = make_run(job, NOW - 3 * MINUTE, state=RunState.SUCCEEDED, ended_at=NOW)
        store.save([next_version(job, closed, waiting, running), next_version(other, make_run(other))])
        clock.advance(SECOND)
        given: list[tuple[Job, list[Run], datetime]] = []

        def decide(due: Iterable[Job], active: Mapping[int, Sequence[Run]], now: datetime) -> Sequence[Change]:
            jobs = [*due]
            assert active.keys() <= {job.uid for job in jobs}
            given.extend((job, sorted(active.get(job.uid, ())), now) for job in jobs)
            return []

        store.fire(decide, executor="threads", until=clock.now(), limit=PLENTY)

        assert given == [(store.get("job"), [waiting, running], NOW + SECOND)]

    def test_a_decision_is_given_the_definition_as_it_was_last_changed(self, store: Store) -> None:
        store.add([make_job(kwargs={"which": "first"})])
        fire(store)
        job = store.get("job")
        store.save([next_version(job, kwargs={"which": "second"}, max_instances=7, revision=2)])
        given: list[Job] = []

        store.fire(lambda jobs, *_: given.extend(jobs) or [], executor="threads", until=NOW + MINUTE, limit=PLENTY)

        assert given == [store.get("job")]
        assert (given[0].kwargs, given[0].max_instances) == ({"which": "second"}, 7)

    def test_a_job_that_was_rescheduled_paused_or_moved_to_another_executor_fires_accordingly(
        self, store: Store
    ) -> None:
        store.add([make_job(id) for id in ("earlier", "later", "moved", "paused", "resumed")])
        earlier, later, moved, paused, resumed = store.jobs()
        store.save(
            [
                next_version(earlier, next_fire_time=NOW - SECOND),
                next_version(later, next_fire_time=NOW + SECOND),
                next_version(moved, executor="asyncio", revision=2),
                next_version(paused, paused_at=NOW),
                next_version(resumed, paused_at=NOW),
            ]
        )
        store.save([next_version(store.get("resumed"), paused_at=None)])

        fired = fire(store)

        assert [change.job.id for change in fired] == ["earlier", "resumed"]
        assert [change.job.id for change in fire(store, executor="asyncio")] == ["moved"]

    def test_no_fire_time_is_born_twice_even_if_a_decision_tries_to(self, store: Store) -> None:
        store.add([job := make_job()])
        first = fire(store)[0].runs[0]

        def again(jobs: Sequence[Job], active: Mapping[int, Sequence[Run]], now: datetime) -> Sequence[Change]:
            (job,) = jobs
            return [next_version(job, held_run(job, NOW), make_run(job, NOW + MINUTE), next_fire_time=None)]

        (change,) = store.fire(again, executor="threads", until=NOW + MINUTE, limit=PLENTY)

        assert [run.fire_time for run in change.runs] == [NOW + MINUTE]
        assert store.run(first.id) == first
        assert [run.fire_time for run in store.runs()] == [NOW + MINUTE, NOW]
        assert store.get("job").version == job.version + 2

    def test_much_that_is_decided_at_once_is_written_as_it_was_decided(self, store: Store) -> None:
        """A server is given it in parts; in each of them may be what is not as nearly all is."""
        store.add([make_job(f"job-{number:03}") for number in range(3 * PART)])
        run_before, ended_before = store.get("job-001"), store.get(f"job-{2 * PART:03}")
        known = held_run(run_before), closed(ended_before, 0)
        store.save([next_version(job, run) for job, run in zip([run_before, ended_before], known, strict=True)])
        in_the_way = held_run(cancelling := store.get(f"job-{PART + 7:03}"), NOW - MINUTE)
        store.save([next_version(cancelling, in_the_way)])
        holds = (first := make_hold("a")), Hold("b", first.lease_until)
        decided: list[Change] = []

        def decide(jobs: Iterable[Job], active: Mapping[int, Sequence[Run]], now: datetime) -> Iterator[Change]:
            for number, job in enumerate(jobs):
                change = fire_once(job, None if number % 60 == 59 else holds[number % 50 == 49])
                if job.uid == cancelling.uid:
                    change = change._replace(cancelled=tuple(cancel(run, "make way", NOW) for run in active[job.uid]))
                if number % 100 != 99:  # that one: not yet
                    decided.append(change)
                    yield change

        written = store.fire(decide, executor="threads", until=NOW, limit=PLENTY)

        as_born = [
            change._replace(runs=()) if change.job.uid in (run_before.uid, ended_before.uid) else change
            for change in decided
        ]  # fmt: skip
        born = [run for change in as_born for run in change.runs]
        assert {change.job.id: change for change in written} == {change.job.id: change for change in as_born}
        assert [store.get(change.job.id) for change in as_born] == [change.job for change in as_born]
        assert {*store.runs(limit=PLENTY)} == {*born, *known, *(run for change in decided for run in change.cancelled)}

    def test_of_much_that_is_due_each_job_is_decided_on_once_with_its_active_runs(self, store: Store) -> None:
        """A server may be asked in parts for that, too."""
        jobs = [make_job(f"job-{number:03}", next_fire_time=NOW + number * SECOND) for number in range(3 * PART)]
        store.add(jobs)
        runs = {job.uid: held_run(job, NOW - MINUTE) for job in jobs[::2]}
        store.save([next_version(job, runs[job.uid]) for job in jobs[::2]])
        skip, given = {job.uid for job in jobs[1::3]}, []

        def decide(due: Iterable[Job], active: Mapping[int, Sequence[Run]], now: datetime) -> Iterator[Change]:
            for job in due:
                given.append((job.id, job.next_fire_time, *active.get(job.uid, ())))
                yield fire_once(job)

        store.fire(decide, executor="threads", until=NOW + HOUR, limit=2 * PART, skip=skip)

        wanted = [job for job in jobs if job.uid not in skip][: 2 * PART]
        assert given == [(job.id, job.next_fire_time, *filter(None, [runs.get(job.uid)])) for job in wanted]

    @pytest.mark.parametrize("decided", [0, 1, PART - 1, PART, PART + 1])
    def test_a_decision_may_end_before_it_has_come_to_all_that_is_due(self, store: Store, decided: int) -> None:
        """As that of jobs that catch up does, which bear much: the rest is due for whoever comes next."""
        store.add([make_job(f"job-{number:03}") for number in range(3 * PART)])

        def decide(due: Iterable[Job], *_: object) -> Iterator[Change]:
            yield from (fire_once(job) for job in islice(due, decided))

        first = store.fire(decide, executor="threads", until=NOW, limit=PLENTY)
        second = fire(store)

        assert (len(first), len(second)) == (decided, 3 * PART - decided)
        assert len(store.runs(limit=PLENTY)) == 3 * PART

    def test_much_that_has_ended_at_once_is_written_as_it_ended(self, store: Store) -> None:
        store.add([make_job(f"job-{number:03}", retry=Retry(2)) for number in range(3 * PART)])
        fired = fire(store, hold=make_hold())
        endings = [
            settle(
                run, job.retry, Failed("it broke") if number % 100 == 99 else Succeeded(), NOW + SECOND, started_at=NOW
            )
            for number, (job, (run,), _) in enumerate(fired)
        ]
        taken_over = endings[PART + 1].run
        store.settle([settle(fired[PART + 1].runs[0], ONCE, Lost("its node died"), NOW)])

        won = store.settle(iter(endings))

        assert sorted(one.run.id for one in won) == sorted(one.run.id for one in endings if one.run is not taken_over)
        assert {*store.runs(states=[RunState.SUCCEEDED, RunState.FAILED, RunState.PENDING], limit=PLENTY)} == {
            run for one in won for run in (one.run, one.attempt) if run is not None
        }

    @pytest.mark.parametrize("hold", [make_hold(), None], ids=["held", "waiting"])
    @pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
    def test_a_fire_time_that_comes_again_moves_its_job_on_and_gives_no_birth(
        self, store: Store, *, is_open: bool, hold: Hold | None
    ) -> None:
        store.add([job := make_job("again"), make_job("new")])
        there = held_run(job, node="b") if is_open else closed(job, 0)
        store.save([next_version(job, there)])

        beside_another = {change.job.id: change for change in fire(store, hold=hold)}
        store.save([next_version(store.get("again"), next_fire_time=NOW)])
        (alone,) = fire(store, hold=hold)

        assert beside_another["again"].runs == alone.runs == ()
        assert [*beside_another["new"].runs] == store.runs(job_id="new") != []
        assert store.runs(job_id="again") == [there]
        assert store.jobs() == [alone.job, beside_another["new"].job]
        assert alone.job.next_fire_time == NOW + MINUTE

    @pytest.mark.parametrize("hold", [make_hold(), None], ids=["held", "waiting"])
    def test_jobs_whose_fire_times_the_ledger_had_are_told_of_and_no_others(
        self, store: Store, hold: Hold | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.add([job := make_job("again"), make_job("new")])
        store.save([next_version(job, held_run(job))])

        fire(store, hold=hold)
        fire(store, hold=hold, until=NOW + MINUTE)

        assert caplog.messages == ["some fire times of ['again'] were in the ledger already"]

    def test_however_many_fire_times_the_ledger_had_they_are_told_of_in_a_short_line(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.add(jobs := [make_job(f"job-{number:03}") for number in range(12)])
        store.save([next_version(job, held_run(job)) for job in jobs])

        fire(store)

        (message,) = caplog.messages
        assert message.startswith("some fire times of ['job-0")
        assert message.count("job-") == 10
        assert message.endswith("] and 2 more were in the ledger already")

    @pytest.mark.parametrize("hold", [make_hold(), None], ids=["held", "waiting"])
    @pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
    def test_a_run_is_born_beside_those_that_share_all_but_one_of_what_is_unique_of_it(
        self, store: Store, *, is_open: bool, hold: Hold | None
    ) -> None:
        store.add([job := make_job(), other := make_job("other", next_fire_time=NOW + HOUR)])
        ended = {} if is_open else {"state": RunState.SKIPPED, "ended_at": NOW}
        alike = [
            make_run(other, **ended), make_run(job, NOW - MINUTE, **ended), make_run(job, attempt=2, **ended),
            make_run(job, origin=Origin.MANUAL, **ended),
        ]  # fmt: skip
        store.save([next_version(other, alike[0]), next_version(job, *alike[1:])])

        (change,) = fire(store, hold=hold)

        (born,) = change.runs
        assert store.run(born.id) == born
        assert [store.run(one.id) for one in alike] == alike

    def test_attempts_and_origins_of_one_fire_time_are_different_runs(self, store: Store) -> None:
        store.add([job := make_job()])
        alike = [
            make_run(job), make_run(job, attempt=2), make_run(job, origin=Origin.MANUAL), make_run(job, NOW + SECOND),
            closed(job, 1), closed(job, 1, attempt=2), closed(job, 1, origin=Origin.MANUAL), closed(job, 2),
        ]  # fmt: skip

        won = [len(store.save([next_version(store.get("job"), run)])) for run in alike]

        assert won == [1] * len(alike)
        assert [store.run(run.id) for run in alike] == alike

    def test_of_many_that_fire_and_end_together_each_is_written_as_it_was_decided(self, store: Store) -> None:
        """More than a server is given at once; nearly all alike, and some in their midst of other kinds."""
        store.add([make_job(f"job-{number:03}") for number in range(300)])
        decided: list[Change] = []

        def decide(jobs: Iterable[Job], *_: object) -> Iterator[Change]:
            for job in jobs:
                change = fire_once(job, None if job.id == "job-150" else make_hold())
                decided.append(change._replace(runs=()) if job.id == "job-160" else change)
                yield decided[-1]

        fired = store.fire(decide, executor="threads", until=NOW, limit=PLENTY)
        born = [run for change in fired for run in change.runs]
        endings = [
            settle(run, Retry(), Failed("broken") if run.job_id == "job-170" else DONE, NOW)
            for run in born if run.state is RunState.RUNNING
        ]  # fmt: skip
        stale = [one._replace(run=one.run._replace(version=9)) for one in endings[:1]]

        assert [*fired] == decided
        assert store.jobs() == sorted((change.job for change in decided), key=lambda job: job.id)
        assert sorted(run.id for run in store.runs(limit=PLENTY)) == sorted(run.id for run in born)
        assert store.settle([*stale, *endings]) == endings
        assert {run.id: run for run in store.runs(limit=PLENTY)} == {
            **{run.id: run for run in born}, **{one.run.id: one.run for one in endings},
        }  # fmt: skip

    def test_a_decision_that_raises_undoes_the_whole_batch(self, store: Store) -> None:
        store.add([make_job("a", next_fire_time=NOW - SECOND), make_job("b")])

        def decide(jobs: Iterable[Job], active: Mapping[int, Sequence[Run]], now: datetime) -> Sequence[Change]:
            raise RuntimeError("no idea")

        with pytest.raises(RuntimeError, match="no idea"):
            store.fire(decide, executor="threads", until=NOW, limit=PLENTY)

        assert [job.version for job in store.jobs()] == [1, 1]
        assert store.runs() == []
        assert len(fire(store)) == 2

    def test_threads_that_fire_together_fire_each_job_once(self, store: Store) -> None:
        store.add([make_job(f"job-{number:02}") for number in range(40)])

        fired = in_threads(lambda _: fire(store, limit=7), 12)

        assert sorted(change.job.id for batch in fired for change in batch) == [
            f"job-{number:02}" for number in range(40)
        ]
        assert len(store.runs(limit=PLENTY)) == 40

    # claim

    def test_what_fires_without_a_hold_waits_for_any_node(self, store: Store) -> None:
        store.add([make_job("a"), make_job("b")])
        fired = fire(store, limit=1), fire(store)

        taken = claimed(store, node="b")

        assert sorted(run.id for run in taken) == sorted(run.id for (change,) in fired for run in change.runs)

    def test_claiming_takes_a_run_under_a_hold(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := make_run(job))])

        (claim,) = store.claim(make_hold("a"), executor="threads", limit=PLENTY)

        assert claim.job == store.get("job")
        assert claim.run == store.run(run.id)
        assert claim.run == run._replace(
            version=run.version + 1, state=RunState.RUNNING, node="a", lease_until=NOW + 10 * SECOND
        )  # fmt: skip
        assert store.claim(make_hold("b"), executor="threads", limit=PLENTY) == []

    def test_a_run_can_be_claimed_when_it_is_available_and_not_earlier(self, store: Store, clock: VirtualClock) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, make_run(job, available_at=NOW + SECOND))])

        early = claimed(store)
        clock.advance(SECOND)
        on_time = claimed(store)

        assert early == []
        assert len(on_time) == 1

    def test_what_has_been_available_for_longest_is_claimed_first_up_to_the_limit(self, store: Store) -> None:
        store.add([job := make_job(max_instances=10)])
        ages = [1, 5, 3, 4, 2]
        store.save([next_version(job, *(make_run(job, NOW - age * SECOND) for age in ages))])

        batches = [[run.fire_time for run in claimed(store, limit=2)] for _ in range(4)]

        assert batches == [
            [NOW - 5 * SECOND, NOW - 4 * SECOND],
            [NOW - 3 * SECOND, NOW - 2 * SECOND],
            [NOW - SECOND],
            [],
        ]

    def test_what_became_available_since_then_is_claimed_without_what_waits_for_longer(self, store: Store) -> None:
        store.add([late := make_job("late"), other := make_job("other"), both := make_job("both", max_instances=5)])
        store.save(
            [
                next_version(late, make_run(late, NOW - MINUTE)),
                next_version(other, make_run(other, NOW - SECOND)),
                next_version(both, make_run(both, NOW - MINUTE), make_run(both, NOW - SECOND)),
            ]
        )

        lately = [run.job_id for run in claimed(store, since=NOW - 2 * SECOND)]
        rest = [(run.job_id, run.fire_time) for run in claimed(store)]

        assert lately == ["other"]  # a job's own runs keep their order
        assert sorted(rest) == [("both", NOW - MINUTE), ("both", NOW - SECOND), ("late", NOW - MINUTE)]

    def test_only_what_waits_in_the_schedule_holds_up_what_became_available_since_then(self, store: Store) -> None:
        jobs = [make_job(id, max_instances=3) for id in ("runs", "backfilled", "waits")]
        store.add(jobs)
        older = [
            held_run(jobs[0], NOW - MINUTE), make_run(jobs[1], NOW - MINUTE, origin=Origin.BACKFILL, backfill="one"),
            make_run(jobs[2], NOW - MINUTE),
        ]  # fmt: skip
        for job, one in zip(jobs, older, strict=True):
            store.save([next_version(job, one, make_run(job, NOW - SECOND))])

        lately = claimed(store, since=NOW - 2 * SECOND)

        assert sorted(run.job_id for run in lately) == ["backfilled", "runs"]

    def test_a_claim_brings_the_job_as_it_is(self, store: Store) -> None:
        store.add([paused := make_job("paused"), fires := make_job("fires", max_instances=2)])
        store.save([
            next_version(paused, make_run(paused, origin=Origin.MANUAL), paused_at=NOW, pause_reason="why"),
            next_version(fires, make_run(fires), next_fire_time=NOW + HOUR),
        ])  # fmt: skip

        claims = store.claim(make_hold(), executor="threads", limit=PLENTY)

        assert sorted(claim.job for claim in claims) == sorted([store.get("fires"), store.get("paused")])

    def test_no_more_runs_of_a_job_are_claimed_than_may_run_at_once(self, store: Store) -> None:
        """Those that were running, and all that one batch takes, counted together."""
        store.add([job := make_job(max_instances=3)])
        running = held_run(job, NOW - MINUTE)
        store.save([next_version(job, running, *(make_run(job, NOW - age * SECOND) for age in range(10)))])

        first, second = claimed(store), claimed(store)
        store.settle([settle(running, job.retry, DONE, NOW)])
        third = claimed(store)

        assert (len(first), len(second), len(third)) == (2, 0, 1)

    def test_runs_that_must_wait_for_their_own_job_do_not_keep_others_waiting(self, store: Store) -> None:
        store.add([crowd := make_job("crowd"), other := make_job("other")])
        store.save(
            [
                next_version(crowd, *(make_run(crowd, NOW - (10 + age) * SECOND) for age in range(20))),
                next_version(other, make_run(other)),
            ]
        )

        taken = claimed(store, limit=5)

        assert [run.job_id for run in taken] == ["crowd", "other"]

    @pytest.mark.parametrize(
        "why",
        ["no room", "paused", "idle", "running", "backfilled", "elsewhere", "skipped", "waits for longer", "expired"],
    )
    def test_however_many_jobs_have_nothing_that_may_begin_those_that_have_are_claimed(
        self, store: Store, why: str
    ) -> None:
        fields: dict[str, dict[str, object]] = {
            "paused": {"paused_at": NOW}, "running": {"max_instances": 2}, "elsewhere": {"executor": "asyncio"}
        }  # fmt: skip
        crowd = [make_job(f"{number:03}", **fields.get(why, {})) for number in range(1 if why == "expired" else 120)]

        def runs(job: Job) -> list[Run]:
            waits, runs = make_run(job, NOW - MINUTE), held_run(job, NOW - 2 * MINUTE)
            match why:
                case "no room":
                    return [waits, runs]
                case "idle":
                    return []
                case "running":
                    return [runs]
                case "backfilled":
                    return [waits._replace(origin=Origin.BACKFILL, backfill="one")]
                case "waits for longer":
                    return [waits, make_run(job, NOW - SECOND)]
                case "expired":
                    return [waits._replace(expires_at=NOW)]
                case _:
                    return [waits]

        others = [make_job(id) for id in "abc"]
        store.add([*crowd, *others])
        store.save([next_version(job, *runs(job)) for job in crowd])
        store.save([next_version(other, make_run(other)) for other in others])
        since = NOW - 2 * SECOND if why == "waits for longer" else None
        skip = {job.uid for job in crowd} if why == "skipped" else ()

        assert sorted(run.job_id for run in claimed(store, limit=3, since=since, skip=skip)) == ["a", "b", "c"]

    def test_however_many_jobs_had_a_run_that_made_way_what_waits_is_claimed(self, store: Store) -> None:
        crowd = [make_job(f"{number:03}") for number in range(120)]
        store.add(crowd)
        store.save([next_version(job, make_run(job, NOW - MINUTE)) for job in crowd])

        def make_way(jobs: Iterable[Job], active: Mapping[int, Sequence[Run]], now: datetime) -> Iterator[Change]:
            for job in jobs:
                cancelled = tuple(cancel(run, "a newer one", now) for run in active[job.uid])
                yield fire_once(job, make_hold())._replace(cancelled=cancelled)

        store.fire(make_way, executor="threads", until=NOW, limit=PLENTY)
        store.add([other := make_job("other")])
        store.save([next_version(other, make_run(other))])

        assert [run.job_id for run in claimed(store, limit=1)] == ["other"]

    def test_of_a_paused_job_only_what_someone_asked_for_is_claimed(self, store: Store) -> None:
        jobs = [make_job(id) for id in ("schedule", "run now", "retried")]
        store.add(jobs)
        origins = Origin.SCHEDULE, Origin.MANUAL, Origin.SCHEDULE
        for job, origin, attempt in zip(jobs, origins, (1, 1, 2), strict=True):
            run = make_run(job, origin=origin, attempt=attempt, counted_from=attempt)
            store.save([next_version(job, run, paused_at=NOW)])
        store.add([both := make_job("both", max_instances=9)])
        waits, asked = make_run(both, NOW - MINUTE), make_run(both, origin=Origin.MANUAL)
        store.save([next_version(both, waits, asked, paused_at=NOW)])

        assert sorted(run.job_id for run in claimed(store)) == ["both", "retried", "run now"]
        assert store.run(waits.id) == waits

    def test_runs_of_other_executors_and_skipped_jobs_are_not_claimed(self, store: Store) -> None:
        store.add(
            [
                elsewhere := make_job("elsewhere", executor="asyncio"),
                skipped := make_job("skipped"),
                job := make_job("job"),
            ]
        )
        store.save([next_version(one, make_run(one)) for one in (elsewhere, skipped, job)])

        taken = claimed(store, limit=1, skip={skipped.uid})

        assert [run.job_id for run in taken] == ["job"]
        assert claimed(store, skip={skipped.uid}) == []
        assert [run.job_id for run in claimed(store, executor="asyncio")] == ["elsewhere"]

    def test_what_is_due_since_before_1970_is_fired_and_claimed(self, store: Store) -> None:
        early = datetime(1950, 1, 1, tzinfo=UTC)
        store.add([make_job(next_fire_time=early)])

        (change,) = fire(store)

        assert [run.fire_time for run in change.runs] == [early]
        assert [run.id for run in claimed(store)] == [run.id for run in change.runs]

    def test_runs_that_share_all_but_one_of_what_is_unique_are_claimed_one_by_one(self, store: Store) -> None:
        store.add([job := make_job(max_instances=9), other := make_job("other")])
        alike = [
            make_run(job), make_run(job, NOW - SECOND), make_run(job, attempt=2), make_run(job, origin=Origin.MANUAL),
            make_run(job, origin=Origin.BACKFILL, backfill="one"),
        ]  # fmt: skip
        store.save([next_version(job, *alike), next_version(other, make_run(other))])

        for count in range(1, 7):
            (run,) = claimed(store, limit=1)
            assert store.run(run.id) == run
            assert len(store.runs(states=[RunState.RUNNING])) == count

    def test_threads_that_claim_together_claim_each_run_once(self, store: Store) -> None:
        store.add([job := make_job(max_instances=25)])
        store.save([next_version(job, *(make_run(job, NOW - number * SECOND) for number in range(40)))])

        taken = in_threads(lambda number: claimed(store, node=f"node-{number}", limit=4), 12)

        ids = [run.id for batch in taken for run in batch]
        assert len(ids) == len(set(ids)) == 25

    @pytest.mark.parametrize("backfill", [None, "one"])
    def test_a_run_is_claimed_when_it_is_available_and_not_a_microsecond_earlier(
        self, store: Store, clock: VirtualClock, backfill: str | None
    ) -> None:
        store.add([job := make_job()])
        run, first = (
            make_run(job, NOW + offset, available_at=NOW + SECOND + offset, backfill=backfill)
            for offset in (timedelta(0), -SECOND)
        )
        store.save([next_version(job, run, first, max_instances=2)])

        clock.advance(SECOND - timedelta(microseconds=1))
        early = claimed(store)
        clock.advance(timedelta(microseconds=1))
        on_time = claimed(store)

        assert [[one.id for one in some] for some in (early, on_time)] == [[first.id], [run.id]]

    def test_a_run_is_claimed_until_it_expires_and_not_from_then_on(self, store: Store, clock: VirtualClock) -> None:
        limits = {"over": NOW + SECOND, "still": NOW + SECOND + MICROSECOND, "patient": None}
        for id, expires_at in limits.items():
            store.add([job := make_job(id)])
            store.save([next_version(job, make_run(job, expires_at=expires_at))])
        store.add([both := make_job("both", max_instances=2)])
        over, still = (
            make_run(both, NOW - MINUTE * age, expires_at=limits[id]) for age, id in ((2, "over"), (1, "still"))
        )
        store.save([next_version(both, over, still)])

        clock.advance(SECOND)

        assert sorted(run.job_id for run in claimed(store)) == ["both", "patient", "still"]
        assert store.run(over.id) == over

    def test_runs_of_backfills_expire_as_others_do(self, store: Store, clock: VirtualClock) -> None:
        store.add([job := make_job()])
        runs = [
            make_run(job, NOW + minutes * MINUTE, available_at=NOW, expires_at=NOW + SECOND + minutes * SECOND,
                     origin=Origin.BACKFILL, backfill="one")
            for minutes in range(2)
        ]  # fmt: skip
        store.save([next_version(job, *runs)])

        clock.advance(SECOND)

        assert [run.id for run in claimed(store)] == [runs[1].id]

    def test_runs_of_backfills_wait_for_their_job_and_their_executor_and_are_skipped_as_others_are(
        self, store: Store
    ) -> None:
        paused, elsewhere = make_job("paused", paused_at=NOW), make_job("elsewhere", executor="asyncio")
        skipped, fires = make_job("skipped"), make_job("fires")
        for job in (paused, elsewhere, skipped, fires):
            store.add([job])
            store.save([next_version(job, make_run(job, backfill="one"))])

        found = claimed(store, skip={skipped.uid})  # type: ignore[arg-type]

        assert [run.job_id for run in found] == ["fires"]

    def test_what_a_backfill_runs_leaves_the_schedule_its_room(self, store: Store) -> None:
        store.add([job := make_job(max_instances=1)])
        backfilled = held_run(job, NOW - MINUTE, origin=Origin.BACKFILL, backfill="one")
        store.save([next_version(job, backfilled, waiting := make_run(job))])

        assert [run.id for run in claimed(store)] == [waiting.id]

    def test_only_what_runs_is_lost_and_only_what_waits_expires(self, store: Store) -> None:
        """Whatever else stands in their rows."""
        store.add([job := make_job()])
        over: dict[str, object] = {"node": "a", "lease_until": NOW - SECOND, "expires_at": NOW - SECOND}
        waits, runs = make_run(job, **over), held_run(job, NOW + MINUTE, **over)
        store.save([next_version(
            job, waits, runs, make_run(job, NOW + HOUR, state=RunState.FAILED, ended_at=NOW, **over),
            held_run(job, NOW - HOUR, node="b", expires_at=NOW + SECOND / 2),
            make_run(job, NOW - 2 * HOUR, expires_at=NOW + SECOND, lease_until=NOW + SECOND),
        )])  # fmt: skip

        assert store.lost(PLENTY) == store.lost(PLENTY, nodes=["a"]) == [runs]
        assert store.expired(PLENTY) == [waits]
        outlook = store.outlook(["threads"], after=NOW - MINUTE, fire_after=NOW)
        assert (outlook.lapse_at, outlook.expire_at) == (NOW - SECOND, NOW - SECOND)
        outlook = store.outlook(["threads"], after=NOW, fire_after=NOW)
        assert (outlook.lapse_at, outlook.expire_at) == (NOW + 10 * SECOND, NOW + SECOND)

    def test_a_node_that_has_stopped_is_dead_however_long_its_lease_was(self, store: Store) -> None:
        declaration = declaration_of([make_job()], "app")
        store.add([job := make_job(declared="app")])
        store.declare(declaration)

        before = store.beat(make_node("a", declaration=declaration.name))
        after = store.beat(make_node("a", declaration=declaration.name, stopped_at=NOW))

        assert (before, after) == ([declaration.name], [])
        assert store.nodes(alive=True) == []
        assert store.undeclared(["app"]) == [job]

    def test_what_no_living_node_declares_is_undeclared_as_long_as_it_fires(
        self, store: Store, clock: VirtualClock
    ) -> None:
        declaration = declaration_of([make_job("ours")], "app")
        store.add([
            make_job("ours", declared="app"), make_job("left", declared="app"), make_job("by hand"),
            make_job("ended", declared="app", next_fire_time=None), make_job("another's", declared="other"),
            make_job("retired", declared="app", retired_at=NOW),
        ])  # fmt: skip
        store.declare(declaration)
        store.beat(make_node("a", declaration=declaration.name))

        found = []
        for _ in range(2):
            found.append([job.id for job in store.undeclared(["app"])])
            clock.advance(10 * SECOND)

        assert found == [["left"], ["left", "ours"]]
        assert store.undeclared([]) == []

    # renew, lost

    def test_renewing_moves_the_end_of_the_lease_and_the_version(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])

        (renewed,) = store.renew([run], NOW + MINUTE)

        assert renewed == run._replace(version=run.version + 1, lease_until=NOW + MINUTE)
        assert store.run(run.id) == renewed

    def test_renewing_writes_down_the_start_and_the_progress(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        told = run._replace(started_at=NOW + SECOND, progress=Progress(3, 10, "three of ten"))

        (renewed,) = store.renew([told], NOW + MINUTE)

        assert store.run(run.id) == renewed
        assert (renewed.started_at, renewed.progress) == (told.started_at, told.progress)

    def test_only_what_is_still_ours_is_renewed(self, store: Store) -> None:
        store.add([job := make_job(max_instances=5)])
        ours, closed, given_back, newer = (held_run(job, NOW + number * SECOND) for number in range(4))
        pending = make_run(job, NOW + MINUTE)
        gone = held_run(job, NOW + 2 * MINUTE)
        store.save([next_version(job, ours, closed, given_back, newer, pending)])
        store.settle([settle(closed, job.retry, DONE, NOW), settle(given_back, job.retry, Released(), NOW)])
        store.renew([newer], NOW + MINUTE)

        renewed = store.renew([gone, closed, given_back, newer, pending, ours], NOW + 2 * MINUTE)

        assert [run.id for run in renewed] == [ours.id]
        assert store.run(closed.id).state is RunState.SUCCEEDED
        assert store.run(pending.id) == pending
        assert store.run(newer.id).lease_until == NOW + MINUTE

    def test_a_run_is_lost_when_its_lease_has_ended(self, store: Store, clock: VirtualClock) -> None:
        store.add([job := make_job(max_instances=5)])
        store.save([next_version(
            job, later := held_run(job, NOW, lease_until=NOW + 2 * SECOND),
            sooner := held_run(job, NOW + MINUTE, lease_until=NOW + SECOND), make_run(job, NOW + 2 * MINUTE),
        )])  # fmt: skip

        in_time = store.lost(PLENTY)
        clock.advance(SECOND)
        after_one = store.lost(PLENTY)
        clock.advance(SECOND)
        after_two = store.lost(PLENTY)

        assert in_time == []
        assert after_one == [sooner]
        assert after_two == [sooner, later]
        assert store.lost(1) == [sooner]

    def test_what_was_renewed_or_closed_is_not_lost(self, store: Store, clock: VirtualClock) -> None:
        store.add([job := make_job(max_instances=5)])
        renewed, closed = held_run(job), held_run(job, NOW + SECOND)
        store.save([next_version(job, renewed, closed)])
        store.renew([renewed], NOW + MINUTE)
        store.settle([settle(closed, job.retry, DONE, NOW)])
        clock.advance(30 * SECOND)

        lost = store.lost(PLENTY)

        assert lost == []

    def test_what_some_nodes_hold_is_lost_whatever_its_lease_says(self, store: Store, clock: VirtualClock) -> None:
        store.add([job := make_job(max_instances=5)])
        lapsed = held_run(job, NOW, node="a", lease_until=NOW + SECOND)
        held = [
            held_run(job, NOW + number * MINUTE, node=node, lease_until=NOW + HOUR)
            for number, node in enumerate("bc", 1)
        ]
        closed = held_run(job, NOW + 3 * MINUTE, node="b", lease_until=NOW + HOUR)
        store.save([next_version(job, lapsed, *held, closed, make_run(job, NOW + 4 * MINUTE))])
        store.settle([settle(closed, job.retry, DONE, NOW)])
        clock.advance(SECOND)

        assert store.lost(PLENTY, nodes=["b", "unknown"]) == [lapsed, held[0]]
        assert [*store.lost(PLENTY, nodes=["a"])] == [*store.lost(1, nodes=["a", "b", "c"])] == [lapsed]

    # cancel

    def test_cancelling_closes_what_waits_and_marks_what_runs(self, store: Store) -> None:
        store.add([job := make_job()])
        waiting, running, other = make_run(job, NOW + MINUTE), held_run(job), held_run(job, NOW + 2 * MINUTE, node="b")
        store.save([next_version(job, waiting, running, other)])
        asked = [cancel(run, "no need", NOW) for run in (waiting, running)]

        won = store.cancel(asked)

        assert won == asked
        assert [store.run(run.id) for run in asked] == asked
        assert store.cancelling("a") == [asked[1]]
        assert store.cancelling("b") == []
        assert claimed(store) == []

    def test_what_was_asked_to_end_and_succeeds_has_no_reason_why_it_ended(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        (asked,) = store.cancel([cancel(run, "no need", NOW)])
        (told,) = store.renew([asked._replace(reason="no need")], NOW + MINUTE)

        store.settle([settle(told, job.retry, DONE, NOW)])

        ended = store.run(run.id)
        assert (ended.state, ended.reason, ended.cancel_reason) == (RunState.SUCCEEDED, None, "no need")

    def test_what_is_closed_or_was_changed_meanwhile_is_not_cancelled(self, store: Store) -> None:
        store.add([job := make_job()])
        closed, renewed = held_run(job), held_run(job, NOW + MINUTE)
        store.save([next_version(job, closed, renewed)])
        asked = [cancel(run, "no need", NOW) for run in (closed, renewed)]
        settled = settle(closed, job.retry, DONE, NOW)
        store.settle([settled])
        store.renew([renewed], NOW + MINUTE)

        won = store.cancel(asked)

        assert won == []
        assert store.run(closed.id) == settled.run
        assert store.cancelling("a") == []

    def test_what_waits_at_another_version_is_not_closed(self, store: Store) -> None:
        store.add([job := make_job()])
        runs = held_run(job), make_run(job, NOW + MINUTE)
        store.save([next_version(job, *runs)])
        believed = make_run(job), runs[1]._replace(version=7)
        store.settle([settle(runs[0], job.retry, Released(), NOW)])

        assert store.cancel([cancel(run, "enough", NOW) for run in believed]) == []
        assert [run.state for run in store.runs()] == [RunState.PENDING] * 2

    def test_what_was_asked_to_end_is_renewed_and_settled_as_usual(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        (asked,) = store.cancel([cancel(run, "no need", NOW)])
        (renewed,) = store.renew([asked._replace(reason="it goes on")], NOW + MINUTE)

        again = store.cancelling("a")
        store.settle([settlement := settle(renewed, job.retry, Cancelled("no need"), NOW)])

        assert again == [renewed]
        assert store.cancelling("a") == []
        assert store.run(renewed.id) == settlement.run
        assert settlement.run.cancel_reason == "no need"

    def test_a_change_cancels_what_must_make_way(self, store: Store) -> None:
        store.add([job := make_job()])
        old, waiting = held_run(job, NOW - MINUTE), make_run(job, NOW - 2 * MINUTE)
        store.save([next_version(job, old, waiting)])
        make_way = tuple(cancel(run, "a newer one", NOW) for run in (old, waiting))

        def decide(jobs: Iterable[Job], *_: object) -> Iterator[Change]:
            yield from (next_version(job, make_run(job))._replace(cancelled=make_way) for job in jobs)

        (fired,) = store.fire(decide, executor="threads", until=NOW, limit=1)

        assert [store.run(run.id) for run in make_way] == [*make_way]
        assert store.cancelling("a") == [make_way[0]]
        assert [run.state for run in fired.runs] == [RunState.PENDING]

    # settle

    def test_settling_writes_how_a_run_ended(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        settlement = settle(
            run, job.retry, Succeeded({"rows": [1, 2]}), NOW + SECOND, started_at=NOW, progress=Progress(2, 2, "done")
        )

        won = store.settle([settlement])

        assert won == [settlement]
        assert store.run(run.id) == settlement.run

    def test_closed_is_closed(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        first = settle(run, job.retry, DONE, NOW)
        store.settle([first])

        won = store.settle(
            [
                settle(run, job.retry, Failed("late"), NOW),
                Settlement(first.run._replace(version=first.run.version + 1, state=RunState.FAILED)),
            ]
        )

        assert won == []
        assert store.run(run.id) == first.run

    def test_an_outcome_that_was_decided_on_an_older_version_loses(self, store: Store) -> None:
        store.add([job := make_job(retry=Retry(2))])
        store.save([next_version(job, run := held_run(job))])
        store.settle([settle(run, job.retry, Lost("frozen"), NOW)])

        won = store.settle([settle(run, job.retry, Failed("late"), NOW)])

        assert won == []
        assert [one.state for one in store.runs()] == [RunState.PENDING, RunState.LOST]

    def test_only_what_runs_can_be_settled(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := make_run(job))])

        won = store.settle([Settlement(run._replace(version=run.version + 1, state=RunState.SUCCEEDED))])

        assert won == []
        assert store.run(run.id) == run

    def test_the_next_attempt_is_born_with_the_outcome(self, store: Store, clock: VirtualClock) -> None:
        store.add([job := make_job(retry=Retry(2, MINUTE))])
        store.save([next_version(job, run := held_run(job))])
        settlement = settle(run, job.retry, Failed("broken"), NOW)

        store.settle([settlement])

        assert settlement.attempt is not None
        assert store.run(settlement.attempt.id) == settlement.attempt
        assert claimed(store) == []
        clock.advance(MINUTE)
        assert [one.attempt for one in claimed(store)] == [2]

    def test_an_attempt_that_is_there_already_is_left_as_it_is(self, store: Store) -> None:
        store.add([job := make_job(retry=Retry(2))])
        run, there = held_run(job), make_run(job, attempt=2, asked_by="alice")
        store.save([next_version(job, run, there)])

        won = store.settle([settle(run, job.retry, Failed("broken"), NOW)])

        assert len(won) == 1
        assert store.run(run.id).state is RunState.FAILED
        assert store.run(there.id) == there

    def test_a_run_that_is_given_back_can_be_claimed_by_another_node(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])

        store.settle([settle(run, job.retry, Released(), NOW)])

        assert store.run(run.id) == make_run(job, version=run.version + 1)
        assert [(one.node, one.version) for one in claimed(store, node="b")] == [("b", run.version + 2)]

    def test_of_two_outcomes_of_one_run_in_one_batch_the_first_wins(self, store: Store) -> None:
        store.add([job := make_job(retry=Retry(2))])
        store.save([next_version(job, run := held_run(job))])
        first, second = settle(run, job.retry, DONE, NOW), settle(run, job.retry, Failed("late"), NOW)

        won = store.settle([first, second])

        assert won == [first]
        assert store.runs() == [first.run]

    def test_settlements_win_and_lose_one_by_one(self, store: Store) -> None:
        store.add([job := make_job(max_instances=3)])
        runs = [held_run(job, NOW + number * SECOND) for number in range(3)]
        store.save([next_version(job, *runs)])
        store.settle([settle(runs[1], job.retry, Cancelled("earlier"), NOW)])
        late = [settle(run, job.retry, DONE, NOW) for run in runs]

        won = store.settle(late)

        assert won == [late[0], late[2]]
        assert [run.state for run in store.runs()] == [RunState.SUCCEEDED, RunState.CANCELLED, RunState.SUCCEEDED]

    def test_of_threads_that_settle_one_run_one_wins(self, store: Store) -> None:
        store.add([job := make_job(retry=Retry(2))])
        store.save([next_version(job, run := held_run(job))])
        outcomes = [Succeeded(), Failed("broken"), Lost("frozen"), Cancelled("asked")]

        won = in_threads(lambda number: store.settle([settle(run, job.retry, outcomes[number % 4], NOW)]), 8)

        (winner,) = [settlement for batch in won for settlement in batch]
        assert store.run(run.id) == winner.run
        assert len(store.runs()) == (2 if winner.attempt else 1)

    # census

    def test_an_empty_store_counts_nothing(self, store: Store) -> None:
        assert store.census() == Census(NOW, 0, 0, 0, 0, None, None)

    def test_the_census_counts_what_is_alive(self, store: Store) -> None:
        store.add([
            job := make_job("now", max_instances=9, next_fire_time=NOW + MINUTE),
            make_job("paused", next_fire_time=NOW, paused_at=NOW),
            make_job("ended", next_fire_time=None),
            removed := make_job("removed", next_fire_time=NOW),
        ])  # fmt: skip
        store.save([
            next_version(
                job, make_run(job, NOW + SECOND), make_run(job, NOW + 2 * SECOND), held_run(job, NOW),
                make_run(job, NOW - MINUTE, state=RunState.SKIPPED, ended_at=NOW),
            ),
            next_version(removed, held_run(removed, NOW), make_run(removed, NOW - HOUR)),
        ])  # fmt: skip
        store.remove(["removed"])

        assert store.census() == Census(NOW, 3, 1, 2, 2, NOW + MINUTE, NOW + SECOND)

    # backfills

    def test_what_is_asked_of_the_past_can_be_read(self, store: Store) -> None:
        store.add([job := make_job(), other := make_job("other")])
        first = make_backfill(
            job, NOW, NOW + HOUR, given=Given((1,), {"a": 2}), everything=True, newest_first=True, max_instances=7,
            born=3, passed_over=4, version=5,
        )  # fmt: skip
        done = make_backfill(other, NOW, NOW, asked_by=None, cursor=None, ended_at=NOW, reason="no need")

        store.add_backfill(first)
        store.add_backfill(done)

        assert store.backfill(first.id) == first
        assert [*store.backfills()] == [done, first]
        assert (
            [*store.backfills(limit=1)]
            == [*store.backfills(ended=True)]
            == [*store.backfills(job_id="other")]
            == [done]
        )
        assert [*store.backfills(ended=False)] == [*store.backfills(job_id="job", ended=False)] == [first]
        assert [*store.backfills(job_id="job", ended=True)] == []

    def test_a_backfill_has_a_job(self, store: Store) -> None:
        store.add([make_job("another")])

        with pytest.raises(JobNotFoundError):
            store.add_backfill(make_backfill(make_job(), NOW, NOW))
        with pytest.raises(BackfillNotFoundError):
            store.backfill("nobody")

    def test_no_more_backfills_go_on_than_a_round_looks_at(self, store: Store) -> None:
        store.add([job := make_job()])
        backfills = [make_backfill(job, NOW, NOW + HOUR) for _ in range(MAX_OPEN_BACKFILLS + 1)]
        for backfill in backfills[:-1]:
            store.add_backfill(backfill)

        with pytest.raises(InvalidJobError, match="expected fewer than 100 backfills that go on"):
            store.add_backfill(backfills[-1])
        store.end_backfill(end_backfill(backfills[0], "no need", NOW), lambda run: run)
        store.add_backfill(backfills[-1])

        assert len(store.backfills(ended=False, limit=PLENTY)) == MAX_OPEN_BACKFILLS
        assert len(store.backfills(limit=PLENTY)) == MAX_OPEN_BACKFILLS + 1

    def test_filling_reads_decides_and_writes(self, store: Store, clock: VirtualClock) -> None:
        """What the ledger has of the fire times is told; what is born is there with the cursor that passed it."""
        store.add([job := make_job(), paused := make_job("paused", paused_at=NOW)])
        backfill = make_backfill(job, NOW, NOW + HOUR)
        store.add_backfill(backfill)
        store.add_backfill(make_backfill(paused, NOW, NOW + HOUR))
        rows = [
            make_run(job, NOW, state=RunState.MISSED),
            make_run(job, NOW + MINUTE, state=RunState.SUCCEEDED),
            make_run(job, NOW + 2 * MINUTE),
            make_run(job, NOW + 3 * MINUTE, origin=Origin.MANUAL),
            make_run(job, NOW + 4 * MINUTE, origin=Origin.BACKFILL, attempt=3, state=RunState.FAILED),
            mine := make_run(job, NOW + 5 * MINUTE, origin=Origin.BACKFILL, backfill=backfill.id),
        ]
        unasked = [
            make_run(job, NOW + minutes * MINUTE, state=state)
            for minutes, state in ((30, RunState.SUCCEEDED), (31, RunState.PENDING))
        ]
        manual = make_run(job, NOW, origin=Origin.MANUAL, state=RunState.SUCCEEDED)
        store.save([next_version(job, *rows, *unasked, manual)])
        store.save(
            [next_version(paused, make_run(paused, NOW, state=RunState.SUCCEEDED), make_run(paused, NOW + MINUTE))]
        )
        asked = [NOW + minute * MINUTE for minute in range(6)]
        seen: list[object] = []
        born = make_run(job, NOW, origin=Origin.BACKFILL, backfill=backfill.id)
        moved = backfill._replace(version=2, cursor=NOW + MINUTE, born=1)

        def decide(
            found: Backfill, active: Sequence[Run], fire_times: object, answered: object, now: object
        ) -> Filling:
            seen.extend([found, [*active], fire_times, answered, now])
            return Filling(moved, (born,), moved=True)

        (filling,) = store.fill(lambda *_: asked, decide, limit=9)

        told = {at: tell for at, tell in dict(seen[3]).items() if tell != Answered(ran=False, open=False, backfilled=0)}  # type: ignore[call-overload]
        assert seen[:3] == [backfill, [mine], asked]
        assert told == {
            NOW + MINUTE: Answered(ran=True, open=False, backfilled=0),
            NOW + 2 * MINUTE: Answered(ran=True, open=True, backfilled=0),
            NOW + 4 * MINUTE: Answered(ran=True, open=False, backfilled=3),
            NOW + 5 * MINUTE: Answered(ran=True, open=True, backfilled=1),
        }
        assert seen[4] == clock.now()
        assert filling.backfill == moved == store.backfill(backfill.id)
        assert store.run(born.id) == born

    def test_a_filling_that_does_not_move_is_not_written(self, store: Store) -> None:
        store.add([job := make_job()])
        store.add_backfill(backfill := make_backfill(job, NOW, NOW + HOUR))

        store.fill(lambda *_: (), lambda found, *_: Filling(found._replace(born=9)), limit=9)

        assert store.backfill(backfill.id) == backfill

    def test_ended_backfills_are_not_filled_and_the_oldest_come_first(self, store: Store) -> None:
        store.add([job := make_job()])
        store.add_backfill(make_backfill(job, NOW, NOW, cursor=None, ended_at=NOW))
        going_on = [make_backfill(job, NOW, NOW + HOUR) for _ in range(3)]
        for backfill in going_on:
            store.add_backfill(backfill)

        filled = store.fill(lambda *_: (), lambda found, *_: Filling(found), limit=2)

        assert [one.backfill for one in filled] == going_on[:2]

    def test_ending_a_backfill_compares_its_version_and_cancels_its_runs(self, store: Store) -> None:
        store.add([job := make_job(max_instances=3)])
        store.add_backfill(backfill := make_backfill(job, NOW, NOW + HOUR))
        waiting = make_run(job, NOW, origin=Origin.BACKFILL, backfill=backfill.id)
        running = held_run(job, NOW + MINUTE, origin=Origin.BACKFILL, backfill=backfill.id)
        other = make_run(job, NOW + HOUR)
        store.save([next_version(job, waiting, running, other)])

        def stop(run: Run) -> Run:
            return cancel(run, "no need", NOW)

        assert store.end_backfill(backfill._replace(version=3, ended_at=NOW), stop) is None
        assert store.run(waiting.id) == waiting
        cancelled = store.end_backfill(backfill._replace(version=2, ended_at=NOW, reason="no need"), stop)

        assert cancelled is not None
        assert {run.id for run in cancelled} == {waiting.id, running.id}
        assert store.backfill(backfill.id).reason == "no need"
        assert store.run(waiting.id).state is RunState.CANCELLED
        assert [run.id for run in store.cancelling("a")] == [running.id]
        assert store.run(other.id) == other

    def test_a_backfill_that_never_was_is_not_ended(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := make_run(job, origin=Origin.BACKFILL, backfill="nobody"))])
        unknown = make_backfill(job, NOW - HOUR, NOW)._replace(id="nobody")

        assert store.end_backfill(end_backfill(unknown, "enough", NOW), lambda run: cancel(run, "enough", NOW)) is None
        assert store.run(run.id) == run

    def test_each_backfill_is_filled_and_ended_beside_its_own_runs(self, store: Store) -> None:
        store.add([job := make_job()])
        backfills = [make_backfill(job, NOW - HOUR, NOW) for _ in range(2)]
        for backfill in backfills:
            store.add_backfill(backfill)
        runs = [
            make_run(job, NOW - minutes * MINUTE, origin=Origin.BACKFILL, backfill=backfill.id)
            for minutes, backfill in enumerate(backfills)
        ]  # fmt: skip
        store.save([next_version(job, *runs)])
        told: dict[str, list[Run]] = {}

        def decide(found: Backfill, active: Sequence[Run], *_: object) -> Filling:
            told[found.id] = [*active]
            return Filling(found)

        store.fill(lambda *_: (), decide, limit=9)
        ended = store.end_backfill(end_backfill(backfills[0], "enough", NOW), lambda run: cancel(run, "enough", NOW))

        assert told == {backfill.id: [run] for backfill, run in zip(backfills, runs, strict=True)}
        assert [run.id for run in ended or ()] == [runs[0].id]
        assert store.run(runs[1].id) == runs[1]

    def test_a_filling_that_ends_a_backfill_is_its_last(self, store: Store, clock: VirtualClock) -> None:
        store.add([job := make_job()])
        store.add_backfill(backfill := make_backfill(job, NOW - HOUR, NOW))

        def end(found: Backfill, *_: object) -> Filling:
            return Filling(found._replace(version=found.version + 1, cursor=None, ended_at=NOW), moved=True)

        filled = [[one.backfill.id for one in store.fill(lambda *_: (), end, limit=9)] for _ in range(2)]
        clock.advance(MINUTE)
        prune(store, Retention(age=MINUTE))
        kept = [one.id for one in store.backfills()]
        clock.advance(SECOND)
        prune(store, Retention(age=MINUTE))

        assert kept == [backfill.id]
        assert filled == [[backfill.id], []]
        assert store.backfills() == []

    def test_a_filling_bears_nothing_that_is_in_the_ledger_already(self, store: Store) -> None:
        store.add([job := make_job()])
        store.add_backfill(backfill := make_backfill(job, NOW - HOUR, NOW))
        there, new = (
            make_run(job, NOW - hours * HOUR, origin=Origin.BACKFILL, backfill=backfill.id) for hours in range(2)
        )
        store.save([next_version(job, there)])
        moved = backfill._replace(version=2, cursor=NOW, born=2)

        store.fill(
            lambda *_: (),
            lambda *_: Filling(moved, (held_run(job, NOW, origin=Origin.BACKFILL), new), moved=True),
            limit=9,
        )

        assert store.backfill(backfill.id) == moved
        assert sorted(store.runs()) == sorted([there, new])

    def test_a_job_that_is_removed_takes_its_backfills_along(self, store: Store) -> None:
        store.add([job := make_job(), other := make_job("other")])
        store.add_backfill(backfill := make_backfill(job, NOW, NOW))
        store.add_backfill(kept := make_backfill(other, NOW, NOW))

        store.remove(["job"])

        ended = store.backfill(backfill.id)
        assert (ended.ended_at, ended.reason, ended.version) == (NOW, "its job was removed", 2)
        assert store.backfill(kept.id) == kept

    def test_runs_of_backfills_are_claimed_last_and_beside_max_instances(self, store: Store) -> None:
        store.add([job := make_job(max_instances=1)])
        past = [
            make_run(job, NOW - HOUR, origin=Origin.BACKFILL, backfill=name, attempt=n)
            for n, name in ((1, "b"), (2, "c"))
        ]
        on_time = make_run(job, NOW)
        running = held_run(job, NOW - 2 * HOUR, origin=Origin.BACKFILL, backfill="b")
        store.save([next_version(job, *past, on_time, running)])

        taken = [claimed(store, limit=1)[0].id for _ in range(3)]

        assert taken[0] == on_time.id
        assert sorted(taken[1:]) == sorted(run.id for run in past)

    def test_the_evidence_of_an_instant_has_what_was_backfilled_for_it(self, store: Store) -> None:
        store.add([job := make_job()])
        missed = make_run(job, NOW, state=RunState.MISSED)
        past = make_run(job, NOW, origin=Origin.BACKFILL, backfill="b", state=RunState.SUCCEEDED)
        by_hand = make_run(job, NOW, origin=Origin.MANUAL)
        store.save([next_version(job, missed, past, by_hand, make_run(job, NOW + MINUTE))])

        known = store.evidence("job", NOW)

        assert ([*known.before], [*known.backfilled], [*known.manual]) == ([missed], [past], [by_hand])

    # outlook

    def test_an_empty_store_expects_nothing(self, store: Store) -> None:
        outlook = store.outlook(["threads"], after=NOW, fire_after=NOW)

        assert outlook == Outlook(None, None, None)

    def test_the_outlook_names_the_next_instants_strictly_after_those_given(self, store: Store) -> None:
        store.add(
            [
                job := make_job("now", max_instances=9),
                make_job("soon", next_fire_time=NOW + 2 * SECOND),
                make_job("later", next_fire_time=NOW + 3 * SECOND),
            ]
        )
        store.save([next_version(
            job, make_run(job, NOW), make_run(job, NOW + 7 * SECOND), make_run(job, NOW + 8 * SECOND),
            held_run(job, NOW + 2 * MINUTE, lease_until=NOW), held_run(job, NOW + MINUTE, lease_until=NOW + 5 * SECOND),
        )])  # fmt: skip

        outlook = store.outlook(["threads"], after=NOW, fire_after=NOW)
        later = store.outlook(["threads"], after=NOW + 7 * SECOND, fire_after=NOW + 2 * SECOND)

        assert outlook == Outlook(NOW + 2 * SECOND, NOW + 7 * SECOND, NOW + 5 * SECOND)
        assert later == Outlook(NOW + 3 * SECOND, NOW + 8 * SECOND, None)

    def test_the_outlook_passes_over_what_will_not_fire_here(self, store: Store) -> None:
        store.add(
            [
                make_job("paused", next_fire_time=NOW + SECOND, paused_at=NOW),
                make_job("ended", next_fire_time=None),
                make_job("elsewhere", next_fire_time=NOW + SECOND, executor="asyncio"),
                make_job("here", next_fire_time=NOW + MINUTE),
            ]
        )

        here = store.outlook(["threads"], after=NOW, fire_after=NOW)
        both = store.outlook(["asyncio", "threads"], after=NOW, fire_after=NOW)
        nowhere = store.outlook([], after=NOW, fire_after=NOW)

        assert (here.fire_at, both.fire_at, nowhere.fire_at) == (NOW + MINUTE, NOW + SECOND, None)

    @pytest.mark.parametrize("beats", [False, True])
    def test_what_a_round_foresees_is_what_comes_first_of_each_kind(
        self, store: Store, clock: VirtualClock, beats: bool
    ) -> None:
        """Whatever else stands in the rows; an idle node asks no more than once for all of it."""

        def at(seconds: float) -> datetime:
            return NOW + seconds * SECOND

        store.beat(node := make_node())
        store.add([
            job := make_job("job", max_instances=9, next_fire_time=at(50)),
            make_job("elsewhere", executor="asyncio", next_fire_time=at(10)),
            make_job("paused", next_fire_time=at(10), paused_at=NOW), make_job("ended", next_fire_time=None),
            late := make_job("late", next_fire_time=at(90), expect_every=SECOND),
            make_job("watched", next_fire_time=at(90), expect_every=70 * SECOND),
            make_job("expected no more", next_fire_time=at(90), expect_every=60 * SECOND, paused_at=NOW),
        ])  # fmt: skip
        store.save([next_version(
            job, make_run(job, at(20), lease_until=at(10), expires_at=at(40), cancel_reason="enough", node="a"),
            make_run(job, at(22)), held_run(job, at(5), lease_until=at(30), expires_at=at(10)),
            held_run(job, at(6), lease_until=None), closed(job, 0, lease_until=at(10), expires_at=at(10)),
            next_fire_time=at(50),
        )])  # fmt: skip
        clock.advance(SECOND)
        store.find_overdue("a", limit=1)
        assert [one.job_id for one in store.expectations(overdue=True)] == [late.id]
        store.outlook(["threads"], after=clock.now(), fire_after=clock.now())

        with store.together():
            if beats:
                store.beat(node.beat(clock.now(), 10 * SECOND, paused=False, runs=0, lateness=None))
            found = fire(store, until=clock.now()), claimed(store), store.lost(9), store.expired(9)
            overdue, cancelling = store.find_overdue("a", limit=9), store.cancelling("a")

        assert [*map(len, (*found, overdue, cancelling))] == [0] * 6
        assert store.cancelling("a") == store.lost(9) == store.expired(9) == []
        expected = Outlook(at(50), at(20), at(30), at(40), at(70))
        assert store.outlook(["threads"], after=clock.now(), fire_after=clock.now()) == expected
        assert store.outlook(["threads"], after=clock.now(), fire_after=clock.now()) == expected, "and outside of one"

    def test_of_several_executors_the_earliest_counts_in_whichever_order_they_are_asked_for(self, store: Store) -> None:
        executors = ["asyncio", "celery", "processes", "threads"]
        store.add(jobs := [make_job(executor, executor=executor, next_fire_time=NOW + HOUR) for executor in executors])
        store.save([next_version(jobs[1], paused_at=NOW)])

        for executor in ("asyncio", "processes", "threads"):
            job = store.get(executor)
            store.save([next_version(job, next_fire_time=NOW + MINUTE)])
            asked = [
                store.outlook(order, after=NOW, fire_after=NOW).fire_at
                for order in (executors, executors[::-1], [executor, "celery"], ["celery", executor])
            ]
            assert [*asked, store.census().fire_at] == [NOW + MINUTE] * 5
            store.save([next_version(store.get(executor), next_fire_time=NOW + HOUR)])

    def test_the_outlook_follows_each_write(self, store: Store) -> None:
        store.add([make_job()])
        fire(store, hold=make_hold())
        job = store.get("job")
        run = store.runs()[0]

        fired = store.outlook(["threads"], after=NOW, fire_after=NOW)
        store.renew([run], NOW + MINUTE)
        renewed = store.outlook(["threads"], after=NOW, fire_after=NOW)
        store.settle([settle(store.run(run.id), Retry(2, SECOND), Failed("broken"), NOW)])
        settled = store.outlook(["threads"], after=NOW, fire_after=NOW)
        store.remove(["job"])
        removed = store.outlook(["threads"], after=NOW, fire_after=NOW)

        assert fired == Outlook(job.next_fire_time, None, NOW + 10 * SECOND)
        assert renewed == Outlook(job.next_fire_time, None, NOW + MINUTE)
        assert settled == Outlook(job.next_fire_time, NOW + SECOND, None)
        assert removed == Outlook(None, None, None)

    # run, runs

    @pytest.mark.parametrize(
        "run_id", ["", "nonsense", "0f-1-1", "0f-x-1", "0f-1m-2", "0f-0-99999999999999999999999", "a\x00b-1-1"]
    )
    def test_an_unknown_run_is_an_error(self, store: Store, run_id: str) -> None:
        with pytest.raises(RunNotFoundError):
            store.run(run_id)

    def test_the_ledger_shows_the_newest_rows_first(self, store: Store) -> None:
        store.add([a := make_job("a"), b := make_job("b")])
        written = [make_run(a, NOW + MINUTE), make_run(b), make_run(a)]
        store.save([next_version(a, written[0])])
        store.save([next_version(b, written[1])])
        store.save([next_version(store.get("a"), written[2])])

        found = store.runs()

        assert found == written[::-1]

    def test_a_row_keeps_its_place_whatever_becomes_of_it(self, store: Store) -> None:
        store.add([job := make_job(max_instances=3)])
        first, second = held_run(job), held_run(job, NOW + SECOND)
        store.save([next_version(job, first, second)])

        store.settle([settle(first, job.retry, DONE, NOW + MINUTE)])

        assert [run.id for run in store.runs()] == [second.id, first.id]

    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            ({}, [4, 3, 2, 1, 0]),
            ({"job_id": "a"}, [4, 2, 0]),
            ({"job_id": "nobody"}, []),
            ({"states": [RunState.PENDING]}, [1, 0]),
            ({"states": {RunState.SKIPPED, RunState.MISSED}}, [4, 3, 2]),
            ({"job_id": "a", "states": [RunState.SKIPPED]}, [4, 2]),
            ({"job_id": "a", "states": [RunState.PENDING]}, [0]),
            ({"states": [RunState.PENDING, RunState.SUCCEEDED]}, [1, 0]),
            ({"job_id": "b", "states": [RunState.PENDING, RunState.MISSED]}, [3, 1]),
            ({"limit": 2}, [4, 3]),
            ({"limit": 2, "offset": 2}, [2, 1]),
            ({"offset": 5}, []),
            ({"job_id": "a", "limit": 1, "offset": 1}, [2]),
            ({"states": [RunState.SKIPPED], "limit": 1, "offset": 1}, [2]),
        ],
    )
    def test_the_ledger_can_be_filtered_and_paged(
        self, store: Store, question: dict[str, object], expected: list[int]
    ) -> None:
        store.add([a := make_job("a"), b := make_job("b")])
        states = [RunState.PENDING, RunState.PENDING, RunState.SKIPPED, RunState.MISSED, RunState.SKIPPED]
        for number, state in enumerate(states):
            job = store.get("ab"[number % 2])
            store.save([next_version(job, make_run(job, NOW + number * SECOND, state=state))])
        assert (a.id, b.id) == ("a", "b")

        found = store.runs(**question)  # type: ignore[arg-type]

        assert [(run.fire_time - NOW) // SECOND for run in found] == expected

    def test_runs_can_be_asked_for_by_their_states_while_they_are_open_and_when_they_are_closed(
        self, store: Store
    ) -> None:
        store.add([job := make_job(max_instances=9)])
        by_state = {state: make_run(job, NOW + place * SECOND, state=state) for place, state in enumerate(RunState)}
        store.save([next_version(job, *by_state.values())])

        for state in RunState:
            for other in RunState:
                expected = {by_state[state].id, by_state[other].id}
                assert {run.id for run in store.runs(states=[state, other])} == expected
                assert {run.id for run in store.runs(job_id="job", states=[state, other])} == expected

    def test_the_ledger_of_a_removed_job_can_be_filtered_and_paged_as_well(self, store: Store) -> None:
        store.add([job := make_job(), other := make_job("other")])
        rows = [closed(job, 0), closed(job, 1, RunState.FAILED), closed(job, 2)]
        store.save([next_version(job, *rows), next_version(other, closed(other, 0))])
        store.remove(["job", "other"])

        assert store.runs(job_id="job") == rows[::-1]
        assert store.runs(job_id="job", states=[RunState.FAILED]) == rows[1:2]
        assert store.runs(job_id="job", states=[RunState.SUCCEEDED], limit=1, offset=1) == rows[:1]

    # evidence

    def test_the_evidence_of_an_instant_is_the_job_and_the_rows_around_it(self, store: Store) -> None:
        store.add([job := make_job(), other := make_job("other")])
        failed, again = closed(job, 1, RunState.FAILED), closed(job, 1, attempt=2)
        first, last = closed(job, 0), closed(job, 3)
        store.save([next_version(job, last, first, again, failed)])
        store.save([next_version(other, *(closed(other, minute) for minute in range(5)))])

        between, at_it = store.evidence("job", NOW + 2 * MINUTE), store.evidence("job", NOW + MINUTE)
        outside, beyond = store.evidence("job", NOW - MINUTE), store.evidence("job", NOW + HOUR)

        assert between.job == store.get("job")
        assert (between.before, between.after) == ([failed, again], [last])
        assert (at_it.before, at_it.after) == ([failed, again], [last])
        assert (outside.before, outside.after) == ([], [first])
        assert (beyond.before, beyond.after) == ([last], [])

    def test_the_evidence_has_the_manual_runs_of_the_instant_apart(self, store: Store) -> None:
        store.add([job := make_job()])
        manual = [make_run(job, NOW + offset * SECOND, origin=Origin.MANUAL) for offset in (-0.001, 0, 0.5, 1)]
        store.save([next_version(job, closed(job, -1), *manual, closed(job, 1))])

        of_the_second, of_the_instant = store.evidence("job", NOW), store.evidence("job", NOW + SECOND / 2)

        assert of_the_second.manual == manual[1:3]
        assert of_the_instant.manual == [manual[2]]
        assert [run.fire_time for run in (*of_the_second.before, *of_the_second.after)] == [NOW - MINUTE, NOW + MINUTE]

    @pytest.mark.parametrize("besides", [RunState.PENDING, RunState.SUCCEEDED])
    @pytest.mark.parametrize("own", [RunState.PENDING, RunState.SUCCEEDED])
    def test_the_evidence_around_an_instant_has_what_the_schedule_did_and_nothing_besides(
        self, store: Store, own: RunState, besides: RunState
    ) -> None:
        """Wherever a store keeps what is open and what is closed."""
        store.add([job := make_job(), other := make_job("other")])

        def row(job: Job, seconds: float, state: RunState, origin: Origin = Origin.SCHEDULE) -> Run:
            backfill = "one" if origin is Origin.BACKFILL else None
            return make_run(job, NOW + seconds * SECOND, state=state, origin=origin, backfill=backfill)

        first, last, manual = row(job, -20, own), row(job, 20, own), row(job, 0, own, Origin.MANUAL)
        by_others = [row(other, seconds, besides) for seconds in (-50, -20, -10, 10, 20, 50)]
        asked_for = [
            row(job, seconds, besides, origin)
            for seconds in (-20, -10, -1, 1, 10, 20) for origin in (Origin.MANUAL, Origin.BACKFILL)
        ]  # fmt: skip
        farther = row(job, -50, besides), row(job, 50, besides)
        backfilled = row(job, 0.5, own, Origin.BACKFILL)
        store.save([next_version(job, first, last, manual, backfilled, *asked_for, *farther)])
        store.save([next_version(other, *by_others, *(row(other, 0, besides, origin) for origin in Origin))])

        found = store.evidence("job", NOW)

        assert (found.before, found.after) == ([first], [last])
        assert (found.manual, found.backfilled) == ([manual], [backfilled])

    def test_the_evidence_of_what_waits_says_which_runs_of_its_job_go_on(self, store: Store) -> None:
        store.add([job := make_job(max_instances=2), other := make_job("other")])
        going_on = [held_run(job, NOW + minutes * MINUTE) for minutes in range(3)]
        waiting, asked_for = make_run(job, NOW + 3 * MINUTE), make_run(job, NOW + 9 * MINUTE, origin=Origin.MANUAL)
        backfilled = held_run(job, NOW - HOUR, origin=Origin.BACKFILL, backfill="one")
        store.save([next_version(
            job, *going_on, waiting, asked_for, closed(job, 5), make_run(job, NOW - HOUR), backfilled
        )])  # fmt: skip
        store.save([next_version(other, held_run(other))])

        found = [store.evidence("job", NOW + minutes * MINUTE).running for minutes in (0, 3, 5, 9)]

        assert [[*running] for running in found] == [[], going_on[:2], [], going_on[:2]]

    def test_the_evidence_of_what_never_began_says_how_long_no_node_was_at_work(self, store: Store) -> None:
        store.add([job := make_job(), other := make_job("other")])
        early = closed(other, -9, started_at=NOW - 9 * MINUTE, ended_at=NOW - 8 * MINUTE)
        later = closed(other, -5, started_at=NOW + 3 * MINUTE, ended_at=NOW + 4 * MINUTE)
        missed = closed(job, 0, RunState.MISSED, ended_at=NOW + 3 * MINUTE)
        store.save([next_version(other, early, later)])
        store.save([next_version(job, missed)])

        found = store.evidence("job", NOW)

        assert found.silence == Silence(NOW - 8 * MINUTE, NOW + 3 * MINUTE)

    def test_the_silence_around_a_run_is_told_by_what_was_born_before_it_and_not_before_one_like_it(
        self, store: Store
    ) -> None:
        store.add([job := make_job(uid=2), other := make_job("other", uid=1)])
        missed = closed(job, 0, RunState.MISSED, ended_at=NOW + 5 * MINUTE)
        earlier = [
            closed(job, -9, ended_at=NOW - 9 * MINUTE),
            closed(job, 0, origin=Origin.BACKFILL, backfill="one", ended_at=NOW - 8 * MINUTE),
        ]  # fmt: skip
        later = [
            closed(job, 0, attempt=2, ended_at=NOW + 4 * MINUTE),
            closed(job, 0, origin=Origin.MANUAL, ended_at=NOW + 3 * MINUTE),
            closed(job, 1, ended_at=NOW + 2 * MINUTE),
            held_run(job, NOW + MINUTE, attempt=2, started_at=NOW + MINUTE),
        ]  # fmt: skip
        store.save([next_version(other, closed(other, -9, ended_at=NOW - 7 * MINUTE))])
        store.save([next_version(job, *earlier)])
        store.save([next_version(store.get("job"), missed)])
        store.save([next_version(store.get("job"), *later)])
        store.save([next_version(store.get("other"), closed(other, 0, ended_at=NOW + MINUTE))])

        assert store.evidence("job", NOW).silence == Silence(NOW - 7 * MINUTE, NOW + 5 * MINUTE)

    def test_without_an_earlier_sign_of_a_node_the_silence_has_no_known_begin(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, closed(job, 0, RunState.MISSED, ended_at=NOW + MINUTE))])

        assert store.evidence("job", NOW).silence == Silence(None, NOW + MINUTE)

    def test_the_evidence_has_the_nodes_around_an_instant_at_which_none_was_alive(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.add([make_job()])
        killed = make_node("killed", NOW - HOUR, seen_at=NOW - 10 * MINUTE)
        stopped = make_node("stopped", NOW - HOUR).stopped(NOW - 5 * MINUTE)
        first, second = make_node("first", NOW), make_node("second", NOW + MINUTE, seen_at=NOW + 9 * MINUTE)
        for node in (killed, second, first, stopped):
            store.beat(node)
        clock.advance(HOUR)

        def absence(minutes: float) -> Absence | None:
            return store.evidence("job", NOW + minutes * MINUTE).absence

        def read(node: Node) -> Node:
            return node.read_at(clock.now())

        assert absence(-61) is None, "nothing is known of that time"
        assert [absence(minutes) for minutes in (-60, -10, -5, 0, 1, 9)] == [None] * 6
        assert absence(-1) == Absence(read(stopped), read(first))
        assert absence(0.5) == Absence(read(first), read(second))
        assert absence(10) == absence(60) == Absence(read(second), None)
        assert absence(61) is None, "that is to come"

    def test_a_node_whose_lease_goes_on_is_alive_after_its_last_beat(self, store: Store, clock: VirtualClock) -> None:
        store.add([make_job()])
        store.beat(node := make_node())
        clock.advance(9 * SECOND)
        alive = store.evidence("job", NOW + 5 * SECOND).absence
        clock.advance(SECOND)

        dead = store.evidence("job", NOW + 5 * SECOND).absence

        assert alive is None
        assert dead == Absence(node.read_at(clock.now()), None)

    def test_a_node_that_has_stopped_is_absent_however_long_its_lease_was(self, store: Store) -> None:
        store.add([make_job()])
        store.beat(node := make_node(seen_at=NOW - MINUTE, lease_until=NOW + MINUTE, stopped_at=NOW - MINUTE))

        assert store.evidence("job", NOW).absence == Absence(node.read_at(NOW), None)

    def test_the_evidence_of_a_removed_job_is_its_rows_and_when_it_was_removed(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.add(jobs := [make_job(id) for id in ("earlier", "job", "later")])
        _, run, _ = runs = [closed(job, 0) for job in jobs]
        store.save([next_version(job, run) for job, run in zip(jobs, runs, strict=True)])
        for job in jobs:
            store.remove([job.id])
            clock.advance(HOUR)

        found = store.evidence("job", NOW)

        assert (found.job, found.removed_at, found.before) == (None, NOW + HOUR, [run])

    def test_a_job_is_known_to_be_gone_long_after_it_was_removed_and_others_too(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.add([make_job("first"), make_job("second")])
        for id in ("first", "second"):
            store.remove([id])
            clock.advance(HOUR)

        found = [store.evidence(id, NOW + 3 * HOUR).removed_at for id in ("first", "second")]

        assert found == [NOW, NOW + HOUR]

    def test_an_instant_belongs_to_the_job_that_had_the_id_then(self, store: Store, clock: VirtualClock) -> None:
        rows = []
        for hours in range(3):
            store.add([job := make_job()])
            rows.append(closed(job, 60 * hours))
            store.save([next_version(job, rows[-1])])
            clock.advance(HOUR)
            store.remove(["job"])
        store.add([now := make_job()])

        found = [store.evidence("job", NOW + hours * HOUR) for hours in range(4)]

        assert [evidence.before for evidence in found] == [[rows[0]], [rows[1]], [rows[2]], []]
        assert store.evidence("job", NOW + 4 * HOUR).job == now

    def test_of_what_nobody_knows_there_is_no_evidence(self, store: Store) -> None:
        store.add([make_job()])

        with pytest.raises(JobNotFoundError, match="did you mean 'job'"):
            store.evidence("jo", NOW)

    @pytest.mark.parametrize("instant", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
    def test_there_is_evidence_at_the_ends_of_time(self, store: Store, instant: datetime) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, closed(job, 0))])

        found = store.evidence("job", instant)

        assert len(found.before) + len(found.after) == 1

    # prune

    def test_pruning_deletes_what_is_older_than_its_age_and_nothing_else(self, store: Store) -> None:
        store.add([job := make_job(max_instances=9)])
        old, just, new = (closed(job, -age, ended_at=NOW - age * MINUTE) for age in (3, 2, 1))
        ended_late = closed(job, -9, ended_at=NOW - MINUTE)
        waiting, running = make_run(job, NOW - HOUR), held_run(job, NOW - 2 * HOUR)
        store.save([next_version(job, old, just, new, ended_late, waiting, running)])

        deleted = prune(store, Retention(age=2 * MINUTE, count=None))

        assert deleted == 1
        assert store.runs() == [running, waiting, ended_late, new, just]

    def test_pruning_leaves_the_latest_rows_of_each_job(self, store: Store) -> None:
        store.add([job := make_job("a", max_instances=9), other := make_job("b")])
        running = held_run(job, NOW - HOUR)
        store.save([next_version(job, running, *(closed(job, minute) for minute in range(5)))])
        store.save([next_version(other, closed(other, 0))])

        deleted = prune(store, Retention(age=None, count=2))

        assert deleted == 3
        assert store.runs(job_id="a") == [closed(job, 4), closed(job, 3), running]
        assert store.runs(job_id="b") == [closed(other, 0)]

    def test_the_attempts_at_one_fire_time_are_counted_one_by_one_and_kept_together(self, store: Store) -> None:
        store.add([job := make_job()])
        attempts = [closed(job, 1, RunState.FAILED, attempt=attempt) for attempt in (1, 2, 3)]
        store.save([next_version(job, closed(job, 0), *attempts)])

        deleted = prune(store, Retention(age=None, count=2))

        assert deleted == 1
        assert store.runs() == attempts[::-1]

    def test_a_job_may_keep_more_or_less_than_the_others(self, store: Store) -> None:
        ids = {
            "all": FOREVER, "one": Retention(age=None, count=1), "as-told": None, "young": Retention(age=MINUTE),
            "both": Retention(age=2 * MINUTE, count=3),
        }  # fmt: skip
        for id, keep in ids.items():
            store.add([job := make_job(id, keep=keep)])
            store.save([next_version(job, *(closed(job, -minutes) for minutes in range(4)))])

        deleted = prune(store, Retention(age=None, count=2))

        assert [len(store.runs(job_id=id)) for id in ids] == [4, 1, 2, 2, 3]
        assert deleted == 3 + 2 + 2 + 1

    def test_pruning_goes_on_where_it_stopped(self, store: Store) -> None:
        store.add(jobs := [make_job(f"job-{number}", uid=number) for number in (3, 7, 9)])
        for job in jobs:
            store.save([next_version(job, *(closed(job, minute) for minute in range(4)))])
        keep = Retention(age=None, count=1)

        steps, after = [], -1
        while True:
            deleted, following = store.prune(keep, after=after, jobs=2, rows=5)
            steps.append((deleted, following))
            if following is None:
                break
            after = following

        assert sum(deleted for deleted, _ in steps) == 9
        assert all(deleted <= 5 for deleted, _ in steps)
        assert len(store.runs()) == 3

    def test_pruning_looks_at_no_more_jobs_than_it_was_told(self, store: Store) -> None:
        store.add(jobs := [make_job(f"job-{number}", uid=number) for number in range(5)])
        for job in jobs:
            store.save([next_version(job, closed(job, 0))])

        seen = [store.prune(FOREVER, after=after, jobs=2, rows=9).after for after in (-1, 1, 3)]

        assert seen == [1, 3, None]

    def test_a_job_that_had_no_rows_yet_is_pruned_when_it_has(self, store: Store) -> None:
        store.add([job := make_job()])

        before = prune(store, Retention(age=None, count=1))
        store.save([next_version(job, closed(job, 0), closed(job, 1))])

        assert (before, prune(store, Retention(age=None, count=1))) == (0, 1)

    def test_however_many_jobs_have_no_rows_those_that_have_are_pruned(self, store: Store) -> None:
        store.add([*(make_job(f"{number}", uid=number) for number in range(510)), job := make_job("last", uid=9_999)])
        store.save([next_version(job, closed(job, 0), closed(job, 1))])

        assert prune(store, Retention(age=None, count=1), jobs=9) == 1

    def test_a_ledger_that_a_backfill_asks_is_left_whole(self, store: Store) -> None:
        """What was pruned would be taken for what never ran."""
        store.add([job := make_job(), other := make_job("other")])
        for each in (job, other):
            rows = [
                make_run(each, NOW - number * MINUTE, state=RunState.SUCCEEDED, ended_at=NOW) for number in range(1, 4)
            ]
            store.save([next_version(each, *rows)])
        store.add_backfill(backfill := make_backfill(job, NOW - HOUR, NOW))

        meanwhile = prune(store, Retention(age=None, count=1))
        store.end_backfill(
            backfill._replace(version=backfill.version + 1, ended_at=NOW, reason="done"), lambda run: run
        )
        afterwards = prune(store, Retention(age=None, count=1))

        assert (meanwhile, afterwards) == (2, 2)

    def test_the_evidence_says_up_to_where_a_ledger_was_pruned(self, store: Store) -> None:
        store.add([job := make_job(), other := make_job("other")])
        ranged = closed(job, 1, RunState.SKIPPED, through=NOW + 2 * MINUTE)
        store.save([next_version(job, closed(job, 0), ranged, closed(job, 3))])
        store.save([next_version(other, closed(other, 0))])

        prune(store, Retention(age=None, count=1))
        prune(store, Retention(age=None, count=1))

        assert store.evidence("job", NOW).pruned_through == NOW + 2 * MINUTE
        assert store.evidence("other", NOW).pruned_through is None

    def test_of_a_removed_job_the_last_trace_goes_when_it_is_as_old_as_its_rows(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.add([job := make_job(), make_job("other")])
        store.save([next_version(job, closed(job, 0, ended_at=NOW))])
        store.remove(["job"])
        keep = Retention(age=HOUR)

        clock.advance(HOUR)
        prune(store, keep)
        kept = store.evidence("job", NOW)
        clock.advance(SECOND)
        prune(store, keep)

        assert kept.removed_at == NOW
        with pytest.raises(JobNotFoundError):
            store.evidence("job", NOW)

    def test_the_trace_of_a_removed_job_stays_as_long_as_one_of_its_rows_and_no_longer(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.add([job := make_job(), other := make_job("other")])
        rows = held_run(other), closed(other, 190)
        store.save([next_version(job, run := held_run(job)), next_version(other, *rows)])
        store.remove(["job"])
        clock.advance(2 * HOUR)

        prune(store, Retention(age=HOUR))
        while_it_runs = store.evidence("job", NOW)
        (settled,) = store.settle([settle(run, job.retry, DONE, clock.now())])
        clock.advance(HOUR)
        prune(store, Retention(age=HOUR))
        while_it_is_kept = store.evidence("job", NOW)
        clock.advance(SECOND)
        prune(store, Retention(age=HOUR))

        assert (while_it_runs.removed_at, while_it_runs.before) == (NOW, [run])
        assert (while_it_is_kept.removed_at, while_it_is_kept.before) == (NOW, [settled.run])
        with pytest.raises(JobNotFoundError):
            store.evidence("job", NOW)

    def test_of_a_removed_job_without_rows_a_trace_stays_for_as_long_as_rows_are_kept(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.add([make_job()])
        store.remove(["job"])

        clock.advance(HOUR)
        prune(store, Retention(age=HOUR))
        kept = store.evidence("job", NOW)
        clock.advance(SECOND)
        prune(store, Retention(age=HOUR))

        assert kept.removed_at == NOW
        with pytest.raises(JobNotFoundError):
            store.evidence("job", NOW)

    def test_a_disposable_job_goes_alone(self, store: Store, clock: VirtualClock) -> None:
        """What is asked of others does not hold it up, and what is noted of them stays."""
        gone = make_job("gone", uid=3, disposable=True, next_fire_time=None)
        asked, other = make_job("asked", uid=2), make_job("other", uid=1)
        store.add([gone, asked, other])
        for job in (gone, other):
            store.save([next_version(job, closed(job, 0))])
        store.add_backfill(make_backfill(asked, NOW - HOUR, NOW))
        clock.advance(HOUR)

        prune(store, Retention(age=MINUTE))

        assert [job.id for job in store.jobs()] == ["asked", "other"]
        assert store.evidence("other", NOW).pruned_through == NOW
        assert store.get("other") == other._replace(version=2)

    def test_a_disposable_job_stays_as_long_as_one_of_its_rows(self, store: Store) -> None:
        store.add([job := make_job(disposable=True, next_fire_time=None)])
        store.save([next_version(job, *(closed(job, minute - 9) for minute in range(3)), next_fire_time=None)])

        left = []
        for _ in range(3):
            store.prune(Retention(age=MINUTE), after=-1, jobs=1, rows=1)
            left.append((len(store.jobs()), len(store.runs())))

        assert left == [(1, 2), (1, 1), (0, 0)]

    @pytest.mark.parametrize(
        ("fields", "stays"),
        [
            ({"disposable": True, "next_fire_time": None}, False),
            ({"disposable": True}, True),
            ({"next_fire_time": None}, True),
        ],
    )
    def test_a_disposable_job_that_has_ended_goes_with_its_last_row(
        self, store: Store, clock: VirtualClock, fields: dict[str, object], stays: bool
    ) -> None:
        store.add([job := make_job(max_instances=2, **fields)])
        store.save([next_version(job, closed(job, 0, ended_at=NOW), run := held_run(job, NOW - SECOND))])
        clock.advance(HOUR)

        prune(store, Retention(age=MINUTE))
        held_up = store.jobs()
        store.settle([settle(run, job.retry, DONE, NOW)])
        prune(store, Retention(age=MINUTE))

        assert [one.id for one in held_up] == ["job"]
        assert [one.id for one in store.jobs()] == (["job"] if stays else [])
        assert store.runs() == []
        if not stays:
            store.add([make_job()])

    @many_examples
    @given(
        rows=st.lists(
            st.tuples(
                st.integers(0, 12), st.integers(1, 2), st.sampled_from(RunState), st.integers(0, 12),
                st.sampled_from(Origin),
            ),
            unique_by=lambda row: (row[0], row[1], row[4]), max_size=12,
        ),
        keep=st.builds(Retention, st.none() | st.integers(0, 12).map(lambda age: age * MINUTE), st.none() | st.integers(1, 6)),
        step=st.integers(1, 4),
    )  # fmt: skip
    def test_whatever_is_pruned_was_closed_and_old_or_one_of_too_many(
        self, store: Store, rows: list[tuple[int, int, RunState, int, Origin]], keep: Retention, step: int
    ) -> None:
        store.remove()
        store.add([job := make_job(max_instances=99)])
        runs = [
            make_run(
                job, NOW - age * MINUTE, attempt=attempt, state=state, origin=origin,
                ended_at=NOW - ended * MINUTE if state.closed else None,
            )
            for age, attempt, state, ended, origin in rows
        ]  # fmt: skip
        store.save([next_version(job, *runs)])

        prune(store, keep, rows=step)

        latest = sorted((run.fire_time for run in runs), reverse=True)
        counted = latest[keep.count - 1] if keep.count is not None and len(latest) >= keep.count else None
        cutoff = keep.cutoff(NOW)
        expected = {
            run.id for run in runs
            if not run.state.closed
            or not (
                (counted is not None and run.fire_time < counted)
                or (cutoff is not None and run.fire_time < cutoff and run.ended_at < cutoff)
            )
        }  # fmt: skip
        assert {run.id for run in store.runs(job_id="job")} == expected

    # the logs of runs

    def test_a_log_is_written_with_the_ending(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job), other := held_run(job, NOW + MINUTE))])
        endings = [settle(one, job.retry, DONE, NOW) for one in (run, other)]

        store.settle([endings[0]._replace(log=LOG), endings[1]])

        assert store.log(run.id) == LOG
        assert store.log(other.id) == NO_LOG

    def test_an_ending_that_loses_writes_no_log(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        store.settle([settle(run, job.retry, Lost("frozen"), NOW)])

        store.settle([settle(run, job.retry, DONE, NOW)._replace(log=LOG)])

        assert store.log(run.id) == NO_LOG

    def test_what_was_logged_so_far_is_kept_and_replaced(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])

        store.keep_logs([(run, RunLog(LOG.beginning[:1]))])
        first = store.log(run.id)
        store.keep_logs([(run, LOG)])

        assert first == RunLog(LOG.beginning[:1])
        assert store.log(run.id) == LOG
        store.settle([settle(run, job.retry, Lost("killed"), NOW)])
        assert store.log(run.id) == LOG, "of a run that was lost it is what there is"

    def test_the_log_of_a_run_that_moved_on_is_left_alone(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        (renewed,) = store.renew([run], NOW + HOUR)

        store.keep_logs([(run, LOG), (held_run(job, NOW + MINUTE), LOG)])
        while_it_runs = store.log(run.id)
        store.settle([settle(renewed, job.retry, DONE, NOW)])
        store.keep_logs([(renewed, LOG)])

        assert while_it_runs == store.log(run.id) == NO_LOG

    @many_examples
    @given(
        lines=st.lists(st.builds(LogLine, instants, texts, texts, texts), max_size=4), left_out=st.integers(0, 2**40)
    )
    def test_every_field_of_a_log_survives(self, store: Store, lines: list[LogLine], left_out: int) -> None:
        store.remove()
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        log = RunLog(tuple(lines[:2]), tuple(lines[2:]), left_out, 2 * left_out)

        store.settle([settle(run, job.retry, DONE, NOW)._replace(log=log)])

        assert store.log(run.id) == log

    def test_a_log_goes_with_its_run(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, *(runs := [held_run(job, NOW - HOUR), held_run(job)]))])
        store.settle([settle(run, job.retry, DONE, run.fire_time)._replace(log=LOG) for run in runs])

        prune(store, Retention(count=1))

        with pytest.raises(RunNotFoundError):
            store.log(runs[0].id)
        assert store.log(runs[1].id) == LOG
        born_again = held_run(job, NOW - HOUR)
        store.save([next_version(store.get("job"), born_again)])
        assert store.log(born_again.id) == NO_LOG

    @pytest.mark.parametrize("run_id", ["", "nobody", "1-0-1"])
    def test_there_is_no_log_of_a_run_that_never_was(self, store: Store, run_id: str) -> None:
        with pytest.raises(RunNotFoundError):
            store.log(run_id)

    # the state of jobs

    def test_a_job_has_no_state_until_one_is_written(self, store: Store) -> None:
        store.add([job := make_job()])

        assert store.state(job.uid) == StoredState()
        assert store.state(12345) == StoredState()

    def test_state_is_written_with_the_success_of_a_run(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        ending = settle(run, job.retry, DONE, NOW)._replace(state=StateChange(job.uid, {"a": 0}, {"a": {"b": [1]}}))

        won = store.settle([ending])

        assert won == [ending]
        assert store.run(run.id) == ending.run
        assert store.state(job.uid) == StoredState(1, {"a": Entry(1, {"b": [1]})})

    def test_an_ending_that_loses_writes_no_state(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        ending = settle(run, job.retry, DONE, NOW)._replace(state=StateChange(job.uid, {"a": 0}, {"a": 1}))
        store.settle([settle(run, job.retry, Lost("frozen"), NOW)])

        assert store.settle([ending]) == []
        assert store.state(job.uid) == StoredState()

    def test_an_ending_of_what_does_not_run_at_that_version_writes_no_state(self, store: Store) -> None:
        store.add([job := make_job(max_instances=9), other := make_job("other")])
        store.save([next_version(job, run := held_run(job), make_run(job, NOW + HOUR, node="a"))])
        store.renew([run], NOW + MINUTE)
        strangers = [
            run, held_run(job, NOW + HOUR), held_run(other, version=2), held_run(job, NOW + MINUTE, version=2),
            held_run(job, attempt=2, version=2), held_run(job, origin=Origin.MANUAL, version=2),
        ]  # fmt: skip

        for one in strangers:
            change = StateChange(job.uid, {"a": 0}, {"a": 1})
            assert store.settle([settle(one, job.retry, DONE, NOW)._replace(state=change)]) == []

        assert store.state(job.uid) == StoredState()

    def test_an_ending_whose_state_was_changed_meanwhile_is_not_written_and_others_are(self, store: Store) -> None:
        store.add([job := make_job()])
        runs = [held_run(job, NOW + number * MINUTE) for number in range(3)]
        store.save([next_version(job, *runs)])
        changes = [StateChange(job.uid, {key: 0}, {key: number}) for number, key in enumerate("aab")]
        endings = [
            settle(run, job.retry, DONE, NOW)._replace(state=change, log=LOG)
            for run, change in zip(runs, changes, strict=True)
        ]

        won = store.settle(endings)

        assert won == [endings[0], endings[2]]
        assert store.run(runs[1].id) == runs[1]
        assert store.log(runs[1].id) == NO_LOG
        assert store.state(job.uid).values == {"a": 0, "b": 2}

    def test_state_can_be_saved_while_a_run_goes_on_at_its_node(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        store.renew([run], NOW + HOUR)

        first = store.save_state(StateChange(job.uid, {"a": 0}, {"a": 1}), run)
        again = store.save_state(StateChange(job.uid, {"a": 1}, {"a": 2}), run)

        assert first == StoredState(1, {"a": Entry(1, 1)})
        assert again == store.state(job.uid) == StoredState(2, {"a": Entry(2, 2)})

    def test_a_run_that_was_taken_over_saves_no_state(self, store: Store) -> None:
        store.add([job := make_job(max_instances=9)])
        runs = [held_run(job, NOW + number * MINUTE) for number in range(3)]
        store.save([next_version(job, *runs)])
        store.settle([settle(runs[0], job.retry, Lost("frozen"), NOW), settle(runs[1], job.retry, Released(), NOW)])
        change = StateChange(job.uid, {"a": 0}, {"a": 1})

        saved = [store.save_state(change, run) for run in (*runs[:2], runs[2]._replace(node="another"))]

        assert saved == [None, None, None]
        assert store.state(job.uid) == StoredState()

    def test_of_the_writers_that_read_one_version_of_a_key_one_wins(self, store: Store) -> None:
        store.add([job := make_job()])
        changes = [StateChange(job.uid, {"a": 0}, {"a": number}) for number in range(12)]

        saved = in_threads(lambda number: store.save_state(changes[number]), 12)

        (winner,) = [number for number, state in enumerate(saved) if state is not None]
        assert store.state(job.uid) == StoredState(1, {"a": Entry(1, winner)})

    def test_a_key_that_was_removed_and_written_again_is_another_one(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save_state(StateChange(job.uid, {"a": 0}, {"a": 1}))
        store.save_state(StateChange(job.uid, {"a": 1}, {}))
        store.save_state(StateChange(job.uid, {"a": 0}, {"a": 1}))

        stale = store.save_state(StateChange(job.uid, {"a": 1}, {"a": 2}))

        assert stale is None
        assert store.state(job.uid).values == {"a": 1}

    def test_what_is_read_of_a_state_is_ones_own(self, store: Store) -> None:
        store.add([job := make_job()])
        store.save_state(StateChange(job.uid, {"a": 0}, {"a": (mine := [1])}))
        mine.append(2)

        store.state(job.uid).values["a"].append(3)

        assert store.state(job.uid).values == {"a": [1]}

    @many_examples
    @given(values=st.dictionaries(names, json_values, max_size=4))
    def test_every_value_of_a_state_survives(self, store: Store, values: dict[str, object]) -> None:
        store.remove()
        store.add([job := make_job()])

        store.save_state(StateChange(job.uid, dict.fromkeys(values, 0), values))

        assert store.state(job.uid).values == values

    def test_a_state_outlives_changes_of_its_job_and_goes_with_it(self, store: Store) -> None:
        store.add([job := make_job(), other := make_job("other")])
        for one in (job, other):
            store.save_state(StateChange(one.uid, {"a": 0}, {"a": one.id}))
        store.save([next_version(job, trigger=CronTrigger("0 3 * * *"), kwargs={"new": True})])
        kept = store.state(job.uid).values

        store.remove(["job"])
        store.add([namesake := make_job()])

        assert kept == {"a": "job"}
        assert store.state(job.uid) == store.state(namesake.uid) == StoredState()
        assert store.state(other.uid).values == {"a": "other"}

    def test_a_run_whose_job_was_removed_ends_as_usual_and_its_state_goes(self, store: Store) -> None:
        store.add([job := make_job(), other := make_job("other")])
        store.save([next_version(job, run := held_run(job))])
        store.remove(["job"])
        ending = settle(run, job.retry, DONE, NOW)._replace(state=StateChange(job.uid, {"a": 0}, {"a": 1}))

        assert store.save_state(ending.state, run) is None
        assert store.save_state(ending.state) is None
        assert store.settle([ending]) == [ending]
        assert store.state(job.uid) == store.state(other.uid) == StoredState()

    # open, close

    def test_opening_and_closing_again_changes_nothing(self, store: Store) -> None:
        store.add([job := make_job()])

        store.open()
        store.close()
        store.close()
        store.open()

        assert store.jobs() == [job]

    def test_threads_may_read_and_write_one_store_together(self, store: Store, clock: VirtualClock) -> None:
        """Every verb at once, for what only a missing lock would break."""
        store.add([make_job(f"job-{number}", max_instances=3) for number in range(4)])

        def one_round(number: int) -> None:
            hold = Hold(f"node-{number}", NOW + MINUTE)
            fire(store, hold=hold, limit=2, until=NOW + 30 * MINUTE)
            claims = store.claim(hold, executor="threads", limit=2)
            renewed = store.renew([claim.run for claim in claims], NOW + 2 * MINUTE)
            store.settle([settle(run, Retry(2), Failed("again"), NOW) for run in renewed])
            store.jobs()
            store.runs()
            store.outlook(["threads"], after=NOW, fire_after=NOW)
            store.lost(5)

        in_threads(one_round, 24)

        rows = store.runs(limit=PLENTY)
        keys = [(run.job_uid, run.fire_time, run.attempt) for run in rows]
        assert len(keys) == len(set(keys))
        first_attempts = [run for run in rows if run.attempt == 1]
        assert sum(job.version - 1 for job in store.jobs()) == len(first_attempts) == 48

    # what is expected

    def test_a_job_with_expect_every_is_expected_to_succeed_from_when_it_was_added(
        self, store: Store, clock: VirtualClock
    ) -> None:
        job, paused = make_job("watched", expect_every=HOUR), make_job("paused", expect_every=HOUR, paused_at=NOW)
        store.add([job, make_job("unwatched"), paused])

        assert store.expectations() == [
            Expectation("paused", paused.uid, None), Expectation("watched", job.uid, NOW + HOUR),
        ]  # fmt: skip
        assert store.expectations(overdue=True) == []
        assert store.outlook([], after=NOW, fire_after=NOW).expect_by == NOW + HOUR
        assert store.outlook([], after=NOW + HOUR, fire_after=NOW).expect_by is None

    def test_what_is_overdue_is_found_once_and_the_longest_overdue_first(
        self, store: Store, clock: VirtualClock
    ) -> None:
        jobs = [make_job(f"job-{hours}", expect_every=hours * HOUR) for hours in (3, 1, 2, 9)]
        store.add(jobs)
        clock.advance(HOUR - SECOND)
        early = store.find_overdue("a", limit=PLENTY)
        clock.advance(2 * HOUR + SECOND)

        found = [[one.job_id for one in store.find_overdue("a", limit=2)] for _ in range(3)]

        assert early == []
        assert found == [["job-1", "job-2"], ["job-3"], []]
        overdue = store.expectations(overdue=True)
        assert [(one.job_id, one.expect_by, one.overdue_at) for one in overdue] == [
            (f"job-{hours}", NOW + hours * HOUR, NOW + 3 * HOUR) for hours in (1, 2, 3)
        ]
        assert store.outlook([], after=NOW, fire_after=NOW).expect_by == NOW + 9 * HOUR

    def test_a_success_is_told_of_those_that_were_overdue_and_moves_the_time_forward_only(
        self, store: Store, clock: VirtualClock
    ) -> None:
        late, punctual = make_job("late", expect_every=HOUR), make_job("punctual", expect_every=5 * HOUR)
        store.add([late, punctual, unwatched := make_job("unwatched"), fails := make_job("fails", expect_every=HOUR)])
        clock.advance(2 * HOUR)
        store.find_overdue("a", limit=PLENTY)

        def success(job: Job, hours: float) -> Expectation:
            at = NOW + hours * HOUR
            return Expectation(job.id, job.uid, at + (job.expect_every or HOUR), succeeded_at=at)

        recovered = store.fulfil([success(late, 2), success(punctual, 1), success(unwatched, 1)])
        again = store.fulfil([success(late, 1)])

        assert recovered == [Expectation("late", late.uid, NOW + HOUR, None, NOW + 2 * HOUR, "a")]
        assert again == []
        assert store.expectations() == [
            Expectation("fails", fails.uid, NOW + HOUR, None, NOW + 2 * HOUR, "a"), success(late, 2), success(punctual, 1)
        ]  # fmt: skip

    def test_a_job_that_has_done_its_work_is_expected_no_more(self, store: Store) -> None:
        store.add([job := make_job(expect_every=HOUR)])

        store.fulfil([Expectation(job.id, job.uid, None, succeeded_at=NOW)])
        store.fulfil([Expectation(job.id, job.uid, NOW + HOUR, succeeded_at=NOW + MINUTE)])

        assert store.expectations() == [Expectation(job.id, job.uid, None, NOW + MINUTE)]

    def test_what_is_expected_anew_replaces_what_was_if_the_change_won(self, store: Store, clock: VirtualClock) -> None:
        jobs = {id: make_job(id, expect_every=HOUR) for id in ("loser", "winner")}
        store.add([*jobs.values()])
        store.fulfil([Expectation("winner", jobs["winner"].uid, NOW + HOUR, succeeded_at=NOW)])
        clock.advance(2 * HOUR)
        store.find_overdue("a", limit=PLENTY)
        changes = [next_version(jobs["winner"], paused_at=NOW), next_version(jobs["loser"]._replace(version=7))]

        store.save(changes, expected=[Expectation(id, job.uid, None) for id, job in jobs.items()])

        loser, winner = store.expectations()
        assert winner == Expectation("winner", jobs["winner"].uid, None, succeeded_at=NOW)
        assert loser.overdue_at == NOW + 2 * HOUR

    def test_what_is_expected_ends_with_the_policy_and_with_the_job(self, store: Store, clock: VirtualClock) -> None:
        jobs = [make_job(id, expect_every=HOUR) for id in ("changed", "kept", "removed")]
        store.add(jobs)
        store.remove(["removed"])
        store.save([next_version(jobs[0], expect_every=None)])
        clock.advance(2 * HOUR)

        found = store.find_overdue("a", limit=PLENTY)

        assert [one.job_id for one in found] == [one.job_id for one in store.expectations()] == ["kept"]
        assert store.fulfil([Expectation("removed", jobs[2].uid, NOW + 3 * HOUR, succeeded_at=clock.now())]) == []
        assert [one.job_id for one in store.expectations()] == ["kept"]

    # nodes

    @many_examples
    @given(node=nodes)
    def test_every_field_of_a_node_survives(self, store: Store, node: Node) -> None:
        node = node._replace(id=f"{new_uid()}")
        store.beat(node)

        assert node.read_at(NOW) in store.nodes(limit=PLENTY)

    def test_a_beat_moves_a_node_on_and_does_not_make_another(self, store: Store, clock: VirtualClock) -> None:
        store.beat(node := make_node())
        clock.advance(3 * SECOND)
        told = {"paused": True, "runs": 7, "lateness": SECOND, "clock_error": -MINUTE, "lifeline": "l"}
        store.beat(later := node.beat(clock.now(), 10 * SECOND, **told))

        assert store.nodes() == [later]
        assert (later.seen_since, later.seen_at, later.lease_until) == (NOW, NOW + 3 * SECOND, NOW + 13 * SECOND)
        assert {name: getattr(later, name) for name in told} == told

    def test_a_beat_tells_what_the_living_nodes_declare(self, store: Store, clock: VirtualClock) -> None:
        first = store.beat(make_node("a", declaration="old"))
        both = store.beat(make_node("b", declaration="new"))
        store.beat(make_node("b", declaration="new").stopped(NOW))
        clock.advance(5 * SECOND)
        with store.together():
            again = store.beat(
                make_node("a", declaration="old").beat(clock.now(), 10 * SECOND, paused=False, runs=0, lateness=None)
            )
        clock.advance(15 * SECOND)
        alone = store.beat(make_node("c", clock.now(), declaration="new"))

        assert (first, sorted(both), again, alone) == (["old"], ["new", "old"], ["old"], ["new"])

    def test_a_node_is_alive_until_its_lease_ends_or_it_stops(self, store: Store, clock: VirtualClock) -> None:
        for id in ("a", "b"):
            store.beat(make_node(id))
        clock.advance(5 * SECOND)
        store.beat(make_node("c", clock.now()))
        store.beat(make_node("b").stopped(clock.now()))

        states = []
        for _ in range(4):
            alive = [node.id for node in store.nodes(alive=True)]
            states.append(({node.id: node.state.value for node in store.nodes()}, alive))
            clock.advance(5 * SECOND)

        stopped = {"b": "stopped"}
        assert states == [
            ({"a": "alive", "c": "alive"} | stopped, ["c", "a"]),
            ({"a": "dead", "c": "alive"} | stopped, ["c"]),
            ({"a": "dead", "c": "dead"} | stopped, []),
            ({"a": "dead", "c": "dead"} | stopped, []),
        ]

    def test_a_node_that_comes_back_is_listed_once_and_alive_again(self, store: Store, clock: VirtualClock) -> None:
        store.beat(node := make_node())
        clock.advance(MINUTE)
        back = node.beat(clock.now(), 10 * SECOND, paused=False, runs=0, lateness=None)
        store.beat(back)

        assert store.nodes() == store.nodes(alive=True) == [back]
        assert (back.started_at, back.seen_since) == (NOW, NOW + MINUTE)

    def test_nodes_stand_in_the_order_in_which_they_were_heard_of_and_are_limited(
        self, store: Store, clock: VirtualClock
    ) -> None:
        clock.advance(4 * SECOND)
        for second, id in enumerate("badc"):
            store.beat(make_node(id, NOW + second * SECOND))
        store.beat(make_node("e", NOW + 3 * SECOND))

        assert [node.id for node in store.nodes()] == [*"cedab"]
        assert (
            [node.id for node in store.nodes(limit=2)]
            == [node.id for node in store.nodes(alive=True, limit=2)]
            == ["c", "e"]
        )

    def test_nodes_are_forgotten_with_the_ledger_but_never_living_ones(self, store: Store, clock: VirtualClock) -> None:
        for day in range(5):
            store.beat(make_node(f"day {day}", NOW + day * 24 * HOUR))
        store.beat(make_node("long lived", NOW, seen_at=NOW + 96 * HOUR))
        clock.move_to(NOW + 96 * HOUR)

        prune(store, Retention(age=48 * HOUR, count=None))
        kept = [node.id for node in store.nodes()]
        prune(store, Retention(age=timedelta(0), count=None))

        assert kept == ["day 4", "long lived", "day 3", "day 2"]
        assert [node.id for node in store.nodes()] == ["day 4", "long lived"]

    def test_a_living_node_is_remembered_however_long_ago_it_was_heard_of(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.beat(make_node("alive", lease_until=NOW + HOUR))
        store.beat(make_node("dead"))
        clock.advance(MINUTE)

        prune(store, Retention(age=timedelta(0)))

        assert [node.id for node in store.nodes()] == ["alive"]

    def test_a_declaration_is_kept_as_long_as_a_node_is_remembered_that_names_it(
        self, store: Store, clock: VirtualClock
    ) -> None:
        named, unnamed = (declaration_of([make_job(id)], "app") for id in ("a", "b"))
        for declaration in (named, unnamed):
            store.declare(declaration)
        store.beat(make_node("a", declaration=named.name))
        clock.advance(3 * HOUR)

        prune(store, Retention(age=4 * HOUR))
        kept = store.pack_rest().declarations
        prune(store, Retention(age=HOUR))

        assert [*kept] == [named.name]
        assert store.pack_rest().declarations == {}

    def test_a_ledger_that_is_kept_for_ever_keeps_its_latest_nodes(
        self, store: Store, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(base, "MAX_NODES", 3)
        for second in range(9):
            store.beat(make_node(str(second), NOW + second * SECOND))
        clock.advance(HOUR)

        prune(store, FOREVER)

        assert [node.id for node in store.nodes()] == ["8", "7", "6"]

    # moving house: tests/test_mover.py has what both stores do together

    def test_a_move_is_noted_by_whoever_has_read_what_was_noted(self, store: Store) -> None:
        first, second = make_move(MoveState.COPYING), make_move(MoveState.LEAVING)

        written = [
            store.write_move(None, first), store.write_move(None, second), store.write_move(second, None),
            store.write_move(first, second),
        ]  # fmt: skip

        assert written == [True, False, False, True]
        assert store.move() == second
        assert (store.write_move(second, None), store.move()) == (True, None)

    def test_a_note_of_any_text_comes_back_as_it_was(self, store: Store) -> None:
        note = make_move(MoveState.LEFT)._replace(other="sqlite:////tmp/한국어 \"'\\.db", since=NOW + SECOND / 7)

        store.write_move(None, note)

        assert store.move() == note

    @pytest.mark.parametrize("state", MoveState)
    def test_what_moves_or_has_moved_fires_claims_and_fills_nothing(self, store: Store, state: MoveState) -> None:
        store.add([due := make_job("due"), waiting := make_job("waiting", next_fire_time=None)])
        backfilled = make_run(waiting, NOW - HOUR, origin=Origin.BACKFILL, backfill="one")
        store.save([next_version(waiting, make_run(waiting), backfilled)])
        store.add_backfill(make_backfill(due, NOW - HOUR, NOW))
        note = make_move(state)
        store.write_move(None, note)

        def moved_on(one: Backfill) -> Filling:
            return Filling(one._replace(cursor=NOW, version=one.version + 1), moved=True)

        asked: list[Job] = []
        store.fire(lambda jobs, *_: asked.extend(jobs) or [], executor="threads", until=NOW, limit=PLENTY)
        fired, claims = fire(store, hold=make_hold()), claimed(store)
        filled = store.fill(lambda one, active: [], lambda one, *_: moved_on(one), limit=PLENTY)

        found = (len(asked), len(fired), len(claims), len(filled))
        assert found == ((1, 1, 2, 1) if note.fires else (0, 0, 0, 0))
        store.write_move(note, None)
        assert len(fire(store, until=NOW + MINUTE)) == 1  # nothing was lost of it

    @pytest.mark.parametrize("state", MoveState)
    def test_outcomes_are_written_while_a_store_is_being_left(self, store: Store, state: MoveState) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        store.write_move(None, make_move(state))

        (renewed,) = store.renew([run], NOW + HOUR)
        won = store.settle([settle(renewed, Retry(2), Failed("broken"), NOW)])

        assert [one.attempt is not None for one in won] == [True]
        assert [one.state for one in store.runs()] == [RunState.PENDING, RunState.FAILED]

    @pytest.mark.parametrize("state", MoveState)
    def test_what_has_moved_refuses_whatever_people_change(self, store: Store, state: MoveState) -> None:
        job, run = make_job(expect_every=HOUR), make_run(make_job())
        store.add([job])
        backfill = make_backfill(job, NOW - HOUR, NOW)
        store.add_backfill(backfill)
        store.save([next_version(job, run := make_run(job))], expected=[Expectation("job", job.uid, NOW)])
        note = make_move(state)
        store.write_move(None, note)
        changes: list[Callable[[], object]] = [
            lambda: store.add([make_job("new")]),
            lambda: store.save([next_version(store.get("job"))]),
            lambda: store.save_state(StateChange(job.uid, {"k": 0}, {"k": 1})),
            lambda: store.find_overdue("a", limit=1),
            lambda: store.cancel([cancel(run, "", NOW)]),
            lambda: store.add_backfill(make_backfill(job, NOW - HOUR, NOW)),
            lambda: store.end_backfill(end_backfill(store.backfill(backfill.id), "", NOW), lambda one: one),
            lambda: store.remove(["job"]),
        ]

        def is_refused(change: Callable[[], object]) -> bool:
            try:
                change()
            except StoreMovedError as error:
                return note.other in str(error)
            return False

        assert [is_refused(change) for change in changes] == [note.refuses] * len(changes)
        assert [one.id for one in store.jobs()] == (["job"] if note.refuses else ["new"])

    @pytest.mark.parametrize("state", MoveState)
    def test_nothing_is_pruned_while_rows_are_counted(self, store: Store, state: MoveState) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, closed(job, 0), closed(job, 1))])
        store.beat(make_node("dead", NOW - HOUR))
        note = make_move(state)
        store.write_move(None, note)

        deleted = prune(store, Retention(age=MINUTE, count=1))

        assert deleted == (0 if note.keeps_all else 1)
        assert store.holdings() == (1, 2 - deleted, 0)
        assert len(store.nodes()) == (1 if note.keeps_all else 0)

    def test_what_is_unpacked_twice_is_here_once(self, store: Store) -> None:
        job = make_job()
        rows = [PackedRun(4, make_run(job)), PackedRun(9, closed(job, 1))]
        note = make_move(MoveState.ARRIVING)
        store.write_move(None, note)

        written = [store.unpack(note, jobs=[PackedJob(job)], runs=rows) for _ in range(2)]

        assert written == [True, True]
        assert store.holdings() == (1, 2, 0)
        assert [packed.run for packed in store.pack_runs(limit=PLENTY)] == [packed.run for packed in rows]

    def test_what_was_unpacked_is_not_written_over(self, store: Store, clock: VirtualClock) -> None:
        """Who was interrupted comes again; what is here is as new as that, or newer."""
        note, job = make_move(MoveState.ARRIVING), make_job(expect_every=HOUR)
        store.write_move(None, note)

        def things(which: int) -> tuple[list[PackedJob], list[PackedRun], PackedRest]:
            state = StoredState(which, {"a": Entry(which, which)})
            log = RunLog((LogLine(NOW, "INFO", "app", str(which)),))
            runs = [make_run(job, asked_by=str(which)), closed(job, 1, reason=str(which))]
            at, step = NOW + which * SECOND, 1 if which == 1 else -1
            return (
                [PackedJob(job._replace(name=str(which)), Expectation("job", job.uid, at), state)],
                [PackedRun(number, run, log) for number, run in enumerate(runs, 4)],
                PackedRest(
                    [make_backfill(job, NOW - HOUR, NOW)._replace(id=id, born=which) for id in ("a", "b")[::step]],
                    [
                        LedgerNote(1, "gone", at),
                        LedgerNote(2, "gone too", at, at),
                        LedgerNote(job.uid, "job", None, at),
                    ],
                    [make_node("a", seen_at=at, declaration="old"), make_node("b", runs=which, stopped_at=NOW)],
                    {"declared": ["a", "b"]},
                ),
            )

        for which in (1, 2):
            jobs, runs, rest = things(which)
            assert store.unpack(note, jobs=jobs, runs=runs, rest=rest)

        jobs, runs, rest = things(1)
        assert [*store.pack_jobs(limit=PLENTY)] == jobs
        assert [packed[1:] for packed in store.pack_runs(limit=PLENTY)] == [packed[1:] for packed in runs]
        packed = store.pack_rest()
        assert [*packed.backfills] == [*rest.backfills]
        assert sorted(packed.notes) == sorted(rest.notes)
        assert sorted(packed.nodes) == sorted(rest.nodes)
        assert {name: sorted(ids) for name, ids in packed.declarations.items()} == rest.declarations
        clock.advance(11 * SECOND)
        assert store.beat(make_node("c", clock.now(), declaration="new")) == ["new"]

    def test_what_was_unpacked_goes_on_as_if_it_had_been_written_here(self, store: Store, clock: VirtualClock) -> None:
        note, job = make_move(MoveState.ARRIVING), make_job(max_instances=2)
        going_on = make_backfill(job, NOW - HOUR, NOW)
        ended = make_backfill(job, NOW - HOUR, NOW, ended_at=NOW)
        waits, runs, failed = make_run(job), held_run(job, NOW - MINUTE), closed(job, -2, RunState.FAILED)
        too_many = make_run(job, NOW + MINUTE, available_at=NOW)
        backfilled = make_run(job, NOW - HOUR, origin=Origin.BACKFILL, backfill=going_on.id)
        nodes = [make_node("a", declaration="a"), make_node("b", declaration="b", stopped_at=NOW)]
        store.write_move(None, note)
        store.unpack(
            note, jobs=[PackedJob(job, Expectation(job.id, job.uid, NOW + HOUR))],
            runs=[PackedRun(number, run) for number, run in enumerate((waits, runs, failed, too_many, backfilled), 1)],
            rest=PackedRest([going_on, ended], [], nodes, {}),
        )  # fmt: skip
        store.write_move(note, arrived := note._replace(state=MoveState.ARRIVED))

        assert store.move() == arrived
        assert [run.id for run in claimed(store, node="c")] == [waits.id, backfilled.id]
        assert store.lost(9, nodes=["a"]) == [runs]
        assert store.runs(states=[RunState.FAILED]) == [failed]
        told: list[object] = []

        def decide(one: Backfill, active: Sequence[Run], *_: object) -> Filling:
            told.extend([one.id, *(run.id for run in active)])
            return Filling(one)

        store.fill(lambda *_: (), decide, limit=9)
        assert told == [going_on.id, backfilled.id]
        assert sorted(store.beat(make_node("c", declaration="c"))) == ["a", "c"]
        assert len(fire(store)) == 1
        clock.advance(2 * HOUR)
        assert [one.job_id for one in store.find_overdue("a", limit=9)] == ["job"]
        prune(store, Retention(age=HOUR))
        assert [one.id for one in store.backfills()] == [going_on.id]

    def test_each_job_is_packed_with_what_is_its_own(self, store: Store) -> None:
        store.add(jobs := [make_job(id, expect_every=hours * HOUR) for hours, id in enumerate("abc", 1)])
        for job in jobs[:2]:
            store.save_state(StateChange(job.uid, {"a": 0}, {"a": job.id}))

        packed = [one for after in ("", "b") for one in store.pack_jobs(after=after, limit=2)]

        assert [(one.job.id, one.state.values) for one in packed] == [("a", {"a": "a"}), ("b", {"a": "b"}), ("c", {})]
        assert [one.expectation for one in packed] == [
            Expectation(job.id, job.uid, NOW + hours * HOUR) for hours, job in enumerate(jobs, 1)
        ]

    def test_a_mover_that_was_overtaken_can_write_and_delete_nothing(self, store: Store) -> None:
        note = make_move(MoveState.ARRIVING)
        store.write_move(None, note)
        store.unpack(note, jobs=[PackedJob(job := make_job())])
        store.write_move(note, note._replace(mover="another"))

        written = store.unpack(note, jobs=[PackedJob(make_job("late"))]), store.clear(note)

        assert written == (False, False)
        assert store.jobs() == [job]

    def test_what_was_unpacked_can_be_deleted_again(self, store: Store) -> None:
        note = make_move(MoveState.ARRIVING)
        store.write_move(None, note)
        store.unpack(note, jobs=[PackedJob(job := make_job())], runs=[PackedRun(1, make_run(job))])

        assert store.clear(note)

        assert (store.holdings().empty, store.move()) == (True, note)
        store.write_move(note, None)
        store.add([job])
        assert len(fire(store)) == 1

    def test_rows_are_packed_page_by_page_or_by_their_numbers(self, store: Store) -> None:
        store.add([job := make_job()])
        rows = [make_run(job, NOW + minute * MINUTE) if minute % 2 else closed(job, minute) for minute in range(5)]
        store.save([next_version(job, *rows)])

        pages, after = [], -1
        while page := store.pack_runs(after=after, limit=2):
            pages.append([packed.run.fire_time for packed in page])
            after = page[-1].number
        last = store.pack_runs(numbers=[after], limit=PLENTY)
        store.keep_logs([(run, RunLog((LogLine(NOW, "INFO", "app", run.id),))) for run in rows])
        numbered = {packed.number: packed for packed in store.pack_runs(limit=PLENTY)}
        assert [packed.run for packed in numbered.values()] == rows
        for number, packed in numbered.items():
            assert packed.log == store.log(packed.run.id)
            assert store.pack_runs(numbers=[number], limit=PLENTY) == [packed]

        assert pages == [[NOW, NOW + MINUTE], [NOW + 2 * MINUTE, NOW + 3 * MINUTE], [NOW + 4 * MINUTE]]
        assert [packed.run.fire_time for packed in last] == pages[-1]

    def test_what_is_born_after_a_move_comes_behind_what_was_moved(self, store: Store) -> None:
        job, note = make_job(), make_move(MoveState.ARRIVING)
        store.write_move(None, note)
        store.unpack(note, jobs=[PackedJob(job)], runs=[PackedRun(1_000, closed(job, -1))])
        store.write_move(note, note._replace(state=MoveState.ARRIVED))

        fire(store)

        assert [run.fire_time for run in store.runs()] == [NOW, NOW - MINUTE]


class SharedStoreLaws:
    """What a store does besides when several processes may use it; here each process is another handle."""

    @pytest.fixture
    def other(self, make_store: MakeStore, store: Store) -> Iterator[Store]:
        other = make_store()
        other.open()
        yield other
        other.close()

    def test_it_exists_once_it_was_opened_and_asking_does_not_make_it(self, make_store: MakeStore) -> None:
        with closing(make_store()) as asking, closing(make_store()) as opened:
            assert not asking.exists()
            assert not asking.exists()

            opened.open()

            assert asking.exists()

    def test_each_handle_sees_what_the_other_writes(self, store: Store, other: Store) -> None:
        store.add([job := make_job()])

        fired = fire(other, hold=make_hold("b"))
        run = store.runs()[0]
        store.settle([settle(run, job.retry, DONE, NOW)])
        other.save([next_version(other.get("job"), name="renamed")])

        assert fired[0].runs == (run,)
        assert other.run(run.id).state is RunState.SUCCEEDED
        assert store.get("job").name == "renamed"

    def test_what_is_overdue_is_found_by_one_of_many(self, store: Store, other: Store, clock: VirtualClock) -> None:
        store.add([make_job(f"job-{number}", expect_every=SECOND) for number in range(40)])
        clock.advance(MINUTE)

        found = in_threads(lambda number: (store, other)[number % 2].find_overdue(str(number), limit=3), 40)

        told = [one.job_id for batch in found for one in batch]
        assert sorted(told) == sorted({*told})
        assert len(told) == 40

    def test_a_definition_changed_through_one_handle_is_fired_by_the_other_as_it_is_now(
        self, store: Store, other: Store
    ) -> None:
        store.add([make_job(kwargs={"which": "first"})])
        fire(other)
        job = store.get("job")
        store.save([next_version(job, kwargs={"which": "second"}, revision=job.revision + 1)])

        (change,) = fire(other, until=NOW + MINUTE)

        assert change.job.kwargs == {"which": "second"}

    def test_a_change_that_does_not_change_the_definition_leaves_it_as_it_was_written(
        self, store: Store, other: Store
    ) -> None:
        """Perhaps by a newer version, which knows more of it than we do."""
        store.add([job := make_job(kwargs={"known": 1}, expect_every=HOUR)])
        expected = store.expectations()

        other.save([Change(job._replace(version=2, kwargs={}, expect_every=None, next_fire_time=NOW + HOUR))])

        assert store.get("job") == job._replace(version=2, next_fire_time=NOW + HOUR)
        assert store.expectations() == expected

    def test_of_two_handles_that_change_one_version_one_wins(self, store: Store, other: Store) -> None:
        store.add([job := make_job()])

        won = [*store.save([next_version(job, name="a")]), *other.save([next_version(job, name="b")])]

        assert [change.job.name for change in won] == ["a"]

    def test_handles_that_fire_together_fire_each_job_once(self, store: Store, other: Store) -> None:
        store.add([make_job(f"job-{number:02}") for number in range(40)])

        fired = in_threads(lambda number: fire((store, other)[number % 2], limit=5), 16)

        assert sorted(change.job.id for batch in fired for change in batch) == [
            f"job-{number:02}" for number in range(40)
        ]

    def test_handles_that_add_backfills_together_add_no_more_than_may_go_on(self, store: Store, other: Store) -> None:
        store.add([job := make_job()])
        for _ in range(MAX_OPEN_BACKFILLS - 9):
            store.add_backfill(make_backfill(job, NOW, NOW + HOUR))

        def add(number: int) -> int:
            try:
                (store, other)[number % 2].add_backfill(make_backfill(job, NOW, NOW + HOUR))
            except InvalidJobError:
                return 0
            return 1

        added = sum(in_threads(add, 30))

        assert added == 9
        assert len(store.backfills(ended=False, limit=PLENTY)) == MAX_OPEN_BACKFILLS

    def test_handles_that_prune_together_while_others_fire_delete_each_row_once(
        self, store: Store, other: Store
    ) -> None:
        store.add([make_job(f"job-{number}") for number in range(8)])
        for job in store.jobs():
            store.save([next_version(job, *(closed(job, minute - 60) for minute in range(20)))])

        def prune_or_fire(number: int) -> int:
            handle = (store, other)[number % 2]
            if number % 3 == 0:
                fire(handle, hold=make_hold(), until=NOW + HOUR, limit=2)
                return 0
            return prune(handle, Retention(age=None, count=9), rows=7)

        deleted = sum(in_threads(prune_or_fire, 18))
        deleted += prune(store, Retention(age=None, count=9))

        left = store.runs(limit=PLENTY)
        assert len(left) + deleted == 8 * 20 + sum(run.state is RunState.RUNNING for run in left)
        assert all(len(store.runs(job_id=f"job-{number}")) == 9 for number in range(8))

    def test_a_store_outlives_its_handles(self, store: Store, make_store: MakeStore) -> None:
        store.add([job := make_job(trigger=CronTrigger("0 3 * * *", timezone="Asia/Seoul"))])
        store.save([next_version(job, run := make_run(job))])
        store.close()

        again = make_store()
        again.open()

        assert again.get("job") == job._replace(version=2)
        assert again.runs() == [run]
        again.close()


class BellLaws(SharedStoreLaws):
    """What a shared store does besides whose handles wake each other."""

    @pytest.mark.parametrize("verb", ["add", "save", "fire", "settle", "cancel"])
    def test_what_may_be_due_earlier_rings_the_other_handle_and_not_the_one_that_wrote(
        self, store: Store, other: Store, verb: str
    ) -> None:
        store.add([job := make_job(retry=Retry(2)), make_job("due", next_fire_time=NOW)])
        store.save([next_version(job, run := held_run(job), next_fire_time=NOW + MINUTE)])
        rung, heard = threading.Event(), threading.Event()
        other.open(rung.set)
        store.open(heard.set)

        match verb:
            case "add":
                store.add([make_job("new")])
            case "save":
                store.save([next_version(store.get("job"), make_run(job, NOW + SECOND, origin=Origin.MANUAL))])
            case "fire":
                fire(store)
            case "settle":
                store.settle([settle(run, job.retry, Released(), NOW)])
            case _:
                store.cancel([cancel(run, "enough", NOW)])

        assert rung.wait(5)
        assert not heard.is_set()

    def test_a_handle_that_was_closed_is_not_rung(self, store: Store, other: Store, make_store: MakeStore) -> None:
        closed, third_rung = threading.Event(), threading.Event()
        other.open(closed.set)
        other.close()
        third = make_store()
        third.open(third_rung.set)

        store.add([make_job()])

        assert third_rung.wait(5)
        assert not closed.is_set()
        third.close()


class LifelineLaws:
    """Of a store that sees at once when a process dies; it is opened by a node, which rings and is rung."""

    @pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
    def test_the_lifeline_of_a_killed_process_is_cut_but_not_while_it_lives_or_stands_still(
        self, make_store: MakeStore, clock: VirtualClock
    ) -> None:
        store = make_store()
        store.open()
        store.add([job := make_job()])
        store.save([next_version(job, held_run(job))])  # something runs: else nobody asks
        heard, tell = os.pipe()
        child = os.fork()
        if child == 0:
            _live_as(make_store(), "doomed", lambda: os.write(tell, b"!"))
        os.read(heard, 1)

        def looks() -> list[str]:
            """Two, a second apart: one is not enough where a session can be lost without a death."""
            store.cut_lifelines()
            clock.advance(SECOND)
            return [*store.cut_lifelines()]

        alive = looks()
        os.kill(child, signal.SIGSTOP)
        stopped = looks()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        deadline = time.monotonic() + 5
        while not store.cut_lifelines() and time.monotonic() < deadline:
            clock.advance(timedelta(milliseconds=10))  # a server lets go within milliseconds, of its own
        dead = looks()
        clock.advance(10 * SECOND)
        store.close()

        assert (alive, stopped, dead) == ([], [], ["doomed"])
        assert clock.now() < NOW + MINUTE

    def test_a_node_that_says_that_it_stops_is_not_taken_for_dead(
        self, make_store: MakeStore, clock: VirtualClock
    ) -> None:
        store, leaving = make_store(), make_store()
        store.open()
        store.add([job := make_job()])
        store.save([next_version(job, held_run(job))])
        leaving.open(lambda: None)
        leaving.beat(node := make_node(lifeline=held_lifeline(leaving, "a")))
        leaving.beat(node.stopped(clock.now()))
        leaving.close()

        looks = [store.cut_lifelines() for _ in range(3) if clock.advance(SECOND) is None]
        store.close()

        assert [*map(list, looks)] == [[], [], []]

    def test_a_lifeline_is_held_for_one_node_at_a_time_and_again_after_a_restart(self, make_store: MakeStore) -> None:
        store = make_store()

        closed = store.hold_lifeline("a")
        names = []
        for node in ("a", "b"):
            store.open(lambda: None)
            names.append(held_lifeline(store, node))
            again = store.hold_lifeline(node)
            store.close()
            assert again == names[-1]

        assert closed == store.hold_lifeline("b") == ""
        assert all(names)


def held_lifeline(store: Store, node: str) -> str:
    """The lifeline of an opened store; on a server it takes a moment."""
    deadline = time.monotonic() + 10
    while not (lifeline := store.hold_lifeline(node)):
        assert time.monotonic() < deadline, "expected a lifeline within 10 s"
        time.sleep(0.005)
    return lifeline


def _live_as(store: Store, node: str, ready: Callable[[], object]) -> None:
    """The life of a forked child, until it is killed."""
    try:
        store.open(lambda: None)
        store.beat(make_node(node, lifeline=held_lifeline(store, node)))
        ready()
        signal.pause()
    finally:
        os._exit(1)


class LendingStoreLaws:
    """What a store does besides whose database jobs may write into, in the transaction that settles their runs."""

    @pytest.fixture
    def notes(self, store: Store) -> Callable[[], list[str]]:
        """The rows of a table of the user's own."""
        with store.lend() as connection:
            connection.execute("create table notes (note text unique)")

        def notes() -> list[str]:
            with store.lend() as connection:
                return [note for (note,) in connection.execute("select note from notes order by note").fetchall()]

        return notes

    def test_what_is_written_on_the_connection_and_through_the_store_is_there_together(
        self, store: Store, notes: Callable[[], list[str]]
    ) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])
        ending = settle(run, job.retry, DONE, NOW)._replace(log=LOG, state=StateChange(job.uid, {"a": 0}, {"a": 1}))

        with store.lend() as connection:
            connection.execute("insert into notes values ('mine')")
            assert store.settle([ending]) == [ending]
            store.add([make_job("another")])
            assert store.run(run.id) == ending.run, "who is inside sees what it wrote"

        assert notes() == ["mine"]
        assert store.run(run.id) == ending.run
        assert store.log(run.id) == LOG
        assert store.state(job.uid).values == {"a": 1}
        assert [one.id for one in store.jobs()] == ["another", "job"]

    @pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), OSError("mine too")], ids=repr)
    def test_what_is_raised_inside_undoes_all_of_it_and_is_passed_on(
        self, store: Store, notes: Callable[[], list[str]], error: BaseException
    ) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job))])

        with pytest.raises(type(error)) as raised, store.lend() as connection:
            connection.execute("insert into notes values ('mine')")
            store.settle([settle(run, job.retry, DONE, NOW)])
            raise error

        assert raised.value is error
        assert notes() == []
        assert store.run(run.id) == run
        store.add([make_job("the store goes on")])

    def test_what_the_driver_says_of_the_borrowers_statements_is_passed_on(
        self, store: Store, notes: Callable[[], list[str]]
    ) -> None:
        with pytest.raises(Exception, match="(?i)unique") as raised, store.lend() as connection:
            connection.execute("insert into notes values ('once')")
            connection.execute("insert into notes values ('once')")

        assert not isinstance(raised.value, StoreError)
        assert notes() == []

    def test_a_verb_that_fails_inside_undoes_its_own_part(self, store: Store, notes: Callable[[], list[str]]) -> None:
        store.add([make_job("taken")])

        with store.lend() as connection:
            connection.execute("insert into notes values ('mine')")
            with pytest.raises(JobExistsError):
                store.add([make_job("new"), make_job("taken")])

        assert notes() == ["mine"]
        assert [one.id for one in store.jobs()] == ["taken"]

    def test_others_see_nothing_of_it_before_its_end(
        self, make_store: MakeStore, store: Store, notes: Callable[[], list[str]]
    ) -> None:
        other = make_store()
        other.open()

        with store.lend():
            store.add([make_job()])
            seen = other.jobs()
            seen_by_another_thread = in_threads(lambda _: len(store.jobs()), 1)

        assert (seen, seen_by_another_thread) == ([], [0])
        assert len(other.jobs()) == 1
        other.close()

    def test_one_inside_of_another_is_refused(self, store: Store) -> None:
        with pytest.raises(SchedulerError, match="expected one at a time"), store.lend(), store.lend():
            pass

        with store.lend():
            pass


def closed(job: Job, minutes: float, state: RunState = RunState.SUCCEEDED, **fields: object) -> Run:
    """A closed row of *job*, some minutes after NOW, at which it ended, too."""
    fire_time = NOW + minutes * MINUTE
    return make_run(job, fire_time, **({"state": state, "ended_at": fire_time} | fields))


def prune(store: Store, keep: Retention, *, jobs: int = PLENTY, rows: int = PLENTY) -> int:
    """Prune the whole ledger, step by step; how many rows went."""
    total, after = store.prune(keep, after=-1, jobs=jobs, rows=rows)
    while after is not None:
        deleted, after = store.prune(keep, after=after, jobs=jobs, rows=rows)
        total += deleted
    return total


def fire(
    store: Store, *, hold: Hold | None = None, executor: str = "threads", since: datetime | None = None,
    until: datetime = NOW, limit: int = PLENTY, skip: Sequence[str] | set[str] = (),
) -> Sequence[Change]:  # fmt: skip
    """Fire what is due *until* then: each job once, its run taken under *hold* or left waiting."""
    decide: Decide = lambda jobs, active, now: [fire_once(job, hold) for job in jobs]  # noqa: E731
    return store.fire(decide, executor=executor, since=since, until=until, limit=limit, skip=skip)


def fire_once(job: Job, hold: Hold | None = None) -> Change:
    """The simplest decision: a run for the next fire time, whatever the time and the policies."""
    assert job.next_fire_time is not None
    fire_time = job.next_fire_time
    run = (
        make_run(job, fire_time)
        if hold is None
        else held_run(job, fire_time, node=hold.node, lease_until=hold.lease_until)
    )
    return next_version(job, run, next_fire_time=fire_time + MINUTE, last_fire_time=fire_time)


def claimed(
    store: Store,
    *,
    node: str = "a",
    executor: str = "threads",
    since: datetime | None = None,
    limit: int = PLENTY,
    skip: Sequence[str] | set[str] = (),
) -> list[Run]:
    claims = store.claim(make_hold(node), executor=executor, since=since, limit=limit, skip=skip)
    return [claim.run for claim in claims]


def in_threads(act: Callable[[int], T], times: int) -> list[T]:
    """Call *act* with 0, 1, ... on threads that begin together; what they returned, in that order."""
    threads = 6
    barrier = threading.Barrier(threads)

    def work(first: int) -> list[T]:
        barrier.wait(10)
        return [act(number) for number in range(first, times, threads)]

    with ThreadPoolExecutor(threads) as pool:
        lanes = [*pool.map(work, range(threads))]
    return [lanes[number % threads][number // threads] for number in range(times)]


def _counted(job: Job) -> Change:
    return next_version(job, kwargs={"count": job.kwargs.get("count", 0) + 1}, revision=job.revision + 1)
