"""What comes between the reading that a decision is made on and its writing: the script that writes sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from tests.samples import (
    HOUR,
    MINUTE,
    NOW,
    held_run,
    make_backfill,
    make_hold,
    make_job,
    make_move,
    make_node,
    make_run,
    next_version,
)
from tests.stores.laws import PLENTY, closed, fire, fire_once, prune

from tickwork.backfill import Backfill
from tickwork.clock import to_micros
from tickwork.declaration import declaration_of
from tickwork.job import Job
from tickwork.moves import MoveState, PackedJob, PackedRest, PackedRun
from tickwork.plan import Change, Filling, cancel, end_backfill, expire, retire, settle
from tickwork.policies import ONCE
from tickwork.retention import Retention
from tickwork.run import Failed, Lost, Origin, Released, Run, RunState, Succeeded
from tickwork.runlog import LogLine, RunLog
from tickwork.stores.redis import RedisStore, moving
from tickwork.stores.redis.server import Session
from tickwork.testing import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def stores(redis_url: str, clock: VirtualClock) -> Iterator[tuple[RedisStore, RedisStore]]:
    """Two handles on one place."""
    stores = RedisStore(redis_url, clock=clock), RedisStore(redis_url, clock=clock)
    for store in stores:
        store.open()
    yield stores
    for store in stores:
        store.close()


# what was read is not so any more


@pytest.mark.parametrize("nodes", ["", "a", "ab"])
def test_a_node_takes_due_jobs_in_hand_unless_it_is_alone(stores: tuple[RedisStore, RedisStore], nodes: str) -> None:
    store, other = stores
    for node in ("gone", *nodes):
        store.beat(make_node(node, NOW - HOUR if node == "gone" else NOW))
    store.add([make_job()])
    fired: list[int] = []

    def decide(*_: object) -> list[Change]:
        fired.append(len(fire(other)))
        return []

    store.fire(decide, executor="threads", until=NOW, limit=9)

    assert fired == [int(nodes == "a")]


@pytest.mark.parametrize("between", ["changed", "removed", "left"])
def test_nothing_of_a_firing_is_written_whose_job_is_not_as_it_was(
    stores: tuple[RedisStore, RedisStore], between: str
) -> None:
    store, other = stores
    store.add([job := make_job("job"), make_job("punctual")])
    store.save([next_version(job, old := held_run(job, NOW - MINUTE))])

    def decide(jobs: Iterable[Job], *_: object) -> Sequence[Change]:
        match between:
            case "changed":
                other.save([next_version(other.get("job"), name="changed")])
            case "removed":
                other.remove(["job"])
            case _:
                other.write_move(None, make_move(MoveState.LEAVING))
        make_way = cancel(old, "a newer one", NOW)
        return [fire_once(one)._replace(cancelled=(make_way,) if one.id == "job" else ()) for one in jobs]

    fired = store.fire(decide, executor="threads", until=NOW, limit=PLENTY)

    expected = [] if between == "left" else ["punctual"]
    assert [change.job.id for change in fired] == expected
    assert [run.job_id for run in store.runs()] == [*expected, "job"]
    assert store.run(old.id) == old


@pytest.mark.parametrize("between", ["moved on", "forgotten", "its job changed", "its job removed", "left"])
def test_a_filling_is_not_written_whose_backfill_or_job_is_not_as_it_was(
    stores: tuple[RedisStore, RedisStore], clock: VirtualClock, between: str
) -> None:
    store, other = stores
    store.add([job := make_job()])
    store.add_backfill(backfill := make_backfill(job, NOW - HOUR, NOW))
    born = make_run(job, NOW - HOUR, origin=Origin.BACKFILL, backfill=backfill.id)

    def decide(found: Backfill, *_: object) -> Filling:
        match between:
            case "moved on":
                other.fill(lambda *_: (), lambda one, *_: moved(one, NOW), limit=1)
            case "forgotten":
                other.end_backfill(end_backfill(found, "enough", NOW), lambda run: run)
                clock.advance(HOUR)
                prune(other, Retention(age=MINUTE))
            case "its job changed":
                other.save([next_version(job, name="changed")])
            case "its job removed":
                other.remove(["job"])
            case _:
                other.write_move(None, make_move(MoveState.LEAVING))
        return moved(found, NOW - MINUTE, born)

    assert store.fill(lambda *_: (), decide, limit=9) == []
    assert store.runs() == []
    assert [one.cursor for one in store.backfills()] != [NOW - MINUTE]


def moved(backfill: Backfill, cursor: object, *born: Run) -> Filling:
    return Filling(backfill._replace(version=backfill.version + 1, cursor=cursor), born, moved=True)


def test_a_backfill_whose_runs_change_while_it_is_ended_cancels_them_as_they_are(
    stores: tuple[RedisStore, RedisStore],
) -> None:
    store, other = stores
    store.add([job := make_job()])
    store.add_backfill(backfill := make_backfill(job, NOW - HOUR, NOW))
    run = held_run(job, NOW - HOUR, origin=Origin.BACKFILL, backfill=backfill.id)
    store.save([next_version(job, run)])
    asked: list[int] = []

    def stop(one: Run) -> Run:
        asked.append(one.version)
        if len(asked) == 1:
            other.renew([one], NOW + HOUR)
        return cancel(one, "enough", NOW)

    cancelled = store.end_backfill(end_backfill(backfill, "enough", NOW), stop)

    assert asked == [1, 2]
    assert cancelled == [store.run(run.id)]
    assert (store.run(run.id).cancel_reason, store.run(run.id).lease_until) == ("enough", NOW + HOUR)


@contextmanager
def behind_the_next_command(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> Iterator[None]:
    """Between the first answer of the server and what is asked next, if anything is."""
    command, acts = Session.command, [act]

    def act_behind(session: Session, *words: Any) -> Any:
        answer = command(session, *words)
        while acts:
            acts.pop()()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Session, "command", act_behind)
        yield


@pytest.mark.parametrize(
    ("verb", "between"),
    [
        ("lost", "closed"), ("lost", "renewed"), ("lost", "given back"), ("expired", "closed"),
        ("cancelling", "closed"), ("cancelling", "given back"),
    ],
)  # fmt: skip
def test_a_run_that_changes_while_it_is_found_is_told_as_it_was_or_not_at_all(
    stores: tuple[RedisStore, RedisStore], clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, verb: str, between: str
) -> None:
    """Who decides on it relies on that: a run that is closed is not lost, and one that was renewed neither."""
    store, other = stores
    store.add([job := make_job()])
    run = held_run(job, lease_until=NOW + MINUTE, cancel_reason="enough" if verb == "cancelling" else None)
    if verb == "expired":
        run = make_run(job, expires_at=NOW + MINUTE)
    store.save([next_version(job, run, next_fire_time=None)])
    clock.advance(MINUTE)

    find = {"lost": lambda: store.lost(9), "expired": lambda: store.expired(9)}.get(verb, lambda: store.cancelling("a"))

    def change() -> None:
        if verb == "expired":
            other.cancel([expire(run, NOW + MINUTE)])
        elif between == "renewed":
            other.renew([run], NOW + HOUR)
        else:
            other.settle([settle(run, ONCE, Lost("it is gone") if between == "closed" else Released(), NOW)])

    found = find()
    with behind_the_next_command(monkeypatch, change):
        found_again = find()

    assert found == [run]
    assert found_again in ([run], [])
    assert store.run(run.id) != run


def test_a_run_that_is_claimed_in_the_moment_in_which_its_job_is_removed_is_cancelled_with_it(
    stores: tuple[RedisStore, RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = stores
    store.add([job := make_job(), stays := make_job("stays")])
    store.claim(make_hold(), executor="threads", limit=9)  # by a script that the server knows from now on
    waiting, kept = make_run(job, NOW - HOUR), make_run(stays, NOW - HOUR)
    store.save([next_version(job, waiting), next_version(stays, kept)])

    with behind_the_next_command(monkeypatch, lambda: other.remove(["job"])):
        claims = store.claim(make_hold(), executor="threads", limit=9)

    assert [claim.run.id for claim in claims] == [kept.id]
    gone = store.run(waiting.id)
    assert (gone.state, gone.reason) == (RunState.CANCELLED, "its job was removed")


def test_what_is_gone_when_it_is_read_is_not_told(stores: tuple[RedisStore, RedisStore]) -> None:
    """Its uid was found a moment before."""
    store, _ = stores
    store.add([job := make_job(), watched := make_job("watched", expect_every=HOUR)])
    uids = [f"{uid:x}" for uid in (1, job.uid, watched.uid)]

    assert [id for _, id, _ in store._ask("expectations", json.dumps(uids))] == ["watched"]
    assert store._jobs(uids=uids) == [job, watched]


def test_a_declaration_is_not_forgotten_that_was_declared_again_meanwhile(
    stores: tuple[RedisStore, RedisStore], clock: VirtualClock
) -> None:
    store, other = stores
    old, again = (declaration_of([make_job(id)], "app") for id in ("a", "b"))
    for one in (old, again):
        store.declare(one)
    clock.advance(HOUR)
    other.declare(again)

    names = json.dumps(["nobody knows it", old.name, again.name])
    store._call("forget_declarations", names, to_micros(NOW + MINUTE))

    assert [*store.pack_rest().declarations] == [again.name]


def test_a_job_is_not_retired_that_a_living_node_declares_meanwhile(
    stores: tuple[RedisStore, RedisStore], clock: VirtualClock
) -> None:
    store, other = stores
    store.add([make_job(id, declared="app") for id in ("declared", "left", "retired")])
    store.save([retire(store.get("retired"), NOW)])
    found = [retire(job, NOW) for job in store.undeclared(["app"])]
    declaration = declaration_of([make_job("declared"), make_job("retired")], "app")
    other.declare(declaration)
    other.beat(make_node(declaration=declaration.name))

    won = store.save(found)
    paused = store.save([next_version(store.get("retired"), paused_at=NOW)])
    changed = store.save([next_version(store.get("declared"), name="changed")])
    clock.advance(MINUTE)
    late = store.save([retire(store.get("declared"), NOW)])

    assert [change.job.id for change in (*won, *paused, *changed, *late)] == ["left", "retired", "declared", "declared"]


def test_a_mover_that_is_overtaken_between_two_of_its_scripts_writes_nothing_by_the_second(
    stores: tuple[RedisStore, RedisStore],
) -> None:
    store, other = stores
    note, job = make_move(MoveState.ARRIVING), make_job()
    other.write_move(None, note._replace(mover="another"))
    rest = PackedRest([make_backfill(job, NOW - HOUR, NOW)], [], [make_node()], {"declared": ["job"]})

    written = (
        moving.unpack_jobs(store._server, note, [PackedJob(job)]),
        moving.unpack_runs(store._server, note, [PackedRun(1, make_run(job))]),
        moving.unpack_rest(store._server, note, rest, to_micros(NOW)),
    )

    assert written == (False, False, False)
    assert store.holdings().empty
    assert not any(store.pack_rest())


# who is rung


def test_others_are_rung_for_what_may_be_due_earlier_and_for_nothing_else(
    stores: tuple[RedisStore, RedisStore], redis_url: str
) -> None:
    store, other = stores
    store.add([job := make_job(max_instances=9), due := make_job("due"), make_job("late", next_fire_time=NOW + HOUR)])
    given_back, ends, waits = (held_run(job, NOW - minutes * MINUTE) for minutes in (1, 2, 3))
    store.save([next_version(job, given_back, ends, waits, next_fire_time=None)])
    stale = next_version(make_job("nobody"))
    with redis.Redis.from_url(redis_url.partition("?")[0]) as client, client.pubsub() as bell:
        bell.subscribe(channel := store._key("bell"))
        bell.get_message(timeout=5)

        def rings(verb: Callable[[], object]) -> int:
            verb()
            client.publish(channel, "end")
            heard = 0
            while (message := bell.get_message(timeout=5)) is None or message["data"] != b"end":
                heard += message is not None
            return heard

        def lose(jobs: Sequence[Job], *_: object) -> Sequence[Change]:
            other.save([next_version(one, name="changed") for one in jobs])
            return [fire_once(one) for one in jobs]

        def fire_losing() -> None:
            store.fire(lose, executor="threads", until=NOW, limit=PLENTY)

        backfill = make_backfill(due, NOW - HOUR, NOW)
        heard = {
            "a job that is due soon": rings(lambda: store.add([make_job("soon", next_fire_time=NOW + MINUTE)])),
            "a job that is due late": rings(lambda: store.add([make_job("later", next_fire_time=NOW + 9 * HOUR)])),
            "a change": rings(lambda: store.save([next_version(store.get("late"))])),
            "a change that lost": rings(lambda: store.save([stale])),
            "a firing that lost, and the change before it": rings(fire_losing),
            "a firing under a hold": rings(lambda: fire(store, hold=make_hold())),
            "a firing without": rings(lambda: fire(store, until=NOW + MINUTE, limit=1)),
            "an ending": rings(lambda: store.settle([settle(ends, job.retry, Succeeded(), NOW)])),
            "an ending that lost": rings(lambda: store.settle([settle(ends, job.retry, Released(), NOW)])),
            "what is given back": rings(lambda: store.settle([settle(given_back, job.retry, Released(), NOW)])),
            "a cancel": rings(lambda: store.cancel([cancel(waits, "enough", NOW)])),
            "a cancel that lost": rings(lambda: store.cancel([cancel(waits, "enough", NOW)])),
            "a backfill": rings(lambda: store.add_backfill(backfill)),
            "its end": rings(lambda: store.end_backfill(end_backfill(backfill, "enough", NOW), lambda run: run)),
            "a move": rings(lambda: store.write_move(None, make_move())),
        }

    assert heard == {
        what: int(
            "late" not in what and not what.endswith(" lost") and what not in ("an ending", "a firing under a hold")
        )
        for what in heard
    }


# what is left behind


def test_of_what_was_removed_and_pruned_nothing_is_left(
    stores: tuple[RedisStore, RedisStore], redis_url: str, clock: VirtualClock
) -> None:
    store, _ = stores

    def keys() -> set[str]:
        with redis.Redis.from_url(redis_url.partition("?")[0]) as client:
            return {key.decode().partition(":")[2] for key in client.scan_iter(f"{store._address.prefix}:*")}

    empty = keys()
    declaration = declaration_of([make_job()], "app")
    store.declare(declaration)
    store.beat(make_node(declaration=declaration.name))
    job = make_job(max_instances=9, declared="app", expect_every=HOUR, executor="asyncio")
    store.add([job, paused := make_job("paused", paused_at=NOW)])
    store.add_backfill(backfill := make_backfill(job, NOW - HOUR, NOW))
    runs = [held_run(job, NOW + number * MINUTE, expires_at=NOW + HOUR) for number in range(4)]
    waits = make_run(job, NOW - MINUTE, origin=Origin.BACKFILL, backfill=backfill.id, expires_at=NOW + HOUR)
    asked = make_run(job, NOW - MINUTE, origin=Origin.MANUAL)
    store.save([next_version(job, *runs, waits, asked, closed(job, -9)), next_version(paused, make_run(paused))])
    log = RunLog((LogLine(NOW, "INFO", "app", "begins"),))
    (cancelling,) = store.cancel([cancel(runs[0], "enough", NOW)])
    store.settle([
        settle(cancelling, job.retry, Failed("broken"), NOW)._replace(log=log),
        settle(runs[1], job.retry, Succeeded(), NOW), settle(runs[2], job.retry, Failed("broken"), NOW),
        settle(runs[3], job.retry, Released(), NOW),
    ])  # fmt: skip
    fire(store, executor="asyncio", hold=make_hold())
    clock.advance(HOUR)
    store.find_overdue("a", limit=9)
    in_between = keys()
    store.remove()
    store.settle([settle(run, job.retry, Succeeded(), NOW) for run in store.lost(9)])
    clock.advance(9 * HOUR)

    prune(store, Retention(age=MINUTE))
    prune(store, Retention(age=MINUTE))

    assert len(in_between) > 25
    assert keys() - empty <= {"executors", "numbers", "backfills:numbers"}
