"""What the tables know of a job and an instant: the evidence on which `why` decides."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from tickwork.clock import from_micros, to_micros
from tickwork.codec import read_instant
from tickwork.run import Origin, Run, RunState
from tickwork.stores.sqlite import statements as sql
from tickwork.stores.sqlite.rows import read_node, read_run, run_key
from tickwork.why import MAX_ASKED_FOR, NEVER_BEGUN, SILENCE_SCAN, Absence, Evidence, Silence, end_of, rows_at


def find_evidence(connection: sqlite3.Connection, known: Evidence, uid: int, instant: datetime) -> Evidence:
    """What is *known* and what the ledger says.

    In this order: what is fired after the job was read has its row, and what is pruned after the rows were read is
    noted.
    """
    at, end = to_micros(instant), to_micros(end_of(instant))
    before, after, manual, backfilled = (
        [read_run(row) for row in connection.execute(statement, parameters)]
        for statement, parameters in (
            (sql.SELECT_BEFORE, (uid, at)),
            (sql.SELECT_AFTER, (uid, at)),
            (sql.SELECT_ASKED_FOR, (uid, Origin.MANUAL.value, at, end, MAX_ASKED_FOR)),
            (sql.SELECT_ASKED_FOR, (uid, Origin.BACKFILL.value, at, end, MAX_ASKED_FOR)),
        )
    )
    found = rows_at(before, after, instant)
    silence = _silence(connection, found[0]) if found and found[0].state in NEVER_BEGUN else None
    running: tuple[Run, ...] = ()
    if known.job is not None and any(run.state is RunState.PENDING for run in (*found, *manual)):
        rows = connection.execute(sql.SELECT_RUNNING, (uid, known.job.max_instances))
        running = tuple(read_run(row) for row in rows)
    noted = connection.execute(sql.SELECT_PRUNED_THROUGH, (uid,)).fetchone()
    return known._replace(
        before=before, after=after, manual=manual, backfilled=backfilled, running=running, silence=silence,
        pruned_through=None if noted is None else read_instant(noted[0]),
    )  # fmt: skip


def _silence(connection: sqlite3.Connection, run: Run) -> Silence | None:
    numbered = connection.execute(sql.SELECT_NUMBER, run_key(run)).fetchone()
    if numbered is None:  # it was pruned this very moment
        return None
    since, until = connection.execute(
        sql.SELECT_SILENCE, (numbered[0], SILENCE_SCAN, to_micros(run.fire_time))
    ).fetchone()
    return None if until is None else Silence(read_instant(since), from_micros(until))


def find_absence(connection: sqlite3.Connection, instant: datetime, now: datetime) -> Absence | None:
    at = to_micros(instant)
    if instant > now or connection.execute(sql.ANY_NODE_ALIVE, (at, to_micros(now))).fetchone():
        return None
    last = connection.execute(sql.SELECT_NODE_BEFORE, (at,)).fetchone()
    following = connection.execute(sql.SELECT_NODE_AFTER, (at,)).fetchone()
    if last is None:
        return None
    return Absence(read_node(last).read_at(now), following and read_node(following).read_at(now))
