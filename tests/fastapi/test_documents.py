"""Documents over HTTP: search, how the sources stand, sync now, uploads, who may do so; and the page of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from tests.fastapi.client import Client

from tickwork.documents import Doc, Documents, HashEmbedder, InvalidDocumentError, Unreadable
from tickwork.fastapi.documents import SyncProgressView, create_documents_router
from tickwork.fastapi.router import UnprotectedRoutesError
from tickwork.run import Progress, RunState
from tickwork.testing import ManualScheduler

STATIC = files("tickwork.fastapi").joinpath("static")
PAGE = "".join(STATIC.joinpath(name).read_text("utf-8") for name in ("frame.html", "documents.html"))
SCRIPT = STATIC.joinpath("documents.js").read_text("utf-8")


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


def test_room_is_given_back_on_demand(library: Library) -> None:
    done = library.client.post("/library/compact").json()

    assert (done["chunks"], done["vectors"], done["rebuilt"], done["left"]) == (0, 0, False, [])
    assert library.client.post("/library/compact", json={"typo": 1}).status_code == 422


def test_a_form_of_another_site_changes_nothing(library: Library) -> None:
    for url in ("sources/pages/sync", "sources/uploads/documents", "compact"):
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
    for url in ("sources/pages/sync", "compact"):
        assert reading.client.post(f"/library/{url}").status_code in (404, 405)


# what a source has


def test_documents_are_listed_by_their_ids_a_page_at_a_time(library: Library) -> None:
    path = "/library/sources/pages/documents"

    first, second = (library.client.get(f"{path}?limit=1&offset={offset}").json() for offset in (0, 1))

    assert (first["source"], first["total"], second["total"]) == ("pages", 2, 2)
    (a,), (b,) = first["documents"], second["documents"]
    assert (a["id"], a["state"], a["revision"], a["chunks"], a["uri"], a["meta"]) == (
        "a", "live", 1, 1, "https://x/a", {"lang": "en"},
    )  # fmt: skip
    assert (b["id"], b["error"], b["retry_at"]) == ("b", None, None)
    assert a["indexed_at"] is not None
    assert a["checked_at"] is not None
    assert library.client.get(f"{path}?offset=2").json()["documents"] == []


def test_a_document_in_quarantine_says_why_and_what_is_searched_meanwhile(library: Library) -> None:
    library.listed = [library.listed[0], Unreadable("b", "it is on fire"), Unreadable("c", "it never was")]
    library.client.post("/library/sources/pages/sync")
    library.scheduler.advance(timedelta(seconds=1))

    found = library.client.get("/library/sources/pages/documents?quarantined=true").json()
    live = library.client.get("/library/sources/pages/documents?quarantined=false").json()

    assert [(one["id"], one["state"], one["revision"], one["error"]) for one in found["documents"]] == [
        ("b", "quarantined", 1, "it is on fire"),
        ("c", "quarantined", None, "it never was"),
    ]
    assert (found["total"], [one["id"] for one in live["documents"]]) == (2, ["a"])
    assert library.client.get("/library/sources/pages/documents/b/chunks").json()["chunks"][0]["text"] == "pear"
    assert library.client.get("/library/sources/pages/documents/c/chunks").status_code == 404


def test_a_document_that_is_gone_is_not_listed(library: Library) -> None:
    library.listed = [library.listed[0]]
    library.client.post("/library/sources/pages/sync")
    library.scheduler.advance(timedelta(seconds=1))

    assert library.client.get("/library/sources/pages/documents").json()["total"] == 1
    assert library.client.get("/library/sources/pages/documents/b/chunks").status_code == 404


def test_the_chunks_of_a_document_stand_in_their_order(library: Library) -> None:
    text = "\n\n".join(f"# Part {number}\n\nWords of {number}." for number in range(5))
    library.client.post("/library/sources/by mail/documents", json={"id": "up/chunks", "text": text})
    path = "/library/sources/by mail/documents/up/chunks/chunks"

    whole, some = library.client.get(path).json(), library.client.get(f"{path}?limit=2&offset=2").json()

    assert (whole["id"], whole["revision"], whole["total"]) == ("up/chunks", 1, 5)
    assert [(one["position"], one["heading"], one["text"]) for one in whole["chunks"]] == [
        (number, f"Part {number}", f"Words of {number}.") for number in range(5)
    ]
    assert (some["total"], some["chunks"]) == (5, whole["chunks"][2:4])


@pytest.mark.parametrize(
    ("path", "status"),
    [("none/documents", 404), ("pages/documents?limit=0", 422), ("pages/documents?limit=1001", 422),
     ("pages/documents?offset=-1", 422), ("pages/documents?quarantined=maybe", 422), ("pages/documents?typo=1", 422),
     ("pages/documents/none/chunks", 404), ("none/documents/a/chunks", 404), ("pages/documents/%00/chunks", 422),
     ("pages/documents/a/chunks?limit=x", 422)],
)  # fmt: skip
def test_what_cannot_be_listed_is_refused(library: Library, path: str, status: int) -> None:
    assert library.client.get(f"/library/sources/{path}").status_code == status


@pytest.mark.parametrize("wrong", [0, 1001, -1, True, None, "5", 1.5, 10**30])
def test_a_stretch_that_cannot_be_is_refused(library: Library, wrong: Any) -> None:
    with pytest.raises(InvalidDocumentError, match="get_documents: expected limit from 1 to 1,000, got"):
        library.docs.get_documents("pages", limit=wrong)
    with pytest.raises(InvalidDocumentError, match="get_text: expected limit from 1 to 1,000, got"):
        library.docs.get_text("pages", "a", limit=wrong)


def test_a_source_that_cannot_be_is_refused(library: Library) -> None:
    for wrong in (None, 5, ["pages"]):
        with pytest.raises(InvalidDocumentError, match="expected"):
            library.docs.get_documents(wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidDocumentError, match="expected"):
            library.docs.get_text(wrong, "a")  # type: ignore[arg-type]
    with pytest.raises(InvalidDocumentError, match="expected quarantined as True, False or None, got 'yes'"):
        library.docs.count_documents("pages", quarantined="yes")  # type: ignore[arg-type]


def test_a_sync_that_goes_on_says_how_fast_it_is_and_how_long_it_takes_on(library: Library) -> None:
    *_, run = library.scheduler.get_runs("documents:http:pages")
    assert run.started_at is not None
    going = run._replace(state=RunState.RUNNING, progress=Progress(30, 90, "30 changed"))

    after = SyncProgressView.of(going, run.started_at + timedelta(seconds=10))
    at_once = SyncProgressView.of(going, run.started_at)
    unknown = SyncProgressView.of(going._replace(progress=None), run.started_at + timedelta(seconds=10))

    assert (after.done, after.total, after.rate, after.eta) == (30, 90, 3.0, 20.0)
    assert (at_once.rate, at_once.eta, unknown.rate, unknown.eta) == (None, None, None, None)


# the page


def test_all_that_the_page_names_is_there(library: Library) -> None:
    page = library.client.get("/library/")
    named = [name for name in re.findall(r'(?:src|href)="([^"]+)"', page.text) if not name.startswith("data:")]

    assert sorted(named) == ["documents.js", "page.css"]
    for name in (*named, "page.js"):
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
        name.partition(":")[0]
        for names in re.findall(r"const \{ ([^}]+) \} = row\.fields", SCRIPT)
        for name in names.split(", ")
    }

    assert {*re.findall(r'element\("([^"]+)"\)', SCRIPT)} <= ids
    assert destructured | {*re.findall(r'fields\["([\w-]+)"\]', SCRIPT)} <= fields
