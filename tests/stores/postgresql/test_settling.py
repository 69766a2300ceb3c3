"""A run that is settled in a transaction of the user's own has succeeded if and when that is committed."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tickwork import BackgroundScheduler, RunContext, RunState
from tickwork.errors import RunCancelledError, RunClosedError, RunLostError, SchedulerError, StoreUnusableError
from tickwork.events import JobRecovered, RunSettled
from tickwork.run import Run
from tickwork.stores.postgresql import settle_run, settle_run_async

PATIENCE = 60

deed: Any = None
"""What the job of a test does: a job's function stands at the top of a module."""


def act(run: RunContext) -> Any:
    return deed(run)


async def act_async(run: RunContext) -> Any:
    return await deed(run)


class Place:
    """A scheduler on PostgreSQL, and a table of the user's beside it."""

    def __init__(self, url: str) -> None:
        self.url, _, self.schema = url.partition("?schema=")
        self.scheduler = BackgroundScheduler(url, poll=0.2)
        self._settled: queue.Queue[Run] = queue.Queue()
        self.scheduler.add_listener(lambda event: self._settled.put(event.run), RunSettled)
        self.scheduler.start()
        with self.connect() as connection:
            connection.execute(f'create table "{self.schema}".bills (total integer)'.encode())

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url)

    def bill(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f'insert into "{self.schema}".bills values (4711)'.encode())

    def bills(self) -> int:
        with self.connect() as connection:
            ((count,),) = connection.execute(f'select count(*) from "{self.schema}".bills'.encode()).fetchall()
            return count

    def run(self, func: Any, **options: Any) -> Run:
        """Let a job do that once; its run as it was told and as it stands."""
        global deed  # noqa: PLW0603
        deed = func
        job = self.scheduler.add_job(act_async if asyncio.iscoroutinefunction(func) else act, "date", **options)
        told = self._settled.get(timeout=PATIENCE)
        assert told.job_id == job.id
        assert self.scheduler.get_run(told.id) == told
        return told


@pytest.fixture
def place(postgresql_url: str) -> Iterator[Place]:
    one = Place(postgresql_url)
    yield one
    one.scheduler.shutdown()


def test_what_is_written_and_the_success_are_committed_together(place: Place) -> None:
    seen: list[RunState] = []

    def bill(run: RunContext) -> None:
        with place.connect() as connection:
            place.bill(connection)
            settle_run(connection, run, schema=place.schema)
            seen.append(place.scheduler.get_run(run.id).state)  # as others see it
        seen.append(place.scheduler.get_run(run.id).state)

    assert place.run(bill).state is RunState.SUCCEEDED
    assert seen == [RunState.RUNNING, RunState.SUCCEEDED]
    assert place.bills() == 1


def test_on_an_asynchronous_connection_too(place: Place) -> None:
    async def bill(run: RunContext) -> None:
        async with await psycopg.AsyncConnection.connect(place.url) as connection:
            await connection.execute(f'insert into "{place.schema}".bills values (4711)'.encode())
            await settle_run_async(connection, run, schema=place.schema)
        run.log.info("billed")

    settled = place.run(bill)

    assert settled.state is RunState.SUCCEEDED
    assert place.bills() == 1
    assert "billed" in str(place.scheduler.get_log(settled.id))


def test_by_the_search_path_of_the_connection(place: Place) -> None:
    def bill(run: RunContext) -> None:
        with place.connect() as connection:
            connection.execute(f'set local search_path to "{place.schema}"'.encode())
            connection.execute("insert into bills values (4711)")
            settle_run(connection, run)

    assert place.run(bill).state is RunState.SUCCEEDED
    assert place.bills() == 1


def test_without_our_tables_it_is_said_what_to_pass(place: Place) -> None:
    def bill(run: RunContext) -> None:
        with place.connect() as connection:
            settle_run(connection, run, schema="nowhere")

    assert "in the schema nowhere, got none: pass schema=" in (place.run(bill).reason or "")


def test_what_is_undone_leaves_the_run_to_its_function(place: Place) -> None:
    def fail(run: RunContext) -> None:
        with place.connect() as connection:
            place.bill(connection)
            settle_run(connection, run, schema=place.schema)
            raise ValueError("no")

    def give_up(run: RunContext) -> str:
        with place.connect() as connection:
            place.bill(connection)
            settle_run(connection, run, schema=place.schema)
            connection.rollback()
        return "nothing to bill"

    failed, gave_up = place.run(fail), place.run(give_up)

    assert (failed.state, gave_up.state) == (RunState.FAILED, RunState.SUCCEEDED)
    assert gave_up.result == "nothing to bill"
    assert place.bills() == 0


def test_a_run_that_was_settled_stays_so_whatever_its_function_does_next(place: Place, caplog) -> None:
    def bill(run: RunContext) -> None:
        with place.connect() as connection:
            place.bill(connection)
            settle_run(connection, run, schema=place.schema)
        raise ValueError("too late")

    assert place.run(bill).state is RunState.SUCCEEDED
    assert "stays succeeded, as its transaction was committed before its function failed" in caplog.text


