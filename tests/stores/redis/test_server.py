"""The Redis store and its server: what is refused, what is warned of, and what an outage costs."""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import MovedError
from tests.processes.patience import wait_until
from tests.samples import HOUR, MINUTE, NOW, SECOND, held_run, make_hold, make_job, make_node, make_run, next_version
from tests.servers import FLEETING, KEPT, RedisServer
from tests.stores.laws import PLENTY, claimed, fire, fire_once

from tickwork import BackgroundScheduler, plan
from tickwork.declaration import declaration_of
from tickwork.errors import StoreSchemaError, StoreUnavailableError, StoreUnusableError
from tickwork.job import Job
from tickwork.plan import Change, settle
from tickwork.run import Run, RunState, Succeeded
from tickwork.stores.parts import PART
from tickwork.stores.redis import RedisStore
from tickwork.stores.redis.scripts import SCRIPTS
from tickwork.stores.redis.server import Session, weaknesses
from tickwork.testing import VirtualClock

ROOT = Path(__file__).parents[3]
QUIET = timedelta(seconds=2)
"""How long nothing fires after a restart of the server, at least."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One to be stopped and started."""
    with RedisServer(KEPT) as server:
        yield server


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    store = RedisStore(redis_url, clock=VirtualClock(NOW))
    store.open()
    yield store
    store.close()


# what is refused at the start


def test_a_wrong_password_is_refused_in_our_words() -> None:
    with RedisServer({**FLEETING, "requirepass": "right"}) as server:
        right, wrong, none = (server.url().replace("//", f"//{user}") for user in (":right@", ":wrong@", ""))
        RedisStore(right).open()

        for url in (wrong, none):
            with pytest.raises(StoreUnusableError, match="expected a server that lets us in, got .*check user"):
                RedisStore(url).open()


def test_a_user_without_rights_is_told_which_are_missing(redis_server_url: str) -> None:
    with redis.Redis.from_url(redis_server_url) as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "&*", "+@read", "+info", "+time")
    url = redis_server_url.replace("//", "//reader:secret@")

    with pytest.raises(StoreUnusableError, match="expected the right to use our keys"):
        RedisStore(url).open()


def test_the_rights_that_the_documentation_names_are_enough(redis_server_url: str) -> None:
    (rights,) = re.findall(r"\*\*Rights\*\* of an ACL user: `([^`]+)`", (ROOT / "docs" / "stores.md").read_text())
    prefix = f"test-{secrets.token_hex(6)}"
    with redis.Redis.from_url(redis_server_url) as client:
        words = rights.replace("{shop}", f"{{{prefix}}}").split()
        client.execute_command("ACL", "SETUSER", prefix, "on", ">secret", *words)
        rung = threading.Event()
        store = RedisStore(f"{redis_server_url.replace('//', f'//{prefix}:secret@')}?prefix={prefix}")
        other = RedisStore(f"{redis_server_url}?prefix={prefix}")
        store.open(rung.set)
        other.open()

        other.add([make_job()])
        fired = fire(store)
        store.remove()

        assert len(fired) == 1
        assert rung.wait(5)
        store.close()
        other.close()
        client.execute_command("ACL", "DELUSER", prefix)


def test_the_node_of_a_cluster_that_has_our_keys_is_named(store: RedisStore) -> None:
    told = store._server._told(MovedError("7365 10.0.0.2:6379"))

    assert isinstance(told, StoreUnusableError)
    assert "expected the node of the cluster that has our keys, got 7365 10.0.0.2:6379: name that one" in str(told)


def test_a_database_that_there_is_not_is_refused(redis_server_url: str) -> None:
    with pytest.raises(StoreUnusableError, match="expected a database that there is, got .*write a lower number"):
        RedisStore(redis_server_url.rpartition("/")[0] + "/9999").open()


def test_a_server_that_cannot_be_reached_is_unavailable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    with pytest.raises(
        StoreUnavailableError, match=f"expected to read and write redis://127.0.0.1:{port}/0, got"
    ) as raised:
        RedisStore(f"redis://127.0.0.1:{port}").open()

    assert raised.value.__suppress_context__, "what is told says all, without the driver's own stack"
    assert raised.value.__cause__ is None


