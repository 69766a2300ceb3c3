"""The server: what stops a store from being opened, and what a fault is to one that is open."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from tests import deeds
from tests.nodes import Node, advance
from tests.processes.patience import wait_until
from tests.samples import HOUR, MINUTE, NOW, SECOND, held_run, make_hold, make_job, next_version
from tests.servers import DURABLE, PostgreSQLServer
from tests.stores.laws import MakeStore, StoreLaws, fire, fire_once

from tickwork import BackgroundScheduler
from tickwork.errors import JobExistsError, StoreSchemaError, StoreUnavailableError, StoreUnusableError
from tickwork.events import RunSettled, StoreLost, StoreRecovered
from tickwork.job import Job
from tickwork.plan import Change, Hold, settle
from tickwork.run import DONE, RunState
from tickwork.stores.parts import PART
from tickwork.stores.postgresql import PostgreSQLStore
from tickwork.stores.postgresql.schema import FOLDER, META, SCRIPTS, script, upgrade
from tickwork.stores.postgresql.server import SETTINGS
from tickwork.testing import VirtualClock


class TestBehindAPooler(StoreLaws):
    """One that lends a connection for a transaction: nothing prepared, and no setting that outlives it."""

    @pytest.fixture
    def make_store(self, clock: VirtualClock, postgresql_url: str) -> MakeStore:
        return lambda: PostgreSQLStore(f"{postgresql_url}&pooler=on", clock=clock)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def store(postgresql_url: str, clock: VirtualClock) -> Iterator[PostgreSQLStore]:
    store = PostgreSQLStore(postgresql_url, clock=clock)
    store.open()
    yield store
    store.close()


@pytest.fixture
def other(postgresql_url: str, store: PostgreSQLStore) -> Iterator[PostgreSQLStore]:
    other = PostgreSQLStore(postgresql_url, clock=store.clock)
    other.open()
    yield other
    other.close()


@pytest.fixture
def administrator(postgresql_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgresql_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(administrator: psycopg.Connection) -> Iterator[str]:
    """One that may log in, with the password hunter2, and no more."""
    name = f"role_{secrets.token_hex(6)}"
    administrator.execute(f"create role {name} login password 'hunter2'".encode())
    yield name
    administrator.execute(f"drop owned by {name} cascade; drop role {name}".encode())


def with_user(url: str, user: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()


# opening


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("locked:hunter2", 'password authentication failed for user "locked": check user, password'),
        ("nobody_at_all", 'role "nobody_at_all" does not exist'),
    ],
)
def test_who_is_not_let_in_is_told_so_without_the_password(
    postgresql_database: str, administrator: psycopg.Connection, user: str, message: str
) -> None:
    if "TICKWORK_TEST_POSTGRESQL_URL" in os.environ:
        pytest.skip("another server has other rules")
    administrator.execute(b"drop role if exists locked; create role locked login password 'another'")

    with pytest.raises(StoreUnusableError, match=message) as raised:
        PostgreSQLStore(with_user(postgresql_database, user)).open()

    assert "hunter2" not in "".join(traceback.format_exception(raised.value)).replace(f'"{user}"', "").replace(
        f"'{user}'", ""
    )


def test_a_server_without_tls_is_an_error_that_will_last_where_it_is_required(postgresql_database: str) -> None:
    if "TICKWORK_TEST_POSTGRESQL_URL" in os.environ:
        pytest.skip("another server may have it")

    with pytest.raises(StoreUnusableError, match="SSL was required: check user, password, database, sslmode and"):
        PostgreSQLStore(f"{postgresql_database}?sslmode=require").open()


def test_a_database_that_does_not_exist_is_an_error_that_will_last(postgresql_database: str) -> None:
    url = urlsplit(postgresql_database)._replace(path="/nowhere").geturl()

    with pytest.raises(StoreUnusableError, match='database "nowhere" does not exist'):
        PostgreSQLStore(url).open()


def test_a_server_that_cannot_be_reached_may_be_there_later() -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))

        with pytest.raises(StoreUnavailableError, match="it works again as soon as the server does"):
            PostgreSQLStore(f"postgresql://127.0.0.1:{unused.getsockname()[1]}/db").open()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None])
def test_what_is_no_postgresql_is_refused_and_not_waited_for(answer: bytes | None) -> None:
    """It answers in another language, hangs up, or says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection)
                if answer is not None:
                    connection.recv(100)
                    connection.sendall(answer)
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        with pytest.raises((StoreUnavailableError, StoreUnusableError), match="postgresql://127.0.0.1:"):
            PostgreSQLStore(f"postgresql://127.0.0.1:{server.getsockname()[1]}/db?connect_timeout=2").open()

        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in connections:
        connection.close()


