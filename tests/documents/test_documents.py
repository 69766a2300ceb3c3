"""Documents as a user has them: jobs, freshness, the index that is lost and found, the embedder that is another."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from tests.documents.sample import Lines, Shop

from tickwork import Retry, RunState
from tickwork.documents import (
    Doc,
    Documents,
    EmbedderChangedError,
    EmbeddingError,
    Folder,
    HashEmbedder,
    InvalidDocumentError,
    SourceNotFoundError,
    StaleError,
)
from tickwork.documents.vectors import MOST_AT_ONCE
from tickwork.events import JobOverdue
from tickwork.testing import ManualScheduler

HOUR = timedelta(hours=1)


def test_a_source_is_a_job_that_keeps_it_fresh(tmp_path: Path) -> None:
    scheduler = ManualScheduler()
    docs = Documents(
        "jobs", tmp_path, embedder=HashEmbedder(64), scheduler=scheduler, index="exact", clock=scheduler.clock
    )
    (tmp_path / "pages").mkdir()
    page = tmp_path / "pages" / "a.md"
    page.write_text("apple one")
    docs.source("pages", every="15m", max_staleness="1h")(Folder(tmp_path / "pages"))
    scheduler.start()

    scheduler.advance(HOUR)

    runs = scheduler.get_runs("documents:jobs:pages")
    assert [run.state for run in runs] == [RunState.SUCCEEDED] * 5  # the first at once, since it is new
    assert runs[-1].result == {"listed": 1, "changed": 1, "embedded": 1, "deleted": 0, "failed": 0}
    assert docs.status()[0].fresh
    scheduler.shutdown()
    docs.close()


def test_what_an_outage_stopped_is_tried_again_long_before_the_next_day(tmp_path: Path) -> None:
    scheduler = ManualScheduler()
    shop = Shop(tmp_path, scheduler=scheduler, clock=scheduler.clock, cron="0 3 * * *")
    shop.listed = [Doc("a", "apple a")]
    scheduler.start()
    shop.embedder.poison = ""

    scheduler.advance(timedelta(days=1))  # the outage lasts until the end of it
    shop.embedder.poison = None
    scheduler.advance(timedelta(minutes=15))

    assert shop.texts() == ["apple a"]
    scheduler.shutdown()
    shop.docs.close()


@pytest.mark.parametrize(
    ("options", "attempts"), [({"every": "10m"}, 1), ({"every": "1d"}, 100), ({"cron": "@daily", "retry": Retry(3)}, 3)]
)
def test_a_source_that_is_soon_synced_anyway_needs_no_retry(
    tmp_path: Path, options: dict[str, object], attempts: int
) -> None:
    scheduler = ManualScheduler()
    Shop(tmp_path, scheduler=scheduler, **options)

    (job,) = scheduler.get_jobs()

    assert job.retry.max_attempts == attempts


def test_what_a_retry_would_not_mend_is_not_tried_again(tmp_path: Path) -> None:
    scheduler = ManualScheduler()
    shop = Shop(tmp_path, scheduler=scheduler, clock=scheduler.clock, every="1h")
    shop.listed = [Doc("a", "apple a")]
    scheduler.start()
    scheduler.advance(HOUR)
    shop.listed = []

    scheduler.advance(HOUR)

    failed, *_ = scheduler.get_runs("documents:kb:shop")
    assert (failed.state, failed.attempt) == (RunState.FAILED, 1)
    scheduler.shutdown()
    shop.docs.close()


def test_a_source_tells_how_far_it_has_come(place: Path | str) -> None:
    shop = Shop(place)
    shop.listed = [Doc(f"d{n}", f"apple {n}") for n in range(300)]
    told: list[tuple[int, int, str]] = []

    asyncio.run(shop.docs.sync("shop", progress=lambda *said: told.append(said)))

    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1] == (300, 300, "300 changed, 300 chunks embedded")
    assert (0, 200, "0 changed, 64 chunks embedded") in told
    shop.docs.close()


def test_somebody_is_told_before_a_source_is_stale(tmp_path: Path) -> None:
    scheduler = ManualScheduler()
    told: list[JobOverdue] = []
    scheduler.add_listener(told.append, JobOverdue)
    docs = Documents(
        "told", tmp_path, embedder=HashEmbedder(64), scheduler=scheduler, index="exact", clock=scheduler.clock
    )
    docs.source("pages", every="10m", max_staleness="1h")(Folder(tmp_path / "none"))
    scheduler.start()

    scheduler.advance(timedelta(minutes=47))
    assert told == []
    scheduler.advance(timedelta(minutes=3))

    assert [event.job.id for event in told] == ["documents:told:pages"]
    assert "SourceUnavailableError" in (docs.status()[0].error or "")
    scheduler.shutdown()
    docs.close()


def test_a_promise_that_no_sync_can_keep_is_refused(tmp_path: Path) -> None:
    docs = Documents("promise", tmp_path, embedder=HashEmbedder(64), scheduler=ManualScheduler(), index="exact")

    with pytest.raises(InvalidDocumentError, match="longer than every=1:00:00"):
        docs.source("pages", every="1h", max_staleness="30m")


def test_what_is_put_is_found_and_what_is_removed_is_not(place: Path | str) -> None:
    shop = Shop(place)

    async def use() -> list[str]:
        docs = shop.docs
        await asyncio.gather(*(docs.put("uploads", Doc(f"u{n}", f"pear {n}")) for n in range(8)))
        assert (await docs.put("uploads", Doc("u0", "pear zero"))).changed == 1
        assert await docs.remove("uploads", "u1", "never there") == ["u1"]
        return sorted(hit.text for hit in await docs.search("pear", 20))

    assert asyncio.run(use()) == ["pear 2", "pear 3", "pear 4", "pear 5", "pear 6", "pear 7", "pear zero"]
    with pytest.raises(InvalidDocumentError, match="lists nothing itself"):
        asyncio.run(shop.docs.put("shop", Doc("a", "b")))
    shop.docs.close()


@pytest.mark.parametrize("index", ["embedded", "managed"])
def test_an_index_that_is_mostly_dead_is_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    monkeypatch.setattr("tickwork.documents.keeping.FEW", 5)
    shop = Shop(tmp_path, index)
    for round in range(5):
        shop.listed = [Doc("a", "\n".join(f"apple {round} {line}" for line in range(4)))]
        shop.sync()
        shop.clock.advance(HOUR)
    shop.sync()

    assert shop.docs._opened().catalogue.meta("generation") > 1
    assert shop.docs.verify() == (0, 0)
    assert shop.texts() == [f"apple 4 {line}" for line in range(4)]
    shop.docs.close()
    assert shop.docs.trouble is None  # opens it again
    assert len([entry for entry in tmp_path.glob("kb.db.index-*/*") if entry.is_dir()]) <= 1
    shop.docs.close()


def test_an_index_whose_rebuilding_was_cut_short_is_filled_before_anybody_uses_it(tmp_path: Path) -> None:
    one, other = Shop(tmp_path, "managed"), Shop(tmp_path, "managed")
    one.listed = [Doc("a", "\n".join(f"apple {line}" for line in range(6)))]
    one.sync()
    assert len(other.texts()) == 6
    keeper = one.docs._opened().keeper
    assert keeper is not None

    keeper._home.renew()  # as somebody does who is killed then

    assert other.docs.trouble is not None
    assert other.docs.verify(repair=True) == (0, 0)
    for shop in (one, other):
        assert shop.docs.trouble is None
        assert len(shop.texts()) == 6
        index = shop.docs._opened().keeper._usable()  # type: ignore[union-attr]
        assert index is not None
        assert index.count() == 6
    one.docs.close()
    other.docs.close()


def test_a_stale_hit_is_marked_dropped_refreshed_or_raised(place: Path | str) -> None:
    shop = Shop(place, max_staleness="30m")
    shop.listed = [Doc("a", "apple")]
    shop.sync()
    shop.clock.advance(HOUR)

    (hit,) = shop.search("apple")

    assert (hit.freshness.stale, hit.freshness.age) == (True, HOUR)
    assert not shop.search("apple", max_age="2h")[0].freshness.stale
    assert shop.search("apple", on_stale="drop") == []
    with pytest.raises(StaleError, match="shop"):
        shop.search("apple", on_stale="raise")
    assert not shop.search("apple", on_stale="refresh")[0].freshness.stale
    shop.docs.close()


def test_another_embedder_is_refused_until_all_is_embedded_anew(place: Path | str) -> None:
    shop = Shop(place)
    shop.listed = [Doc("a", "apple one\napple two")]
    shop.sync()
    shop.docs.close()
    other = Documents("kb", place, embedder=HashEmbedder(128), index="exact", splitter=Lines())

    with pytest.raises(EmbedderChangedError, match="rebuild"):
        other.status()

    assert other.rebuild() == 2
    shop.docs = other
    assert shop.texts() == ["apple one", "apple two"]
    other.close()


def test_what_one_embedder_left_unfinished_is_no_part_of_what_another_makes(place: Path | str) -> None:
    """A rebuild that was killed had kept some vectors already: those of the next embedder were taken for the same."""
    shop = Shop(place)
    shop.listed = [Doc("a", "\n".join(f"apple {number}" for number in range(3 * MOST_AT_ONCE)))]
    shop.sync()
    shop.docs.close()
    killed = Lettered("second")
    killed.fails_after = 2 * MOST_AT_ONCE
    with pytest.raises(EmbeddingError):
        Documents("kb", place, embedder=killed, index="exact", splitter=Lines()).rebuild()
    shop.docs = Documents("kb", place, embedder=Lettered("third", factor=-1), index="exact", splitter=Lines())

    assert shop.docs.rebuild() == 3 * MOST_AT_ONCE

    assert {round(hit.score, 2) for hit in shop.search("apple 1", 1000)} == {1.0}
    shop.docs.close()


def test_a_rebuild_that_was_cut_short_goes_on_where_it_was(place: Path | str) -> None:
    shop = Shop(place)
    shop.listed = [Doc("a", "\n".join(f"apple {number}" for number in range(3 * MOST_AT_ONCE)))]
    shop.sync()
    shop.docs.close()
    embedder = Lettered("second")
    embedder.fails_after = 2 * MOST_AT_ONCE
    docs = Documents("kb", place, embedder=embedder, index="exact", splitter=Lines())
    with pytest.raises(EmbeddingError):
        docs.rebuild()
    embedder.fails_after = None
    docs.rebuild()

    assert embedder.embedded == 3 * MOST_AT_ONCE
    docs.close()


class Lettered:
    """The same vector for every text, and for another embedder its opposite; fails when it has embedded so many."""

    def __init__(self, identity: str, factor: int = 1) -> None:
        self.identity = identity
        self.factor = factor
        self.embedded = 0
        self.fails_after: int | None = None

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if self.fails_after is not None and self.embedded >= self.fails_after:
            raise EmbeddingError("expected to be let live, got killed")
        self.embedded += len(texts)
        return [[float(self.factor), 0.0] for _ in texts]


def test_a_slow_embedder_holds_up_no_other_source(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "embedded")
    shop.listed = [Doc("a", "slow apple")]
    shop.docs.source("fast")(lambda: [Doc("b", "fast apple")])
    asked, answer = threading.Event(), threading.Event()
    embed = shop.embedder.embed

    def slowly(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if texts[0].startswith("slow"):
            asked.set()
            assert answer.wait(30)
        return embed(texts)

    shop.embedder.embed = slowly  # type: ignore[method-assign]
    syncing = threading.Thread(target=shop.sync)
    syncing.start()
    assert asked.wait(30)

    asyncio.run(shop.docs.sync("fast"))

    assert shop.texts() == ["fast apple"]
    answer.set()
    syncing.join()
    assert shop.texts() == ["fast apple", "slow apple"]
    shop.docs.close()


def test_a_second_process_is_told_that_the_index_is_in_use(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "embedded")
    shop.listed = [Doc("a", "apple")]
    shop.sync()
    code = "from tests.documents.sample import *\nShop(Path(sys.argv[1]), 'embedded').search('apple')"

    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True)

    assert "DocumentsInUseError" in done.stderr
    assert "index='managed'" in done.stderr
    shop.docs.close()


@pytest.mark.parametrize(
    "asked",
    [
        {"text": ""},
        {"text": None},
        {"text": "x" * 100_001},
        {"where": [1]},
        {"where": {1: 2}},
        {"k": 0},
        {"k": True},
        {"max_age": "soon"},
        {"max_age": -1},
        {"on_stale": "?"},
    ],
)
def test_a_question_that_cannot_be_is_refused(tmp_path: Path, asked: dict[str, object]) -> None:
    with pytest.raises(InvalidDocumentError, match="expected"):
        Shop(tmp_path).search(**{"text": "apple", **asked})  # type: ignore[arg-type]


def test_a_search_in_a_source_that_nobody_knows_says_so(place: Path | str) -> None:
    """What was taken in by another process, whose source this one does not declare, is known all the same."""
    docs = Documents("kb", place, embedder=HashEmbedder(64), index="exact")
    asyncio.run(docs.put("uploads", Doc("a", "apple")))
    docs.close()
    other = Documents("kb", place, embedder=HashEmbedder(64), index="exact")

    (hit,) = asyncio.run(other.search("apple", source="uploads"))
    with pytest.raises(SourceNotFoundError, match=r"got 'upload'.*did you mean 'uploads'"):
        asyncio.run(other.search("apple", source="upload"))
    with pytest.raises(InvalidDocumentError, match="expected source as a name"):
        asyncio.run(other.search("apple", source=["uploads"]))  # type: ignore[arg-type]
    other.close()

    assert hit.text == "apple"
