"""The bad days on which indexing helpers lose, mix or wipe documents, and others like them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from benchmarks.baddays import DAYS, Day, Tickwork, live
from tests.documents.sample import Shop

from tickwork.documents import Chunk, Doc, EmbeddingError, InvalidDocumentError, MassDeletionError, Same, Unreadable

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("day", DAYS, ids=lambda day: day.title)
def test_each_day_of_the_table_in_the_documentation_goes_right(day: Day) -> None:
    outcome = live(day, Tickwork)

    assert outcome.right, outcome.said


@pytest.fixture
def shop(place: Path | str) -> Iterator[Shop]:
    shop = Shop(place)
    yield shop
    shop.docs.close()


def test_nothing_changed_costs_nothing(shop: Shop) -> None:
    shop.listed = [Doc("a", "\n".join(f"apple {n}" for n in range(200)))]
    shop.sync()
    shop.embedder.texts.clear()

    report = shop.sync()

    assert (report.unchanged, report.changed, shop.embedder.texts) == (1, 0, [])


def test_an_embedder_that_dies_half_way_leaves_the_old_document_whole(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple one\napple two")]
    shop.sync()
    shop.listed = [Doc("a", "apple three\napple four POISON")]
    shop.embedder.poison = "POISON"

    report = shop.sync()

    assert "poisoned" in report.failed["a"]
    assert shop.texts() == ["apple one", "apple two"]
    assert [failed.id for failed in shop.docs.status()[0].failed] == ["a"]


def test_what_failed_at_first_is_there_after_a_retry(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple one")]
    shop.embedder.poison = "one"
    shop.sync()
    shop.embedder.poison = None
    assert shop.sync().failed  # left alone for a minute
    shop.clock.advance(MINUTE)

    report = shop.sync()

    assert (report.changed, report.failed, shop.docs.status()[0].failed) == (1, {}, ())
    assert shop.texts() == ["apple one"]


def test_a_failed_document_that_was_mended_is_not_left_waiting(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple POISON")]
    shop.embedder.poison = "POISON"
    shop.sync()
    shop.listed = [Doc("a", "apple mended")]

    assert shop.sync().changed == 1


def test_a_sentence_that_was_added_embeds_what_is_new_alone(shop: Shop) -> None:
    lines = [f"apple {n}" for n in range(17)]
    shop.listed = [Doc("a", "\n".join(lines))]
    shop.sync()
    shop.embedder.texts.clear()
    shop.listed = [Doc("a", "\n".join(["apple at the top", *lines]))]

    report = shop.sync()

    assert (shop.embedder.texts, report.kept) == (["apple at the top"], 17)
    assert min(shop.search("apple", 100), key=lambda hit: hit.position).text == "apple at the top"


def test_what_vanished_from_the_source_is_not_found_after_the_same_sync(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple a"), Doc("b", "apple b")]
    shop.sync()
    shop.listed = [Doc("b", "apple b")]

    assert shop.sync().deleted == ["a"]
    assert shop.texts() == ["apple b"]


def test_an_empty_listing_wipes_nothing(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple a")]
    shop.sync()
    shop.listed = []

    with pytest.raises(MassDeletionError, match="1 of 1: nothing was deleted"):
        shop.sync()

    assert shop.texts() == ["apple a"]
    assert "MassDeletionError" in (shop.docs.status()[0].error or "")
    assert shop.sync(allow_mass_delete=True).deleted == ["a"]
    assert shop.texts() == []


def test_a_listing_that_raises_deletes_nothing_and_keeps_what_it_had_listed(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple a"), Doc("b", "apple b")]
    shop.sync()
    shop.listed = [Doc("a", "apple new"), RuntimeError("the source is down")]

    with pytest.raises(RuntimeError, match="down"):
        shop.sync()

    assert "apple b" in shop.texts()
    assert shop.docs.status()[0].error == "RuntimeError: the source is down"
    shop.listed = [Doc("a", "apple new"), Doc("b", "apple b")]
    shop.sync()
    assert shop.texts() == ["apple b", "apple new"]


def test_changed_metadata_embeds_nothing(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple a", meta={"lang": "en"})]
    shop.sync()
    shop.embedder.texts.clear()
    shop.listed = [Doc("a", "apple a", meta={"lang": "ko"})]

    shop.sync()

    assert shop.embedder.texts == []
    (hit,) = shop.search("a", where={"lang": "ko"})
    assert (hit.meta, hit.freshness.revision) == ({"lang": "ko"}, 2)
    assert shop.search("b", where={"lang": "en"}) == []


def test_one_bad_document_stops_no_other(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple a"), Doc("b", "apple POISON"), Doc("c", "apple c"), Unreadable("d", "locked")]
    shop.embedder.poison = "POISON"

    report = shop.sync()

    assert (report.changed, sorted(report.failed)) == (2, ["b", "d"])
    assert shop.texts() == ["apple a", "apple c"]


def test_an_embedder_that_is_down_fails_the_sync_soon(shop: Shop) -> None:
    shop.listed = [Doc(f"a{n}", f"apple {n}") for n in range(100)]
    shop.embedder.poison = "apple"

    with pytest.raises(EmbeddingError):
        shop.sync()

    assert "EmbeddingError" in (shop.docs.status()[0].error or "")


def test_an_embedder_that_is_down_holds_up_nothing_else_and_no_longer_than_it_is(shop: Shop) -> None:
    """What could not be embedded is in no quarantine: nothing is wrong with it."""
    shop.listed = [Doc("a", "apple a"), Doc("b", "apple b"), Doc("c", "apple c")]
    shop.sync()
    shop.clock.advance(MINUTE)
    shop.listed = [Doc("a", "apple a"), Doc("b", "apple new"), Doc("d", "apple d")]
    shop.embedder.poison = ""  # which is in every text
    with pytest.raises(EmbeddingError, match="poisoned"):
        shop.sync()

    (source,) = shop.docs.status()
    assert (source.failed, source.lag) == ((), MINUTE)
    shop.embedder.poison = None
    assert {hit.text: hit.freshness.age for hit in shop.search("apple")} == {"apple a": timedelta(0), "apple b": MINUTE}
    assert shop.sync().changed == 2
    assert shop.texts() == ["apple a", "apple d", "apple new"]


def test_a_document_listed_twice_is_told_of(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple one"), Doc("a", "apple two")]

    assert "listed twice" in shop.sync().failed["a"]
    assert shop.texts() == ["apple one"]


def test_what_comes_back_within_the_grace_is_found(shop: Shop) -> None:
    for text in ("apple one", "apple two", "apple one"):
        shop.listed = [Doc("a", text)]
        shop.sync()

    assert shop.texts() == ["apple one"]


def test_same_confirms_without_a_text(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple one", version="1")]
    shop.sync()
    shop.clock.advance(MINUTE)
    shop.listed = [Same("a"), Same("never seen")]

    report = shop.sync()

    assert (report.unchanged, list(report.failed)) == (1, ["never seen"])
    assert shop.search("one")[0].freshness.age == timedelta(0)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple a"), Doc("b", "apple b")]
    shop.sync()
    shop.listed = [Doc("a", "apple a\napple new")]
    shop.embedder.texts.clear()

    report = shop.sync(dry_run=True)

    assert (report.changed, report.embedded, report.kept, report.deleted) == (1, 1, 1, ["b"])
    assert shop.embedder.texts == []
    assert shop.texts() == ["apple a", "apple b"]


@pytest.mark.parametrize("listed", [None, "text", {"id": "a"}, ("a", "b")])
def test_what_is_no_document_fails_the_sync(shop: Shop, listed: object) -> None:
    shop.listed = [listed]

    with pytest.raises(InvalidDocumentError, match="expected it to yield Doc"):
        shop.sync()


@pytest.mark.parametrize(
    "given",
    [
        {"id": ""}, {"id": None}, {"id": "a\0"}, {"id": "\ud800"}, {"text": None}, {"text": b"bytes"}, {"text": "a\0b"},
        {"text": "\udfff"}, {"text": "x" * 50_000_001}, {"meta": []}, {"meta": {"a": object()}}, {"meta": {"a": float("nan")}}, {"meta": {"a": "\ud800"}}, {"meta": {"a": 1, 2: 3}},
        {"modified": 3}, {"uri": 3}, {"version": 7},
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_when_it_is_made(given: dict[str, object]) -> None:
    with pytest.raises(InvalidDocumentError, match="expected"):
        Doc(**{"id": "a", "text": "b", **given})  # type: ignore[arg-type]


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("\ud800 and \0"), "RuntimeError: \\ud800 and \\0"),
        (UnspeakableError(), "UnspeakableError: its text cannot be read: RuntimeError"),
        (RuntimeError("x" * 10_000_000), f"RuntimeError: {'x' * 486}"),
    ],
)
def test_a_source_that_fails_with_any_words_is_told_of(shop: Shop, error: Exception, told: str) -> None:
    shop.listed = [Doc("a", "apple a"), error]

    with pytest.raises(type(error)):
        shop.sync()

    assert shop.docs.status()[0].error == told
    shop.listed = [Doc("a", "apple a")]
    assert shop.sync().changed == 1


def test_a_source_that_fails_after_another_sync_began_is_told_in_its_own_words(shop: Shop) -> None:
    def overtaken() -> Iterator[Doc]:
        catalogue = shop.docs._opened().catalogue
        catalogue.begin("slow", shop.clock.now())
        yield Doc("a", "apple a")
        raise RuntimeError("the source is down")

    shop.docs.source("slow")(overtaken)

    with pytest.raises(RuntimeError, match="the source is down"):
        asyncio.run(shop.docs.sync("slow"))


def test_a_reason_in_any_words_is_kept(shop: Shop) -> None:
    shop.listed = [Doc("a", "apple a"), Unreadable("b", "\ud800 and \0")]

    assert shop.sync().failed == {"b": "\\ud800 and \\0"}
    assert shop.docs.status()[0].failed[0].error == "\\ud800 and \\0"


class Wild:
    """Splits into what it is given, whatever the text is."""

    identity = "wild"

    def __init__(self, chunks: Any) -> None:
        self.chunks = chunks

    def split(self, text: str) -> Any:
        if isinstance(self.chunks, Exception):
            raise self.chunks
        return self.chunks


@pytest.mark.parametrize(
    "chunks",
    [
        None, 3, ["text"], [Chunk("")], [Chunk("\ud800")], [Chunk("a\0b")], [Chunk("a", heading="\ud800")], [Chunk(3)],  # type: ignore[arg-type]
        UnspeakableError(), RecursionError("too deep"),
    ],
)  # fmt: skip
def test_what_a_splitter_makes_that_is_no_text_fails_one_document(shop: Shop, chunks: Any) -> None:
    shop.listed = [Doc("a", "apple a")]
    shop.sync()
    shop.docs.source("wild", splitter=Wild(chunks))(lambda: [Doc("w", "apple w")])

    report = asyncio.run(shop.docs.sync("wild"))

    assert report.failed["w"].startswith("it cannot be split: ")
    assert shop.texts() == ["apple a"]


def test_a_document_of_fifty_megabytes_is_taken_in_and_let_go_of(shop: Shop) -> None:
    """As the largest that is none too large; in chunks of half a million characters, since it is not they that are many."""
    shop.embedder.embed = lambda texts: [[float(len(text)), 1.0] for text in texts]  # type: ignore[method-assign]
    lines = [f"apple {number} ".ljust(500_000 - 1, "x") for number in range(100)]
    shop.listed = [Doc("a", "\n".join(lines)), Doc("b", "apple b")]

    assert (shop.sync().changed, len(shop.texts())) == (2, 101)
    shop.listed = [Doc("a", "apple a"), Doc("b", "apple b")]
    shop.clock.advance(timedelta(hours=1))
    shop.sync()

    assert shop.texts() == ["apple a", "apple b"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of a file's size")
def test_a_disk_that_is_full_fails_the_sync_and_harms_nothing(tmp_path: Path) -> None:
    """A limit of a file's size is to SQLite what a full disk is."""
    code = """
import asyncio, resource
from tests.documents.sample import *
shop = Shop(Path(sys.argv[1]))
shop.listed = [Doc("a", "apple a")]
shop.sync()
shop.listed = [Doc(f"d{n}", f"apple {n} " + "x" * 10_000) for n in range(200)] + shop.listed
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
try:
    shop.sync()
except Exception as error:
    found = shop.texts()
    whole = all(len(text) > 10_000 or text == "apple a" for text in found)
    print(type(error).__name__, "it works again" in str(error), "apple a" in found, whole, len(found) < 201)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(shop.sync().failed, len(shop.texts()))
"""

    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True)

    assert done.stdout.splitlines() == ["StoreUnavailableError True True True True", "{} 201"], done.stderr
