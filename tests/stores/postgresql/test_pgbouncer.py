"""The store behind a real PgBouncer in transaction mode: all laws but those of bells and lifelines hold."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from tests.servers import PgBouncer
from tests.stores.laws import LendingStoreLaws, MakeStore, SharedStoreLaws, StoreLaws

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
