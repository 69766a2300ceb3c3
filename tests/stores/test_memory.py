"""The memory store is a store."""

from __future__ import annotations

import pytest
from tests.stores.laws import MakeStore, StoreLaws

from tickwork.errors import StoreUnusableError
from tickwork.stores.base import Store
from tickwork.stores.memory import MemoryStore
from tickwork.testing import VirtualClock


class TestMemoryStore(StoreLaws):
    @pytest.fixture
    def make_store(self, clock: VirtualClock) -> MakeStore:
        return lambda: MemoryStore(clock=clock)

    def test_it_says_that_it_has_no_transactions(self, store: Store) -> None:
        with pytest.raises(StoreUnusableError, match="expected a store with transactions, got memory"), store.lend():
            pass
