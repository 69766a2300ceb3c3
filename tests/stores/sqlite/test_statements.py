"""The statements that the loop makes again and again read no more than they need, however long the ledger is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tickwork.stores.sqlite import SQLiteStore
from tickwork.stores.sqlite import statements as sql

HOT = {
    "ANY_DUE": ("threads", 0, 0),
    "SELECT_DUE": ("threads", 0, 0, "[]", 1),
    "SELECT_ACTIVE": ("[1]",),
    "ANY_PENDING": (0, 0),
    "SELECT_PENDING": (0, 0, "threads", "[]"),
    "SELECT_PENDING_BACKFILLED": (0, "threads", "[]", 9),
    "SELECT_LOST": (0, 1),
    "NEXT_FIRE": ("threads", 0),
    "NEXT_CLAIM": (0,),
    "NEXT_LAPSE": (0,),
    "CANCEL_PENDING": (0, 1),
    "CANCEL_ORPHAN": (0, 1),
}
OF_WHAT_IS_OPEN = ("tickwork_runs_open", "tickwork_runs_pending", "tickwork_runs_backfilled")

BY_KEY = {
    "SELECT_BEFORE": (1, 0),
    "SELECT_AFTER": (1, 0),
    "SELECT_ASKED_FOR": (1, "manual", 0, 1, 9),
    "SELECT_ANSWERED": (1, "[0]"),
    "SELECT_RUNNING": (1, 9),
    "SELECT_NUMBER": (1, 0, "schedule", 1),
    "SELECT_SILENCE": (9, 9, 0),
    "SELECT_REMOVED_SINCE": ("job", 0, 9),
    "SELECT_LAST_REMOVED": ("job",),
    "SELECT_PRUNED_THROUGH": (1,),
    "NEXT_LEDGER": (0,),
    "SELECT_NTH_NEWEST": (1, 9),
    "SELECT_PRUNABLE": (1, 0, 0, 9),
    "DELETE_RUN": (1,),
    "DELETE_DISPOSABLE_JOB": (1,),
}


@pytest.mark.parametrize("name", BY_KEY)
def test_questions_about_one_job_are_answered_by_a_key(name: str, tmp_path: Path) -> None:
    """However many runs other jobs have."""
    store = SQLiteStore(tmp_path / "jobs.db")
    store.open()

    with store._reading() as connection:
        plan = [row[3] for row in connection.execute(f"explain query plan {getattr(sql, name)}", BY_KEY[name])]

    searched = [
        line for line in plan if "tickwork_" in line and "tickwork_backfills_open" not in line
    ]  # a hundred at most
    assert searched, plan
    assert all(line.startswith("SEARCH tickwork_") for line in searched), plan
    store.close()


@pytest.mark.parametrize("name", HOT)
def test_hot_statements_stay_in_the_indexes_of_what_is_open(name: str, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    store.open()

    with store._reading() as connection:
        plan = [row[3] for row in connection.execute(f"explain query plan {getattr(sql, name)}", HOT[name])]

    of_the_ledger = [line for line in plan if "tickwork_runs" in line or " run " in line or " other " in line]
    assert all(any(index in line for index in OF_WHAT_IS_OPEN) for line in of_the_ledger), plan
    assert not any(line.startswith("SCAN tickwork") for line in plan), plan
    store.close()
