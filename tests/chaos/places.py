"""Where the workers of a campaign keep their jobs: a file or a server, how it is broken, and its ledger as the server has it.

Another store joins with a class of these few verbs, and its name in PLACES.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol, Self

import psycopg
import redis
from tests.chaos.faults import OF_SERVERS, OF_WORKERS, Kind
from tests.chaos.proxy import Proxy
from tests.processes.ledger import Ledger, Row
from tests.servers import DURABLE, KEPT, PostgreSQLServer, RedisServer


class Place(Protocol):
    kinds: Collection[Kind]
    """The faults that can happen there."""
    frozen_holds_all: bool
    """Whether a worker that stands still can hold a lock that all others wait for."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def url(self, worker: int) -> str: ...
    def line(self, worker: int) -> Proxy:
        """What lies between that worker and the store."""
        ...

    def crash(self) -> None: ...
    def restart(self) -> None: ...
    def rows(self) -> Sequence[Row]: ...
    def anchored_at(self, job: str) -> int: ...


class SQLitePlace:
    kinds = OF_WORKERS
    frozen_holds_all = True

    def __init__(self, folder: Path, workers: int) -> None:
        self._ledger = Ledger(folder / "jobs.db")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def url(self, worker: int) -> str:
        return f"sqlite:///{self._ledger.path}"

    def line(self, worker: int) -> Proxy:
        raise NotImplementedError("there is no network before a file")

    def crash(self) -> None:
        raise NotImplementedError("a file has no server")

    restart = crash

    def rows(self) -> Sequence[Row]:
        return self._ledger.rows() if self._ledger.path.exists() and self._ledger.is_made() else []

    def anchored_at(self, job: str) -> int:
        return self._ledger.anchored_at(job)


class PostgreSQLPlace:
    kinds = OF_SERVERS
    frozen_holds_all = False

    def __init__(self, folder: Path, workers: int) -> None:
        self._server = PostgreSQLServer(DURABLE)
        self._lines = [Proxy(self._server.port) for _ in range(workers)]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._server)
        for line in self._lines:
            self._stack.enter_context(line)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def url(self, worker: int) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._lines[worker].port}/postgres"

    def line(self, worker: int) -> Proxy:
        return self._lines[worker]

    def crash(self) -> None:
        for pid in (self._server.pid, *_children(self._server.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._server.wait()

    def restart(self) -> None:
        self._server.start()

    def rows(self) -> Sequence[Row]:
        columns = ", ".join(Row._fields).replace("job,", "job_id,")
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            found = connection.execute(
                f"select {columns} from tickwork_runs union all select {columns} from tickwork_open_runs order by number".encode()
            ).fetchall()
        return [Row(*row) for row in found]

    def anchored_at(self, job: str) -> int:
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            row = connection.execute("select anchored_at from tickwork_jobs where id = %s", (job,)).fetchone()
        assert row is not None
        return int(row[0])


class RedisPlace:
    """A server that writes each answer to its file before it gives it, so that a crash loses nothing."""

    kinds = OF_SERVERS
    frozen_holds_all = False

    def __init__(self, folder: Path, workers: int) -> None:
        self._server = RedisServer(KEPT)
        self._lines = [Proxy(self._server.port) for _ in range(workers)]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._server)
        for line in self._lines:
            self._stack.enter_context(line)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def url(self, worker: int) -> str:
        return f"redis://127.0.0.1:{self._lines[worker].port}/0"

    def line(self, worker: int) -> Proxy:
        return self._lines[worker]

    def crash(self) -> None:
        self._server.kill()

    def restart(self) -> None:
        self._server.start()

    def rows(self) -> Sequence[Row]:
        with redis.Redis.from_url(self._server.url(), decode_responses=True) as client, client.pipeline() as at_once:
            at_once.zrange("{tickwork}:ledger", 0, -1, withscores=True)
            at_once.hgetall("{tickwork}:open").hgetall("{tickwork}:closed")
            numbered, open_runs, closed_runs = at_once.execute()
        numbers, rows = dict(numbered), open_runs | closed_runs
        found = (_read_row(int(numbers[id]), id, json.loads(text)) for id, text in rows.items())
        return sorted(found, key=lambda row: row.number)

    def anchored_at(self, job: str) -> int:
        with redis.Redis.from_url(self._server.url(), decode_responses=True) as client:
            uid = client.hget("{tickwork}:ids", job)
            assert uid is not None
            return int(json.loads(client.hget("{tickwork}:jobs", uid) or "")[OF_ANCHORED_AT])


PLACES: Mapping[str, Callable[[Path, int], Place]] = {
    "sqlite": SQLitePlace,
    "postgresql": PostgreSQLPlace,
    "redis": RedisPlace,
}


OF_ANCHORED_AT = 11
"""Where a job's row has it; `shared.lua` names the fields before it."""
ORIGINS = {"": "schedule", "m": "manual", "b": "backfill"}


def _read_row(number: int, id: str, fields: Sequence[Any]) -> Row:
    """A row of the ledger, as Redis has it: what is unique of it is its id."""
    uid_and_time, _, attempt = id.rpartition("-")
    _, _, fire_time = uid_and_time.partition("-")
    letter = fire_time[-1:] if fire_time[-1:] in ORIGINS else ""
    state, version, node, _, _, _, _, _, _, ended_at, reason, job, through, started_at, *_ = fields
    return Row(
        number, job, int(fire_time.removesuffix(letter)), through, int(attempt), ORIGINS[letter], state, version, node,
        started_at, ended_at, reason,
    )  # fmt: skip


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
