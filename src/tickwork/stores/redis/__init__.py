"""The store on a Redis or Valkey server, which any number of machines share.

The rule: each write is one script, which compares the versions that its decision was made on. What is decided in
Python is read by one script and written by another; what has changed between the two is not written.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import merge
from itertools import chain, islice
from typing import Any, NamedTuple, NoReturn, TypeVar

from tickwork.backfill import MAX_OPEN_BACKFILLS, Backfill, one_too_many
from tickwork.clock import BEGINNING, MICROSECOND, Clock, SystemClock, to_micros
from tickwork.codec import read_instant, read_log, to_text, write_definition, write_instant, write_log
from tickwork.declaration import Declaration
from tickwork.errors import (
    BackfillNotFoundError,
    ConflictError,
    JobExistsError,
    JobNotFoundError,
    RunNotFoundError,
    StoreError,
    StoreUnusableError,
)
from tickwork.expectation import Expectation
from tickwork.job import Job
from tickwork.jobstate import NO_STATE, StateChange, StoredState
from tickwork.moves import NOTHING_ELSE, Holdings, Move, PackedJob, PackedRest, PackedRun
from tickwork.node import Node, NodeState
from tickwork.plan import Change, Filling, Hold, Settlement, expect
from tickwork.retention import Retention
from tickwork.run import RUNNING, Origin, Run, RunState
from tickwork.runlog import NO_LOG, RunLog
from tickwork.stores import base
from tickwork.stores.base import Census, Claim, Decide, Fill, Outlook, Pruned, Stretch
from tickwork.stores.known import tell_known
from tickwork.stores.parts import in_parts
from tickwork.stores.redis import moving
from tickwork.stores.redis.address import Address
from tickwork.stores.redis.doorbell import Doorbell, may_be_due_soon
from tickwork.stores.redis.due import Due
from tickwork.stores.redis.ending import Ending
from tickwork.stores.redis.firing import Firing
from tickwork.stores.redis.journal import SPAN, Journal
from tickwork.stores.redis.rows import (
    DueRow,
    Row,
    asked_id,
    born_run,
    changed_run,
    ids_json,
    read_answered,
    read_backfill,
    read_expectation,
    read_job,
    read_node,
    read_runs,
    read_state,
    read_version,
    run_id,
    stretch_of,
    uid,
    whole_job,
    written_backfill,
    written_change,
    written_move,
    written_node,
    written_run,
)
from tickwork.stores.redis.server import Server, Session
from tickwork.stores.server_clock import ServerClock
from tickwork.stores.standing import standing
from tickwork.why import (
    MAX_ASKED_FOR,
    MAX_NAMESAKES,
    NEVER_BEGUN,
    SECOND,
    SILENCE_SCAN,
    Absence,
    Evidence,
    Silence,
    end_of,
    of_its_time,
    rows_at,
)

__all__ = ["RedisStore"]

MAX_CACHED_DEFINITIONS = 20_000
PAGE = 500
"""How many jobs or runs one script reads or removes for people: it keeps the server for a few milliseconds."""
REMOVED_JOBS = 100
"""Of how many removed jobs that had the same id the runs are shown."""
MAX_FORGOTTEN = 200
"""How many removed jobs, backfills and nodes are forgotten at once."""
DECLARED_FOR = timedelta(hours=1)
"""How long a declaration is kept that no node names: one that starts has declared before its first beat."""
IN_HAND = timedelta(milliseconds=500)
"""How long due jobs are left to the node that decides on them."""
LONGEST_QUIET = timedelta(seconds=15)
"""How long, after a restart of the server, nodes are waited for that are taken for alive and do not come."""
TRIES = 10
"""How often a decision is made anew because something has changed meanwhile."""
OPEN = frozenset({RunState.PENDING, RunState.RUNNING})
READING = frozenset({"let_go", "lost", "jobs", "runs", "open_backfills", "answered", "expectations", "census"})
"""Scripts that change nothing of what a glance sees."""
OF_A_ROUND = ("glance", "due", "fire", "settle", "outlook")
"""Those that a node calls all the time: its first rounds do not wait until the server has read them."""

T = TypeVar("T")

log = logging.getLogger("tickwork.store")


class Glance(NamedTuple):
    """What comes due first, of each kind, in one look; instants in microseconds. None: nothing does."""

    fire_at: Mapping[str, int | None]
    """By executor."""
    claim_at: int | None
    lapse_at: int | None
    expire_at: int | None
    expect_by: int | None
    backfilling: bool
    """Whether a backfill goes on."""
    cancelling: bool
    """Whether the node has to end a run."""


@dataclass(slots=True)
class Round:
    """What one thread does together."""

    glance: Glance | None = None
    """What was seen since the last write."""
    taken: list[Run] = field(default_factory=list)
    """The runs that were born or claimed for a node, which is told of them at the end."""


class OfThisThread(threading.local):
    round: Round | None = None
    glance: Glance | None = None
    """What the last `together` saw, if it wrote nothing behind that and nothing was asked since."""


class RedisStore:
    """Jobs and runs on the Redis or Valkey server that *url* names; docs/stores.md has its options.

    What is due is decided by the server's clock, or by *clock* in its place. *wall_clock* is this machine's; a node on
    which the two disagree fires nothing. Nodes wake each other by PUBLISH and SUBSCRIBE. Raises StoreURLError.
    """

    lease = timedelta(seconds=8)

    _process: int
    _opened: bool
    _server: Server
    _doorbell: Doorbell | None
    _definitions: dict[int, Job]
    _executors: tuple[str, ...]
    _node: str
    _of_this_thread: OfThisThread
    _untold: list[Run]
    _journal: Journal

    def __init__(self, url: str, *, clock: Clock | None = None, wall_clock: Clock | None = None) -> None:
        self._address = Address.parse(url)
        self.location = self._address.location
        self._own_clock = ServerClock() if clock is None else None
        self.clock: Clock = clock or self._own_clock or ServerClock()
        self.wall_clock: Clock = wall_clock or clock or SystemClock()
        self._name = secrets.token_hex(8)
        self._make_afresh()

    def open(self, ring: Callable[[], None] | None = None) -> None:
        self._check_process()
        if not self._opened:
            self._server.open()
            self._opened = True
        if ring is not None:
            self._server.warn()
            self._server.load(OF_A_ROUND)
            self._close_doorbell()
            self._doorbell = Doorbell(self._server.connect, self._key("bell"), self._name, ring)

    def close(self) -> None:
        self._check_process()
        self._opened = False
        self._close_doorbell()
        self._server.close()

    def exists(self) -> bool:
        return bool(self._server.command("EXISTS", self._key("version")))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Each verb inside is written by itself. If the whole fails, what it has taken is given back the next time."""
        self._check_process()
        assert self._of_this_thread.round is None, "together is not nested"
        self._of_this_thread.glance = None
        self._give_back_untold()
        self._of_this_thread.round = Round()
        try:
            with self._server.together():
                yield
            self._of_this_thread.glance = self._of_this_thread.round.glance
        except BaseException:
            self._untold += self._of_this_thread.round.taken
            raise
        finally:
            self._of_this_thread.round = None

    # what the user owns

    def add(self, jobs: Sequence[Job]) -> None:
        now = self.clock.now()
        rows = [_added(job, expect(job, now)) for job in jobs]
        taken = self._call("add", to_text(rows), self._name if any(may_be_due_soon(job, now) for job in jobs) else "")
        if taken == b"":
            raise ConflictError("expected new jobs, got some that were added before: make them again with new_job")
        if taken is not None:
            raise JobExistsError(taken.decode())
        self._journal.note(
            jobs={job_uid: row for job_uid, _, row, _, _ in rows},
            definitions={job_uid: (id, definition) for job_uid, id, _, definition, _ in rows},
        )
        self._keep(jobs)

    def get(self, job_id: str) -> Job:
        found = self._jobs(ids=[job_id])
        if not found:
            raise JobNotFoundError(job_id, self._some_ids())
        return found[0]

    def jobs(self, *, ids: Collection[str] | None = None, after: str = "", limit: int | None = None) -> Sequence[Job]:
        found: list[Job] = []
        pages = self._names(after) if ids is None else _paged(sorted(id for id in {*ids} if id > after))
        for page in pages:
            found += self._jobs(ids=page)
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found

    def save(self, changes: Sequence[Change], *, expected: Sequence[Expectation] = ()) -> Sequence[Change]:
        anew = [(uid(one.job_uid), write_instant(one.expect_by)) for one in expected]
        rows = [_saved(change) for change in changes]
        places = self._call("save", to_text(rows), to_text(anew), self._name, to_micros(self.clock.now()))
        for row in _won(rows, places):
            self._journal.note(
                jobs={row["uid"]: row["row"]},
                definitions={row["uid"]: (row["id"], row["definition"])},
                runs={**dict(row["runs"]), **{id: text for id, _, text in row["cancelled"]}},
            )
        return _won(changes, places)

    def remove(self, job_ids: Collection[str] | None = None) -> Sequence[Job]:
        now = to_micros(self.clock.now())
        pages = self._names("") if job_ids is None else _paged([*dict.fromkeys(job_ids)])
        removed: list[Job] = []
        for page in pages:
            removed += [read_job(*row) for row in self._ask("remove", to_text(page), now)]
        self._journal.note(removed=[uid(job.uid) for job in removed])
        return removed

    # the walk of a fire time

    def fire(
        self, decide: Decide, *, executor: str, since: datetime | None = None, until: datetime, limit: int,
        skip: Collection[int] = (),
    ) -> Sequence[Change]:  # fmt: skip
        begin, end = "-inf" if since is None else to_micros(since), to_micros(until)
        glance = self._glance()
        if glance is not None and executor in glance.fire_at and not _has_come(glance.fire_at[executor], end):
            return []
        with self._in_hand((executor, begin, end, ids_json([*map(uid, skip)])), limit) as (session, due):
            if not due.rests:
                return []
            jobs = chain.from_iterable(map(self._standing, due.parts()))
            return self._advance(session, executor, decide(jobs, due.active, self.clock.now()), due)

    def claim(
        self, hold: Hold, *, executor: str, since: datetime | None = None, limit: int, skip: Collection[int] = ()
    ) -> Sequence[Claim]:
        now, glance = to_micros(self.clock.now()), self._glance()
        if glance is not None and not _has_come(glance.claim_at, now):
            return []
        runs, jobs = self._ask(
            "claim", executor, now, "" if since is None else to_micros(since), limit,
            ids_json([*map(uid, skip)]), hold.node, to_micros(hold.lease_until),
        )  # fmt: skip
        if not runs:
            return []
        held = read_runs(runs)
        self._note_taken(held)
        self._journal.note(runs={run_id(run): written_run(run) for run in held})
        by_uid = {job.uid: job for job in self._jobs(uids=[job_uid for job_uid, _ in jobs])}
        gone = [Settlement(run.released()) for run in held if run.job_uid not in by_uid]
        if gone:  # their jobs were removed meanwhile: they are cancelled as those that waited were
            self.settle(gone)
        return [Claim(by_uid[run.job_uid], run) for run in held if run.job_uid in by_uid]

    def renew(self, runs: Sequence[Run], lease_until: datetime) -> Sequence[Run]:
        renewed = [run._replace(version=run.version + 1, lease_until=lease_until) for run in runs]
        ids, rows = [*map(run_id, renewed)], [*map(written_run, renewed)]
        versions = ids_json([*map(read_version, renewed)])
        places = self._ask("renew", ids_json(ids), versions, "\n".join(rows), to_micros(lease_until))
        self._note_runs(ids, rows, places)
        return _won(renewed, places)

    def lost(self, limit: int, *, nodes: Collection[str] = ()) -> Sequence[Run]:
        now, glance = to_micros(self.clock.now()), self._glance()
        if not nodes and glance is not None and not _has_come(glance.lapse_at, now):
            return []
        return read_runs(self._ask("lost", now, limit, to_text([*nodes])))

    def expired(self, limit: int) -> Sequence[Run]:
        now, glance = to_micros(self.clock.now()), self._glance()
        if glance is not None and not _has_come(glance.expire_at, now):
            return []
        words = self._key("expiring"), "-inf", now, "LIMIT", 0, limit
        # Meanwhile somebody may have taken it, or closed it.
        return [run for run in self._runs(self._command("ZRANGEBYSCORE", *words)) if run.state is RunState.PENDING]

    def settle(self, settlements: Iterable[Settlement]) -> Sequence[Settlement]:
        endings: list[Ending] = []

        def words() -> Iterator[Sequence[str | int]]:
            for part in in_parts(settlements):
                endings.append(ending := Ending(part))
                yield ending.words(self._name, to_micros(self.clock.now()))

        won: list[Settlement] = []
        for ending, (places,) in zip(endings, self._write_each("settle", words()), strict=True):
            written = json.loads(places)
            self._note_runs(ending.ids, ending.runs, written)
            self._journal.note(runs=ending.attempts_of(written))
            won += _won(ending.settlements, written)
        return won

    def cancel(self, runs: Sequence[Run]) -> Sequence[Run]:
        rows = [*map(changed_run, runs)]
        places = self._call("cancel", to_text(rows), self._name)
        self._journal.note(runs={id: row for id, _, row in _won(rows, places)})
        return _won(runs, places)

    def keep_logs(self, logs: Sequence[tuple[Run, RunLog]]) -> None:
        self._call("keep_logs", to_text([(run_id(run), str(run.version), write_log(log)) for run, log in logs]))

    def save_state(self, change: StateChange, run: Run | None = None) -> StoredState | None:
        held = ("", "") if run is None else (run_id(run), run.node or "")
        found = self._call("save_state", uid(change.job_uid), to_text(written_change(change)), *held)
        return None if found is None else read_state(found)

    def lend(self) -> AbstractContextManager[NoReturn]:
        raise StoreUnusableError(
            "run.transaction(): expected a store with transactions, got Redis, which has none that a job could share: "
            "give the scheduler sqlite:///jobs.db or postgresql://..."
        )

    # backfills

    def add_backfill(self, backfill: Backfill) -> None:
        ended_at = write_instant(backfill.ended_at)
        written = backfill.id, written_backfill(backfill), uid(backfill.job_uid), "" if ended_at is None else ended_at
        match self._call("add_backfill", *written, MAX_OPEN_BACKFILLS, self._name):
            case b"too many":
                raise one_too_many()
            case b"no job":
                raise JobNotFoundError(backfill.job_id)

    def fill(self, stretch: Stretch, decide: Fill, *, limit: int) -> Sequence[Filling]:
        glance = self._glance()
        if glance is not None and not glance.backfilling:
            return []
        filled = []
        for row, job_version, runs in self._ask("open_backfills", limit):
            backfill, active = read_backfill(row), read_runs(runs)
            fire_times = stretch(backfill, active)
            asked = [str(to_micros(at)) for at in fire_times]
            answered = read_answered(self._ask("answered", uid(backfill.job_uid), to_text(asked)) if asked else ())
            filling = decide(backfill, active, fire_times, answered, self.clock.now())
            if not filling.moved or self._move_on(backfill, job_version, filling):
                filled.append(filling)
        return filled

    def end_backfill(self, backfill: Backfill, cancel: Callable[[Run], Run]) -> Sequence[Run] | None:
        ended_at = write_instant(backfill.ended_at)
        assert ended_at is not None
        for _ in range(TRIES):
            ids = self._command("ZRANGE", self._key(f"backfilling:{uid(backfill.job_uid)}"), 0, -1)
            active = [run for run in self._runs(ids) if run.backfill == backfill.id and not run.state.closed]
            cancelled = [cancel(run) for run in active]
            done = self._call(
                "end_backfill", backfill.id, str(backfill.version - 1), written_backfill(backfill), ended_at,
                to_text([*map(changed_run, cancelled)]), self._name,
            )  # fmt: skip
            if done >= 0:
                return cancelled if done else None
        raise ConflictError(f"expected to end backfill {backfill.id}, got {TRIES} changes of its runs: try again")

    def cancelling(self, node: str) -> Sequence[Run]:
        self._node = node
        glance = self._glance()
        if glance is not None and not glance.cancelling:
            return []
        asked = self._runs(self._command("SMEMBERS", self._key(f"cancelling:{node}")))
        return [run for run in asked if run.state is RUNNING]  # the others have ended meanwhile

    def outlook(self, executors: Collection[str], *, after: datetime, fire_after: datetime) -> Outlook:
        self._executors = tuple({**dict.fromkeys(self._executors), **dict.fromkeys(executors)})
        now, ahead = to_micros(after), to_micros(fire_after)
        glance, self._of_this_thread.glance = self._of_this_thread.glance, None
        if glance is not None and glance.fire_at.keys() >= {*executors} and _is_later(glance, executors, now, ahead):
            fire_at = min((at for one in executors if (at := glance.fire_at[one]) is not None), default=None)
            ats = fire_at, glance.claim_at, glance.lapse_at, glance.expire_at, glance.expect_by
            return Outlook(*map(read_instant, ats))
        asked = to_text([*executors]), ahead, now
        *found, _ = self._server.learn_from("outlook", *asked)
        return Outlook(*map(_instant, found))

    # what is expected

    def fulfil(self, successes: Sequence[Expectation]) -> Sequence[Expectation]:
        rows = [
            (uid(one.job_uid), write_instant(one.expect_by), write_instant(one.succeeded_at))
            for one in successes if one.succeeded_at is not None
        ]  # fmt: skip
        return sorted(read_expectation(*row) for row in self._ask("fulfil", to_text(rows)))

    def find_overdue(self, node: str, *, limit: int) -> Sequence[Expectation]:
        now, glance = to_micros(self.clock.now()), self._glance()
        if glance is not None and not _has_come(glance.expect_by, now):
            return []
        rows = self._ask("find_overdue", now, node, limit)
        return [read_expectation(*row) for row in rows]

    def expectations(self, *, overdue: bool = False) -> Sequence[Expectation]:
        uids = self._command("ZRANGE", self._key("overdue"), 0, -1) if overdue else self._fields_of("expectations")
        found: list[Expectation] = []
        for page in _paged([one.decode() for one in uids]):
            found += [read_expectation(*row) for row in self._ask("expectations", ids_json(page))]
        chosen = [one for one in found if one.overdue_at is not None] if overdue else found
        return sorted(chosen, key=lambda one: one.job_id)

    # the nodes

    def beat(self, node: Node) -> Sequence[str]:
        ends = to_micros(node.seen_at), to_micros(node.lease_until)
        goes_on, now = int(node.stopped_at is None), to_micros(self.clock.now())
        living = self._call("beat", stretch_of(node), written_node(node), *ends, goes_on, now)
        return [declaration.decode() for declaration in living]

    def hold_lifeline(self, node: str) -> str:
        """None: Redis has no lock that goes with a connection."""
        return ""

    def cut_lifelines(self) -> Collection[str]:
        return ()

    def declare(self, declaration: Declaration) -> None:
        self._call("declare", declaration.name, to_micros(self.clock.now()), to_text([*declaration.ids]))

    def undeclared(self, apps: Collection[str]) -> Sequence[Job]:
        living = {node.declaration for node in self.nodes(alive=True, limit=base.MAX_NODES)}
        declared = [self._key(f"declaration:{name}") for name in sorted(living)]
        ids: set[str] = set()
        for app in {*apps}:
            ids |= {id.decode() for id in self._command("SDIFF", self._key(f"declared:{app}"), *declared)}
        return [job for job in self.jobs(ids=ids) if job.declared in apps and job.retired_at is None and not job.ended]

    def nodes(self, *, alive: bool = False, limit: int = 1_000) -> Sequence[Node]:
        now = self.clock.now()
        if alive:
            names = self._command("ZRANGEBYSCORE", self._key("nodes:alive"), f"({to_micros(now)}", "+inf")
        else:
            names = self._command("ZRANGE", self._key("nodes:seen"), 0, -1)
        latest = {node.id: node for node in sorted(self._stretches(names), key=lambda node: node.seen_since)}
        read = [node.read_at(now) for node in latest.values()]
        chosen = sorted((node for node in read if not alive or node.state is NodeState.ALIVE), key=lambda node: node.id)
        return sorted(chosen, key=lambda node: (node.seen_at, node.started_at), reverse=True)[:limit]

    # what people read

    def census(self) -> Census:
        jobs, paused, pending, running, fire_at, claim_at = self._call("census")
        return Census(self.clock.now(), jobs, paused, pending, running, _instant(fire_at), _instant(claim_at))

    def run(self, run_id: str) -> Run:
        for run in self._runs([asked_id(run_id)]):
            return run
        raise RunNotFoundError(run_id)

    def state(self, job_uid: int) -> StoredState:
        found = self._command("HGETALL", self._key(f"kept:{uid(job_uid)}"))
        return read_state(found) if found else NO_STATE

    def log(self, run_id: str) -> RunLog:
        self.run(run_id)
        found = self._command("HGET", self._key("logs"), asked_id(run_id))
        return NO_LOG if found is None else read_log(found.decode())

    def runs(
        self, *, job_id: str | None = None, states: Collection[RunState] = (), limit: int = 100, offset: int = 0
    ) -> Sequence[Run]:
        wanted = {*states} or {*RunState}
        ids = self._newest_ids(wanted) if job_id is None else self._newest_ids_of(job_id)
        found: dict[str, Run] = {}
        at_once = limit + offset
        while len(found) < limit + offset and (page := [*islice(ids, min(PAGE, at_once))]):
            found |= {run.id: run for run in self._runs(page) if run.state in wanted}
            at_once = PAGE  # the first was not enough: many may have changed since they were listed
        return [*islice(found.values(), offset, offset + limit)]

    def backfill(self, backfill_id: str) -> Backfill:
        found = self._command("HGET", self._key("backfills"), backfill_id)
        if found is None:
            raise BackfillNotFoundError(backfill_id)
        return read_backfill(json.loads(found))

    def backfills(
        self, *, job_id: str | None = None, ended: bool | None = None, limit: int = 100
    ) -> Sequence[Backfill]:
        ids = (name for name, _ in self._backwards("backfills:all"))
        found: list[Backfill] = []
        while len(found) < limit and (page := [*islice(ids, PAGE)]):
            rows = self._command("HMGET", self._key("backfills"), *page)
            read = [read_backfill(json.loads(row)) for row in rows if row is not None]
            found += [one for one in read if job_id in (None, one.job_id) and ended in (None, one.ended)]
        return found[:limit]

    def evidence(self, job_id: str, instant: datetime) -> Evidence:
        jobs = self._jobs(ids=[job_id])
        removed = self._key(f"removed:{job_id}")
        since = to_micros(instant) - SECOND // MICROSECOND
        words = removed, since, "+inf", "WITHSCORES", "LIMIT", 0, MAX_NAMESAKES
        removals = self._command("ZRANGEBYSCORE", *words)
        if not jobs and not removals:
            removals = self._command("ZREVRANGE", removed, 0, 0, "WITHSCORES")
        known = {name.decode(): Evidence(job_id, None, removed_at=_instant(at)) for name, at in _pairs(removals)}
        known |= {uid(job.uid): Evidence(job_id, job) for job in jobs}
        if not known:
            raise JobNotFoundError(job_id, self._some_ids())
        found = [self._evidence(evidence, job_uid, instant) for job_uid, evidence in known.items()]
        return of_its_time(found, instant)._replace(absence=self._absence(instant))

    def prune(self, keep: Retention, *, after: int, jobs: int, rows: int) -> Pruned:
        now = self.clock.now()
        age = "" if keep.age is None else keep.age // MICROSECOND
        count = "" if keep.count is None else keep.count
        begin = "" if after < 0 else f"{after:016x}"
        deleted, last, more = self._call("prune", begin, jobs, rows, to_micros(now), age, count)
        if last:
            return Pruned(deleted, int(last, 16) - more)
        cutoff = to_micros(keep.cutoff(now) or BEGINNING)
        self._call("forget", cutoff, to_micros(now), base.MAX_NODES, MAX_FORGOTTEN)
        self._forget_declarations(now)
        return Pruned(deleted, None)

    # moving house

    def move(self) -> Move | None:
        self._check_process()
        return moving.find_move(self._server)

    def write_move(self, before: Move | None, after: Move | None) -> bool:
        return bool(self._call("write_move", written_move(before), written_move(after), self._name))

    def holdings(self) -> Holdings:
        self._check_process()
        return moving.count_holdings(self._server)

    def pack_jobs(self, *, after: str = "", limit: int) -> Sequence[PackedJob]:
        return moving.pack_jobs(self._server, self.jobs(after=after, limit=limit))

    def pack_runs(self, *, after: int = -1, limit: int, numbers: Collection[int] | None = None) -> Sequence[PackedRun]:
        self._check_process()
        numbered = moving.find_numbered(self._server, after, limit, numbers)
        return moving.pack_runs(self._server, numbered, self._runs([*numbered]))

    def pack_rest(self) -> PackedRest:
        self._check_process()
        return moving.pack_rest(self._server)

    def unpack(
        self, move: Move, *, jobs: Sequence[PackedJob] = (), runs: Sequence[PackedRun] = (),
        rest: PackedRest = NOTHING_ELSE,
    ) -> bool:  # fmt: skip
        self._check_process()
        return (
            moving.unpack_jobs(self._server, move, jobs)
            and all(moving.unpack_runs(self._server, move, page) for page in _paged(runs))
            and moving.unpack_rest(self._server, move, rest, to_micros(self.clock.now()))
        )

    def clear(self, move: Move) -> bool:
        self._check_process()
        return moving.clear(self._server, move)

    # rounds

    def _glance(self) -> Glance | None:
        """What the thread that is inside of `together` sees in one look; None outside: there each question is asked."""
        inside = self._of_this_thread.round
        if inside is None:
            return None
        if inside.glance is None:
            self._write("glance")
        return inside.glance

    def _write(self, script: str, *arguments: str | int) -> list[Any]:
        """What a script answers that ends with a glance; a round that goes on keeps that, and our clock its time."""
        (answer,) = self._write_each(script, [arguments])
        return answer

    def _write_each(
        self, script: str, many: Iterable[Sequence[str | int]], *, session: Session | None = None
    ) -> list[list[Any]]:  # fmt: skip
        """The same for each of *many* arguments: while the script works at the first, the next are made."""
        self._check_process()
        inside = self._of_this_thread.round
        looking = ("", "") if inside is None else (to_text(self._executors), self._node)
        answers: list[list[Any]] = self._server.learn_from_each(
            script, ((*words, *looking) for words in many), session=session
        )  # fmt: skip
        for answer in answers:
            seen = answer.pop()
            if inside is not None:
                fire_at, claim_at, lapse_at, expire_at, expect_by, backfilling, cancelling, _ = seen
                inside.glance = Glance(
                    dict(zip(self._executors, map(_number, fire_at), strict=True)), _number(claim_at),
                    _number(lapse_at), _number(expire_at), _number(expect_by), bool(backfilling), bool(cancelling),
                )  # fmt: skip
        return answers

    def _note_taken(self, runs: Iterable[Run]) -> None:
        inside = self._of_this_thread.round
        if inside is not None:
            inside.taken += [run for run in runs if run.state is RUNNING]

    def _note_runs(self, ids: Sequence[str], rows: Sequence[str], places: Sequence[int]) -> None:
        """Remember the rows of these runs that were written."""
        self._journal.note(runs=dict(_won([*zip(ids, rows, strict=True)], places)))

    def _reassert(self, session: Session, server: str, again: bool) -> None:
        """Say to a server that is met for the first time what this node has written lately.

        *again*: another one was there before.
        """
        known = self._journal.read()
        if again:
            log.warning(
                "%s was restarted, or another server took its place: %d jobs and %d runs of the last %.0f s are "
                "written again where they are missing, and nothing is fired until the other nodes have done the same",
                self.location, len(known.jobs), len(known.runs), SPAN,
            )  # fmt: skip
        now = to_micros(self.clock.now())
        jobs = [(job_uid, row, *known.definitions.get(job_uid, ("", None))) for job_uid, row in known.jobs.items()]
        parts: list[tuple[Sequence[Any], Sequence[Any], Sequence[Any]]] = [
            *(((), (), page) for page in _paged(known.removed)), *((page, (), ()) for page in _paged(jobs)),
            *(((), page, ()) for page in _paged([*known.runs.items()])), ((), (), ()),
        ]  # fmt: skip
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            session.call(
                "reassert", self._address.prefix, server, now, now + LONGEST_QUIET // MICROSECOND, int(again),
                *map(to_text, part), self._node if last else "",
            )  # fmt: skip

    def _give_back_untold(self) -> None:
        """Give back what was taken in rounds that failed, whether or not it had been written: nobody was told of it."""
        if self._untold:
            now = self.clock.now()
            held = [run for run in self._untold if run.lease_until is not None and run.lease_until > now]
            self.settle([Settlement(run.released()) for run in held])
            self._untold = []

    # fire

    @contextmanager
    def _in_hand(self, asked: tuple[str | int, ...], limit: int) -> Iterator[tuple[Session, Due]]:
        """What is due, and the connection that it comes on; what is not written in this block is let go of after it."""
        self._check_process()
        due: Due | None = None
        with self._turn:
            now = to_micros(self.clock.now())
            try:
                with self._server.session() as session:
                    due = Due(session, self._address.prefix, (*asked, now, now + IN_HAND // MICROSECOND), limit)
                    yield session, due
            except StoreError:
                raise  # they are in our hand for a moment only
            except BaseException:
                if due is not None:
                    with suppress(StoreError):
                        self._let_go(due)
                raise
            self._let_go(due)

    def _let_go(self, due: Due) -> None:
        if due.in_hand:
            self._call("let_go", ids_json([*due.in_hand]))

    def _standing(self, due: Sequence[DueRow]) -> Iterator[Job]:
        """The jobs of these rows; a definition that was read before is not read again."""
        known = self._definitions
        uids = [int(job_uid, 16) for job_uid, _, _, _, _, _ in due]
        unknown = [
            job_uid for one, (job_uid, _, revision, _, _, _) in zip(uids, due, strict=True)
            if one not in known or known[one].revision != revision
        ]  # fmt: skip
        if unknown:
            known = {**known, **{job.uid: job for job in self._jobs(uids=unknown)}}
        # One that was removed since is not known, and would not be written.
        return (
            standing(known[one], version, next_fire_time, last_fire_time)
            for one, (_, version, _, next_fire_time, last_fire_time, _) in zip(uids, due, strict=True) if one in known
        )  # fmt: skip

    def _advance(self, session: Session, executor: str, changes: Iterable[Change], due: Due) -> list[Change]:
        """Write changes of due jobs, a part while the next is decided on; those that won, as written."""
        firings: list[Firing] = []

        def words() -> Iterator[Sequence[str | int]]:
            for part in in_parts(changes):
                firings.append(firing := Firing(part, due.rests))
                self._note_taken(run for _, run in firing.owned)
                yield firing.words(executor, self._name, to_micros(self.clock.now()))
            due.second()  # whoever decided may have had enough before it

        answers = self._write_each("fire", words(), session=session)
        due.in_hand.difference_update(*(firing.uids for firing in firings))
        return [
            change for firing, (lost, known) in zip(firings, answers, strict=True)
            for change in self._as_written(firing, {*lost}, {*known})
        ]  # fmt: skip

    def _as_written(self, firing: Firing, lost: Collection[int], known: Collection[int]) -> Sequence[Change]:
        """Those of these changes that won, without runs that were born before; given the places of what lost."""
        if not lost and not known:
            jobs, runs = zip(firing.uids, firing.jobs, strict=True), zip(firing.ids, firing.runs, strict=True)
            self._journal.note(jobs=dict(jobs), runs=dict(runs))
            return firing.changes
        moved = [place for place in range(1, len(firing.jobs) + 1) if place not in lost]
        born = [place for place, (owner, _) in enumerate(firing.owned, 1) if owner not in lost and place not in known]
        self._journal.note(
            jobs={firing.uids[place - 1]: firing.jobs[place - 1] for place in moved},
            runs={firing.ids[place - 1]: firing.runs[place - 1] for place in born},
        )
        new = {id(firing.owned[place - 1][1]) for place in born}
        won = [firing.changes[place - 1] for place in moved]
        written = [change._replace(runs=tuple(run for run in change.runs if id(run) in new)) for change in won]
        tell_known(won, written)
        return written

    # fill

    def _move_on(self, read: Backfill, job_version: str, filling: Filling) -> bool:
        """Write what becomes of a backfill; whether it and its job were as they had been read."""
        ended_at = write_instant(filling.backfill.ended_at)
        return bool(self._call(
            "fill", read.id, str(read.version), written_backfill(filling.backfill),
            "" if ended_at is None else ended_at, uid(read.job_uid), job_version,
            to_text([*map(born_run, filling.runs)]),
        ))  # fmt: skip

    # reading

    def _jobs(self, *, ids: Sequence[str] = (), uids: Sequence[str] = ()) -> list[Job]:
        jobs = [read_job(*row) for row in self._ask("jobs", to_text([*ids]), ids_json(uids))]
        self._keep(jobs)
        return jobs

    def _runs(self, ids: Sequence[str | bytes]) -> list[Run]:
        """Those of *ids* that there are, in their order."""
        if not ids:
            return []
        names = [id.decode() if isinstance(id, bytes) else id for id in ids]
        return [run for page in _paged(names) for run in read_runs(self._ask("runs", ids_json(page)))]

    def _names(self, after: str) -> Iterator[list[str]]:
        """The ids of all jobs above *after*, page by page."""
        while True:
            begin = b"-" if not after else b"(" + after.encode()
            page = self._command("ZRANGEBYLEX", self._key("names"), begin, "+", "LIMIT", 0, PAGE)
            if not page:
                return
            names = [name.decode() for name in page]
            yield names
            after = names[-1]

    def _some_ids(self) -> list[str]:
        return [name.decode() for name in self._command("ZRANGE", self._key("names"), 0, 199)]

    def _fields_of(self, key: str) -> list[bytes]:
        """The names of all fields of a hash, which may be long: some at a time."""
        found: set[bytes] = set()
        cursor = b"0"
        while True:
            cursor, page = self._command("HSCAN", self._key(key), cursor, "COUNT", PAGE)
            found.update(page[::2])
            if int(cursor) == 0:
                return [*found]

    def _backwards(self, key: str) -> Iterator[tuple[str, float]]:
        """The members of a sorted set with their scores, the highest first."""
        place = 0
        while page := _pairs(self._command("ZREVRANGE", self._key(key), place, place + PAGE - 1, "WITHSCORES")):
            yield from ((member.decode(), float(score)) for member, score in page)
            place += len(page)

    def _newest_ids(self, wanted: Collection[RunState]) -> Iterator[str]:
        """The ids of runs, newest first: of those in these states, and perhaps of others."""
        if RunState.SUCCEEDED in wanted:
            sources = [self._backwards("ledger")]
        else:
            sources = [self._backwards(f"state:{state}") for state in sorted({*wanted} - OPEN)]
            if OPEN & {*wanted}:
                sources.append(self._open_backwards())
        for id, _ in merge(*sources, key=lambda entry: entry[1], reverse=True):
            yield id

    def _open_backwards(self) -> Iterator[tuple[str, float]]:
        """The ids of open runs with their numbers, the highest first: they are few beside what has ended."""
        numbered: list[tuple[str, float]] = []
        place = 0
        while page := self._command("ZRANGE", self._key("active"), place, place + PAGE - 1):
            numbers = self._command("ZMSCORE", self._key("ledger"), *page)
            numbered += [
                (id.decode(), float(number)) for id, number in zip(page, numbers, strict=True) if number is not None
            ]
            place += PAGE
        yield from sorted(numbered, key=lambda entry: entry[1], reverse=True)

    def _newest_ids_of(self, job_id: str) -> Iterator[str]:
        """The ids of a job's runs, the latest fire time first; of all that were removed if none has this id now."""
        current = self._command("HGET", self._key("ids"), job_id)
        removed = self._command("ZREVRANGE", self._key(f"removed:{job_id}"), 0, REMOVED_JOBS - 1)
        ledgers = [self._ledger_backwards(one.decode()) for one in ([current] if current else removed)]
        for _, _, id in merge(*ledgers, reverse=True):
            yield id

    def _ledger_backwards(self, job_uid: str) -> Iterator[tuple[float, int, str]]:
        """Fire time, attempt and id of a job's runs; of the attempts at one fire time the last comes first."""
        of_one: list[tuple[float, int, str]] = []
        for rest, fire_time in self._backwards(f"ledger:{job_uid}"):
            if of_one and of_one[0][0] != fire_time:
                yield from sorted(of_one, reverse=True)
                of_one = []
            of_one.append((fire_time, int(rest.rpartition("-")[2]), f"{job_uid}-{rest}"))
        yield from sorted(of_one, reverse=True)

    # why

    def _evidence(self, known: Evidence, job_uid: str, instant: datetime) -> Evidence:
        """What is *known* and what the ledger says.

        In this order: what is fired after the job was read has its row, and what is pruned after the rows were read is
        noted.
        """
        at, end = to_micros(instant), to_micros(end_of(instant))
        ledger = self._key(f"ledger:{job_uid}")
        before = self._attempts(job_uid, "ZREVRANGEBYSCORE", ledger, at, "-inf")
        after = self._attempts(job_uid, "ZRANGEBYSCORE", ledger, f"({at}", "+inf")
        asked_for = self._command("ZRANGEBYSCORE", ledger, at, f"({end}")
        rest = [one.decode() for one in asked_for]
        manual, backfilled = (
            self._runs([f"{job_uid}-{one}" for one in rest if letter in one][:MAX_ASKED_FOR]) for letter in "mb"
        )
        found = rows_at(before, after, instant)
        silence = self._silence(found[0]) if found and found[0].state in NEVER_BEGUN else None
        running: list[Run] = []
        if known.job is not None and any(run.state is RunState.PENDING for run in (*found, *manual)):
            words = "ZRANGEBYLEX", self._key("active"), f"[{job_uid}-", f"({job_uid}."
            active = self._runs(self._command(*words))
            at_work = [run for run in active if run.state is RunState.RUNNING and run.backfill is None]
            running = sorted(at_work, key=lambda run: (run.fire_time, run.attempt))[: known.job.max_instances]
        noted = self._command("HGET", self._key("pruned"), job_uid)
        return known._replace(
            before=before, after=after, manual=manual, backfilled=backfilled, running=running, silence=silence,
            pruned_through=_instant(noted),
        )  # fmt: skip

    def _attempts(self, job_uid: str, *question: str | int) -> list[Run]:
        """All attempts at the first fire time of the schedule that *question* finds."""
        _, ledger, *_ = question
        place = 0
        while page := self._command(*question, "LIMIT", place, PAGE):
            for rest in page:
                fire_time = rest.decode().rpartition("-")[0]
                if fire_time[-1] not in "mb":
                    all_at_it = self._command("ZRANGEBYSCORE", ledger, fire_time, fire_time)
                    runs = self._runs([f"{job_uid}-{one.decode()}" for one in all_at_it])
                    scheduled = [run for run in runs if run.origin is Origin.SCHEDULE]
                    return sorted(scheduled, key=lambda run: run.attempt)
            place += PAGE
        return []

    def _silence(self, run: Run) -> Silence | None:
        """Between which signs of a node *run* lies: the starts and endings of rows that were born before it."""
        rank = self._command("ZREVRANK", self._key("ledger"), run_id(run))
        if rank is None:
            return None
        ids = self._command("ZREVRANGE", self._key("ledger"), rank, rank + SILENCE_SCAN)
        signs = [at for one in self._runs(ids) for at in (one.started_at, one.ended_at) if at is not None]
        after = [at for at in signs if at >= run.fire_time]
        since = max((at for at in signs if at < run.fire_time), default=None)
        return Silence(since, min(after)) if after else None

    def _absence(self, instant: datetime) -> Absence | None:
        now = self.clock.now()
        names = self._command("ZRANGE", self._key("nodes:seen"), 0, -1)
        nodes = [node.read_at(now) for node in self._stretches(names)]
        known = [node for node in nodes if node.seen_since <= instant]
        before = [node for node in known if node.seen_at < instant and node.state is not NodeState.ALIVE]
        if len(before) < len(known) or not before or instant > now:
            return None
        after = [node for node in nodes if node.seen_since > instant]
        return Absence(
            max(before, key=lambda node: node.seen_at), min(after, key=lambda node: node.seen_since, default=None)
        )

    # nodes

    def _stretches(self, names: Sequence[bytes]) -> list[Node]:
        found: list[Node] = []
        for page in _paged(names):
            rows = self._command("HMGET", self._key("nodes"), *page)
            found += [read_node(json.loads(row)) for row in rows if row is not None]
        return found

    def _forget_declarations(self, now: datetime) -> None:
        """Forget what no node has declared for some time; the script looks again whether it was declared meanwhile."""
        since = to_micros(now - DECLARED_FOR)
        old = self._command("ZRANGEBYSCORE", self._key("declarations"), "-inf", since)
        if old:
            named = {
                node.declaration for node in self._stretches(self._command("ZRANGE", self._key("nodes:seen"), 0, -1))
            }
            gone = [name for name in (one.decode() for one in old) if name not in named]
            self._call("forget_declarations", to_text(gone), since)

    # the server, as this process sees it

    def _make_afresh(self) -> None:
        self._process = os.getpid()
        self._opened = False
        self._server = Server(self._address, self._own_clock, self._reassert)
        self._journal = Journal()
        self._doorbell = None
        self._definitions = {}
        self._executors = ()
        self._node = ""
        self._of_this_thread = OfThisThread()
        self._untold = []
        # Of one process's threads, at firing: each would pass over the jobs that another has in hand.
        self._turn = threading.Lock()

    def _check_process(self) -> None:
        """Start anew in a forked child: a connection must not be used on both sides of a fork."""
        if self._process != os.getpid():
            self._left_to_parent = (self._server, self._doorbell)  # closing them would end the parent's connections
            self._make_afresh()

    def _close_doorbell(self) -> None:
        doorbell, self._doorbell = self._doorbell, None
        if doorbell is not None:
            doorbell.stop()
            with suppress(StoreError):  # then it notices by itself, a moment later
                self._command("PUBLISH", self._key("bell"), doorbell.farewell)
            doorbell.wait_stopped()

    def _key(self, name: str) -> str:
        return f"{self._address.prefix}:{name}"

    def _command(self, *words: str | bytes | int) -> Any:
        self._check_process()
        return self._server.command(*words)

    def _call(self, script: str, *arguments: str | int) -> Any:
        self._check_process()
        if script not in READING and (inside := self._of_this_thread.round) is not None:
            inside.glance = None
        return self._server.call(script, *arguments)

    def _ask(self, script: str, *arguments: str | int) -> Any:
        """What a script answers in JSON."""
        return json.loads(self._call(script, *arguments))

    def _keep(self, jobs: Collection[Job]) -> None:
        """Remember these definitions; when there are too many, from the first again."""
        if len(self._definitions) + len(jobs) > MAX_CACHED_DEFINITIONS:
            self._definitions.clear()
        self._definitions.update((job.uid, job) for job in jobs)


def _added(job: Job, expected: Expectation | None) -> Row:
    by = False if expected is None else write_instant(expected.expect_by)
    return uid(job.uid), job.id, whole_job(job), write_definition(job), by


def _saved(change: Change) -> Mapping[str, Any]:
    job = change.job
    return {
        "uid": uid(job.uid), "id": job.id, "version": str(job.version - 1), "row": whole_job(job),
        "definition": write_definition(job), "expects": job.expect_every is not None,
        "retires": job.retired_at is not None, "runs": [*map(born_run, change.runs)],
        "cancelled": [*map(changed_run, change.cancelled)],
    }  # fmt: skip


def _won(asked: Sequence[T], places: Sequence[int]) -> list[T]:
    """Those of *asked* whose places a script has answered."""
    return [*asked] if len(places) == len(asked) else [asked[place - 1] for place in places]


def _paged(names: Sequence[T]) -> Iterable[Sequence[T]]:
    return (names[start : start + PAGE] for start in range(0, len(names), PAGE))


def _has_come(at: int | None, now: int) -> bool:
    return at is not None and at <= now


def _is_later(glance: Glance, executors: Collection[str], after: int, fire_after: int) -> bool:
    """Whether all that a glance saw lies strictly after these instants, so that nothing lies hidden behind it."""
    fires = [glance.fire_at[executor] for executor in executors]
    return not any(_has_come(at, fire_after) for at in fires) and not (
        any(_has_come(at, after) for at in (glance.claim_at, glance.lapse_at, glance.expire_at, glance.expect_by))
    )


def _pairs(flat: Sequence[bytes]) -> Sequence[tuple[bytes, bytes]]:
    return [*zip(flat[::2], flat[1::2], strict=True)]


def _number(score: bytes | None) -> int | None:
    """An instant as Redis writes a score: perhaps with an exponent."""
    return None if score is None else int(float(score))


def _instant(score: bytes | None) -> datetime | None:
    return read_instant(_number(score))
