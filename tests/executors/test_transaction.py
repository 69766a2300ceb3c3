"""`run.transaction()`: what a job writes and the success of its run are there together, or neither is."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from psycopg.rows import dict_row
from tests.executors.laws import make_call
from tests.samples import NOW, SECOND, held_run, make_job, next_version

from tickwork import plan
from tickwork.errors import RunCancelledError, RunClosedError, RunLostError, SchedulerError, StateConflictError
from tickwork.events import Event, JobAdded, JobChanged
from tickwork.executors import transaction as transactions
from tickwork.executors.asyncio import invoke_async
from tickwork.executors.call import Call, RunContext, invoke
from tickwork.executors.injection import Surroundings
from tickwork.jobstate import StateChange
from tickwork.policies import ONCE
from tickwork.run import Failed, Lost, RunState, Succeeded, TimedOut
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.stores.memory import MemoryStore
from tickwork.testing import ManualScheduler, VirtualClock
from tickwork.timing import Timing

MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = make_store(database_url, clock=VirtualClock(NOW + SECOND))
    store.open()
    with store.lend() as connection:
        connection.execute("create table notes (note text unique)")
    yield store
    store.close()


@pytest.fixture
def call(store: Store) -> Callable[..., Call]:
    """Makes the call of a job's one run."""

    def call(func: Callable[..., Any], *args: Any) -> Call:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job, lease_until=None))])
        made = make_call(func, *args)
        made.job, made.run, made.clock, made.surroundings = job, run, store.clock, Surroundings(records=store)
        return made

    return call


def notes(store: Store) -> list[str]:
    with store.lend() as connection:
        return [note for (note,) in connection.execute("select note from notes order by note").fetchall()]


def write(run: RunContext) -> None:
    """What most jobs do."""
    with run.transaction() as connection:
        connection.execute(f"insert into notes values ('{run.key}')")  # as each driver has another place for parameters


def test_the_work_and_the_success_are_there_together(store: Store, call: Callable[..., Call]) -> None:
    def deed(run: RunContext) -> str:
        run.progress(1, 2)
        with run.transaction() as connection:
            run.log.info("writes")
            run.state["cursor"] = 7
            connection.execute("insert into notes values ('mine')")
        return "not kept"

    outcome = invoke(made := call(deed))

    run = store.run(made.run.id)
    assert outcome == Succeeded("not kept")
    assert (run.state, run.started_at, run.ended_at, run.result) == (
        RunState.SUCCEEDED,
        NOW + SECOND,
        NOW + SECOND,
        None,
    )
    assert run.progress is not None
    assert made.kept is not None
    assert made.kept.settled == run
    assert notes(store) == ["mine"]
    assert [line.text for line in store.log(run.id).lines] == ["writes"]
    assert store.state(made.job.uid).values == {"cursor": 7}


def test_what_is_raised_in_the_block_rolls_back_and_fails_the_run(store: Store, call: Callable[..., Call]) -> None:
    def deed(run: RunContext) -> None:
        with run.transaction() as connection:
            run.state["cursor"] = 7
            run.state.save()  # it is written with the block, and not before
            connection.execute("insert into notes values ('mine')")
            connection.execute("insert into notes values ('mine')")

    outcome = invoke(made := call(deed))

    assert isinstance(outcome, Failed)
    assert re.match("IntegrityError: UNIQUE constraint failed|UniqueViolation: duplicate key", outcome.reason)
    assert made.kept is not None
    assert made.kept.settled is None
    assert store.run(made.run.id) == made.run
    assert notes(store) == []
    assert store.state(made.job.uid).values == {}


def test_a_lease_that_was_renewed_meanwhile_is_no_obstacle(store: Store, call: Callable[..., Call]) -> None:
    made = call(write)
    for _ in range(3):
        store.renew([store.run(made.run.id)], NOW + 60 * SECOND)

    assert invoke(made) == Succeeded()
    assert store.run(made.run.id).version == 5
    assert len(notes(store)) == 1


def taken_over(store: Store, call: Call) -> None:
    store.settle([plan.settle(call.run, ONCE, Lost("frozen"), NOW)])


def cancelled(store: Store, call: Call) -> None:
    store.cancel([plan.cancel(call.run, "no need", NOW)])


