"""The SQLite store is a store, and may be shared."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stores.laws import BellLaws, LendingStoreLaws, LifelineLaws, MakeStore, StoreLaws

from tickwork.stores.sqlite import SQLiteStore
from tickwork.testing import VirtualClock


class TestSQLiteStore(StoreLaws, BellLaws, LendingStoreLaws, LifelineLaws):
    @pytest.fixture
    def make_store(self, clock: VirtualClock, tmp_path: Path) -> MakeStore:
        return lambda: SQLiteStore(tmp_path / "jobs.db", clock=clock)
