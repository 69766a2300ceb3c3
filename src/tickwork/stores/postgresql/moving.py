"""Moving house: what is noted of it, and all that lies in the tables, packed and unpacked.

Locks are taken in one order, the note's row before the jobs: by who writes the note, and by who heeds it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tickwork.codec import read_instant, read_log, read_state, write_instant, write_log, write_state
from tickwork.job import Job
from tickwork.jobstate import NO_STATE
from tickwork.moves import Holdings, LedgerNote, Move, PackedJob, PackedRest, PackedRun, refusal
from tickwork.stores.postgresql import statements as sql
from tickwork.stores.postgresql.rows import (
    Row,
    definitions,
    inserted_backfill,
    integers,
    job_arrays,
    read_backfill,
    read_expectation,
    read_move,
    read_node,
    read_run,
    read_text,
    run_arrays,
    text,
    texts,
    written_move,
    written_node,
)
from tickwork.stores.postgresql.server import Session

OPEN = frozenset({"pending", "running"})


def find_move(session: Session) -> Move | None:
    return _read(session.select_one(sql.SELECT_MOVE))


def check_takes_changes(session: Session, location: str) -> None:
    """StoreMovedError if the jobs are elsewhere, or on their way here. If not, it stays so for this transaction."""
    move = _read(session.select_one(sql.HOLD_MOVE))
    if move is not None and move.refuses:
        raise refusal(location, move)


def keeps_all(session: Session) -> bool:
    """Whether nothing is pruned, since a move counts the rows; it stays so for this transaction."""
    move = _read(session.select_one(sql.HOLD_MOVE))
    return move is not None and move.keeps_all


def write_move(session: Session, before: Move | None, after: Move | None) -> bool:
    if _read(session.select_one(sql.LOCK_MOVE)) != before:
        return False
    session.execute(sql.LOCK_OUT_ALL)  # what is being fired or claimed is done before, or finds the note
    session.execute(sql.WRITE_MOVE, *written_move(after))
    return True


def is_noted(session: Session, move: Move) -> bool:
    """Whether this is the note; it stays so for this transaction."""
    return _read(session.select_one(sql.HOLD_MOVE)) == move


def _read(row: Row | None) -> Move | None:
    assert row is not None, "the row of tickwork_moves was deleted"
    return read_move(row)


def count_holdings(session: Session) -> Holdings:
    ((jobs, runs, backfills),) = session.select(sql.COUNT_HOLDINGS)
    return Holdings(jobs, runs, backfills)


def pack_jobs(session: Session, jobs: Sequence[Job]) -> list[PackedJob]:
    uids = integers(job.uid for job in jobs)
    expectations = {row[1]: read_expectation(row) for row in session.select(sql.SELECT_EXPECTATIONS_OF, uids)}
    states = {uid: read_state(*row) for uid, *row in session.select(sql.SELECT_STATES_OF, uids)}
    return [PackedJob(job, expectations.get(job.uid), states.get(job.uid, NO_STATE)) for job in jobs]


def pack_runs(session: Session, after: int, limit: int, numbers: Collection[int] | None) -> list[PackedRun]:
    if numbers is None:
        rows = session.select(sql.SELECT_RUNS_AFTER, after, limit)
    else:
        rows = session.select(sql.SELECT_RUNS_NUMBERED, integers(numbers), limit)
    return [PackedRun(number, read_run(row), None if log is None else read_log(log)) for number, log, *row in rows]


def pack_rest(session: Session) -> PackedRest:
    return PackedRest(
        [read_backfill(row) for row in session.select(sql.SELECT_ALL_BACKFILLS)],
        [
            LedgerNote(uid, read_text(job_id) or "", read_instant(removed_at), read_instant(pruned_through))
            for uid, job_id, removed_at, pruned_through in session.select(sql.SELECT_LEDGERS)
        ],
        [read_node(row) for row in session.select(sql.SELECT_STRETCHES)],
        {name: [read_text(id) or "" for id in ids] for name, ids in session.select(sql.SELECT_DECLARATIONS)},
    )


def unpack_jobs(session: Session, packed: Sequence[PackedJob]) -> None:
    known = {uid for (uid,) in session.select(sql.KNOWN_UIDS, integers(job.uid for job, _, _ in packed))}
    new = [one for one in packed if one.job.uid not in known]
    jobs = [job for job, _, _ in new]
    session.execute(sql.INSERT_JOBS, *job_arrays(jobs))
    session.execute(sql.INSERT_DEFINITIONS, *definitions(jobs))
    expected = [one for _, one, _ in new if one is not None]
    session.execute(
        sql.INSERT_EXPECTATIONS, integers(one.job_uid for one in expected),
        integers(write_instant(one.expect_by) for one in expected),
        integers(write_instant(one.succeeded_at) for one in expected),
        integers(write_instant(one.overdue_at) for one in expected), texts(one.told_by for one in expected),
    )  # fmt: skip
    kept = [(job.uid, state) for job, _, state in new if state.version]
    session.execute(
        sql.INSERT_STATES, integers(uid for uid, _ in kept), integers(state.version for _, state in kept),
        texts(write_state(state) for _, state in kept),
    )  # fmt: skip


def unpack_runs(session: Session, packed: Sequence[PackedRun]) -> None:
    for statement, is_open in ((sql.INSERT_KNOWN_OPEN_RUNS, True), (sql.INSERT_KNOWN_CLOSED_RUNS, False)):
        some = [one for one in packed if (one.run.state in OPEN) is is_open]
        session.execute(statement, *run_arrays([run for _, run, _ in some]), integers(number for number, _, _ in some))
    logs = [(number, log) for number, _, log in packed if log is not None]
    session.execute(sql.INSERT_LOGS, integers(number for number, _ in logs), texts(write_log(log) for _, log in logs))
    session.select(sql.GO_BEYOND_NUMBERS, max(number for number, _, _ in packed))


def unpack_rest(session: Session, rest: PackedRest) -> None:
    for backfill in rest.backfills:
        session.execute(sql.INSERT_KNOWN_BACKFILL, *inserted_backfill(backfill))
    notes = rest.notes
    session.execute(
        sql.INSERT_LEDGERS, integers(note.job_uid for note in notes), texts(note.job_id for note in notes),
        integers(write_instant(note.removed_at) for note in notes),
        integers(write_instant(note.pruned_through) for note in notes),
    )  # fmt: skip
    for node in rest.nodes:
        session.execute(sql.INSERT_STRETCH, *written_node(node))
    for name, ids in rest.declarations.items():
        session.execute(sql.INSERT_DECLARATION, text(name), texts(ids))


def clear(session: Session) -> None:
    for statement in sql.CLEAR:
        session.execute(statement)
