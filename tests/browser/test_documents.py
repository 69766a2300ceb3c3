"""The page of documents: how fresh each source is, what it has, and a search to try."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.site import Server, Site, failings, settled

from tickwork.documents import Doc, Unreadable

pytestmark = pytest.mark.processes

OPENING = "# Opening hours\n\nThe shop opens at nine.\n\n## Holidays\n\nOn holidays it stays closed."


class Shelf:
    """What a source lists, which a test may hold up."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.docs: list[Doc | Unreadable] = [Doc("hours.md", OPENING), Unreadable("scan.pdf", "no text in it: a scan?")]

    def __call__(self) -> Iterator[Doc | Unreadable]:
        if not self.docs:
            raise ConnectionError("the share is gone")
        for doc in self.docs:
            self.go_on.wait(20)
            yield doc


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def documents(page: Page, tmp_path: Path, shelf: Shelf) -> Iterator[Page]:
    site = Site(tmp_path)
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)  # and not at once, as a new source is otherwise
    site.docs.source("pages", every="1h", max_staleness="2h", next_run_time=in_an_hour)(shelf)
    site.docs.source("uploads")(lambda: ())
    site.scheduler.start()
    with Server(site.app) as server:
        page.goto(f"{server.address}/documents/")
        settled(page)
        yield page
        shelf.go_on.set()
        page.goto("about:blank")
    site.close()


def row(page: Page, list_: str, name: str) -> Locator:
    return page.locator(f"#{list_} > li").filter(has=page.get_by_role("heading", name=name, exact=True))


def sync(page: Page) -> None:
    page.get_by_role("button", name="Sync now (pages)").click()


def test_a_source_says_how_fresh_it_is_and_is_synced_at_a_press(documents: Page, shelf: Shelf) -> None:
    source = row(documents, "sources", "pages")
    expect(source).to_contain_text("never")
    expect(row(documents, "sources", "uploads")).to_contain_text("without a schedule")
    expect(documents.get_by_role("button", name="Sync now (uploads)")).to_be_hidden()

    shelf.go_on.clear()
    sync(documents)
    expect(source).to_contain_text("syncing now")
    shelf.go_on.set()
    expect(source).to_contain_text("1 document, 2 chunks")
    expect(source).to_contain_text("1 could not be taken in")
    expect(source).to_contain_text("ago")
    expect(documents.locator("#health")).to_have_text("fresh")


def test_what_a_source_has_is_shown_down_to_its_chunks(documents: Page) -> None:
    sync(documents)
    documents.get_by_role("button", name="Documents (pages)").click()
    expect(row(documents, "documents", "scan.pdf")).to_contain_text("no text in it: a scan? (1 time")
    expect(row(documents, "documents", "hours.md")).to_contain_text("revision 1")

    documents.get_by_role("button", name="2 chunks of hours.md").click()
    chunks = documents.get_by_role("group", name="Chunks of hours.md")
    expect(chunks).to_contain_text("The shop opens at nine.")
    expect(chunks).to_contain_text("Opening hours > Holidays")
    assert failings(documents) == []

    documents.get_by_text("In quarantine").click()
    expect(documents.locator("#documents > li")).to_have_count(1)
    expect(row(documents, "documents", "scan.pdf")).to_be_visible()
    documents.get_by_role("button", name="Show the documents of pages no more").click()
    expect(documents.locator("#documents")).to_be_hidden()


def test_a_search_finds_passages_with_their_freshness(documents: Page, shelf: Shelf) -> None:
    question = documents.get_by_label("What is looked for")
    question.fill("when does the shop open")
    question.press("Enter")
    expect(documents.get_by_text("Nothing was found: no source has a document yet.")).to_be_visible()

    sync(documents)
    expect(row(documents, "sources", "pages")).to_contain_text("1 document")
    question.press("Enter")
    nearest = documents.locator("#hits > li").first
    expect(nearest).to_contain_text("The shop opens at nine.")
    expect(nearest).to_contain_text("pages: hours.md › Opening hours")
    expect(nearest).to_contain_text("confirmed")


def test_a_source_that_fails_says_why(documents: Page, shelf: Shelf) -> None:
    shelf.docs = []
    sync(documents)

    expect(row(documents, "sources", "pages")).to_contain_text("the share is gone")
    expect(row(documents, "sources", "pages").locator(".state")).to_have_attribute("data-state", "failed")