def test_what_is_expected_is_fulfilled_with_it(place: Place) -> None:
    told: queue.Queue[JobRecovered] = queue.Queue()
    place.scheduler.add_listener(told.put, JobRecovered)
    fails = [True]

    def bill(run: RunContext) -> None:
        if fails:
            raise ValueError("not yet")
        with place.connect() as connection:
            settle_run(connection, run, schema=place.schema)

    global deed  # noqa: PLW0603
    deed = bill
    place.scheduler.add_job(act, "interval", seconds=0.5, id="bill", expect_every=timedelta(seconds=1))
    while place.scheduler.health().overdue == 0:
        place._settled.get(timeout=PATIENCE)
    fails.clear()

    assert told.get(timeout=PATIENCE).job.id == "bill"


@pytest.mark.parametrize("again", [False, True])
def test_a_run_is_settled_once(place: Place, again: bool) -> None:
    def bill(run: RunContext) -> str:
        with place.connect() as connection:
            settle_run(connection, run, schema=place.schema)
            if again:
                with pytest.raises(RunClosedError):
                    settle_run(connection, run, schema=place.schema)
        with place.connect() as connection, pytest.raises(RunClosedError):
            settle_run(connection, run, schema=place.schema)
        return "done"

    settled = place.run(bill)

    assert (settled.state, settled.result) == (RunState.SUCCEEDED, None)


def test_what_forbids_it_is_raised_and_the_connection_goes_on(place: Place, postgresql_database: str) -> None:
    def bill(run: RunContext) -> str:
        run.state["cursor"] = 1
        with place.connect() as connection:
            place.bill(connection)
            with pytest.raises(SchedulerError, match="expected run.state as it was"):
                settle_run(connection, run, schema=place.schema)
        return "by the function"

    def elsewhere(run: RunContext) -> str:
        with psycopg.connect(postgresql_database) as connection, pytest.raises(StoreUnusableError):
            settle_run(connection, run, schema="there_is_none")
        return "by the function"

    assert place.run(bill).result == "by the function"
    assert place.run(elsewhere).result == "by the function"
    assert place.bills() == 1


def test_a_run_that_is_asked_to_end_is_not_settled(place: Place) -> None:
    def bill(run: RunContext) -> None:
        place.scheduler.cancel_run(run.id, reason="a mistake")
        with place.connect() as connection:
            place.bill(connection)
            settle_run(connection, run, schema=place.schema)

    settled = place.run(bill)

    assert settled.state is RunState.CANCELLED
    assert place.bills() == 0


def test_a_run_that_was_taken_over_is_not_settled(place: Place) -> None:
    raised: list[type[BaseException]] = []

    def bill(run: RunContext) -> None:
        with place.connect() as connection:
            connection.execute(f"update \"{place.schema}\".tickwork_open_runs set node = 'another'".encode())
        with place.connect() as connection:
            place.bill(connection)
            try:
                settle_run(connection, run, schema=place.schema)
            except RunLostError as error:
                raised.append(type(error))
                with place.connect() as other:  # and back, so that it ends
                    other.execute(f"update \"{place.schema}\".tickwork_open_runs set node = '{node}'".encode())
                raise

    node = place.scheduler.get_nodes()[0].id
    assert place.run(bill).state is RunState.FAILED
    assert raised == [RunLostError]
    assert place.bills() == 0


def test_a_run_is_told_from_those_that_share_all_but_one_of_what_is_unique_of_it(place: Place) -> None:
    columns = "attempt, origin, state, version, lease_until, available_at, counted_from"
    own = f'"{place.schema}".tickwork_open_runs'

    def bill(run: RunContext) -> None:
        with place.connect() as connection:
            for job_uid, fire_time, attempt, origin in ALIKE:
                connection.execute(
                    f"""
                    insert into {own} (job_id, node, job_uid, fire_time, {columns})
                    select job_id, 'another', job_uid - {job_uid}, fire_time - {fire_time}, attempt - {attempt},
                        {origin}, state, version, lease_until, available_at, counted_from from {own} where node <> 'another'
                """.encode()
                )
            connection.execute(
                f"update {own} set version = version where node <> 'another'".encode()
            )  # behind the others
        with place.connect() as connection:
            place.bill(connection)
            settle_run(connection, run, schema=place.schema)
        with place.connect() as connection:
            gone = connection.execute(f"delete from {own} where node = 'another' returning state".encode()).fetchall()
        assert gone == [("running",)] * len(ALIKE)

    assert place.run(bill).state is RunState.SUCCEEDED
    assert place.bills() == 1


ALIKE = [(1, 0, 0, "origin"), (0, 1, 0, "origin"), (0, 0, 1, "origin"), (0, 0, 0, "'backfill'")]
"""By how much a run is less than another, and its origin; so it stands before it."""


def test_what_is_no_run_or_no_connection_is_refused(place: Place) -> None:
    with place.connect() as connection, pytest.raises(AttributeError):
        settle_run(connection, "a run")  # type: ignore[arg-type]
    with pytest.raises(SchedulerError, match="expected a psycopg.Connection, got NoneType"):
        settle_run(None, "a run")  # type: ignore[arg-type]
    with place.connect() as connection, pytest.raises(SchedulerError, match="psycopg.AsyncConnection, got Connection"):
        asyncio.run(settle_run_async(connection, "a run"))  # type: ignore[arg-type]


def test_the_errors_are_those_that_are_documented() -> None:
    for error in (RunLostError, RunCancelledError, RunClosedError, SchedulerError):
        assert error.__name__ in str(settle_run.__doc__)
