"""The PostgreSQL store is a store, and may be shared."""

from __future__ import annotations

import pytest
from tests.samples import HOUR, NOW, SECOND, held_run, make_job, make_node, next_version
from tests.stores.laws import BellLaws, LendingStoreLaws, LifelineLaws, MakeStore, StoreLaws, held_lifeline

from tickwork.stores.postgresql import PostgreSQLStore
from tickwork.testing import VirtualClock


class TestPostgreSQLStore(StoreLaws, BellLaws, LendingStoreLaws, LifelineLaws):
    @pytest.fixture
    def make_store(self, clock: VirtualClock, postgresql_url: str) -> MakeStore:
        return lambda: PostgreSQLStore(postgresql_url, clock=clock)

    def test_the_lifelines_of_those_that_are_alive_are_looked_at_and_no_others(
        self, make_store: MakeStore, clock: VirtualClock
    ) -> None:
        store = make_store()
        store.open(lambda: None)
        store.add([job := make_job()])
        store.save([next_version(job, held_run(job))])  # something runs: else nobody asks
        of_this_server = held_lifeline(store, "alive")
        for node in ("alive", "killed"):
            store.beat(make_node(node, lifeline=of_this_server, lease_until=NOW + HOUR))
        store.beat(make_node("stopped", lifeline=of_this_server, stopped_at=NOW, lease_until=NOW + HOUR))
        store.beat(make_node("lapsed", lifeline=of_this_server, lease_until=NOW))
        store.beat(make_node("of an earlier server", lifeline="1", lease_until=NOW + HOUR))

        store.cut_lifelines()
        clock.advance(SECOND)

        assert [*store.cut_lifelines()] == ["killed"]
        store.close()
