"""Moving house: everything arrives, wherever it is broken off; and each fire time has one answer."""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.household import FULL, contents, furnish, household, ordered
from tests.nodes import Node, advance
from tests.samples import MINUTE, NOW, SECOND, make_job, make_run, next_version

from tickwork.errors import InvalidJobError, MoveRefusedError, StoreMovedError, StoreURLError
from tickwork.job import Job
from tickwork.mover import Mover, Stage, Step, abort_move, move
from tickwork.moves import MoveState
from tickwork.run import RunState
from tickwork.scheduler import BackgroundScheduler
from tickwork.stores import make_store
from tickwork.stores.base import Store
from tickwork.stores.postgresql import PostgreSQLStore
from tickwork.stores.sqlite import SQLiteStore
from tickwork.testing import VirtualClock
from tickwork.triggers import IntervalTrigger
from tickwork.why import Verdict

KINDS = ["memory", "sqlite", "postgresql", "redis"]
FAST = ("memory",)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: VirtualClock) -> Callable[[str], Store]:
    """Makes an empty store of a kind, as often as it is asked for one."""

    def make_one(kind: str) -> Store:
        name = secrets.token_hex(6)
        match kind:
            case "memory":
                url = None
            case "sqlite":
                url = f"sqlite:///{tmp_path / name}.db"
            case "postgresql":
                url = f"{request.getfixturevalue('postgresql_url')}_{name}"
            case _:
                url = f"{request.getfixturevalue('redis_url')}_{name}"
        store = make_store(url, clock=clock)
        request.addfinalizer(store.close)
        store.open()
        return store

    return make_one


@pytest.mark.parametrize("thing", FULL, ids=lambda thing: type(thing).__name__)
def test_the_household_leaves_no_field_at_its_default(thing: Any) -> None:
    """Who adds a field to a job, a run, ... gives it a value in tests/household.py; then the laws below carry it."""
    defaults = type(thing)._field_defaults
    left = [name for name in thing._fields if name in defaults and getattr(thing, name) == defaults[name]]
    assert left == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_gives_back_what_was_put_into_it(kind: str, make: Callable[[str], Store]) -> None:
    store = make(kind)
    furnish(store, household())

    assert contents(store) == ordered(household())


@pytest.mark.parametrize("new_kind", KINDS)
@pytest.mark.parametrize("old_kind", KINDS)
def test_everything_arrives(old_kind: str, new_kind: str, make: Callable[[str], Store], clock: VirtualClock) -> None:
    old, new = make(old_kind), make(new_kind)
    furnish(old, household())
    clock.advance(MINUTE * 70)  # so that what runs is lost, and is closed

    moved = finish(Mover(old, new), clock)

    assert contents(new) == contents(old)
    assert (moved.moved.new, new.move().fires) == (new.location, True)
    with pytest.raises(StoreMovedError, match="has moved to"):
        old.add([make_job("late")])
    new.add([make_job("next")])


def exhaust(steps: Iterable[Step]) -> None:
    for _ in steps:
        pass


def finish(mover: Mover, clock: VirtualClock) -> Mover:
    for step in mover.steps():
        if step.waits:
            clock.advance(SECOND)
    return mover


# nodes at work, and a mover that is killed at each step, before and after it has had its effect


class Killed(BaseException):
    """What a process that is killed does: it does nothing more."""


class Mortal:
    """A store through which a mover reaches it, until the mover is killed: at its n-th call of both stores together."""

    calls = 0

    def __init__(self, store: Store, life: Life) -> None:
        self._store, self._life = store, life

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        return self._life.lived(verb) if callable(verb) and name != "clock" else verb