def timed_out(store: Store, call: Call) -> None:
    call.asked = TimedOut("too slow")


def state_changed(store: Store, call: Call) -> None:
    store.save_state(StateChange(call.job.uid, {"cursor": 0}, {"cursor": "from outside"}))


@pytest.mark.parametrize(
    ("happens", "error", "message"),
    [
        (taken_over, RunLostError, "to be this node's still, got one that was taken over"),
        (cancelled, RunCancelledError, "^no need$"),
        (timed_out, RunCancelledError, "^too slow$"),
        (state_changed, StateConflictError, "expected to be the only one to change 'cursor'"),
    ],
)
def test_who_may_not_succeed_any_more_is_told_in_the_function_and_nothing_is_kept(
    store: Store,
    call: Callable[..., Call],
    happens: Callable[[Store, Call], None],
    error: type,
    message: str,
) -> None:
    """Whatever happened before the block or while it waited for its turn."""

    def deed(run: RunContext) -> None:
        run.state["cursor"] = 7
        happens(store, made)
        with pytest.raises(error, match=message), run.transaction() as connection:
            connection.execute("insert into notes values ('mine')")
        raise error("and so it fails")

    made = call(deed)
    outcome = invoke(made)

    assert isinstance(outcome, Failed)
    assert notes(store) == []
    assert store.run(made.run.id).state is not RunState.SUCCEEDED
    assert store.state(made.job.uid).values.get("cursor") != 7


def test_a_job_can_be_added_with_what_is_written(store: Store, call: Callable[..., Call]) -> None:
    """The verbs of the store take part, as they are called on the same thread."""

    def deed(run: RunContext) -> None:
        with run.transaction() as connection:
            store.add([make_job("follows")])
            connection.execute("insert into notes values ('mine')")
            raise ValueError("no luck")

    invoke(call(deed))

    assert [job.id for job in store.jobs()] == ["job"]


def test_one_transaction_is_enough_for_a_run(store: Store, call: Callable[..., Call]) -> None:
    def deed(run: RunContext) -> None:
        write(run)
        write(run)

    outcome = invoke(made := call(deed))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("RunClosedError: run.transaction(): expected one in a run, got a second")
    assert store.run(made.run.id).state is RunState.SUCCEEDED
    assert len(notes(store)) == 1


def test_a_second_may_follow_one_that_was_rolled_back(store: Store, call: Callable[..., Call]) -> None:
    def deed(run: RunContext) -> None:
        run.state["tries"] = 1
        with pytest.raises(ValueError, match="again"), run.transaction() as connection:
            connection.execute("insert into notes values ('first')")
            run.state["tries"] = 2
            run.state.save()
            raise ValueError("again")
        with run.transaction() as connection:
            connection.execute("insert into notes values ('second')")

    assert invoke(made := call(deed)) == Succeeded()
    assert notes(store) == ["second"]
    assert store.state(made.job.uid).values == {"tries": 2}


@pytest.mark.parametrize("late", ["assigned", "in place", "saved"])
def test_a_state_that_is_changed_after_the_commit_is_said_to_be_too_late(
    store: Store, call: Callable[..., Call], late: str
) -> None:
    def deed(run: RunContext) -> None:
        run.state["list"] = []
        write(run)
        if late == "assigned":
            with pytest.raises(RunClosedError, match="got one that its transaction has settled"):
                run.state["list"] = [1]
        elif late == "saved":
            run.state.save()
        else:
            run.state["list"].append(1)

    outcome = invoke(made := call(deed))

    assert isinstance(outcome, Succeeded if late == "assigned" else Failed)
    assert store.state(made.job.uid).values == {"list": []}


def test_a_coroutine_is_told_what_to_write(store: Store, call: Callable[..., Call]) -> None:
    async def deed(run: RunContext) -> None:
        with pytest.raises(SchedulerError, match=r"write await asyncio.to_thread\(work, run\)"), run.transaction():
            pass
        await asyncio.to_thread(write, run)

    assert asyncio.run(invoke_async(made := call(deed))) == Succeeded()
    assert store.run(made.run.id).state is RunState.SUCCEEDED
    assert len(notes(store)) == 1


