"""Documents in PostgreSQL: what several machines share, what goes wrong on the way to it, and who may write."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.documents.chroma import ChromaServer
from tests.documents.sample import Lines
from tests.documents.worker import Worker
from tests.servers import PostgreSQLServer

from tickwork.cli import main
from tickwork.documents import Doc, Documents, EmbedderChangedError, HashEmbedder, InvalidDocumentError
from tickwork.documents.catalogue.postgresql import PostgreSQLCatalogue
from tickwork.errors import StoreError, StoreSchemaError, StoreUnavailableError, StoreUnusableError, StoreURLError
from tickwork.stores.postgresql import PostgreSQLStore
from tickwork.testing import VirtualClock

PATIENCE = 30.0


def documents(url: str, name: str = "kb", **options: Any) -> Documents:
    return Documents(name, url, **{"embedder": HashEmbedder(64), "splitter": Lines(), **options})


def put(docs: Documents, *given: Doc) -> int:
    return asyncio.run(docs.put("all", *given)).changed


def texts(docs: Documents, text: str = "apple") -> list[str]:
    return sorted(hit.text for hit in asyncio.run(docs.search(text, 100)))


def wait_until(fact: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < until, "it does not come true"
        time.sleep(0.02)


@pytest.fixture
def docs(postgresql_url: str) -> Iterator[Documents]:
    docs = documents(postgresql_url)
    yield docs
    docs.close()


@pytest.fixture
def other(postgresql_url: str) -> Iterator[Documents]:
    """The same documents on another machine."""
    other = documents(postgresql_url)
    yield other
    other.close()


@pytest.fixture
def administrator(postgresql_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgresql_database, autocommit=True) as connection:
        yield connection


# what machines share


def test_what_one_machine_takes_in_another_finds(docs: Documents, other: Documents) -> None:
    put(docs, Doc("a", "apple one", meta={"lang": "한국어", "nul": "\0"}))

    assert texts(other) == ["apple one"]
    put(other, Doc("a", "apple two"))
    assert texts(docs) == ["apple two"]
    assert [status.documents for status in docs.status()] == [1]


def test_it_lies_beside_the_jobs_and_beside_other_documents(docs: Documents, postgresql_url: str) -> None:
    store = PostgreSQLStore(postgresql_url)
    store.open()
    store.close()
    legal = documents(postgresql_url, "legal")

    put(docs, Doc("a", "apple of kb"))
    put(legal, Doc("a", "apple of legal"))
    asyncio.run(legal.remove("all", "a"))

    assert texts(docs) == ["apple of kb"]
    assert texts(legal) == []
    legal.close()


def test_an_id_may_be_longer_than_an_index_of_the_server_takes(docs: Documents) -> None:
    ids = ["".join(secrets.choice("가나다라마바사아자차카타파하") for _ in range(2_000)) for _ in range(2)]

    assert put(docs, *(Doc(id, f"apple {place}") for place, id in enumerate(ids))) == 2
    assert texts(docs) == ["apple 0", "apple 1"]
    assert asyncio.run(docs.remove("all", ids[0])) == [ids[0]]
    assert texts(docs) == ["apple 1"]


def test_machines_with_two_embedders_never_mix_their_vectors(postgresql_url: str, docs: Documents) -> None:
    put(docs, Doc("a", "apple"))
    another = documents(postgresql_url, embedder=HashEmbedder(128))

    with pytest.raises(EmbedderChangedError, match="rebuild"):
        another.status()
    assert another.rebuild() == 1
    with pytest.raises(EmbedderChangedError, match="restart this process"):
        texts(docs)
    with pytest.raises(EmbedderChangedError, match="restart this process"):
        put(docs, Doc("b", "apple"))

    assert texts(another) == ["apple"]
    another.close()


@pytest.mark.processes
def test_machines_use_one_chroma_server_and_a_kill_holds_up_nobody(postgresql_url: str, tmp_path: Path) -> None:
    """Who is killed while it has the turn gives it up with its session."""
    server = ChromaServer(tmp_path)
    server.start()
    with Worker(postgresql_url, server.url) as one, Worker(postgresql_url, server.url) as two:
        one.ask("sync", {f"d{n}": f"apple {n}" for n in range(20)})
        wait_until(lambda: one.ask("trouble") is two.ask("trouble") is None)
        assert two.ask("search", "apple 7", 1) == ["apple 7"]
        one.ask("take turn")
        two.tell("sync", {"new": "apple new"})  # waits for it

        one.process.kill()

        assert two.answer() == 1
        assert two.ask("search", "apple new", 1) == ["apple new"]
        assert two.ask("verify") == [0, 0]
        assert two.ask("rebuild") == 21
    server.stop()


def test_what_there_is_can_be_looked_at_and_its_room_given_back(docs: Documents) -> None:
    put(docs, Doc("a", "apple one\napple two", meta={"lang": "en"}), Doc("b", "pear"))
    put(docs, Doc("a", "apple three"))
    asyncio.run(docs.remove("all", "b"))
    docs._clock = VirtualClock(docs._opened().clock.now() + timedelta(hours=1))
    docs.close()

    done = docs.compact()

    assert (done.chunks, done.vacuumed, done.left) == (3, False, ())
    (found,) = docs.get_documents("all")
    assert (found.id, found.revision, found.chunks, found.error) == ("a", 2, 1, None)
    assert docs.get_documents("all", quarantined=True) == []
    assert [docs.count_documents("all", quarantined=choice) for choice in (None, True, False)] == [1, 0, 1]
    text = docs.get_text("all", "a")
    assert text is not None
    assert [chunk.text for chunk in text.chunks] == ["apple three"]
    assert docs.get_text("all", "b") is None


# the turn


@pytest.fixture
def catalogue(docs: Documents) -> PostgreSQLCatalogue:
    catalogue = docs._opened().catalogue
    assert isinstance(catalogue, PostgreSQLCatalogue)
    return catalogue


def test_who_has_lost_the_session_of_the_turn_can_write_no_more(
    catalogue: PostgreSQLCatalogue, other: Documents, administrator: psycopg.Connection
) -> None:
    others = other._opened().catalogue
    with catalogue.turn, catalogue.turn:
        catalogue.note(before=1)
        session = catalogue.turn.session
        assert session is not None
        administrator.execute("select pg_terminate_backend(%s, 5000)", [session.connection.info.backend_pid])
        with others.turn:
            others.note(meanwhile=1)

        with pytest.raises(StoreUnavailableError, match="works again as soon as the server does"):
            catalogue.note(after=1)

    assert [others.meta(key) for key in ("before", "meanwhile", "after")] == [1, 1, None]
    with catalogue.turn:
        catalogue.note(after=1)
    assert others.meta("after") == 1


def test_writers_of_all_machines_take_turns(catalogue: PostgreSQLCatalogue, other: Documents) -> None:
    """What one clears away, none takes for being there at the same time: such as the vector of a text that comes back."""
    others = other._opened().catalogue
    writing = threading.Thread(target=others.note, kwargs={"other": 1})

    with catalogue._writing():
        writing.start()
        writing.join(0.3)
        assert writing.is_alive()
    writing.join()

    assert catalogue.meta("other") == 1


def test_one_at_a_time_has_the_turn(catalogue: PostgreSQLCatalogue, other: Documents) -> None:
    others, order = other._opened().catalogue, []

    def take() -> None:
        with others.turn:
            order.append("other")

    with catalogue.turn:
        waiting = threading.Thread(target=take)
        waiting.start()
        waiting.join(0.3)
        order.append("one")
    waiting.join()

    assert order == ["one", "other"]


def test_an_index_at_a_url_is_refused_behind_a_pooler(postgresql_url: str) -> None:
    docs = documents(f"{postgresql_url}&pooler=on", index="http://127.0.0.1:1")

    with pytest.raises(StoreUnusableError, match="expected a session of the server.*name the server itself"):
        docs.status()

    exact = documents(f"{postgresql_url}&pooler=on")
    assert put(exact, Doc("a", "apple")) == 1
    assert texts(exact) == ["apple"]
    exact.close()


# what goes wrong


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("postgresql+asyncpg://me:hunter2@h/db", r"expected postgresql://, got postgresql\+asyncpg://: leave out '\+asyncpg'"),
        ("mysql://me:hunter2@h/db", "expected a folder, or 'postgresql://.*got a URL of 'mysql'"),
        ("sqlite:///kb.db", "expected a folder"), ("redis://h", "expected a folder"), ("https://h/db", "expected a folder"),
        ("postgresql://me:hunter2@h:x/db", "expected a URL that libpq can read"), ("postgresql://h/db?shcema=x", "did you mean 'schema'"),
        (Path("postgresql://h/db"), "expected a URL as a string"), ("", "expected a folder"), (None, "expected a folder"), (3, "expected a folder"), ("a\0b", "expected a folder"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_is_refused_at_once_and_keeps_its_password(path: Any, message: str) -> None:
    with pytest.raises((StoreURLError, InvalidDocumentError), match=message) as raised:
        documents(path)

    assert "hunter2" not in "".join(traceback.format_exception(raised.value))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnusableError, match="expected a folder that can be made"):
        documents(str(tmp_path / "file" / "data")).status()


@pytest.mark.parametrize("index", ["managed", "embedded"])
def test_an_index_that_the_other_machines_could_not_find_is_refused(postgresql_url: str, index: str) -> None:
    with pytest.raises(InvalidDocumentError, match=r"expected 'exact' or the URL of a Chroma server"):
        documents(postgresql_url, index=index)


def test_without_the_driver_it_is_said_what_to_install() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None; from tickwork.documents import Documents, HashEmbedder; "
        "Documents('kb', 'postgresql://me:hunter2@h/db', embedder=HashEmbedder())"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert "StoreURLError: Documents: expected psycopg 3 for postgresql://" in done.stderr
    assert done.stderr.endswith("pip install 'tickwork[postgresql]'\n")
    assert "hunter2" not in done.stderr.splitlines()[-1]


def with_user(url: str, user: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()


def test_who_is_not_let_in_is_told_so_without_the_password(
    postgresql_url: str, administrator: psycopg.Connection
) -> None:
    if "TICKWORK_TEST_POSTGRESQL_URL" in os.environ:
        pytest.skip("another server has other rules")
    administrator.execute(b"drop role if exists locked; create role locked login password 'another'")

    with pytest.raises(StoreUnusableError, match='password authentication failed for user "locked"') as raised:
        documents(with_user(postgresql_url, "locked:hunter2")).status()

    assert "hunter2" not in str(raised.value)


def test_a_role_without_rights_is_told_which(
    postgresql_url: str, docs: Documents, administrator: psycopg.Connection
) -> None:
    put(docs, Doc("a", "apple"))
    role = f"role_{secrets.token_hex(6)}"
    administrator.execute(f"create role {role} login".encode())

    schema = postgresql_url.rpartition("=")[2]
    with pytest.raises(StoreUnusableError, match="expected the right to use the schema"):
        documents(with_user(postgresql_url, role)).status()
    administrator.execute(f'grant usage on schema "{schema}" to {role}'.encode())
    with pytest.raises(StoreUnusableError, match="permission denied"):
        documents(with_user(postgresql_url, role)).status()
    administrator.execute(f'grant select on all tables in schema "{schema}" to {role}'.encode())
    reader = documents(with_user(postgresql_url, role))
    assert texts(reader) == ["apple"]
    with pytest.raises(StoreUnusableError, match="the right to use the tables"):
        put(reader, Doc("b", "apple"))

    reader.close()
    administrator.execute(f"drop owned by {role} cascade; drop role {role}".encode())


def test_tables_of_a_newer_version_are_left_alone(
    postgresql_url: str, docs: Documents, administrator: psycopg.Connection
) -> None:
    docs.status()
    schema = postgresql_url.rpartition("=")[2]
    administrator.execute(f'update "{schema}".tickwork_documents_schema set version = 99'.encode())

    with pytest.raises(StoreSchemaError, match="got version 99: a newer tickwork wrote them"):
        documents(postgresql_url).status()


def test_tables_that_may_not_be_made_are_asked_for_and_can_be_printed(
    postgresql_url: str, administrator: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{postgresql_url}&create=off"
    with pytest.raises(StoreUnusableError, match="run what `tickwork schema documents --schema .*` prints"):
        documents(url).status()

    assert main(["schema", "documents", "--schema", postgresql_url.rpartition("=")[2]]) == 0
    administrator.execute(capsys.readouterr().out.encode())

    docs = documents(url)
    assert put(docs, Doc("a", "apple")) == 1
    docs.close()


def test_documents_that_somebody_deletes_are_told_of(docs: Documents, administrator: psycopg.Connection) -> None:
    put(docs, Doc("a", "apple"))
    catalogue = docs._opened().catalogue
    assert isinstance(catalogue, PostgreSQLCatalogue)
    with catalogue._server.writing() as session:
        session.execute("delete from tickwork_catalogues")

    with pytest.raises(StoreUnusableError, match="somebody has deleted them"):
        put(docs, Doc("b", "apple"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_fork_has_connections_of_its_own(postgresql_url: str) -> None:
    code = """
