"""The Redis store is a store, and may be shared."""

from __future__ import annotations

import pytest
from tests.stores.laws import MakeStore, SharedStoreLaws, StoreLaws

from tickwork.errors import StoreUnusableError
from tickwork.stores.base import Store
from tickwork.stores.redis import RedisStore
from tickwork.testing import VirtualClock


class TestRedisStore(StoreLaws, SharedStoreLaws):
    @pytest.fixture
    def make_store(self, clock: VirtualClock, redis_url: str) -> MakeStore:
        return lambda: RedisStore(redis_url, clock=clock)

    def test_it_says_that_it_has_no_transactions(self, store: Store) -> None:
        with pytest.raises(StoreUnusableError, match="expected a store with transactions, got Redis"), store.lend():
            pass
