"""Letting go of rows that are kept no longer, a few at a time."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from tickwork.codec import read_retention
from tickwork.retention import Retention
from tickwork.stores.prunable import Prunable
from tickwork.stores.sqlite import statements as sql


def find_prunable(
    connection: sqlite3.Connection, keep: Retention, now: datetime, after: int, jobs: int
) -> tuple[list[Prunable], int | None]:
    """The jobs that have prunable rows, among the next ones after a uid; and the last one that was looked at."""
    prunable: list[Prunable] = []
    for _ in range(jobs):
        (uid,) = connection.execute(sql.NEXT_LEDGER, (after,)).fetchone()
        if uid is None:
            return prunable, None
        after = uid
        own = connection.execute(sql.SELECT_KEEP, (uid,)).fetchone()
        limit = _limit(connection, uid, (own and read_retention(own[0])) or keep, now)
        if connection.execute(sql.SELECT_PRUNABLE, (*limit, 1)).fetchone() is not None:
            prunable.append(limit)
    return prunable, after


def _limit(connection: sqlite3.Connection, uid: int, keep: Retention, now: datetime) -> Prunable:
    newest = None
    if keep.count is not None:
        newest = connection.execute(sql.SELECT_NTH_NEWEST, (uid, keep.count - 1)).fetchone()
    return Prunable.of(uid, keep, None if newest is None else newest[0], now)


def prune(connection: sqlite3.Connection, limit: Prunable, rows: int) -> int:
    """Delete the oldest prunable rows of a job and note up to where; a disposable job goes with its last one."""
    prunable = connection.execute(sql.SELECT_PRUNABLE, (*limit, rows)).fetchall()
    if not prunable:  # another node was faster
        return 0
    connection.executemany(sql.DELETE_RUN, [(number,) for number, _, _ in prunable])
    _, job_id, _ = prunable[0]
    connection.execute(sql.NOTE_PRUNING, (limit.uid, job_id, max(through for _, _, through in prunable)))
    if connection.execute(sql.DELETE_DISPOSABLE_JOB, (limit.uid,)).rowcount:
        connection.execute(sql.DELETE_LEDGER, (limit.uid,))
    return len(prunable)