class Life:
    def __init__(self, calls: int, *, effect: bool) -> None:
        self.left = calls
        self.effect = effect

    def lived(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0 and self.effect:
                verb(*args, **kwargs)
            if self.left <= 0:
                raise Killed
            return verb(*args, **kwargs)

        return call


def live(mover: Mover, clock: VirtualClock, *nodes: Node) -> None:
    """Move while these nodes are at work."""
    for step in mover.steps():
        advance(clock, SECOND if step.waits else SECOND / 5, *nodes)


@pytest.mark.parametrize(
    ("old_kind", "new_kind"), [*pairwise([*KINDS, "memory"]), *pairwise(["sqlite", "redis", "postgresql", "sqlite"])]
)
def test_wherever_it_is_killed_each_fire_time_has_one_answer(
    old_kind: str, new_kind: str, make: Callable[[str], Store], clock: VirtualClock
) -> None:
    """Both nodes of the old store are alive all the time; those of the new one try to start all the time."""
    killed = 0
    for calls in range(1, 200, 1 if old_kind in FAST and new_kind in FAST else 3):
        for effect in (False, True):
            old, new = make(old_kind), make(new_kind)
            begin = clock.now()
            jobs = [
                make_job(f"job-{seconds}", trigger=IntervalTrigger(seconds=seconds, start_date=begin), coalesce=False,
                         anchored_at=begin, next_fire_time=begin, max_instances=2, executor="threads")
                for seconds in (1, 2, 3)
            ]  # fmt: skip
            old.add(jobs)
            a, b = Node(old, "a", takes=SECOND), Node(old, "b", takes=SECOND / 2)
            advance(clock, 3 * SECOND, a, b)
            life = Life(calls, effect=effect)
            try:
                live(Mover(Mortal(old, life), Mortal(new, life)), clock, a, b)
            except Killed:
                killed += 1
            advance(clock, 13 * SECOND, a, b)  # now it is taken for dead
            live(Mover(old, new), clock, a, b)
            c = Node(new, "c", takes=SECOND)
            advance(clock, 5 * SECOND, a, b, c)
            last = max(c.fire_times())
            _check_whole(begin, last, jobs, old, new, [a, b, c])
            assert a.loop.outage is not None
            assert "has moved to" in a.loop.outage.error
            for store in (old, new):
                store.close()
        if life.left > 0:
            break
    assert killed > 20


def _check_whole(
    begin: datetime, end: datetime, jobs: Sequence[Job], old: Store, new: Store, nodes: Sequence[Node]
) -> None:
    """Each fire time has one row in the new ledger, and was begun once; and the old one has no other rows."""
    rows = new.runs(limit=10_000)
    assert len({run.id for run in rows}) == len(rows)
    for job in jobs:
        expected = [begin]
        while (following := job.trigger.next_after(expected[-1])) is not None and following <= end:
            expected.append(following)
        answered = sorted(run.fire_time for run in rows if run.job_uid == job.uid and run.fire_time <= end)
        assert answered == expected
        begun = sorted(
            call.run.fire_time for node in nodes for call in node.executor.started if call.run.job_uid == job.uid
        )
        assert len(set(begun)) == len(begun)
    here = {run.id: run for run in rows}
    for run in old.runs(limit=10_000):
        assert run.state.closed or run.state is RunState.PENDING
        assert run.id in here
        if run.state.closed:
            assert here[run.id] == run


# what is visible of it


def test_nodes_notice_that_they_are_left_and_finish_what_they_run(
    clock: VirtualClock, make: Callable[[str], Store], caplog: pytest.LogCaptureFixture
) -> None:
    old, new = make("sqlite"), make("memory")
    old.add([make_job()])
    node = Node(old, takes=8 * SECOND)
    advance(clock, SECOND, node)

    stages = []
    for step in Mover(old, new).steps():
        stages.append(step.stage)
        advance(clock, SECOND if step.waits else SECOND / 5, node)

    assert [run.state for run in new.runs()] == [RunState.SUCCEEDED]
    assert stages.count(Stage.ENDING) > 5
    assert node.loop.leaving is not None
    assert "is moving to memory since 2026-01-01 00:00" in caplog.text
    advance(clock, 5 * SECOND, node)
    assert node.loop.outage is not None
    assert f"{old.location}, which has moved to memory since" in node.loop.outage.error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", [Stage.COPYING, Stage.ENDING])
def test_nodes_go_on_by_themselves_when_a_mover_dies_before_the_store_is_left(
    kind: str, stage: Stage, clock: VirtualClock, make: Callable[[str], Store]
) -> None:
    old, new = make(kind), make("memory")
    old.add([make_job(max_instances=9)])
    node = Node(old, takes=None)  # its run goes on for ever, so that the mover waits
    advance(clock, SECOND, node)
    for step in Mover(old, new).steps():
        if step.stage is stage and new.move() is not None:
            break

    advance(clock, 2 * MINUTE, node)

    assert old.move() is None
    assert node.fire_times() == [NOW, NOW + MINUTE, NOW + 2 * MINUTE]
    abort_move(old, new)
    assert (new.move(), new.holdings().empty) == (None, True)


def test_a_run_that_does_not_end_puts_the_move_off(clock: VirtualClock, make: Callable[[str], Store]) -> None:
    old, new = make("sqlite"), make("memory")
    old.add([make_job(max_instances=9)])
    node = Node(old, takes=None)
    advance(clock, SECOND, node)
    mover = Mover(old, new, wait=20 * SECOND)

    with pytest.raises(
        MoveRefusedError, match=r"expected all runs to end within 0:00:20, got 1 that go on \(.* of 'job'\)"
    ):
        live(mover, clock, node)
    mover.let_go()

    assert (old.move(), new.move()) == (None, None)


def test_a_scheduler_refuses_to_start_on_either_side(clock: VirtualClock, make: Callable[[str], Store]) -> None:
    old, new = make("sqlite"), make("sqlite")
    old.add([make_job()])
    for step in Mover(old, new).steps():
        if step.stage is Stage.PACKING:
            break

    with pytest.raises(
        StoreMovedError, match=f"{old.location}, which has moved to {new.location} since .*: give the scheduler"
    ):
        BackgroundScheduler(old).start()
    with pytest.raises(StoreMovedError, match=f"{new.location}, which is being filled from {old.location} since"):
        BackgroundScheduler(new).start()


def test_why_tells_where_the_job_is(clock: VirtualClock, make: Callable[[str], Store]) -> None:
    old, new = make("sqlite"), make("memory")
    old.add([make_job(next_fire_time=NOW + MINUTE)])
    finish(Mover(old, new), clock)

    answer = BackgroundScheduler(old).why("job", NOW + MINUTE)

    assert answer.verdict is Verdict.MOVED
    assert str(answer).startswith("the store of the job has moved to memory since 2026-01-01 00:00")
    assert BackgroundScheduler(new).why("job", NOW + MINUTE).verdict is Verdict.COMING


def test_why_tells_of_a_run_that_waits_where_nobody_takes_it(clock: VirtualClock, make: Callable[[str], Store]) -> None:
    old, new = make("sqlite"), make("memory")
    old.add([job := make_job()])
    old.save([next_version(job, make_run(job), next_fire_time=NOW + MINUTE)])
    finish(Mover(old, new), clock)

    answer = BackgroundScheduler(old).why("job", NOW)

    assert answer.verdict is Verdict.PENDING
    assert "; the store of the job has moved to memory since" in str(answer)


def test_a_mover_that_is_interrupted_says_how_things_stand(
    clock: VirtualClock, make: Callable[[str], Store], caplog: pytest.LogCaptureFixture
) -> None:
    """Before the old store is left it fires again; after it somebody has to go on."""
    for stage in (Stage.COPYING, Stage.PACKING):
        old, new = make("sqlite"), make("sqlite")
        old.add([make_job()])

        def interrupt(step: Step, stage: Stage = stage) -> None:
            if step.stage is stage:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            move(old, new, tell=interrupt)

        left = stage is Stage.PACKING
        assert (old.move() is not None, new.move() is not None) == (left, left)
        assert (f"{old.location} was left, and {new.location} fires nothing yet: begin again" in caplog.text) is left


# what is refused


def test_two_movers_at_once_are_one_too_many(clock: VirtualClock, make: Callable[[str], Store]) -> None:
    old, new, other = make("sqlite"), make("memory"), make("memory")
    old.add([make_job()])
    at_work = Mover(old, new).steps()
    for _ in range(4):
        next(at_work)
    second = Mover(old, other).steps()
    assert next(second).stage is Stage.WAITING

    clock.advance(5 * SECOND)
    next(at_work)

    with pytest.raises(MoveRefusedError, match="expected to be the only mover, got another one at work"):
        exhaust(second)
    assert [step.stage for step in at_work][-1] is Stage.MOVED


def test_a_mover_that_was_taken_for_dead_can_change_nothing(clock: VirtualClock, make: Callable[[str], Store]) -> None:
    old, new = make("sqlite"), make("sqlite")
    old.add([make_job()])
    for moment in range(1, 20):
        frozen = Mover(old, new).steps()
        for _ in range(moment):
            stage = next(frozen).stage
        if stage is Stage.MOVED:
            return
        clock.advance(MINUTE)
        finish(Mover(old, new), clock)
        before = contents(new)

        with pytest.raises(MoveRefusedError):
            exhaust(frozen)

        assert contents(new) == before
        assert new.move().state is MoveState.ARRIVED
        old, new = new, make("sqlite")


def test_what_cannot_be_moved_is_refused_with_what_to_do(
    clock: VirtualClock, make: Callable[[str], Store], tmp_path: Path
) -> None:
    old, new, full, empty = make("sqlite"), make("sqlite"), make("sqlite"), make("sqlite")
    old.add([make_job()])
    full.add([make_job(), make_job("other")])

    with pytest.raises(MoveRefusedError, match=f"expected two stores, got {old.location} twice"):
        move(old, old)
    with pytest.raises(MoveRefusedError, match=f"{full.location} with 2 jobs, 0 runs and 0 backfills: name another"):
        move(old, full)
    with pytest.raises(MoveRefusedError, match=f"{empty.location}, which is empty: check the address"):
        move(empty, new)
    with pytest.raises(MoveRefusedError, match="there is nothing to undo"):
        abort_move(old, new)
    with pytest.raises(StoreURLError, match=r"got 'mysql://\*\*\*@host/jobs'"):
        move(old, "mysql://user:secret@host/jobs")
    for wait in (-1, float("nan"), "soon", None, True, timedelta(days=2), "2d"):
        with pytest.raises(InvalidJobError, match="wait: expected seconds, a timedelta or a text"):
            move(old, new, wait=wait)  # type: ignore[arg-type]
    assert move(old, new, dry_run=True).holdings == (1, 0, 0)
    assert (old.move(), new.move()) == (None, None)

    moved = move(old, new)

    assert (moved.holdings, moved.pause is not None) == ((1, 0, 0), True)
    assert move(old, new).pause is None  # it was done before
    with pytest.raises(MoveRefusedError, match=f"{old.location}, which has moved to {new.location} since"):
        move(old, empty)
    with pytest.raises(MoveRefusedError, match="to go back, move from where the jobs are to an empty store"):
        abort_move(old, new)
    with pytest.raises(MoveRefusedError, match=f"{old.location}, which has moved to"):
        move(new, old)


def test_what_has_moved_on_cannot_be_called_back_from_where_it_came(
    clock: VirtualClock, make: Callable[[str], Store]
) -> None:
    """Otherwise two stores would fire."""
    first, second, third = make("sqlite"), make("redis"), make("postgresql")
    first.add([make_job()])
    move(first, second)
    move(second, third)

    with pytest.raises(MoveRefusedError, match="which has fired since"):
        abort_move(first, second)
    with pytest.raises(MoveRefusedError, match=f"which has moved to {re.escape(third.location)} since"):
        move(first, second)

    assert first.move().state is MoveState.LEFT


def test_one_file_under_two_names_is_one_store(clock: VirtualClock, tmp_path: Path) -> None:
    old, new = (
        make_store(f"sqlite:///{tmp_path}/jobs.db", clock=clock),
        make_store(f"sqlite:///{tmp_path}/link.db", clock=clock),
    )
    old.open()
    (tmp_path / "link.db").symlink_to(tmp_path / "jobs.db")
    old.add([make_job()])

    with pytest.raises(MoveRefusedError, match="expected to move to a store that is empty"):
        move(old, new)

    assert old.move() is None
    for store in (old, new):
        store.close()


@pytest.mark.parametrize("stage", [Stage.COPYING, Stage.ENDING, Stage.PACKING])
def test_a_move_can_be_undone_until_the_new_store_fires(
    stage: Stage, clock: VirtualClock, make: Callable[[str], Store]
) -> None:
    old, new = make("sqlite"), make("redis")
    furnish(old, household())
    clock.advance(MINUTE * 70)
    steps = Mover(old, new).steps()
    for step in steps:
        if step.waits:
            clock.advance(SECOND)
        if step.stage is stage:
            break

    abort_move(old, new)

    assert (old.move(), new.move(), new.holdings().empty) == (None, None, True)
    old.add([make_job("next")])
    with pytest.raises(MoveRefusedError, match="undone or taken over meanwhile"):
        exhaust(steps)
    finish(Mover(old, new), clock)
    assert contents(new) == contents(old)


# no column is forgotten


def rows_of(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All that is in the tables of a database, column by column; but for what tells of the move itself."""
    tables: dict[str, list[dict[str, Any]]] = {}
    if isinstance(store, SQLiteStore):
        with closing(sqlite3.connect(store.path)) as connection:
            found = connection.execute("select name from sqlite_master where type = 'table' and name like 'tickwork_%'")
            for (name,) in found.fetchall():
                cursor = connection.execute(f"select * from {name}")
                columns = [column[0] for column in cursor.description]
                tables[name] = [dict(zip(columns, row, strict=True)) for row in cursor]
    else:
        assert isinstance(store, PostgreSQLStore)
        with store._server.reading() as session:
            cursor = session.connection.execute(b"select tablename from pg_tables where schemaname = current_schema()")
            for (name,) in cursor.fetchall():
                cursor = session.connection.execute(f'select * from "{name}"'.encode())
                columns = [column.name for column in cursor.description or ()]
                tables[name] = [dict(zip(columns, row, strict=True)) for row in cursor]
    for name in ("tickwork_schema", "tickwork_moves"):
        del tables[name]
    return {name: sorted(rows, key=repr) for name, rows in tables.items()}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_household_fills_every_column_of_every_table(kind: str, make: Callable[[str], Store]) -> None:
    store = make(kind)
    furnish(store, household())

    empty = {
        f"{table}.{column}" for table, rows in rows_of(store).items() for column in (rows[0] if rows else ["*"])
        if all(row[column] is None for row in rows)
    }  # fmt: skip

    assert empty <= {"tickwork_runs.lease_until"}  # of what has ended, where that lies apart


@pytest.mark.parametrize("between", KINDS)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_column_of_any_table_is_forgotten(
    kind: str, between: str, make: Callable[[str], Store], clock: VirtualClock
) -> None:
    """Who adds a table or a column fills it in tests/household.py; here it comes back from the other stores."""
    begin, middle, end = make(kind), make(between), make(kind)
    furnish(begin, household())
    clock.advance(MINUTE * 70)

    finish(Mover(begin, middle), clock)
    finish(Mover(middle, end), clock)

    before, after = rows_of(begin), rows_of(end)
    if between == "memory":  # whose numbers are places
        for rows in (*before.values(), *after.values()):
            for row in rows:
                row.pop("number", None)
    assert {name: sorted(rows, key=repr) for name, rows in after.items()} == {
        name: sorted(rows, key=repr) for name, rows in before.items()
    }
