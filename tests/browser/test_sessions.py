"""The page of sessions: whose there are, how old and how big; what is in one, for those who may see it; and an end to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException, Request
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import Complaints
from tests.browser.site import Server, Site, settled

pytestmark = pytest.mark.processes


def auditors(request: Request) -> None:
    if request.cookies.get("role") != "auditor":
        raise HTTPException(403, "chats are for auditors")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, content=auditors)
    site.scheduler.start()
    for user, messages in (("ada", 2), ("ada", 1), ("grace", 3), (None, 1)):
        session = site.sessions.create(user=user)
        for number in range(messages):
            session.append("user", f"question {number} of <b>{user}</b>")
        session.state.set("cart", ["tea"])
    yield site
    site.close()


@pytest.fixture
def sessions(page: Page, site: Site) -> Iterator[Page]:
    with Server(site.app) as server:
        page.goto(f"{server.address}/sessions/")
        settled(page)
        yield page
        page.goto("about:blank")


def test_sessions_are_counted_with_their_ages_and_sizes(sessions: Page) -> None:
    expect(sessions.locator("#summary")).to_contain_text("4 sessions · 3 logged in")
    grace = sessions.locator(".session").filter(has_text="grace")
    expect(grace).to_contain_text("ago")
    expect(grace).to_contain_text("in 29 min")
    expect(grace.locator('[data-field="messages"]')).to_have_text("3")
    expect(grace.locator('[data-field="bytes"]')).to_contain_text(" B")


def test_what_is_in_one_is_shown_to_those_alone_who_may_see_it(sessions: Page, complaints: Complaints) -> None:
    grace = sessions.locator(".session").filter(has_text="grace")
    content = sessions.get_by_role("group", name="What is in it")
    grace.get_by_role("button", name="Content").click()
    expect(sessions.get_by_text("What is in it cannot be shown: chats are for auditors")).to_be_visible()
    expect(content).to_be_hidden()
    assert all("403" in one for one in complaints)
    complaints.clear()

    sessions.context.add_cookies([{"name": "role", "value": "auditor", "url": sessions.url}])
    grace.get_by_role("button", name="Content").click()
    expect(content).to_contain_text("1 user: question 0 of <b>grace</b>")
    expect(content).to_contain_text('cart = ["tea"]')


def test_one_is_ended_or_all_of_a_user(sessions: Page, site: Site) -> None:
    sessions.locator(".session").filter(has_text="grace").get_by_role("button", name="End").click()
    sessions.get_by_role("dialog").get_by_role("button", name="End it").click()
    expect(sessions.locator(".session").filter(has_text="grace")).to_have_count(0)
    assert site.sessions.of_user("grace") == []

    sessions.get_by_role("button", name="Show the sessions of ada").first.click()
    expect(sessions.locator("#sessions .session")).to_have_count(2)
    sessions.get_by_role("button", name="End all of them").click()
    sessions.get_by_role("dialog").get_by_role("button", name="End all").click()
    expect(sessions.get_by_text("2 sessions of ada ended.")).to_be_visible()
    expect(sessions.get_by_text("No session goes on.")).to_be_visible()
    assert site.sessions.count() == 1


def test_the_example_of_the_guide_opens_in_a_browser_that_asks_for_a_password(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    guide = Path(__file__).parents[2].joinpath("docs", "sessions.md").read_text("utf-8")
    example: dict[str, Any] = {}
    exec(
        re.findall(r"^```python\n(.*?)^```", guide.partition("## For operators")[2], re.MULTILINE | re.DOTALL)[0],
        example,
    )
    example["sessions"].create(user="ada").append("user", "hello")
    with closing(example["sessions"]), Server(example["app"]) as server:
        for name, content in (("auditor", "1 user: hello"), ("operator", "chats are for auditors")):
            context = chromium.new_context(http_credentials={"username": name, "password": "your own check"})
            page = context.new_page()
            page.goto(f"{server.address}/sessions/")
            page.get_by_role("button", name="Content").click()
            expect(page.get_by_text(content)).to_be_visible()
            context.close()