def test_a_database_of_another_encoding_is_refused(postgresql_database: str, administrator: psycopg.Connection) -> None:
    name = f"latin_{secrets.token_hex(4)}"
    administrator.execute(f"create database {name} encoding 'LATIN1' locale 'C' template template0".encode())

    with pytest.raises(StoreUnusableError, match="expected a database of the encoding UTF8, got LATIN1"):
        PostgreSQLStore(urlsplit(postgresql_database)._replace(path=f"/{name}").geturl()).open()

    administrator.execute(f"drop database {name} with (force)".encode())


def test_what_a_server_has_run_out_of_is_told_with_what_to_do(
    postgresql_database: str, store: PostgreSQLStore, administrator: psycopg.Connection, role: str
) -> None:
    administrator.execute(f"alter role {role} connection limit 0".encode())

    with pytest.raises(StoreUnavailableError, match="got .*too many connections for role .*: raise its limit"):
        PostgreSQLStore(with_user(postgresql_database, f"{role}:hunter2")).open()
    with (
        pytest.raises(StoreUnavailableError, match="got could not .*: No space left on device: give its disk room"),
        store._server.writing() as session,
    ):
        session.run_script(
            "do $$ begin raise 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$"
        )


def test_a_server_that_can_only_be_read_is_named_so(postgresql_url: str) -> None:
    with pytest.raises(StoreUnavailableError, match="can only be read, such as a standby: name the primary"):
        PostgreSQLStore(f"{postgresql_url}&options=-c%20default_transaction_read_only%3Don").open()


def test_what_keeps_a_scheduler_from_starting_is_told_in_one_error_without_the_drivers_own(
    postgresql_database: str, postgresql_url: str, store: PostgreSQLStore, administrator: psycopg.Connection, role: str
) -> None:
    schema = postgresql_url.rpartition("=")[2]
    administrator.execute(f"grant usage on schema {schema} to {role}".encode())
    nowhere = urlsplit(postgresql_database)
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        expected = {
            with_user(postgresql_url, role): "expected the right to use the tables, got permission denied for table",
            with_user(postgresql_url, "nobody_at_all"): 'role "nobody_at_all" does not exist: check user, password',
            nowhere._replace(path="/nowhere").geturl(): 'database "nowhere" does not exist: check user, password',
            f"postgresql://127.0.0.1:{unused.getsockname()[1]}/db": "it works again as soon as the server does",
            "postgresql://no-such-host.invalid/db": "it works again as soon as the server does",
        }
        told = {}
        for url in expected:
            with pytest.raises((StoreUnusableError, StoreUnavailableError)) as raised:
                BackgroundScheduler(url).start()
            told[url] = "".join(traceback.format_exception(raised.value))
    administrator.execute(f"grant select on all tables in schema {schema} to {role}".encode())
    with pytest.raises(StoreUnusableError, match="permission denied for table tickwork_declarations"):
        BackgroundScheduler(with_user(postgresql_url, role)).start()

    assert {url: message for url, message in expected.items() if message not in told[url]} == {}
    assert [url for url, text in told.items() if "exception" in text] == [], "as between errors in a chain"


# tables


def test_who_may_not_make_the_tables_is_told_so(postgresql_url: str, role: str) -> None:
    with pytest.raises(
        StoreUnusableError, match="expected the right to use the tables, got permission denied for database"
    ):
        PostgreSQLStore(with_user(postgresql_url, role)).open()


def test_a_role_without_the_right_to_use_the_schema_is_told_so(
    postgresql_url: str, store: PostgreSQLStore, role: str
) -> None:
    """Without it the tables are passed over, as if there were none."""
    schema = postgresql_url.rpartition("=")[2]

    with pytest.raises(
        StoreUnusableError, match=f'expected the right to use the schema "{schema}", got no right: grant'
    ):
        PostgreSQLStore(with_user(postgresql_url, role)).open()


