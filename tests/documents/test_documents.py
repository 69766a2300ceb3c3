"""Documents as a user has them: jobs, freshness, the index that is lost and found, the embedder that is another."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.documents.sample import Lines, Shop

from tickwork import RunState
from tickwork.documents import (
    Doc,
    Documents,
    EmbedderChangedError,
    Folder,
    HashEmbedder,
    InvalidDocumentError,
    StaleError,
)
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
    assert [run.state for run in runs] == [RunState.SUCCEEDED] * 4
    assert runs[-1].result == {"listed": 1, "changed": 1, "embedded": 1, "deleted": 0, "failed": 0}
    assert docs.status()[0].fresh
    scheduler.shutdown()
    docs.close()


def test_a_stale_hit_is_marked_dropped_refreshed_or_raised(tmp_path: Path) -> None:
    shop = Shop(tmp_path, max_staleness="30m")
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


def test_another_embedder_is_refused_until_all_is_embedded_anew(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.listed = [Doc("a", "apple one\napple two")]
    shop.sync()
    shop.docs.close()
    other = Documents("kb", tmp_path, embedder=HashEmbedder(128), index="exact", splitter=Lines())

    with pytest.raises(EmbedderChangedError, match="rebuild"):
        other.status()

    assert other.rebuild() == 2
    shop.docs = other
    assert shop.texts() == ["apple one", "apple two"]


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
    [{"text": ""}, {"text": None}, {"k": 0}, {"k": True}, {"max_age": "soon"}, {"max_age": -1}, {"on_stale": "?"}],
)
def test_a_question_that_cannot_be_is_refused(tmp_path: Path, asked: dict[str, object]) -> None:
    with pytest.raises(InvalidDocumentError, match="expected"):
        Shop(tmp_path).search(**{"text": "apple", **asked})  # type: ignore[arg-type]
