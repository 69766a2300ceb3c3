"""The chat of the example service: what it is asked, by whom, and the page of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from fastapi import FastAPI
from tests.fastapi.client import Client

STATIC = Path(__file__).parents[1] / "examples" / "service" / "static"
PAGE, SCRIPT = (STATIC.joinpath(f"chat.{kind}").read_text("utf-8") for kind in ("html", "js"))
FRAME = Path(__file__).parents[1].joinpath("src/tickwork/fastapi/static/frame.html").read_text("utf-8")
ATTACK = "<img src=x onerror=alert(1)>"


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, with a handbook of its own; without chromadb, so that no server is started."""
    monkeypatch.setenv("SERVICE_VAR", str(tmp_path))
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setitem(sys.modules, "chromadb", None)
    before = {name for name in sys.modules if name.startswith("examples.service")}
    for name in before:
        monkeypatch.delitem(sys.modules, name)
    chat = import_module("examples.service.chat")
    yield chat
    chat.docs.close()
    chat.sessions.close()
    for name in {name for name in sys.modules if name.startswith("examples.service")} - before:
        del sys.modules[name]


@pytest.fixture
def client(chat: ModuleType) -> Client:
    app = FastAPI()
    app.include_router(chat.router)
    return Client(app)


def test_before_the_first_sync_it_says_so(client: Client) -> None:
    answered = client.post("/chat/ask", json={"question": "When do you open?"}).json()

    assert answered["messages"][-1]["content"] == {
        "text": "The handbook has not been read yet. Ask again in a moment.",
        "quotes": [],
    }


def test_what_a_page_and_a_question_say_is_passed_on_as_it_is(chat: ModuleType, client: Client) -> None:
    chat.TO_EDIT.write_text(f"# {ATTACK}\n\nThe shop opens {ATTACK} at ten.")
    sync(chat)

    answered = client.post("/chat/ask", json={"question": f"opens {ATTACK}"})

    asked, said = answered.json()["messages"]
    assert asked["content"] == f"opens {ATTACK}"
    assert said["content"]["quotes"][0]["text"] == f"The shop opens {ATTACK} at ten."
    assert answered.headers["content-type"] == "application/json"


def test_what_has_nothing_to_do_with_the_handbook_is_not_answered(chat: ModuleType, client: Client) -> None:
    sync(chat)

    said = client.post("/chat/ask", json={"question": "xyzzy"}).json()["messages"][-1]["content"]

    assert said == {"text": "The handbook says nothing about that.", "quotes": []}


@pytest.mark.parametrize(
    "sent", ["", "{}", '{"question": ""}', '{"question": "  "}', '{"question": 5}', '{"question": null}', "[]",
             '{"question": "' + "x" * 2001 + '"}', '{"question": "a", "more": 1}', '{"question": "\\ud800"}',
             '{"question": NaN}', '{"\\udfff": 1}', '"\\ud800"', "1e999"],
)  # fmt: skip
def test_a_question_that_cannot_be_is_refused(client: Client, sent: str) -> None:
    """Nor does an answer fail that cannot quote it: half a surrogate pair, or what is no number."""
    answered = client.post("/chat/ask", content=sent)

    assert answered.status_code == 422
    assert answered.json()["detail"]
    assert client.get("/chat/history").json()["messages"] == []


def test_a_page_elsewhere_can_neither_ask_nor_forget(client: Client) -> None:
    elsewhere = {"Content-Type": "application/json", "Origin": "http://evil.example.com"}

    assert client.post("/chat/ask", json={"question": "a"}, headers=elsewhere).status_code == 403
    assert client.delete("/chat/history", headers=elsewhere).status_code == 403
    assert client.get("/chat/history", headers={"Host": "evil.example.com"}).status_code == 403


# the page


def test_all_that_the_page_names_is_there_under_the_policy_of_all_pages(client: Client) -> None:
    page = client.get("/chat/")
    named = [name for name in re.findall(r'(?:src|href)="([^"]+)"', page.text) if not name.startswith("data:")]

    assert sorted(named) == ["chat.js", "page.css"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    for name in (*named, "page.js"):
        assert client.get(f"/chat/{name}").status_code == 200, name


def test_data_is_never_markup_and_nothing_comes_from_elsewhere() -> None:
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "DOMParser",
        "srcdoc",
        "href",
    ):
        assert word not in SCRIPT, word
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", PAGE)
    assert not re.search(r"https?://", PAGE + SCRIPT)


def test_the_script_finds_every_element_that_it_looks_for() -> None:
    ids = {*re.findall(r'id="([^"]+)"', FRAME + PAGE)}
    fields = {*re.findall(r'data-field="([^"]+)"', PAGE)}
    destructured = {
        name.partition(":")[0]
        for names in re.findall(r"const \{ ([^}]+) \} = row\.fields", SCRIPT)
        for name in names.split(", ")
    }

    assert {*re.findall(r'element\("([^"]+)"\)', SCRIPT)} <= ids
    assert destructured | {*re.findall(r"fields\.(\w+)", SCRIPT)} <= fields


def test_who_does_not_see_the_page_can_use_it() -> None:
    labels = {*re.findall(r'<label[^>]* for="([^"]+)"', PAGE)}

    assert {*re.findall(r'<input id="([^"]+)"', PAGE)} == labels
    assert 'role="log"' in PAGE
    assert 'setAttribute("aria-live", "polite")' in SCRIPT
    assert re.search(r'<p[^>]*id="asking" role="status"', PAGE)


def sync(chat: ModuleType) -> None:
    import asyncio

    asyncio.run(chat.docs.sync("pages"))
