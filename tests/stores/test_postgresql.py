"""The PostgreSQL store is a store, and may be shared."""

from __future__ import annotations

import pytest
from tests.stores.laws import BellLaws, LendingStoreLaws, LifelineLaws, MakeStore, StoreLaws

from tickwork.stores.postgresql import PostgreSQLStore
from tickwork.testing import VirtualClock


class TestPostgreSQLStore(StoreLaws, BellLaws, LendingStoreLaws, LifelineLaws):
    @pytest.fixture
    def make_store(self, clock: VirtualClock, postgresql_url: str) -> MakeStore:
        return lambda: PostgreSQLStore(postgresql_url, clock=clock)
