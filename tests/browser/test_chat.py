"""The chat of `make run`, with four workers: what is asked in one is known to all, and so is what was edited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.site import NARROW, failings, settled
from tests.test_examples import service, stop

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

START = 60_000
"""Milliseconds that four workers may take to read the handbook on a machine that is busy."""


@pytest.fixture
def chat(page: Page, tmp_path: Path) -> Iterator[Page]:
    """The page, when the handbook has been read."""
    with service(tmp_path / "var", tmp_path) as (process, http):
        page.goto(f"{http.base_url}/chat/")
        settled(page)
        expect(page.locator("#summary")).to_have_text("6 documents", timeout=START)
        yield page
        page.goto("about:blank")
        assert "Traceback" not in stop(process)


def ask(page: Page, question: str) -> Locator:
    """The quotes of the answer."""
    said = page.locator("#messages > li")
    before = said.count()
    page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Ask").click()
    expect(said).to_have_count(before + 2)
    return said.last.get_by_role("group", name="Quotes")


def test_an_answer_is_quoted_as_the_handbook_is_now_and_remembered_by_all_workers(chat: Page, tmp_path: Path) -> None:
    expect(chat.get_by_text("Nothing was asked yet.")).to_be_visible()
    quotes = ask(chat, "When do you open?")
    expect(quotes).to_contain_text("9:00")
    expect(quotes).to_contain_text(re.compile(r"en/opening-hours.md › .*revision 1, written .*, confirmed "))

    page_of_hours = tmp_path / "var" / "handbook" / "en" / "opening-hours.md"
    page_of_hours.write_text(page_of_hours.read_text("utf-8").replace("9:00", "7:15 <b>sharp</b>"), "utf-8")
    for _ in range(60):  # it is read within three seconds, if the machine has nothing better to do
        quotes = ask(chat, "When do you open?")
        if "revision 2" in (quotes.text_content() or ""):
            break
        chat.wait_for_timeout(500)
    expect(quotes).to_contain_text("7:15 <b>sharp</b>")

    said = chat.locator("#messages > li").all_text_contents()
    for _ in range(6):  # whichever worker answers
        chat.reload()
        expect(chat.locator("#messages > li")).to_have_text(said)
    assert failings(chat) == []
    chat.set_viewport_size(NARROW)
    assert chat.evaluate("document.documentElement.scrollWidth") == NARROW["width"]

    chat.get_by_role("button", name="Forget all of this").click()
    expect(chat.get_by_text("Nothing was asked yet.")).to_be_visible()
    chat.reload()
    settled(chat)
    expect(chat.locator("#messages > li")).to_have_count(0)
