"""Documents over HTTP: search, how the sources stand, sync now, uploads, who may do so; and the page of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from fastapi import Depends, FastAPI, HTTPException
from tests.fastapi.client import Client

from tickwork.documents import Doc, Documents, HashEmbedder
from tickwork.fastapi.documents import create_documents_router
from tickwork.fastapi.router import UnprotectedRoutesError
from tickwork.testing import ManualScheduler

STATIC = files("tickwork.fastapi").joinpath("static")
PAGE, SCRIPT = (STATIC.joinpath(f"documents.{kind}").read_text("utf-8") for kind in ("html", "js"))


class Library:
    """An app with documents: a source that is a job, and one that is none."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.scheduler = ManualScheduler()
        self.docs = Documents(
            "http",
            folder,
            embedder=HashEmbedder(64),
            index="exact",
            scheduler=self.scheduler,
            clock=self.scheduler.clock,
        )
        self.listed = [
            Doc("a", "# Fruit\n\napple", uri="https://x/a", meta={"lang": "en"}),
            Doc("b", "pear", meta={"lang": "ko"}),
        ]
        self.docs.source("pages", every="10m", max_staleness="1h")(lambda: self.listed)
        self.docs.source("by hand")(lambda: ())
        app = FastAPI()
        app.include_router(create_documents_router(self.docs, prefix="/library", **(options or {"unprotected": True})))  # type: ignore[arg-type]
        self.client = Client(app)
        self.scheduler.start()
        self.scheduler.run_job_now("documents:http:pages")
        self.scheduler.advance(timedelta(0))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path)
    yield library
    library.scheduler.shutdown()
    library.docs.close()


def test_a_search_says_how_fresh_its_hits_are(library: Library) -> None:
    (hit,) = library.client.get("/library/search?q=apple&k=5&where=lang:en").json()

    assert (hit["text"], hit["heading"], hit["source"], hit["doc_id"], hit["uri"]) == (
        "apple",
        "Fruit",
        "pages",
        "a",
        "https://x/a",
    )
    assert hit["freshness"]["stale"] is False
    library.scheduler.clock.advance(timedelta(hours=2))
    assert library.client.get("/library/search?q=apple&on_stale=drop").json() == []


@pytest.mark.parametrize(
    ("url", "status"),
    [("search", 422), ("search?q=", 422), ("search?q=x&k=0", 422), ("search?q=x&where=lang", 422), ("search?q=x&typo=1", 422),
     ("search?q=x&max_age=soon", 422), ("search?q=x&on_stale=raise&max_age=0.000001s", 409), ("search?q=x&on_stale=maybe", 422)],
)  # fmt: skip
def test_a_question_that_cannot_be_is_refused(library: Library, url: str, status: int) -> None:
    library.scheduler.clock.advance(timedelta(seconds=1))

    assert library.client.get(f"/library/{url}").status_code == status


def test_the_overview_says_how_each_source_stands(library: Library) -> None:
    overview = library.client.get("/library/overview").json()

    by_hand, pages = overview["sources"]
    assert (overview["name"], overview["trouble"]) == ("http", None)
    assert (pages["documents"], pages["chunks"], pages["fresh"], pages["job_id"]) == (
        2,
        2,
        True,
        "documents:http:pages",
    )
    assert pages["next_fire_time"] is not None
    assert (by_hand["last_ok"], by_hand["job_id"], by_hand["next_fire_time"]) == (None, None, None)


def test_sync_now_is_a_run_of_the_job_and_a_dry_run_is_a_report(library: Library) -> None:
    library.listed = [*library.listed, Doc("c", "cherry")]

    dry = library.client.post("/library/sources/pages/sync", content='{"dry_run": true}').json()
    answer = library.client.post("/library/sources/pages/sync")

    assert (dry["report"]["changed"], dry["report"]["embedded"], dry["run_id"]) == (1, 1, None)
    assert answer.status_code == 202
    library.scheduler.advance(timedelta(seconds=1))
    run = library.scheduler.get_run(answer.json()["run_id"])
    assert run.result == {"listed": 3, "changed": 1, "embedded": 1, "deleted": 0, "failed": 0}, run
    assert library.client.post("/library/sources/by hand/sync").json()["report"]["listed"] == 0
    assert library.client.post("/library/sources/none/sync").status_code == 404