from tests.documents.test_postgresql import *
docs = documents(sys.argv[1])
put(docs, Doc("a", "apple of the parent"))
child = os.fork()
put(docs, Doc("c" if child else "b", f"apple {child > 0}"))
if not child:
    docs.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(texts(docs))
docs.close()
"""

    done = subprocess.run([sys.executable, "-c", code, postgresql_url], check=False, capture_output=True, text=True)

    assert done.stdout == "['apple False', 'apple True', 'apple of the parent']\n", done.stderr


@pytest.mark.processes
def test_a_server_that_restarts_is_waited_for_and_one_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with PostgreSQLServer() as server:
        docs = documents(server.url())
        put(docs, Doc("a", "apple"))
        monkeypatch.setattr("tickwork.documents.catalogue.postgresql.PATIENCE", PATIENCE)  # a slow machine is no outage
        server.stop()
        starting = threading.Timer(0.5, server.start)
        starting.start()

        assert put(docs, Doc("b", "apple")) == 1

        starting.join()
        monkeypatch.setattr("tickwork.documents.catalogue.postgresql.PATIENCE", 0.5)
        server.stop()
        with pytest.raises(StoreError, match="it works again as soon as the server does"):
            texts(docs)
        server.start()
        assert texts(docs) == ["apple", "apple"]
        docs.close()
