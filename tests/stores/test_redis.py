"""The Redis store is a store, and may be shared."""

from __future__ import annotations

import pytest
from tests.samples import NOW, SECOND, held_run, make_job, make_node, next_version
from tests.stores.laws import BellLaws, MakeStore, StoreLaws

from tickwork.errors import StoreUnusableError
from tickwork.stores.base import Store
from tickwork.stores.redis import RedisStore
from tickwork.testing import VirtualClock


class TestRedisStore(StoreLaws, BellLaws):
    @pytest.fixture
    def make_store(self, clock: VirtualClock, redis_url: str) -> MakeStore:
        return lambda: RedisStore(redis_url, clock=clock)

    def test_it_says_that_it_has_no_transactions(self, store: Store) -> None:
        with pytest.raises(StoreUnusableError, match="expected a store with transactions, got Redis"), store.lend():
            pass

    def test_it_has_no_lifelines_so_that_leases_alone_tell_of_a_death(self, store: Store, clock: VirtualClock) -> None:
        store.add([job := make_job()])
        store.save([next_version(job, run := held_run(job, node="a", lease_until=NOW + store.lease))])
        lifeline = store.hold_lifeline("a")
        store.beat(make_node("a", lifeline=lifeline))

        clock.advance(store.lease - SECOND)
        before = store.lost(1)
        clock.advance(SECOND)
        after = store.lost(1)

        assert (lifeline, store.cut_lifelines(), store.lease) == ("", (), 8 * SECOND)
        assert (before, after) == ([], [run])