def test_an_upload_is_found_until_it_is_deleted(library: Library) -> None:
    sent = {"id": "up/1", "text": "한국어 문서", "meta": {"lang": "ko"}}

    assert library.client.post("/library/sources/uploads/documents", json=sent).json()["changed"] == 1
    assert library.client.get("/library/search?q=한국어&k=1").json()[0]["doc_id"] == "up/1"
    assert library.client.delete("/library/sources/uploads/documents/up/1").json() == ["up/1"]
    assert library.client.delete("/library/sources/uploads/documents/up/1").status_code == 404
    assert "up/1" not in {hit["doc_id"] for hit in library.client.get("/library/search?q=한국어").json()}


@pytest.mark.parametrize(
    ("sent", "status"),
    [("", 422), ('{"id": "a"}', 422), ('{"id": "", "text": "x"}', 422), ('{"id": "a", "text": "a\\u0000b"}', 422),
     ('{"id": "a", "text": "x", "typo": 1}', 422), ('{"id": "a", "text": "' + "x" * 20_000_000 + '"}', 413), ("[]", 422)],
)  # fmt: skip
def test_an_upload_that_cannot_be_is_refused(library: Library, sent: str, status: int) -> None:
    assert library.client.post("/library/sources/uploads/documents", content=sent).status_code == status


def test_an_upload_into_a_source_that_lists_is_refused(library: Library) -> None:
    answer = library.client.post("/library/sources/pages/documents", json={"id": "a", "text": "x"})

    assert (answer.status_code, "lists nothing itself" in answer.json()["detail"]) == (422, True)


def test_a_form_of_another_site_changes_nothing(library: Library) -> None:
    for url in ("sources/pages/sync", "sources/uploads/documents"):
        assert library.client.post(f"/library/{url}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert library.client.get("/library/overview", headers={"Host": "evil.example.com"}).status_code == 403


def test_somebody_must_say_who_may_call(tmp_path: Path) -> None:
    docs = Documents("unsaid", tmp_path, embedder=HashEmbedder(64), index="exact")

    with pytest.raises(
        UnprotectedRoutesError, match="create_documents_router: expected dependencies for routes that sync"
    ):
        create_documents_router(docs)


def nobody() -> None:
    raise HTTPException(401)


def test_dependencies_guard_all_of_it_and_read_only_leaves_out_what_changes(tmp_path: Path) -> None:
    guarded = Library(tmp_path / "guarded", dependencies=[Depends(nobody)])
    for path in ("", "documents.js", "overview", "search?q=x"):
        assert guarded.client.get(f"/library/{path}").status_code == 401
    reading = Library(tmp_path / "reading", read_only=True)
    assert reading.client.get("/library/overview").json()["read_only"] is True
    assert reading.client.post("/library/sources/pages/sync").status_code in (404, 405)


# the page


def test_all_that_the_page_names_is_there(library: Library) -> None:
    page = library.client.get("/library/")
    named = [name for name in re.findall(r'(?:src|href)="([^"]+)"', page.text) if not name.startswith("data:")]

    assert sorted(named) == ["dashboard.css", "documents.js"]
    for name in named:
        assert library.client.get(f"/library/{name}").status_code == 200
    assert library.client.get("/library").headers["location"] == "library/"


def test_data_is_never_markup_and_nothing_comes_from_elsewhere() -> None:
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "srcdoc"):
        assert word not in SCRIPT, word
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", PAGE)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", PAGE + SCRIPT)


def test_the_script_finds_every_element_that_it_looks_for() -> None:
    ids = {*re.findall(r'id="([^"]+)"', PAGE)}
    fields = {*re.findall(r'data-field="([^"]+)"', PAGE)}
    destructured = {
        name for names in re.findall(r"const \{ ([^}]+) \} = row\.fields", SCRIPT) for name in names.split(", ")
    }

    assert {*re.findall(r'element\("([^"]+)"\)', SCRIPT)} <= ids
    assert destructured | {*re.findall(r'fields\["([\w-]+)"\]', SCRIPT)} <= fields
