"""A real browser, and a page of it that nothing escapes: whatever it complains of, or asks elsewhere for, fails the test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright
from tests.browser.chromium import FOLDER, OWN, find_chromium

PATIENCE = 20_000
"""Milliseconds that a page may take for what is asked of it, on a machine that is busy."""
FLAGS = ("--no-sandbox", "--no-zygote", "--disable-gpu")
"""It may run as root, in a container; and draws without a graphics card."""

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for each file: as long as it is open its driver holds this thread's event loop, which other tests want."""
    found = find_chromium()
    if found is None:
        pytest.skip(f"no Chromium in {FOLDER}: `python -m tests.browser.chromium` brings one, or set {OWN} to your own")
    path, needs = found
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS, env={**os.environ, **needs})
        yield browser
        browser.close()


class Complaints(list[str]):
    """What a page complained of; a test that provokes something takes it out."""

    def listen_to(self, page: Page) -> None:
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("request", lambda request: self._see(request, page))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.append(f"{message.type}: {message.text}")

    def _see(self, request: Request, page: Page) -> None:
        here, there = urlsplit(page.url), urlsplit(request.url)
        if (
            there.scheme != "data"
            and here.netloc
            and there.netloc != here.netloc
            and not request.is_navigation_request()
        ):
            self.append(f"foreign request: {request.url}")


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def page(chromium: Browser, complaints: Complaints) -> Iterator[Page]:
    """A page that has complained of nothing by the end of the test."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, timezone_id="Asia/Seoul", reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints.listen_to(page)
    yield page
    context.close()
    assert complaints == []
