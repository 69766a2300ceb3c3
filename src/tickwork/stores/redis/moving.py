"""Moving house: what is noted of it, and all that lies on the server, packed and unpacked.

Each write is a script that compares the note, as all writes are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence

from tickwork.clock import from_micros
from tickwork.codec import read_instant, read_log, to_text
from tickwork.job import Job
from tickwork.jobstate import NO_STATE
from tickwork.moves import Holdings, LedgerNote, Move, PackedJob, PackedRest, PackedRun
from tickwork.run import Run
from tickwork.stores.redis.rows import (
    ids_json,
    packed_backfill,
    packed_job,
    packed_node,
    packed_note,
    packed_run,
    read_backfill,
    read_expectation,
    read_move,
    read_node,
    read_state,
    uid,
    written_move,
)
from tickwork.stores.redis.server import Server

KEPT = ("move", "version", "server", "quiet", "asserted")
"""The keys that hold nothing that is moved."""
OF_ID = 10
"""Where the id stands in the row of a job."""
SCANNED = 1_000
SPECIAL = re.compile(r"([*?\[\]^\\])")
"""What stands for something else in a pattern of keys."""


def find_move(server: Server) -> Move | None:
    return read_move(server.command("GET", _key(server, "move")))


def count_holdings(server: Server) -> Holdings:
    return Holdings(
        server.command("HLEN", _key(server, "jobs")), server.command("ZCARD", _key(server, "ledger")),
        server.command("HLEN", _key(server, "backfills")),
    )  # fmt: skip


def pack_jobs(server: Server, jobs: Sequence[Job]) -> list[PackedJob]:
    belongings = server.call("pack_jobs", ids_json([uid(job.uid) for job in jobs]))
    return [
        PackedJob(
            job,
            None if row is None else read_expectation(uid(job.uid), job.id, json.loads(row)),
            read_state(state) if state else NO_STATE,
        )
        for job, (row, state) in zip(jobs, belongings, strict=True)
    ]


def find_numbered(server: Server, after: int, limit: int, numbers: Collection[int] | None) -> dict[str, int]:
    """The numbers of runs by their ids, in their order."""
    key = _key(server, "ledger")
    spans = [(f"({after}", "+inf")] if numbers is None else [(str(one), str(one)) for one in sorted(numbers)]
    numbered: dict[str, int] = {}
    for begin, end in spans:
        found = server.command("ZRANGEBYSCORE", key, begin, end, "WITHSCORES", "LIMIT", 0, limit)
        numbered |= {id.decode(): int(float(score)) for id, score in zip(found[::2], found[1::2], strict=True)}
    return numbered


def pack_runs(server: Server, numbered: dict[str, int], runs: Sequence[Run]) -> list[PackedRun]:
    logs = server.command("HMGET", _key(server, "logs"), *(run.id for run in runs)) if runs else ()
    return [
        PackedRun(numbered[run.id], run, None if log is None else read_log(log.decode()))
        for run, log in zip(runs, logs, strict=True)
    ]


def pack_rest(server: Server) -> PackedRest:
    stretches = [name for name, _ in _scored(server, "nodes:seen")]
    rows = server.command("HMGET", _key(server, "nodes"), *stretches) if stretches else ()
    backfills = [id for id, _ in _scored(server, "backfills:all")]
    asked_for = server.command("HMGET", _key(server, "backfills"), *backfills) if backfills else ()
    declared = [name for name, _ in _scored(server, "declarations")]
    return PackedRest(
        [read_backfill(json.loads(row)) for row in asked_for if row is not None],
        _pack_notes(server),
        [read_node(json.loads(row)) for row in rows if row is not None],
        {
            name: [id.decode() for id in server.command("SMEMBERS", _key(server, f"declaration:{name}"))]
            for name in declared
        },
    )


def _pack_notes(server: Server) -> list[LedgerNote]:
    removed_ids = {one: id.decode() for one, id in _fields(server, "removed").items()}
    notes = {
        one: LedgerNote(int(one, 16), removed_ids[one], from_micros(int(at)))
        for one, at in _scored(server, "removals") if one in removed_ids
    }  # fmt: skip
    for one, through in _fields(server, "pruned").items():
        row = server.command("HGET", _key(server, "jobs"), one)
        if one not in notes and row is not None:
            notes[one] = LedgerNote(int(one, 16), json.loads(row)[OF_ID])
        if one in notes:
            notes[one] = notes[one]._replace(pruned_through=read_instant(int(float(through))))
    return [*notes.values()]


def unpack_jobs(server: Server, move: Move, jobs: Sequence[PackedJob]) -> bool:
    return bool(server.call("unpack_jobs", written_move(move), to_text([*map(packed_job, jobs)])))


def unpack_runs(server: Server, move: Move, runs: Sequence[PackedRun]) -> bool:
    return bool(server.call("unpack_runs", written_move(move), to_text([*map(packed_run, runs)])))


def unpack_rest(server: Server, move: Move, rest: PackedRest, now: int) -> bool:
    return bool(server.call(
        "unpack_rest", written_move(move), to_text([*map(packed_backfill, rest.backfills)]),
        to_text([*map(packed_note, rest.notes)]), to_text([*map(packed_node, rest.nodes)]),
        to_text([*rest.declarations.items()]), now,
    ))  # fmt: skip


def clear(server: Server, move: Move) -> bool:
    """Some keys at a time, so that the server goes on answering others."""
    kept = {_key(server, name) for name in KEPT}
    pattern = SPECIAL.sub(r"\\\1", server.address.prefix) + ":*"
    cursor, is_noted = b"0", True
    while is_noted:
        cursor, names = server.command("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED)
        keys = [key for name in names if (key := name.decode()) not in kept]
        is_noted = bool(server.call("clear", written_move(move), to_text(keys)))
        if int(cursor) == 0:
            break
    return is_noted


def _key(server: Server, name: str) -> str:
    return f"{server.address.prefix}:{name}"


def _scored(server: Server, name: str) -> list[tuple[str, float]]:
    """All members of a sorted set, with their scores."""
    flat = server.command("ZRANGE", _key(server, name), 0, -1, "WITHSCORES")
    return [(member.decode(), float(score)) for member, score in zip(flat[::2], flat[1::2], strict=True)]


def _fields(server: Server, name: str) -> dict[str, bytes]:
    flat = server.command("HGETALL", _key(server, name))
    return {field.decode(): value for field, value in zip(flat[::2], flat[1::2], strict=True)}
