"""The statements stay in their indexes, whatever the planner believes: here of tables that are empty and not analysed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tickwork.stores.postgresql import PostgreSQLStore
from tickwork.stores.postgresql import statements as sql

LOOK_UPS = (
    "SELECT_JOB", "SELECT_JOBS", "SELECT_JOBS_BY_UID", "LOCK_JOB", "LOCK_JOB_IF_FREE", "KEEP_JOBS", "SELECT_DUE", "SELECT_ACTIVE", "ADVANCE_JOBS", "FIRE_HELD_RUNS",
    "KNOWN_RUNS", "SELECT_CLAIMABLE_JOBS", "SELECT_PENDING", "CLAIM_RUNS", "RENEW_RUNS", "SELECT_LOST", "SELECT_LOST_OR_HELD", "CANCEL_RUNNING",
    "CANCEL_WAITING", "SELECT_CANCELLING", "SETTLE_SUCCEEDED_RUNS", "SETTLE_RUNS", "RELEASE_RUNS", "OUTLOOK", "GLANCE",
    "SELECT_RUN", "SELECT_BEFORE", "SELECT_AFTER", "SELECT_ASKED_FOR", "SELECT_RUNNING", "SELECT_PRUNED_THROUGH", "NEXT_LEDGER",
    "SELECT_NTH_NEWEST", "SELECT_PRUNABLE", "DELETE_RUNS", "SELECT_RUNS_OF_JOBS", "SELECT_UNSUCCESSFUL_RUNS",
    "SELECT_PENDING_BACKFILLED", "SELECT_EXPIRED", "WRITE_LOGS", "SELECT_LOG", "LOCK_STATE", "HOLD_RUN", "HOLD_RUN_AT",
    "SELECT_ANSWERED", "UPDATE_BACKFILL", "LOCK_BACKFILLING", "COUNT_OPEN_BACKFILLS", "LOCK_EXPECTATIONS", "FULFIL_EXPECTATIONS", "MARK_OVERDUE",
    "SELECT_LIVING_NODES", "SELECT_DECLARING", "SELECT_CUT_LIFELINES", "BEAT_AND_GLANCE", "DELETE_DISPOSABLE_JOB",
)  # fmt: skip
SMALL = {
    "tickwork_open_runs_pending",
    "tickwork_open_runs_leases",
    "tickwork_open_runs_cancelling",
    "tickwork_open_runs_backfilled",
    "tickwork_open_runs_expiring",
    "tickwork_jobs_due",
    "tickwork_backfills_open",
    "tickwork_expectations_next",
    "tickwork_expectations_overdue",
}
"""Indexes of nothing but what is asked for: their first entry is an answer."""
SORTED_WHOLE = {"SELECT_UNSUCCESSFUL_RUNS": {"tickwork_open_runs"}}
"""For people: of what is open, which is little, all of it is looked at."""


@pytest.fixture
def store(postgresql_url: str) -> Iterator[PostgreSQLStore]:
    store = PostgreSQLStore(postgresql_url)
    store.open()
    yield store
    store.close()


@pytest.mark.parametrize("name", LOOK_UPS)
def test_a_row_is_looked_up_and_not_looked_for(store: PostgreSQLStore, name: str) -> None:
    with store._server.reading() as session:
        if session.connection.info.server_version < 160000:
            pytest.skip("an older server explains no plan that is made for all parameters")
        plan = session.connection.execute(
            f"explain (generic_plan, format json) {getattr(sql, name)}".encode(), prepare=False
        )
        ((((explained,),)),) = plan.fetchall()

    scans = [
        node for node in nodes(explained["Plan"]) if "Relation Name" in node and node["Node Type"].endswith("Scan")
    ]

    walked = {
        node["Relation Name"] for node in scans
        if "Index Cond" not in node and "Recheck Cond" not in node and node.get("Index Name") not in SMALL
    }  # fmt: skip
    assert scans
    assert walked == SORTED_WHOLE.get(name, set()), explained


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
