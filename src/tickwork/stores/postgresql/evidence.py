"""What the tables know of a job and an instant: the evidence on which `why` decides."""

from __future__ import annotations

from datetime import datetime

from tickwork.clock import from_micros, to_micros
from tickwork.codec import read_instant
from tickwork.run import Origin, Run, RunState
from tickwork.stores.postgresql import statements as sql
from tickwork.stores.postgresql.rows import read_node, read_run, run_key
from tickwork.stores.postgresql.server import Session
from tickwork.why import MAX_ASKED_FOR, NEVER_BEGUN, SILENCE_SCAN, Absence, Evidence, Silence, end_of, rows_at


def find_evidence(session: Session, known: Evidence, uid: int, instant: datetime) -> Evidence:
    """What is *known* and what the ledger says.

    In this order: what is fired after the job was read has its row, and what is pruned after the rows were read is
    noted.
    """
    at, end = to_micros(instant), to_micros(end_of(instant))
    before, after, manual, backfilled = (
        [read_run(row) for row in session.select(statement, *parameters)]
        for statement, parameters in (
            (sql.SELECT_BEFORE, (uid, at)),
            (sql.SELECT_AFTER, (uid, at)),
            (sql.SELECT_ASKED_FOR, (uid, Origin.MANUAL.value, at, end, MAX_ASKED_FOR)),
            (sql.SELECT_ASKED_FOR, (uid, Origin.BACKFILL.value, at, end, MAX_ASKED_FOR)),
        )
    )
    found = rows_at(before, after, instant)
    silence = _silence(session, found[0]) if found and found[0].state in NEVER_BEGUN else None
    running: tuple[Run, ...] = ()
    if known.job is not None and any(run.state is RunState.PENDING for run in (*found, *manual)):
        running = tuple(read_run(row) for row in session.select(sql.SELECT_RUNNING, uid, known.job.max_instances))
    noted = session.select_one(sql.SELECT_PRUNED_THROUGH, uid)
    return known._replace(
        before=before, after=after, manual=manual, backfilled=backfilled, running=running, silence=silence,
        pruned_through=None if noted is None else read_instant(noted[0]),
    )  # fmt: skip


def _silence(session: Session, run: Run) -> Silence | None:
    found = session.select_one(sql.SELECT_SILENCE, *run_key(run), SILENCE_SCAN)
    if found is None or found[1] is None:
        return None
    return Silence(read_instant(found[0]), from_micros(found[1]))


def find_absence(session: Session, instant: datetime, now: datetime) -> Absence | None:
    at = to_micros(instant)
    if instant > now or session.select_one(sql.ANY_NODE_ALIVE, at, to_micros(now)) is not None:
        return None
    last = session.select_one(sql.SELECT_NODE_BEFORE, at)
    following = session.select_one(sql.SELECT_NODE_AFTER, at)
    if last is None:
        return None
    return Absence(read_node(last).read_at(now), None if following is None else read_node(following).read_at(now))