def test_the_memory_store_says_that_it_cannot() -> None:
    made = make_call(write)
    made.surroundings = Surroundings(records=MemoryStore())

    outcome = invoke(made)

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(
        "StoreUnusableError: run.transaction(): expected a store with transactions, got memory"
    )


def test_who_holds_it_for_long_is_told(
    store: Store, call: Callable[..., Call], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "LONG", 0.0)

    with caplog.at_level(logging.WARNING):
        invoke(made := call(write))

    assert f"run {made.run.id} of job 'job' held its transaction for 0.0 s" in caplog.text


def test_a_commit_that_fails_leaves_the_run_unsettled(store: Store, call: Callable[..., Call]) -> None:
    """A constraint that is checked at the commit."""
    with store.lend() as connection:
        connection.execute(
            "create table parts (part text, whole text references notes (note) deferrable initially deferred)"
        )

    def deed(run: RunContext) -> None:
        with run.transaction() as connection:
            connection.execute("insert into parts values ('part', 'of nothing')")

    outcome = invoke(made := call(deed))

    assert isinstance(outcome, Failed)
    assert re.search("(?i)foreign key constraint", outcome.reason)
    assert made.kept is not None
    assert made.kept.settled is None
    assert store.run(made.run.id) == made.run


def test_a_table_of_ones_own_is_read_and_written_with_ones_own_settings(
    store: Store, call: Callable[..., Call]
) -> None:
    def deed(run: RunContext) -> None:
        with run.transaction() as connection:
            connection.row_factory = sqlite3.Row if isinstance(connection, sqlite3.Connection) else dict_row
            connection.execute("insert into notes values ('mine')")
            assert connection.execute("select note from notes").fetchone()["note"] == "mine"

    assert invoke(call(deed)) == Succeeded()
    store.add([make_job("the store's own rows are as they were")])


# what is to be told of what is done inside


@pytest.mark.parametrize("undone", [False, True])
def test_what_is_told_of_inside_is_told_after_the_commit_or_never(
    store: Store, call: Callable[..., Call], undone: bool
) -> None:
    told: list[str] = []

    def deed(run: RunContext) -> None:
        with run.transaction():
            transactions.when_committed(store, lambda: told.append("mine"))
            transactions.when_committed(MemoryStore(), lambda: told.append("another store's"))
            assert told == ["another store's"]
            if undone:
                raise ValueError("no luck")
        assert told == ["another store's", "mine"]

    invoke(call(deed))
    transactions.when_committed(store, lambda: told.append("outside"))

    assert told == ["another store's", *([] if undone else ["mine"]), "outside"]


class Change(NamedTuple):
    """What the job of `changing` does to others."""

    scheduler: ManualScheduler
    fails: bool


changes: list[Change] = []


def changing(run: RunContext) -> None:
    (change,) = changes
    with run.transaction():
        change.scheduler.pause_job("held")
        change.scheduler.add_job("tests.samples:work", "interval", hours=1, id="new")
        if change.fails:
            raise ValueError("no luck")


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_that_was_claimed_ahead_is_withdrawn_when_the_pause_of_its_job_is_committed(
    database_url: str, fails: bool
) -> None:
    """The verbs of a scheduler inside of a transaction: what they do, and whom they tell, comes with its commit."""
    scheduler = ManualScheduler(database_url, start=NOW)
    scheduler._timing = Timing(ahead=50 * MILLISECOND, rest=timedelta(0), short_rest=timedelta(0))
    heard: list[Event] = []
    scheduler.add_listener(heard.append, JobAdded, JobChanged)
    with scheduler:
        scheduler.add_job("tests.samples:work", "date", run_date=NOW + SECOND, id="held")
        scheduler.add_job(changing, "date", run_date=NOW + SECOND - 30 * MILLISECOND, id="changes")
        changes[:] = [Change(scheduler, fails)]
        scheduler.advance(2 * SECOND)
        (held,) = scheduler.get_runs("held")

        assert held.state is (RunState.SUCCEEDED if fails else RunState.SKIPPED)
        assert [(type(event), event.job.id) for event in heard[2:]] == (
            [] if fails else [(JobChanged, "held"), (JobAdded, "new")]
        )
        assert (scheduler.get_job("new") is None) is fails
