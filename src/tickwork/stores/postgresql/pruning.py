"""Letting go of rows that are kept no longer, a few at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tickwork.codec import read_definition
from tickwork.retention import Retention
from tickwork.stores.postgresql import statements as sql
from tickwork.stores.postgresql.rows import integers
from tickwork.stores.postgresql.server import Session
from tickwork.stores.prunable import Prunable


def find_prunable(
    session: Session, keep: Retention, now: datetime, after: int, jobs: int
) -> tuple[list[Prunable], int | None]:
    """The jobs that have prunable rows, among the next ones after a uid; and the last one that was looked at."""
    prunable: list[Prunable] = []
    for _ in range(jobs):
        ((uid,),) = session.select(sql.NEXT_LEDGER, after)
        if uid is None:
            return prunable, None
        after = uid
        limit = _limit(session, uid, _definition(session, uid).get("keep") or keep, now)
        if session.select_one(sql.SELECT_PRUNABLE, *limit, 1) is not None:
            prunable.append(limit)
    return prunable, after


def _limit(session: Session, uid: int, keep: Retention, now: datetime) -> Prunable:
    newest = None if keep.count is None else session.select_one(sql.SELECT_NTH_NEWEST, uid, keep.count - 1)
    return Prunable.of(uid, keep, None if newest is None else newest[0], now)


def _definition(session: Session, uid: int) -> dict[str, Any]:
    """What a job's definition says; nothing, if it was removed."""
    row = session.select_one(sql.SELECT_DEFINITION, uid)
    return {} if row is None else read_definition(row[0])


def prune(session: Session, limit: Prunable, rows: int) -> int:
    """Delete the oldest prunable rows of a job and note up to where; a disposable job goes with its last one."""
    prunable = session.select(sql.SELECT_PRUNABLE, *limit, rows)
    deleted = session.execute(sql.DELETE_RUNS, integers(number for number, _, _ in prunable)) if prunable else 0
    if not deleted:  # another node was faster
        return 0
    _, job_id, _ = prunable[0]
    session.execute(sql.NOTE_PRUNING, limit.uid, job_id, max(through for _, _, through in prunable))
    disposable = _definition(session, limit.uid).get("disposable", False)
    if disposable and session.execute(sql.DELETE_DISPOSABLE_JOB, limit.uid):
        session.execute(sql.DELETE_LEDGER, limit.uid)
    return deleted
