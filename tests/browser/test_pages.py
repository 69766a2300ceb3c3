"""What is true of every page: it loads nothing else, fits every screen, can be used without eyes or a mouse, and says so when the server is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, expect
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.browser.conftest import Complaints
from tests.browser.site import NARROW, PAGES, Server, Site, failings, settled

from tickwork.documents import Doc, Unreadable

pytestmark = pytest.mark.processes

HOSTILE = [
    "<script>document.title = 'taken over'</script>",
    "<img src=x onerror=\"document.title='taken over'\">",
    "x" * 200,
    "שלום עולם, from the right to the left",
    "a" * 60 + " " + "\N{SNOWMAN}" * 30,
]
BACKWARDS = "\u202ebackwards\u202c"


def fail() -> None:
    raise ValueError(f"{''.join(HOSTILE)} {BACKWARDS} \x00 \x1b[31m half of a pair: \ud800")


def fill(site: Site) -> None:
    """Something in every part of every page, and all of it hostile."""
    for text in HOSTILE:
        site.scheduler.add_job(fail, "interval", hours=1, id=text, name=text, tags=[text[:100]])
    site.docs.source("pages", every="1h")(
        lambda: [
            *(Doc(text, f"# {text}\n\n{text} {BACKWARDS}", uri=text) for text in HOSTILE),
            Unreadable("broken", HOSTILE[0]),
        ]
    )
    site.scheduler.start()
    site.scheduler.pause_job(HOSTILE[1], reason=HOSTILE[0], by=HOSTILE[3])
    site.scheduler.run_job_now(HOSTILE[0])
    site.scheduler.run_job_now("documents:handbook:pages")
    for text in HOSTILE:
        site.sessions.create(user=text).append("user", text)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an app that is full of hostile things."""
    site = Site(tmp_path_factory.mktemp("site"))
    fill(site)
    with Server(site.app) as server:
        yield server.address
    site.close()


@pytest.fixture
def empty(site: Site, page: Page) -> Iterator[str]:
    """The address of an app in which there is nothing yet."""
    with Server(site.app) as server:
        yield server.address
        page.goto("about:blank")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.scheduler.start()
    yield site
    site.close()


@pytest.mark.parametrize("name", PAGES)
def test_who_does_not_see_well_or_uses_no_mouse_can_use_it(page: Page, full: str, name: str) -> None:
    """Every control has a name, every text enough contrast, in light and in dark; checked by axe-core."""
    page.goto(f"{full}/{name}/")
    settled(page)

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert failings(page) == [], scheme


def test_a_narrow_screen_never_scrolls_sideways(page: Page, full: str, empty: str) -> None:
    page.set_viewport_size(NARROW)
    for address in (full, empty):
        for name in PAGES:
            page.goto(f"{address}/{name}/")
            settled(page)
            assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"], name


@pytest.mark.parametrize("name", PAGES)
def test_what_a_user_wrote_stays_text_and_within_a_narrow_screen(page: Page, full: str, name: str) -> None:
    page.set_viewport_size(NARROW)
    page.goto(f"{full}/{name}/")
    settled(page)

    match name:
        case "tickwork":
            page.get_by_role("button", name=f"Details of {HOSTILE[0]}").click()
            expect(page.get_by_role("group", name="Traceback")).to_contain_text(f"{HOSTILE[1]}{HOSTILE[2]}")
        case "documents":
            page.get_by_role("button", name="Documents (pages)").click()
            page.get_by_role("button", name=f"1 chunk of {HOSTILE[0]}").click()
            expect(page.get_by_role("group", name="Chunks")).to_contain_text(HOSTILE[0])
    for text in HOSTILE:
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    assert "taken over" not in page.title()
    assert page.locator("main :is(img, script)").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


@pytest.mark.parametrize("place", ["mounted", "proxied"])
def test_below_any_prefix_in_another_app_and_behind_a_proxy(page: Page, tmp_path: Path, place: str) -> None:
    with closing(Site(tmp_path, prefix="/ops/inner")) as site:
        site.scheduler.start()
        outer = FastAPI()
        outer.mount("/mounted", site.app)
        with Server(outer if place == "mounted" else without("/proxied", site.app)) as server:
            page.goto(f"{server.address}/{place}/ops/inner/tickwork")  # and no slash
            settled(page)

            for name, link in [*PAGES.items(), ("tickwork", "Jobs")]:
                page.get_by_role("link", name=link, exact=True).click()
                settled(page)
                expect(page.locator("#health")).to_have_attribute("data-health", "good")
                assert page.url == f"{server.address}/{place}/ops/inner/{name}/"
            page.goto("about:blank")


def without(prefix: str, app: ASGIApp) -> ASGIApp:
    """A proxy that takes *prefix* off, and tells nobody."""

    async def pass_on(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(prefix)
        await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)

    return pass_on


@pytest.mark.parametrize("name", PAGES)
def test_a_server_that_goes_away_and_comes_back_is_told_of(
    page: Page, site: Site, complaints: Complaints, name: str
) -> None:
    with Server(site.app) as server:
        page.goto(f"{server.address}/{name}/")
        settled(page)

        server.go_away()
        expect(page.get_by_role("status").filter(has_text="The server cannot be reached.")).to_be_visible()
        expect(page.locator("#health")).to_have_text("out of reach")
        expect(page.get_by_role("button", name="Try now")).to_be_visible()
        server.come_back()
        page.locator("#retry").dispatch_event("click")  # `click` would wait for it, if the page was faster by itself
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#health")).to_have_attribute("data-health", "good")

        assert all("net::ERR_" in one for one in complaints)
        complaints.clear()
        page.goto("about:blank")