def test_something_that_is_no_redis_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            other, _ = listener.accept()
            with other:
                other.recv(1000)
                other.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(StoreUnavailableError, match="expected to read and write"):
            RedisStore(f"redis://127.0.0.1:{port}").open()


def test_a_server_that_does_not_answer_is_waited_for_so_long_and_no_longer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(StoreUnavailableError, match="(?i)timeout"):
            RedisStore(f"redis://127.0.0.1:{port}?socket_timeout=0.2").open()


def test_a_replica_is_refused(server: RedisServer) -> None:
    expected = "got a replica, which can only be read: name the primary"
    with (
        RedisServer({**FLEETING, "replicaof": f"127.0.0.1 {server.port}"}) as replica,
        pytest.raises(StoreUnavailableError, match=expected),
    ):
        RedisStore(replica.url()).open()


def test_a_node_of_a_cluster_that_has_not_our_keys_is_refused() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with (
        RedisServer({**FLEETING, "cluster-enabled": "yes", "cluster-port": port}) as server,
        pytest.raises(StoreUnavailableError, match="CLUSTERDOWN|Hash slot not served"),
    ):
        RedisStore(server.url()).open()


def test_keys_of_a_newer_version_are_refused(redis_url: str, store: RedisStore) -> None:
    store._command("SET", store._key("version"), 99)

    with pytest.raises(StoreSchemaError, match="expected keys of version 1 or older .*got version '99'"):
        RedisStore(redis_url).open()


# what is warned of


@pytest.mark.parametrize(
    ("info", "fsync", "said"),
    [
        ({"aof_enabled": "1", "maxmemory_policy": "noeviction"}, "everysec", []),
        ({"aof_enabled": "1", "maxmemory_policy": "volatile-lru"}, "always", []),
        ({"aof_enabled": "1"}, None, []),
        ({"aof_enabled": "1", "maxmemory_policy": "allkeys-lru"}, "everysec", ["maxmemory-policy allkeys-lru"]),
        ({"aof_enabled": "0", "maxmemory_policy": "noeviction"}, "everysec", ["appendonly no"]),
        ({"aof_enabled": "1", "maxmemory_policy": "noeviction"}, "no", ["appendfsync no"]),
        ({"aof_enabled": "0", "maxmemory_policy": "allkeys-random"}, "no", ["allkeys-random", "appendonly no"]),
    ],
)
def test_each_setting_that_may_lose_what_was_confirmed_is_named(
    info: dict[str, str], fsync: str | None, said: list[str]
) -> None:
    found = weaknesses(info, fsync)

    assert len(found) == len(said)
    assert all(word in sentence for word, sentence in zip(said, found, strict=True))


