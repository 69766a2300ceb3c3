"""What is written together: one commit, seen whole or not at all, and kept whole or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.samples import NOW, SECOND, held_run, make_job, next_version

from tickwork.errors import JobExistsError, StoreUnavailableError
from tickwork.plan import Hold, settle
from tickwork.run import DONE, RunState
from tickwork.stores.sqlite import SQLiteStore
from tickwork.testing import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    store.open()
    yield store
    store.close()


@pytest.fixture
def other(tmp_path: Path, store: SQLiteStore, clock: VirtualClock) -> Iterator[SQLiteStore]:
    """Another process's handle on the same file."""
    other = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    other.open()
    yield other
    other.close()


def ids(store: SQLiteStore) -> list[str]:
    return [job.id for job in store.jobs()]


def test_others_see_all_of_it_at_the_end_and_nothing_before(store: SQLiteStore, other: SQLiteStore) -> None:
    with store.together():
        store.add([make_job("a")])
        store.add([make_job("b")])

        assert ids(store) == ["a", "b"], "who writes sees what it wrote"
        assert ids(other) == []

    assert ids(other) == ["a", "b"]


def test_what_was_settled_and_what_was_fired_share_one_commit(store: SQLiteStore, other: SQLiteStore) -> None:
    store.add([job := make_job(next_fire_time=None), make_job("due")])
    run = held_run(job)
    store.save([next_version(job, run)])

    with store.together():
        store.settle([settle(run, job.retry, DONE, NOW)])
        store.fire(lambda jobs, active, now: [next_version(jobs[0])], executor="threads", until=NOW, limit=1)
        store.claim(Hold("a", NOW + SECOND), executor="threads", limit=1)

        assert other.run(run.id).state is RunState.RUNNING

    assert other.run(run.id).state is RunState.SUCCEEDED
    assert other.get("due").version == 2


def test_what_raises_undoes_all_of_it(store: SQLiteStore) -> None:
    with pytest.raises(RuntimeError, match="no more"), store.together():
        store.add([make_job("a")])
        raise RuntimeError("no more")

    assert ids(store) == []


def test_a_verb_that_fails_is_undone_alone_if_its_caller_goes_on(store: SQLiteStore) -> None:
    store.add([make_job("taken")])

    with store.together():
        store.add([make_job("before")])
        with pytest.raises(JobExistsError):
            store.add([make_job("new"), make_job("taken")])
        store.add([make_job("after")])

    assert ids(store) == ["after", "before", "taken"]


def test_a_fault_undoes_all_of_it_and_passes_with_its_cause(store: SQLiteStore) -> None:
    with pytest.raises(StoreUnavailableError, match="disk I/O error"), store.together():
        store.add([make_job("a")])
        with store._file.writing():
            raise sqlite3.OperationalError("disk I/O error")

    assert ids(store) == []
    store.add([make_job("b")])
    assert ids(store) == ["b"]


def test_it_holds_for_its_own_thread_alone(store: SQLiteStore) -> None:
    """Another thread of the process waits for its own transaction, and is not part of this one."""
    other = threading.Thread(target=store.add, args=([make_job("other")],))

    with pytest.raises(RuntimeError, match="no more"), store.together():
        store.add([make_job("mine")])
        other.start()
        raise RuntimeError("no more")
    other.join()

    assert ids(store) == ["other"]


def test_nothing_is_begun_where_nothing_is_written(store: SQLiteStore, other: SQLiteStore) -> None:
    with store.together():
        assert ids(store) == []
        other.add([make_job("a")])

        assert ids(store) == ["a"]