def test_tables_can_be_made_by_hand_for_a_role_that_may_make_none(
    postgresql_url: str, administrator: psycopg.Connection, role: str
) -> None:
    url, schema = f"{with_user(postgresql_url, role)}&create=off", postgresql_url.rpartition("=")[2]
    rights = "select, insert, update, delete on all tables in schema"
    with pytest.raises(
        StoreUnusableError,
        match=f"got none, and create=off: run what `tickwork schema postgresql --schema {schema}` prints",
    ):
        PostgreSQLStore(url).open()

    administrator.execute(script(schema).encode())
    administrator.execute(
        f"grant usage on schema {schema} to {role}; grant {rights} {schema} to {role};"
        f" grant usage on all sequences in schema {schema} to {role}".encode()
    )

    store = PostgreSQLStore(url, clock=VirtualClock(NOW))
    store.open()
    store.add([job := make_job()])
    store.save([next_version(job, run := held_run(job))])
    store.settle([settle(run, job.retry, DONE, NOW)])
    store.remove()
    store.close()


def test_tables_of_a_newer_version_are_refused(
    postgresql_url: str, administrator: psycopg.Connection, store: PostgreSQLStore
) -> None:
    schema = postgresql_url.rpartition("=")[2]
    administrator.execute(f"update {schema}.tickwork_schema set version = {len(SCRIPTS) + 1}".encode())

    with pytest.raises(StoreSchemaError, match="install that version here too"):
        PostgreSQLStore(postgresql_url).open()


def test_tables_of_the_first_version_are_upgraded_and_what_its_code_goes_on_to_write_is_understood(
    postgresql_url: str, administrator: psycopg.Connection
) -> None:
    schema = postgresql_url.rpartition("=")[2]
    first = (FOLDER / SCRIPTS[0]).read_text()
    made = f'create schema "{schema}"; set search_path to "{schema}"; {first}; {META.format(table="tickwork_schema")}; insert into tickwork_schema values (1);'
    beat = (
        f'insert into "{schema}".tickwork_nodes (id, host, pid, version, started_at, seen_since, seen_at, lease_until,'
        " paused, runs, declaration) values (%s, 'web-1', 1, '0', 0, 0, 0, 4e15, false, 0, '')"
    )
    administrator.execute(made.encode())
    administrator.execute(beat.encode(), ["before"])

    with pytest.raises(StoreUnusableError, match="got version 1, and create=off: run what .* --after 1` prints"):
        PostgreSQLStore(f"{postgresql_url}&create=off").open()
    administrator.execute(script(schema, after=1).encode())
    with closing(PostgreSQLStore(f"{postgresql_url}&create=off")) as store:
        store.open()
        administrator.execute(beat.encode(), ["after"])
        seen = {node.id: (node.clock_error, node.lifeline) for node in store.nodes()}
        cut = store.cut_lifelines()

    assert seen == {"before": (None, ""), "after": (None, "")}
    assert [*cut] == [], "of nodes that hold none nobody knows more than their lease"


def test_older_tables_get_the_steps_that_they_lack_and_a_step_that_fails_leaves_them_as_they_were(
    store: PostgreSQLStore, postgresql_url: str, administrator: psycopg.Connection
) -> None:
    schema = postgresql_url.rpartition("=")[2]
    steps = [(FOLDER / name).read_text() for name in SCRIPTS]
    store.add([job := make_job()])

    def go_on_with(*more: str) -> None:
        with store._server.writing() as session:
            upgrade(session, "here", schema, create=True, scripts=[*steps, *more])

    with pytest.raises(StoreUnavailableError, match="SyntaxError"):
        go_on_with("create table tickwork_more (); create tabel tickwork_most ()")
    go_on_with("create table tickwork_more (x text default ';')")
    go_on_with("create table tickwork_more (x text default ';')")

    versions = administrator.execute(f"select version from {schema}.tickwork_schema".encode()).fetchall()
    assert versions == [(len(SCRIPTS) + 1,)]
    assert store.jobs() == [job]


def test_stores_that_are_opened_together_make_the_tables_once(postgresql_url: str) -> None:
    stores = [PostgreSQLStore(postgresql_url) for _ in range(6)]
    faults: list[BaseException] = []

    def open_it(store: PostgreSQLStore) -> None:
        try:
            store.open()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=open_it, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    for store in stores:
        store.close()


