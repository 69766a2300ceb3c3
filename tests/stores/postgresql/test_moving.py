"""A note of a move, and what is going on while it is written: that is done before, or finds the note."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from tests.processes.patience import wait_until
from tests.samples import HOUR, NOW, make_backfill, make_hold, make_job, make_move, make_run, next_version
from tests.stores.laws import fire, fire_once
from tests.stores.postgresql.test_joining import new_job

from tickwork.errors import StoreMovedError
from tickwork.job import Job
from tickwork.moves import MoveState
from tickwork.plan import Change, Filling, cancel
from tickwork.retention import Retention
from tickwork.stores.postgresql import PostgreSQLStore, add_jobs
from tickwork.testing import VirtualClock

WAITS = "select exists (select from pg_locks where not granted)"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def store(postgresql_url: str, clock: VirtualClock) -> Iterator[PostgreSQLStore]:
    with closing(PostgreSQLStore(postgresql_url, clock=clock)) as store:
        store.open()
        yield store


@pytest.fixture
def mover(postgresql_url: str, store: PostgreSQLStore, clock: VirtualClock) -> Iterator[PostgreSQLStore]:
    with closing(PostgreSQLStore(postgresql_url, clock=clock)) as mover:
        mover.open()
        yield mover


@pytest.fixture
def somebody_waits(postgresql_database: str) -> Iterator[Callable[[], bool]]:
    with psycopg.connect(postgresql_database, autocommit=True) as connection:
        yield lambda: connection.execute(WAITS.encode()).fetchone() == (True,)


def test_what_is_being_fired_is_written_before_the_note(
    store: PostgreSQLStore, mover: PostgreSQLStore, somebody_waits: Callable[[], bool]
) -> None:
    store.add([make_job()])
    with ThreadPoolExecutor(1) as pool:

        def decide(jobs: Iterable[Job], *_: object) -> Sequence[Change]:
            writing = pool.submit(mover.write_move, None, make_move(MoveState.LEAVING))
            wait_until(somebody_waits, "a mover that waits")
            assert not writing.done()
            return [fire_once(job, make_hold()) for job in jobs]

        fired = store.fire(decide, executor="threads", until=NOW, limit=9)

    assert [len(change.runs) for change in fired] == [1]
    assert (len(store.runs()), store.move() is not None) == (1, True)


@pytest.mark.parametrize("verb", ["fire", "claim", "fill", "add", "cancel", "prune"])
def test_what_comes_while_the_note_is_written_finds_it(
    store: PostgreSQLStore, mover: PostgreSQLStore, somebody_waits: Callable[[], bool], verb: str
) -> None:
    store.add([due := make_job("due"), waiting := make_job("waiting", next_fire_time=None)])
    store.save([next_version(waiting, run := make_run(waiting))])
    store.add_backfill(make_backfill(due, NOW - HOUR, NOW))
    verbs: dict[str, Callable[[], object]] = {
        "fire": lambda: fire(store),
        "claim": lambda: store.claim(make_hold(), executor="threads", limit=9),
        "fill": lambda: store.fill(lambda *_: [], lambda one, *_: Filling(one), limit=9),
        "add": lambda: _refused(lambda: store.add([make_job("new")])),
        "cancel": lambda: _refused(lambda: store.cancel([cancel(run, "", NOW)])),
        "prune": lambda: store.prune(Retention(count=1), after=-1, jobs=9, rows=9).deleted or [],
    }

    with ThreadPoolExecutor(1) as pool:
        with mover.together():
            mover.write_move(None, make_move(MoveState.LEFT))
            coming = pool.submit(verbs[verb])
            wait_until(somebody_waits, "somebody who waits for the mover")
        found = coming.result()

    assert found == []


def test_jobs_of_a_users_transaction_are_refused_where_nothing_fires_them(
    store: PostgreSQLStore, postgresql_database: str, postgresql_url: str
) -> None:
    job = new_job(store, "mine")
    note = make_move(MoveState.LEFT)
    store.write_move(None, note)

    with (
        psycopg.connect(postgresql_database) as connection,
        pytest.raises(StoreMovedError, match=f"has moved to {note.other}"),
    ):
        add_jobs(connection, [job], schema=postgresql_url.rpartition("=")[2])

    assert store.jobs() == []


def _refused(change: Callable[[], object]) -> list[object]:
    try:
        return [change()]
    except StoreMovedError:
        return []
