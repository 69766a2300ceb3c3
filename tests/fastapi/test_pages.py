"""The frame that all pages share: one head, the links among them, and whose words are markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from tests.fastapi.client import Client

from tickwork.documents import Documents, HashEmbedder
from tickwork.fastapi import create_router
from tickwork.fastapi.documents import create_documents_router
from tickwork.fastapi.pages import Page, add_page
from tickwork.fastapi.sessions import create_sessions_router
from tickwork.sessions import Sessions
from tickwork.testing import ManualScheduler

PREFIXES = {"Jobs": "/tickwork", "Sessions": "/ops/sessions", "Documents: paged": ""}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    sessions = Sessions(f"sqlite:///{tmp_path}/sessions.db")
    docs = Documents("paged", tmp_path, embedder=HashEmbedder(64), index="exact")
    app = FastAPI()
    app.include_router(create_router(ManualScheduler(), unprotected=True, prefix="/tickwork"))
    app.include_router(create_sessions_router(sessions, unprotected=True, prefix="/sessions"), prefix="/ops")
    app.include_router(create_documents_router(docs, unprotected=True, prefix=""))
    yield app
    docs.close()
    sessions.close()


def links(page: str) -> dict[str, str]:
    return {said: href for href, said in re.findall(r'<li><a href="([^"]+)"[^>]*>([^<]+)</a></li>', page)}


@pytest.mark.parametrize("root_path", ["", "/behind/proxy"])
@pytest.mark.parametrize("here", PREFIXES)
def test_each_page_links_to_the_others_of_its_app(app: FastAPI, here: str, root_path: str) -> None:
    client = Client(app, root_path=root_path)
    page = client.get(f"{root_path}{PREFIXES[here]}/").text
    base = httpx.URL(f"http://localhost{root_path}{PREFIXES[here]}/")

    assert links(page).keys() == PREFIXES.keys()
    assert {said: base.join(href).path for said, href in links(page).items()} == {
        said: f"{root_path}{prefix}/" for said, prefix in PREFIXES.items()
    }
    assert re.findall(r'aria-current="page">([^<]+)<', page) == [here]


def test_a_page_that_is_alone_links_to_none() -> None:
    app = FastAPI()
    app.include_router(create_router(ManualScheduler(), unprotected=True))

    assert links(Client(app).get("/").text) == {}


def test_an_app_in_an_app_links_to_its_own(app: FastAPI) -> None:
    outer = FastAPI()
    outer.mount("/inner", app)

    page = Client(outer).get("/inner/tickwork/").text

    assert links(page) == {"Jobs": "./", "Sessions": "../ops/sessions/", "Documents: paged": "../"}


def test_a_page_whose_place_has_parameters_is_not_linked_to(app: FastAPI) -> None:
    app.include_router(create_documents_router(_documents("of-tenants"), unprotected=True), prefix="/t/{tenant}")

    assert "Documents: of-tenants" not in links(Client(app).get("/tickwork/").text)
    assert Client(app).get("/t/one/").status_code == 200


def test_the_words_of_a_page_are_never_markup(tmp_path: Path) -> None:
    (tmp_path / "own.html").write_text("<main>$tea costs 5 $</main>")
    (tmp_path / "own.js").write_text("")
    router = APIRouter(prefix="/own")
    add_page(router, Page("own", "<b>title</b>", "<b>link</b>", "<b>also</b>", folder=tmp_path))
    app = FastAPI()
    app.include_router(router)
    app.include_router(create_router(ManualScheduler(), unprotected=True, prefix="/tickwork"))

    own, jobs = (Client(app).get(path).text for path in ("/own/", "/tickwork/"))

    assert "<b>" not in own + jobs
    assert "<main>$tea costs 5 $</main>" in own
    assert links(jobs)["&lt;b&gt;link&lt;/b&gt;"] == "../own/"


def _documents(name: str) -> Documents:
    return Documents(name, "unused", embedder=HashEmbedder(64), index="exact")