def test_stores_in_two_schemas_know_nothing_of_each_other(
    postgresql_url: str, administrator: psycopg.Connection, store: PostgreSQLStore
) -> None:
    schema = f'{postgresql_url.rpartition("=")[2]} "too"'
    beside = PostgreSQLStore(f"{postgresql_url.rpartition('=')[0]}={schema.replace(' ', '%20')}")
    beside.open()

    beside.add([make_job()])

    assert store.jobs() == []
    beside.close()
    administrator.execute(f"drop schema {psycopg.sql.Identifier(schema).as_string()} cascade".encode())


# together


def test_what_was_settled_and_what_was_fired_share_one_commit(store: PostgreSQLStore, other: PostgreSQLStore) -> None:
    store.add([job := make_job(next_fire_time=None), make_job("due")])
    store.save([next_version(job, run := held_run(job))])

    with store.together():
        store.settle([settle(run, job.retry, DONE, NOW)])
        store.fire(lambda jobs, active, now: [next_version(jobs[0])], executor="threads", until=NOW, limit=1)
        store.claim(Hold("a", NOW + SECOND), executor="threads", limit=1)

        assert other.run(run.id).state is RunState.RUNNING

    assert other.run(run.id).state is RunState.SUCCEEDED
    assert other.get("due").version == 2


def test_what_raises_undoes_all_of_it_and_a_part_that_fails_only_itself(store: PostgreSQLStore) -> None:
    store.add([make_job("taken")])

    with pytest.raises(RuntimeError, match="no more"), store.together():
        store.add([make_job("a")])
        raise RuntimeError("no more")
    with store.together():
        store.add([make_job("before")])
        with pytest.raises(JobExistsError):
            store.add([make_job("new"), make_job("taken")])
        store.add([make_job("after")])

    assert [job.id for job in store.jobs()] == ["after", "before", "taken"]


def test_a_node_that_holds_its_rows_keeps_no_other_waiting(store: PostgreSQLStore, other: PostgreSQLStore) -> None:
    """It fires in a transaction that goes on; the other passes over what it holds, and takes the rest."""
    store.add([make_job("a"), make_job("b", next_fire_time=NOW + SECOND)])
    decide = lambda jobs, *_: [next_version(job, held_run(job), next_fire_time=None) for job in jobs]  # noqa: E731

    with store.together():
        store.fire(decide, executor="threads", until=NOW, limit=9)
        others = other.fire(decide, executor="threads", until=NOW + SECOND, limit=9)

    assert [change.job.id for change in others] == ["b"]


def test_an_idle_round_asks_the_server_once(store: PostgreSQLStore) -> None:
    store.add([make_job(next_fire_time=NOW + 9 * SECOND)])
    idle_round(store)
    (session,) = store._server._idle
    session._cursor = asked = Counted(session._cursor)  # type: ignore[assignment]

    idle_round(store)

    assert asked.statements == 1


def test_an_idle_node_asks_the_server_at_most_once_a_second_its_beats_included(
    store: PostgreSQLStore, clock: VirtualClock
) -> None:
    later = NOW + 5 * HOUR
    store.add([make_job(f"job-{number}", next_fire_time=later, declared="app") for number in range(1_000)])
    node = Node(store)
    advance(clock, MINUTE, node)
    (session,) = store._server._idle
    session._cursor = asked = Counted(session._cursor)  # type: ignore[assignment]
    session.connection = told = Counted(session.connection)  # type: ignore[assignment]

    advance(clock, 5 * MINUTE, node)

    assert asked.statements + told.statements <= 5 * 60
    assert store.nodes()[0].seen_at >= clock.now() - 5 * SECOND


class Counted:
    """A cursor or a connection that counts what it is asked."""

    def __init__(self, one: Any) -> None:
        self.one = one
        self.statements = 0

    def execute(self, *args: Any, **options: Any) -> Any:
        self.statements += 1
        return self.one.execute(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.one, name)


def idle_round(store: PostgreSQLStore) -> None:
    with store.together():
        assert store.cancelling("a") == []
        assert store.lost(9) == []
        for executor in ("threads", "asyncio"):
            assert store.fire(lambda *_: [], executor=executor, until=NOW, limit=9) == []
            assert store.claim(Hold("a", NOW), executor=executor, limit=9) == []
    assert store.outlook(["threads", "asyncio"], after=NOW, fire_after=NOW).fire_at == NOW + 9 * SECOND


