"""The SQLite store is a store, and may be shared."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.samples import HOUR, NOW, make_job, make_node, next_version
from tests.stores.laws import BellLaws, LendingStoreLaws, LifelineLaws, MakeStore, StoreLaws, closed

from tickwork.stores import sqlite
from tickwork.stores.base import Store
from tickwork.stores.sqlite import SQLiteStore
from tickwork.stores.sqlite.lifeline import Lifeline
from tickwork.testing import VirtualClock


class TestSQLiteStore(StoreLaws, BellLaws, LendingStoreLaws, LifelineLaws):
    @pytest.fixture
    def make_store(self, clock: VirtualClock, tmp_path: Path) -> MakeStore:
        return lambda: SQLiteStore(tmp_path / "jobs.db", clock=clock)

    def test_the_lifelines_of_those_that_are_alive_are_looked_at_and_no_others(
        self, store: Store, tmp_path: Path
    ) -> None:
        lifeline = Lifeline(tmp_path / "jobs.db.tickwork")
        cut = lifeline.hold()
        lifeline.close()  # as the death of its process does
        store.beat(make_node("killed", lifeline=cut))
        store.beat(make_node("stopped", lifeline=cut, stopped_at=NOW, lease_until=NOW + HOUR))
        store.beat(make_node("lapsed", lifeline=cut, lease_until=NOW))
        store.beat(make_node("without"))

        assert [*store.cut_lifelines()] == ["killed"]

    def test_the_runs_of_a_removed_job_are_looked_for_so_far_back_and_no_further(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite, "REMOVED_JOBS_SCAN", 2)
        store.add([job := make_job()])
        store.save([next_version(job, *(rows := [closed(job, minute) for minute in range(3)]))])
        store.remove(["job"])

        assert store.runs(job_id="job") == rows[:0:-1]
