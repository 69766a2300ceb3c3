"""The memory store is a store."""

from __future__ import annotations

import pytest
from tests.stores.laws import MakeStore, StoreLaws

from tickwork.stores.memory import MemoryStore
from tickwork.testing import VirtualClock


class TestMemoryStore(StoreLaws):
    @pytest.fixture
    def make_store(self, clock: VirtualClock) -> MakeStore:
        return lambda: MemoryStore(clock=clock)