def test_a_server_that_may_lose_what_was_written_is_warned_of_once(
    redis_server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer({"save": "", "appendonly": "no", "maxmemory-policy": "allkeys-lru"}) as server:
        store = RedisStore(server.url())
        with caplog.at_level(logging.WARNING, "tickwork.store"):
            store.open()
            assert caplog.records == [], "who only looks need not know"
            for _ in range(2):
                store.open(lambda: None)
                store.close()

    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "set maxmemory-policy noeviction" in said[0]
    assert "set appendonly yes" in said[1]


# outages


def test_what_is_asked_during_an_outage_is_a_fault_that_passes_with_it(server: RedisServer) -> None:
    store = RedisStore(server.url(), clock=(clock := VirtualClock(NOW)))
    store.open()
    store.add([job := make_job()])
    server.kill()

    with pytest.raises(StoreUnavailableError):
        store.get("job")
    with pytest.raises(StoreUnavailableError):
        fire(store)
    server.start()

    assert store.get("job") == job
    clock.advance(QUIET)
    assert len(fire(store)) == 1, "its scripts are loaded again"
    store.close()


def test_a_server_that_is_frozen_is_given_up_and_used_again_when_it_goes_on(server: RedisServer) -> None:
    store = RedisStore(f"{server.url()}?socket_timeout=0.3", clock=VirtualClock(NOW))
    store.open()
    store.add([make_job("before")])
    server.freeze()

    with pytest.raises(StoreUnavailableError, match="(?i)timeout"):
        store.add([make_job()])
    server.thaw()

    wait_until(lambda: len(store.jobs()) == 2, "the effect of the call whose reply was lost")
    store.close()


def test_a_full_server_takes_nothing_new_and_lets_what_runs_go_on_and_end(server: RedisServer) -> None:
    store = RedisStore(server.url(), clock=(clock := VirtualClock(NOW)))
    store.open()
    store.add([job := make_job()])
    ((_, (run,), _),) = fire(store, hold=make_hold("a"))
    store._command("CONFIG", "SET", "maxmemory", 1)

    with pytest.raises(StoreUnavailableError, match="got a server whose memory is full: raise its maxmemory"):
        fire(store, until=NOW + HOUR)
    with pytest.raises(StoreUnavailableError, match="got a server whose memory is full: raise its maxmemory"):
        store.add([make_job("another")])
    (renewed,) = store.renew([run], NOW + HOUR)
    won = store.settle([ending := settle(renewed, job.retry, Succeeded(), NOW)])
    store._command("CONFIG", "SET", "maxmemory", 0)
    clock.advance(SECOND)  # so long the due job was in the hand that could not fire it

    assert won == [ending]
    assert store.runs() == [ending.run]
    assert len(fire(store, until=NOW + HOUR)) == 1
    store.close()


def test_a_full_server_can_be_looked_at(server: RedisServer) -> None:
    store = RedisStore(server.url())
    store.open()
    store.add([job := make_job()])
    store._command("CONFIG", "SET", "maxmemory", 1)

    other = RedisStore(server.url())
    other.open()

    assert other.jobs() == [job]
    assert (other.runs(), other.nodes()) == ([], [])
    for one in (other, store):
        one.close()


def test_scripts_that_the_server_has_forgotten_are_loaded_again(store: RedisStore) -> None:
    store.add([make_job()])
    store._command("SCRIPT", "FLUSH")

    assert len(fire(store)) == 1


def test_a_doorbell_rings_again_after_an_outage(server: RedisServer) -> None:
    rung = threading.Event()
    listening, other = RedisStore(server.url()), RedisStore(server.url())
    listening.open(rung.set)
    other.open()
    server.kill()
    server.start()
    assert rung.wait(20), "for what was not heard meanwhile"
    rung.clear()

    other.add([make_job()])

    assert rung.wait(5)
    listening.close()
    other.close()


# what two steps could miss


def test_a_job_that_is_declared_before_it_is_retired_is_not_retired(store: RedisStore) -> None:
    """Who found it undeclared did not see the node that came since."""
    store.add([job := make_job(declared="app")])
    found = store.undeclared(["app"])
    store.declare(declaration := declaration_of([make_job()], "app"))
    store.beat(make_node(declaration=declaration.name))

    won = store.save([plan.retire(one, NOW) for one in found])

    assert (found, won) == ([job], [])
    assert store.get("job") == job


def test_a_job_that_changes_while_it_is_decided_on_does_not_fire(store: RedisStore) -> None:
    store.add([job := make_job()])

    def decide(jobs: Iterable[object], *_: object) -> list[object]:
        store.save([next_version(job, paused_at=NOW)])
        return [next_version(job, make_run(job), next_fire_time=NOW + HOUR)]

    fired = store.fire(decide, executor="threads", until=NOW, limit=9)  # type: ignore[arg-type]

    assert fired == []
    assert store.runs() == []
    assert store.get("job").paused


def test_due_jobs_are_in_the_hand_of_one_node_and_for_a_moment_only(store: RedisStore, redis_url: str) -> None:
    clock = VirtualClock(NOW)
    other = RedisStore(redis_url, clock=clock)
    store.add([make_job()])
    seen: list[int] = []

    def decide(*_: object) -> list[object]:
        seen.append(len(fire(other)))
        clock.advance(SECOND)
        seen.append(len(fire(other)))
        return []

    store.fire(decide, executor="threads", until=NOW, limit=9)  # type: ignore[arg-type]

    assert seen == [0, 1]
    other.close()


def test_threads_of_one_process_fire_one_after_the_other(store: RedisStore) -> None:
    store.beat(make_node())  # alone, so that it takes nothing in hand
    store.add([make_job()])
    with ThreadPoolExecutor(1) as pool:
        others: list[Future[Sequence[Change]]] = []

        def decide(jobs: Iterable[Job], *_: object) -> Iterator[Change]:
            others.append(pool.submit(fire, store))
            wait(others, timeout=0.1)  # the time in which it would be first
            yield from map(fire_once, jobs)

        fired = store.fire(decide, executor="threads", until=NOW, limit=9)

        assert (len(fired), [one.result() for one in others]) == (1, [[]])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_while_its_parent_fires_has_a_turn_and_a_connection_of_its_own(
    store: RedisStore,
) -> None:
    store.beat(make_node())  # alone, so that it takes nothing in hand
    store.add([make_job("a"), make_job("b", next_fire_time=NOW + SECOND)])

    def decide(jobs: Iterable[Job], *_: object) -> Iterator[Change]:
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(5)  # if it waits for a turn that nobody gives back here
                os._exit(len(fire(store, since=NOW + SECOND, until=NOW + SECOND)))
            finally:  # a child that goes on would run all other tests
                os._exit(99)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 1
        yield from map(fire_once, jobs)

    fired = store.fire(decide, executor="threads", until=NOW, limit=9)

    assert [change.job.id for change in fired] == ["a"]
    assert sorted(run.job_id for run in store.runs()) == ["a", "b"]


@contextmanager
def between_two_parts(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> Iterator[None]:
    """While the first of what is due has been read, and the rest has not been asked for."""
    call_ahead = Session.call_ahead

    def act_first(session: Session, *words: Any) -> Callable[[], Any]:
        act()
        return call_ahead(session, *words)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "call_ahead", act_first)
        yield


def test_a_job_that_is_found_twice_since_another_came_before_it_is_decided_on_once(
    store: RedisStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = RedisStore(redis_url, clock=VirtualClock(NOW))
    jobs = [make_job(f"job-{number:03}", next_fire_time=NOW + number * SECOND) for number in range(2 * PART)]
    store.beat(make_node())  # alone, so that it takes nothing in hand
    store.add(jobs)
    store.save([next_version(job, held_run(job, NOW - MINUTE)) for job in jobs])
    given: list[tuple[str, int]] = []

    def decide(due: Iterable[Job], active: Mapping[int, Sequence[Run]], _: object) -> Iterator[Change]:
        for job in [*due]:
            given.append((job.id, len(active[job.uid])))
            yield fire_once(job)

    with between_two_parts(monkeypatch, lambda: other.add([make_job("earlier", next_fire_time=NOW - SECOND)])):
        written = store.fire(decide, executor="threads", until=NOW + HOUR, limit=PLENTY)

    assert given == [(job.id, 1) for job in jobs]
    assert len(written) == 2 * PART
    assert [change.job.id for change in fire(other)] == ["earlier"]
    other.close()


def test_what_is_due_behind_the_first_part_is_found_later_if_the_server_has_just_forgotten_its_scripts(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add([make_job(f"job-{number:03}") for number in range(2 * PART)])
    with between_two_parts(monkeypatch, lambda: store._command("SCRIPT", "FLUSH")):
        first = fire(store)

    second = fire(store)

    assert (len(first), len(second)) == (PART, PART)
    assert len(store.runs(limit=PLENTY)) == 2 * PART


def test_a_fault_behind_the_first_part_is_told_and_no_answer_is_taken_for_another(
    store: RedisStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = RedisStore(redis_url, clock=VirtualClock(NOW))
    store.add([make_job(f"job-{number:03}") for number in range(3 * PART)])
    due, safe = store._key("due:threads"), store._key("safe")

    def spoil() -> None:
        other._command("RENAME", due, safe)
        other._command("SET", due, "no sorted set")

    with (
        between_two_parts(monkeypatch, spoil),
        pytest.raises(StoreUnusableError, match="write another"),
        store.together(),
    ):
        store.fire(lambda jobs, *_: map(fire_once, jobs), executor="threads", until=NOW, limit=PLENTY)
    other._command("DEL", due)
    other._command("RENAME", safe, due)
    store.clock.advance(SECOND)  # type: ignore[attr-defined]

    with store.together():  # which does not look for what may lie on a connection that was used just now
        fired = fire(store)

    assert len(fired) == len(store.runs(limit=PLENTY)) == 3 * PART
    other.close()


# rounds


def test_what_a_round_that_failed_has_taken_is_given_back_by_the_next(store: RedisStore) -> None:
    store.add([job := make_job(), waiting := make_job("waiting", next_fire_time=None)])
    store.save([next_version(waiting, make_run(waiting))])
    with pytest.raises(RuntimeError), store.together():
        fire(store, hold=make_hold("a"))
        claimed(store, node="a")
        raise RuntimeError("the commit failed, or so the node believes")
    held = {run.state for run in store.runs()}

    with store.together():
        pass

    assert held == {RunState.RUNNING}
    assert {(run.state, run.node) for run in store.runs()} == {(RunState.PENDING, None)}
    assert {run.job_id for run in claimed(store, node="b")} == {job.id, "waiting"}


@pytest.mark.parametrize("fault", ["a bug", "a full server"])
def test_what_a_batch_has_taken_that_failed_in_its_second_part_is_given_back_and_the_rest_is_in_no_hand(
    server: RedisServer, fault: str
) -> None:
    store, other = (RedisStore(server.url(), clock=VirtualClock(NOW)) for _ in range(2))
    store.add([make_job("first")])
    (first,) = fire(store, hold=make_hold("a"))  # by a script that the server knows from now on
    store.add([make_job(f"job-{number:03}") for number in range(3 * PART)])

    def decide(jobs: Iterable[Job], *_: object) -> Iterator[Change]:
        for number, job in enumerate(jobs):
            if number == PART + 7:
                wait_until(lambda: len(other.runs(limit=PLENTY)) == 1 + PART, "the first part to be there")
                if fault == "a bug":
                    raise RuntimeError(fault)
                other._command("CONFIG", "SET", "maxmemory", 1)
            yield fire_once(job, make_hold("a"))

    with pytest.raises((RuntimeError, StoreUnavailableError)), store.together():
        store.fire(decide, executor="threads", until=NOW, limit=PLENTY)
    other._command("CONFIG", "SET", "maxmemory", 0)
    with store.together():
        pass
    if fault != "a bug":  # which was not told whether the server had them
        other.clock.advance(SECOND)  # type: ignore[attr-defined]

    assert len(fire(other, hold=make_hold("b"))) == 2 * PART
    assert len(claimed(other, node="b")) == PART
    assert [*first.runs] == store.runs(job_id="first")
    for one in (store, other):
        one.close()


def test_scripts_that_the_server_forgets_between_two_parts_are_loaded_again(store: RedisStore) -> None:
    store.add([make_job(f"job-{number:03}") for number in range(3 * PART)])

    def decide(jobs: Iterable[Job], *_: object) -> Iterator[Change]:
        for number, job in enumerate(jobs):
            if number == PART + 7:
                store._command("SCRIPT", "FLUSH")
            yield fire_once(job)

    written = store.fire(decide, executor="threads", until=NOW, limit=PLENTY)

    assert len(written) == len(store.runs(limit=PLENTY)) == 3 * PART


def test_a_node_makes_its_scripts_known_before_its_first_round(server: RedisServer) -> None:
    store = RedisStore(server.url(), clock=VirtualClock(NOW))
    store.open(lambda: None)

    names = "glance", "due", "fire", "settle", "outlook"
    known = store._command("SCRIPT", "EXISTS", *(SCRIPTS[name].sha for name in names))

    assert known == [1] * len(names)
    store.close()


def test_what_a_round_has_taken_and_ended_well_is_kept(store: RedisStore) -> None:
    store.add([make_job()])
    with store.together():
        fire(store, hold=make_hold("a"))

    with pytest.raises(RuntimeError), store.together():
        raise RuntimeError("later")
    with store.together():
        pass

    assert [run.state for run in store.runs()] == [RunState.RUNNING]


def test_a_round_without_news_asks_one_question(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add([job := make_job(next_fire_time=NOW + HOUR)])
    store.save([next_version(job, make_run(job, NOW + HOUR), held_run(job, NOW - HOUR, lease_until=NOW + HOUR))])
    store.outlook(["threads"], after=NOW, fire_after=NOW)
    asked: list[str] = []
    server = store._server
    real = server.session

    def counted() -> object:
        asked.append("question")
        return real()

    monkeypatch.setattr(server, "session", counted)

    with store.together():
        found = [
            store.cancelling("a"), store.lost(9), store.expired(9), fire(store), claimed(store),
            store.fill(lambda *_: [], lambda *_: None, limit=9),  # type: ignore[arg-type, return-value]
            store.find_overdue("a", limit=9),
        ]  # fmt: skip
    outlook = store.outlook(["threads"], after=NOW, fire_after=NOW)

    assert found == 7 * [[]]
    assert asked == ["question"]
    assert (outlook.fire_at, outlook.claim_at, outlook.lapse_at) == (NOW + HOUR, NOW + HOUR, NOW + HOUR)


def test_the_scripts_are_whole() -> None:
    """Each names what it does and what it is given, and none walks through all keys or a whole table."""
    for name, script in SCRIPTS.items():
        text = script.text.decode()
        assert text.count("-- ARGV:") == 1 or name in ("shared", "census"), name
        for walk in ("'KEYS'", "'SCAN'", "'HGETALL', P .. ':jobs'", "'HKEYS'", "'HVALS'"):
            assert walk not in text, name


def test_what_a_run_costs_the_server_does_not_grow_with_what_is_there(server: RedisServer) -> None:
    """Neither with the ledger, nor with what waits, nor with jobs that are not due: the same commands, one by one."""
    store = RedisStore(server.url(), clock=VirtualClock(NOW))
    store.open()
    store.add([job := make_job()])

    def commands_of_one_run() -> dict[str, int]:
        store._command("CONFIG", "RESETSTAT")
        ((_, (run,), _),) = fire(store, hold=make_hold("a"), until=store.get("job").next_fire_time or NOW)
        store.settle([settle(run, job.retry, Succeeded(), NOW)])
        told = store._command("INFO", "commandstats").decode().splitlines()
        calls = {
            line.partition(":")[0]: int(line.partition("calls=")[2].partition(",")[0]) for line in told if "=" in line
        }
        return {name: count for name, count in calls.items() if "script" not in name}

    commands_of_one_run()
    with_little = commands_of_one_run()
    store.add([crowd := make_job("crowd", next_fire_time=None)])
    rows = [make_run(crowd, NOW + number * SECOND, state=RunState.SUCCEEDED, ended_at=NOW) for number in range(3000)]
    waiting = [make_run(crowd, NOW + HOUR + number * SECOND) for number in range(500)]
    store.save([next_version(crowd, *rows, *waiting)])
    store.add([make_job(f"later-{number}", next_fire_time=NOW + 1000 * HOUR) for number in range(1000)])
    with_much = commands_of_one_run()

    noted = {name: with_much[name] - with_little.get(name, 0) for name in with_much}
    assert with_little["cmdstat_evalsha"] == 4, "jobs, due, fire, settle: what was fired is not let go of as well"
    assert sum(noted.values()) <= 8, "since runs wait, it is looked whether this job's do"
    store.close()


def test_a_node_is_missed_sooner_than_on_other_stores(redis_url: str) -> None:
    assert BackgroundScheduler(redis_url)._timing.lease == timedelta(seconds=8)
    assert BackgroundScheduler(redis_url, lease=timedelta(seconds=3))._timing.lease == timedelta(seconds=3)
    assert BackgroundScheduler()._timing.lease == timedelta(seconds=10)