def test_what_raises_between_two_parts_undoes_all_of_them(store: PostgreSQLStore, other: PostgreSQLStore) -> None:
    store.add([make_job(f"job-{number:03}") for number in range(3 * PART)])

    def decide(jobs: Iterable[Job], *_: object) -> Iterator[Change]:
        for number, job in enumerate(jobs):
            if number == PART + 7:
                raise RuntimeError("no idea")
            yield fire_once(job, make_hold())

    with pytest.raises(RuntimeError, match="no idea"), store.together():
        store.fire(decide, executor="threads", until=NOW, limit=999)

    assert other.runs() == []
    assert len(fire(other)) == len(other.runs(limit=999)) == 3 * PART


def test_a_connection_that_is_ended_between_two_parts_is_told_of_once_and_in_our_words(
    store: PostgreSQLStore, administrator: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    store.add([make_job(f"job-{number:03}") for number in range(3 * PART)])
    ended = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'tickwork'"

    def decide(jobs: Iterable[Job], *_: object) -> Iterator[Change]:
        for number, job in enumerate(jobs):
            if number == PART + 7:
                administrator.execute(ended)
            yield fire_once(job, make_hold())

    with pytest.raises(StoreUnavailableError):
        store.fire(decide, executor="threads", until=NOW, limit=999)

    assert caplog.records == []
    assert store.runs() == []
    assert len(fire(store)) == 3 * PART


def test_who_stands_still_between_two_parts_holds_its_rows_for_no_longer_than_the_server_allows(
    postgresql_url: str, other: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a pipeline a server waits for its client without a limit, until that asks for the answers."""
    monkeypatch.setitem(SETTINGS, "idle_in_transaction_session_timeout", "100ms")
    other.add([make_job(f"job-{number:03}") for number in range(PART + 1)])
    taken: list[Change] = []

    def decide(jobs: Iterable[Job], *_: object) -> Iterator[Change]:
        for number, job in enumerate(jobs):
            if number == PART:  # those before it are on their way
                taken.extend(wait_until(lambda: fire(other), "the rows to be free"))
            yield fire_once(job, make_hold())

    with closing(PostgreSQLStore(postgresql_url, clock=other.clock)) as store, pytest.raises(StoreUnavailableError):
        store.fire(decide, executor="threads", until=NOW, limit=999)

    assert len(taken) == len(other.runs(limit=999)) == PART + 1


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no such signal here")
def test_a_time_limit_that_strikes_as_a_transaction_begins_is_told_as_it_is(
    store: PostgreSQLStore, administrator: psycopg.Connection
) -> None:
    """As those of Celery and RQ do: by an exception that the handler of a signal raises."""

    def strike(*_: object) -> None:
        raise TimeLimitError

    def wait_and_strike() -> None:
        waiting = "select true from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'tickwork'"
        wait_until(lambda: administrator.execute(waiting).fetchone(), "a transaction that waits")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    administrator.execute("begin")
    administrator.execute(f"lock table {store._server.schema}.tickwork_moves".encode())
    handled, thread = signal.signal(signal.SIGUSR1, strike), threading.Thread(target=wait_and_strike)
    thread.start()
    with pytest.raises(TimeLimitError):
        store.add([make_job("a")])
    thread.join()
    signal.signal(signal.SIGUSR1, handled)
    administrator.execute("rollback")

    store.add([make_job("b")])
    assert [job.id for job in store.jobs()] == ["b"]


class TimeLimitError(Exception):
    pass


def test_what_fails_as_a_transaction_begins_is_told_whatever_else_is_being_dealt_with(
    postgresql_url: str, other: PostgreSQLStore, administrator: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SETTINGS, "lock_timeout", "10ms")
    administrator.execute("begin")
    administrator.execute(f"lock table {other._server.schema}.tickwork_jobs".encode())

    with closing(PostgreSQLStore(postgresql_url, clock=other.clock)) as store:
        try:
            raise TimeLimitError
        except TimeLimitError:
            with pytest.raises(StoreUnavailableError, match="canceling statement due to lock timeout"):
                fire(store)
    administrator.execute("rollback")


def test_what_was_in_use_when_the_store_was_closed_is_closed_when_it_is_given_back(store: PostgreSQLStore) -> None:
    with store._server.reading() as session:
        store.close()

        assert session.select("select 1") == [(1,)]

    assert session.connection.closed
    assert store._server._idle == []


# faults


def test_without_a_bell_polling_is_enough(postgresql_url: str) -> None:
    scheduler = BackgroundScheduler(f"{postgresql_url}&pooler=on")
    news: Queue[object] = Queue()
    scheduler.add_listener(news.put, RunSettled)
    scheduler.start()
    other = PostgreSQLStore(postgresql_url)
    other.open()

    other.add([BackgroundScheduler(other).new_job(deeds.nothing, "date", id="once")])
    wait_for(news, RunSettled)

    scheduler.shutdown()
    scheduler._store.close()
    other.close()


def test_behind_a_pooler_there_is_no_lifeline_and_the_log_says_so(
    postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = PostgreSQLStore(f"{postgresql_url}&pooler=on")
    with caplog.at_level("INFO", "tickwork.store"):
        store.open(lambda: None)

    lifelines = {store.hold_lifeline("a") for _ in range(3)}
    store.close()

    assert lifelines == {""}
    assert "nor see at once that one dies: news is noticed within a poll, a death when a lease ends" in caplog.text


def test_after_a_restart_everything_goes_on_and_rings_are_heard_again() -> None:
    with PostgreSQLServer(DURABLE) as server:
        store, other = (PostgreSQLStore(server.url(), clock=VirtualClock(NOW)) for _ in range(2))
        rung = threading.Event()
        store.open()
        other.open(rung.set)
        store.add([make_job("before")])
        assert rung.wait(5)
        before = wait_until(lambda: other.hold_lifeline("b"), "a lifeline")

        server.kill()
        with pytest.raises(StoreUnavailableError, match="it works again as soon as the server does"):
            store.jobs()
        server.start()
        found = [job.id for job in store.jobs()]  # at once: connections that died are not used
        rung.clear()
        assert rung.wait(10), "the other listens again, and looks for what it did not hear"
        wait_until(
            lambda: other.hold_lifeline("b") not in ("", before), "another lifeline, which the restart left alone"
        )
        rung.clear()
        store.add([make_job("after")])

        assert found == ["before"]
        assert rung.wait(5)
        store.close()
        other.close()


def test_a_scheduler_sits_a_restart_out_and_answers_for_every_fire_time() -> None:
    with PostgreSQLServer(DURABLE) as server:
        scheduler = BackgroundScheduler(server.url())
        news: Queue[object] = Queue()
        scheduler.add_listener(news.put, StoreLost, StoreRecovered, RunSettled)
        scheduler.start()
        job = scheduler.add_job(deeds.nothing, "interval", seconds=0.1, id="beat")
        wait_for(news, RunSettled)

        server.kill()
        wait_for(news, StoreLost)
        outage = scheduler.health().outage
        server.start()
        wait_for(news, StoreRecovered)
        wait_for(news, RunSettled)
        scheduler.shutdown()

        assert outage is not None
        assert "it works again as soon as the server does" in outage
        rows = [run for run in reversed(scheduler.get_runs("beat", limit=1000)) if run.state.closed]
        assert rows[0].fire_time == job.next_fire_time
        for before, after in pairwise(rows):
            assert after.fire_time - (before.through or before.fire_time) == timedelta(seconds=0.1)
        scheduler._store.close()


def wait_for(news: Queue[object], kind: type) -> None:
    while not isinstance(news.get(timeout=deeds.PATIENCE), kind):
        pass


def test_a_connection_that_is_ended_under_a_transaction_keeps_nothing_of_it(
    store: PostgreSQLStore, administrator: psycopg.Connection
) -> None:
    with pytest.raises(StoreUnavailableError), store.together():
        store.add([make_job("lost")])
        assert store._server.of_this_thread.together is not None
        session = store._server.of_this_thread.together.session
        assert session is not None
        administrator.execute("select pg_terminate_backend(%s, 5000)", (session.connection.info.backend_pid,))
        store.jobs()

    assert store.jobs() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own_and_leaves_those_of_its_parent_alone(store: PostgreSQLStore) -> None:
    store.add([make_job()])

    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if [job.id for job in store.jobs()] == ["job"] else 1)
        finally:  # a child that goes on would run all other tests
            os._exit(2)
    _, status = os.waitpid(child, 0)

    assert status == 0
    assert [job.id for job in store.jobs()] == ["job"]
