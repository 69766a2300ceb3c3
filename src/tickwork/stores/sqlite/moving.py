"""Moving house: what is noted of it, and all that lies in the tables, packed and unpacked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

from tickwork.codec import read_instant, read_log, read_state, write_instant, write_log, write_state
from tickwork.job import Job
from tickwork.jobstate import NO_STATE
from tickwork.moves import Holdings, LedgerNote, Move, PackedJob, PackedRest, PackedRun, refusal
from tickwork.stores.sqlite import statements as sql
from tickwork.stores.sqlite.rows import (
    definition,
    inserted_backfill,
    inserted_job,
    inserted_run,
    read_backfill,
    read_expectation,
    read_move,
    read_node,
    read_run,
    written_move,
    written_node,
)


def find_move(connection: sqlite3.Connection) -> Move | None:
    row = connection.execute(sql.SELECT_MOVE).fetchone()
    return None if row is None else read_move(row)


def check_takes_changes(connection: sqlite3.Connection, location: str) -> None:
    """StoreMovedError if the jobs are elsewhere, or still on their way here."""
    move = find_move(connection)
    if move is not None and move.refuses:
        raise refusal(location, move)


def keeps_all(connection: sqlite3.Connection) -> bool:
    """Whether nothing is pruned, since a move counts the rows."""
    move = find_move(connection)
    return move is not None and move.keeps_all


def write_move(connection: sqlite3.Connection, before: Move | None, after: Move | None) -> bool:
    if find_move(connection) != before:
        return False
    connection.execute(sql.DELETE_MOVE)
    if after is not None:
        connection.execute(sql.INSERT_MOVE, written_move(after))
    return True


def count_holdings(connection: sqlite3.Connection) -> Holdings:
    return Holdings(*connection.execute(sql.COUNT_HOLDINGS).fetchone())


def pack_jobs(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[PackedJob]:
    uids = json.dumps([job.uid for job in jobs])
    expected = map(read_expectation, connection.execute(sql.SELECT_EXPECTATIONS_OF, (uids,)).fetchall())
    expectations = {one.job_uid: one for one in expected}
    states = {uid: read_state(*row) for uid, *row in connection.execute(sql.SELECT_STATES_OF, (uids,))}
    return [PackedJob(job, expectations.get(job.uid), states.get(job.uid, NO_STATE)) for job in jobs]


def pack_runs(
    connection: sqlite3.Connection, after: int, limit: int, numbers: Collection[int] | None
) -> list[PackedRun]:
    wanted = None if numbers is None else json.dumps([*numbers])
    if wanted is None:
        rows = connection.execute(sql.SELECT_RUNS_AFTER, (after, limit))
    else:
        rows = connection.execute(sql.SELECT_RUNS_NUMBERED, (wanted, limit))
    return [PackedRun(number, read_run(row), None if log is None else read_log(log)) for number, log, *row in rows]


def pack_rest(connection: sqlite3.Connection) -> PackedRest:
    return PackedRest(
        [read_backfill(row) for row in connection.execute(sql.SELECT_ALL_BACKFILLS)],
        [
            LedgerNote(uid, job_id, read_instant(removed_at), read_instant(pruned_through))
            for uid, job_id, removed_at, pruned_through in connection.execute(sql.SELECT_LEDGERS)
        ],
        [read_node(row) for row in connection.execute(sql.SELECT_STRETCHES)],
        {name: json.loads(ids) for name, ids in connection.execute(sql.SELECT_DECLARATIONS)},
    )


def unpack_jobs(connection: sqlite3.Connection, jobs: Sequence[PackedJob]) -> None:
    uids = json.dumps([packed.job.uid for packed in jobs])
    known = {uid for (uid,) in connection.execute(sql.KNOWN_UIDS, (uids,))}
    new = [packed for packed in jobs if packed.job.uid not in known]
    connection.executemany(sql.INSERT_JOB, [inserted_job(job) for job, _, _ in new])
    connection.executemany(sql.INSERT_DEFINITION, [definition(job) for job, _, _ in new])
    connection.executemany(sql.INSERT_EXPECTATION, [
        (one.job_uid, write_instant(one.expect_by), write_instant(one.succeeded_at), write_instant(one.overdue_at),
         one.told_by)
        for _, one, _ in new if one is not None
    ])  # fmt: skip
    connection.executemany(sql.WRITE_STATE, [
        (job.uid, state.version, write_state(state)) for job, _, state in new if state.version
    ])  # fmt: skip


def unpack_runs(connection: sqlite3.Connection, runs: Sequence[PackedRun]) -> None:
    connection.executemany(sql.INSERT_NUMBERED_RUN, [(*inserted_run(run), number) for number, run, _ in runs])
    connection.executemany(sql.INSERT_LOG, [
        (write_log(log), number) for number, _, log in runs if log is not None
    ])  # fmt: skip


def unpack_rest(connection: sqlite3.Connection, rest: PackedRest) -> None:
    connection.executemany(sql.INSERT_KNOWN_BACKFILL, [inserted_backfill(one) for one in rest.backfills])
    connection.executemany(sql.INSERT_LEDGER, [
        (note.job_uid, note.job_id, write_instant(note.removed_at), write_instant(note.pruned_through))
        for note in rest.notes
    ])  # fmt: skip
    connection.executemany(sql.INSERT_STRETCH, [written_node(node) for node in rest.nodes])
    connection.executemany(sql.INSERT_DECLARATION, [(name, json.dumps(ids)) for name, ids in rest.declarations.items()])


def clear(connection: sqlite3.Connection) -> None:
    for statement in sql.CLEAR:
        connection.execute(statement)
