"""A compaction gives back the room of what no search can find, and nothing else, whatever happens beside it or to it."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from tests.documents.sample import CHUNKS, DOCUMENTS, Shop, revision
from tests.documents.test_kill import killed_at, revisions_found
from tests.documents.test_modes import all_find, document, owner, wait_until
from tests.documents.worker import Worker

from tickwork.documents import Compaction, Doc, Documents, HashEmbedder
from tickwork.documents.compacting import vacuum
from tickwork.documents.homes import orphans
from tickwork.documents.syncing import Step
from tickwork.errors import StoreUnavailableError

HOUR = timedelta(hours=1)
LINE = 4_000
"""Letters, more or less."""


@pytest.fixture(params=["exact", "embedded"])
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shop]:
    shop = Shop(tmp_path, request.param)
    yield shop
    shop.docs.close()


def large(number: int) -> list[Doc]:
    def line(name: int) -> str:
        return " ".join(f"word{name}of{number}at{place}" for place in range(LINE // 15))

    return [Doc(f"d{name}", f"d{name} title\n{line(name)}") for name in range(100)]


def test_what_is_dead_goes_and_what_lives_is_found_as_before(shop: Shop) -> None:
    for number in (1, 2, 3):
        shop.listed = large(number)
        shop.sync()
    before, took = shop.texts("word"), shop.docs._opened().catalogue.size()
    shop.clock.advance(HOUR)

    done = shop.docs.compact()

    indexed = shop.docs.verify() is not None
    assert (done.chunks, done.vectors, done.rebuilt, done.vacuumed, done.left) == (200, 0, indexed, True, ())
    assert done.freed == took - shop.docs._opened().catalogue.size()
    assert done.freed > 100 * LINE
    assert shop.texts("word") == before
    assert shop.docs.verify() in (None, (0, 0))
    assert len(shop.docs._opened().catalogue.all_chunks()) == 200


def test_there_is_nothing_to_do_twice(shop: Shop) -> None:
    shop.listed = revision(1)
    shop.sync()
    shop.listed = revision(2)
    shop.sync()
    shop.clock.advance(HOUR)
    shop.docs.compact()

    again = shop.docs.compact()

    assert again._replace(freed=0) == Compaction(0, 0, False, False, 0, ())


def test_what_died_a_moment_ago_stays_for_those_who_still_read_it(shop: Shop) -> None:
    for number in (1, 2):
        shop.listed = revision(number)
        shop.sync()

    done = shop.docs.compact()

    assert done.chunks == 0
    assert len(shop.docs._opened().catalogue.all_chunks()) == DOCUMENTS * (2 * CHUNKS - 1)


@pytest.mark.processes
def test_vectors_that_a_killed_sync_left_are_forgotten(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.listed = revision(1)
    shop.sync()
    shop.docs.close()
    killed_at(Step.EMBEDDED, tmp_path, "exact", 2)

    done = shop.docs.compact()

    assert done.vectors == DOCUMENTS * (CHUNKS - 1)
    assert revisions_found(shop) == {"r1"}
    shop.listed = revision(2)
    assert shop.sync().embedded == DOCUMENTS * (CHUNKS - 1)
    shop.docs.close()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("index", "step"),
    [
        *(("exact", step) for step in (Step.UNINDEXED, Step.CLEARED, Step.FORGOTTEN, Step.VACUUMED)),
        *(("embedded", step) for step in (Step.UNINDEXED, Step.REBUILT)),
    ],
)
def test_a_kill_at_any_step_leaves_nothing_wrong(tmp_path: Path, step: Step, index: str) -> None:
    shop = Shop(tmp_path, index)
    for number in (1, 2):
        shop.listed = revision(number)
        shop.sync()
    shop.docs.close()
    killed_at(Step.EMBEDDED, tmp_path, index, 3)  # vectors that no chunk has

    killed_at(step, tmp_path, index, 0)

    assert revisions_found(shop) == {"r2"}
    shop.clock.advance(HOUR)
    shop.docs.compact()
    assert revisions_found(shop) == {"r2"}
    assert len(shop.docs._opened().catalogue.all_chunks()) == DOCUMENTS * CHUNKS
    assert shop.docs.verify(repair=True) in (None, (0, 0))
    shop.listed = revision(4)
    shop.sync()
    assert revisions_found(shop) == {"r4"}
    shop.docs.close()


@pytest.mark.parametrize("step", [Step.CLEARED, Step.REBUILT])
def test_searches_and_syncs_go_on_between_its_steps(shop: Shop, step: Step) -> None:
    for number in (1, 2):
        shop.listed = revision(number)
        shop.sync()
    shop.docs._opened().catalogue.keep_vectors({"of no chunk": [0.5] * 64}, 1)
    shop.clock.advance(HOUR)
    shop.listed = revision(3)
    syncing = threading.Thread(target=shop.sync)
    seen: list[set[str]] = []

    def meanwhile(at: Step) -> None:
        if at == step and not seen:
            seen.append(revisions_found(shop))
            syncing.start()  # with an index it waits for its turn

    shop.docs.reached = meanwhile
    done = shop.docs.compact()
    syncing.join()

    assert seen == [{"r2"}]
    assert (done.vectors, done.left) == (1, ())
    assert revisions_found(shop) == {"r3"}
    assert shop.docs.verify() in (None, (0, 0))


def test_a_search_in_another_thread_misses_nothing(shop: Shop) -> None:
    for number in (1, 2):
        shop.listed = revision(number)
        shop.sync()
    shop.clock.advance(HOUR)
    done, found, wrong = threading.Event(), 0, []

    def search() -> None:
        nonlocal found
        while not done.is_set():
            try:
                found += revisions_found(shop) == {"r2"}
            except BaseException as error:
                wrong.append(error)
                return

    searching = threading.Thread(target=search)
    searching.start()
    try:
        for number in range(3):
            shop.docs._opened().catalogue.keep_vectors({f"of no chunk {number}": [0.5] * 64}, 1)
            shop.docs.compact()
    finally:
        done.set()
        searching.join()

    assert wrong == []
    assert found > 0


def test_a_catalogue_that_cannot_be_written_anew_stays_and_is_named(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    for number in (1, 2):
        shop.listed = large(number)
        shop.sync()
    shop.clock.advance(HOUR)
    catalogue = shop.docs._opened().catalogue
    shop.sync()  # which clears what is dead
    left: list[str] = []

    with closing(sqlite3.connect(catalogue.path)) as stranger, suppress(StoreUnavailableError):
        stranger.execute("begin immediate")
        assert vacuum(catalogue, left) is False
        stranger.rollback()

    (reason,) = left
    assert "pages are empty: expected to read and write" in reason
    assert vacuum(catalogue, []) is True
    assert len(shop.texts("word")) == 200


def test_documents_that_were_never_synced_can_be_compacted(tmp_path: Path) -> None:
    docs = Documents("new", tmp_path, embedder=HashEmbedder(64), index="exact")

    assert docs.compact()[:4] == (0, 0, False, False)
    docs.close()


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="the test looks for processes in /proc")
def test_the_process_that_keeps_the_server_removes_the_files_of_former_indexes(tmp_path: Path) -> None:
    with Worker(tmp_path) as one, Worker(tmp_path) as other:
        one.ask("sync", document(1))
        assert all_find([one, other], 1)
        keeper, guest = (one, other) if one.process.pid == owner(tmp_path) else (other, one)
        (folder,) = (path for path in tmp_path.glob("kb.db.index-*") if path.is_dir())
        guest.ask("rebuild")  # the files of the index before stay
        assert len(orphans(folder)) == 1

        *_, left = guest.ask("compact")
        assert left == ["files of the index: the process that keeps its server removes them after its next sync"]
        assert all_find([one, other], 1)
        keeper.ask("sync", document(2))

        assert orphans(folder) == []
        wait_until(lambda: all_find([one, other], 2) and all(worker.ask("trouble") is None for worker in (one, other)))
        assert keeper.ask("compact")[-1] == []
        assert keeper.ask("verify") == [0, 0]
