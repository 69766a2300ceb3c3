"""The store behind a real PgBouncer: all laws but those of bells and lifelines hold, and in session mode those, too."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests import deeds
from tests.processes.patience import wait_until
from tests.servers import PgBouncer
from tests.stores.laws import LendingStoreLaws, MakeStore, SharedStoreLaws, StoreLaws

from tickwork import BackgroundScheduler
from tickwork.stores.postgresql import PostgreSQLStore
from tickwork.testing import VirtualClock

PROGRAM = os.environ.get("TICKWORK_TEST_PGBOUNCER") or shutil.which("pgbouncer")

if PROGRAM is None:
    pytest.skip(
        "expected PgBouncer's program, got none: install it, or name it by TICKWORK_TEST_PGBOUNCER",
        allow_module_level=True,
    )


@pytest.fixture(scope="module")
def pooler(postgresql_database: str) -> Iterator[PgBouncer]:
    assert PROGRAM is not None
    with PgBouncer(PROGRAM, postgresql_database) as pooler:
        yield pooler


@pytest.fixture
def pooled_url(postgresql_url: str, pooler: PgBouncer) -> str:
    """The URL of a store in a schema of its own, behind the pooler; that it is there has to be seen."""
    return f"{pooler.url()}?{postgresql_url.partition('?')[2]}"


class TestBehindPgBouncer(StoreLaws, SharedStoreLaws, LendingStoreLaws):
    @pytest.fixture
    def make_store(self, clock: VirtualClock, pooled_url: str) -> MakeStore:
        return lambda: PostgreSQLStore(pooled_url, clock=clock)


def test_it_is_seen_before_the_first_statement(pooled_url: str) -> None:
    server = PostgreSQLStore(pooled_url)._server

    with server.reading() as session:
        found = session.select("select current_setting('statement_timeout')")

    server.close()
    assert found == [("10s",)]
    assert server.pooled


def test_in_session_mode_nodes_wake_each_other_and_show_that_they_live_if_the_url_says_so(
    postgresql_url: str, postgresql_database: str
) -> None:
    assert PROGRAM is not None
    rung = threading.Event()
    with PgBouncer(PROGRAM, postgresql_database, mode="session") as pooler:
        url = f"{pooler.url()}?{postgresql_url.partition('?')[2]}&pooler=off"
        with closing(PostgreSQLStore(url)) as listening, closing(PostgreSQLStore(url)) as other:
            listening.open(rung.set)
            other.open()
            wait_until(lambda: listening.hold_lifeline("node"), "the lifeline")
            rung.clear()

            other.add([BackgroundScheduler(other).new_job(deeds.nothing, "interval", minutes=1)])

            assert rung.wait(5)
