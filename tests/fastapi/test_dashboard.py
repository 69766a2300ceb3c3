"""The dashboard: served under any name, allowed to load nothing but itself, and made of nothing else. tests/browser has it alive."""

from __future__ import annotations

import re
from importlib.resources import files

import httpx
import pytest
from tests.fastapi.client import Client, make_app

from tickwork.testing import ManualScheduler

STATIC = files("tickwork.fastapi").joinpath("static")
PAGE = "".join(STATIC.joinpath(name).read_text("utf-8") for name in ("frame.html", "dashboard.html"))
STYLE = STATIC.joinpath("page.css").read_text("utf-8")
SCRIPT = "".join(STATIC.joinpath(name).read_text("utf-8") for name in ("dashboard.js", "page.js"))


@pytest.fixture
def client() -> Client:
    return Client(make_app(ManualScheduler(), prefix="/tickwork"))


# what is served


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/dashboard.js", "text/javascript"),
        ("/page.js", "text/javascript"),
    ],
)
def test_each_file_comes_with_its_type_and_a_strict_policy(client: Client, path: str, media_type: str) -> None:
    response = client.get(f"/tickwork{path}")

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"


def test_a_file_that_has_not_changed_is_not_sent_again(client: Client) -> None:
    first = client.get("/tickwork/dashboard.js")
    again = client.get("/tickwork/dashboard.js", headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "no-cache"


def test_the_root_without_its_slash_leads_to_the_one_with_it_behind_any_proxy(client: Client) -> None:
    """The page's names are relative to its own; so is the redirect, which cannot know what a proxy put before it."""
    for url in ("http://localhost/tickwork", "https://example.com/behind/a/proxy/tickwork"):
        location = client.get("/tickwork").headers["location"]

        assert str(httpx.URL(url).join(location)) == f"{url}/"


@pytest.mark.parametrize("prefix", ["", "/tickwork", "/ops/jobs"])
@pytest.mark.parametrize("root_path", ["", "/behind/proxy"])
def test_all_that_the_page_names_is_there_below_any_prefix(prefix: str, root_path: str) -> None:
    client = Client(make_app(ManualScheduler(), prefix=prefix), root_path=root_path)
    page = client.get(f"{prefix}/")
    base = httpx.URL(f"http://localhost{prefix}/")
    named = [name for name in re.findall(r'(?:src|href)="([^"]+)"', page.text) if not name.startswith("data:")]

    assert sorted(named) == ["dashboard.js", "page.css"]
    for name in (*named, "page.js", "overview"):
        assert client.get(str(base.join(name))).status_code == 200, name


def test_the_page_stays_out_of_the_documentation_of_the_api() -> None:
    assert not [path for path in make_app(ManualScheduler()).openapi()["paths"] if "dashboard" in path or path == "/"]


# what it is made of


def test_nothing_comes_from_elsewhere() -> None:
    without_names = (PAGE + STYLE + SCRIPT).replace("http://www.w3.org/2000/svg", "")

    assert not re.search(r"(?:https?:)?//[a-z]", without_names.replace("// ", ""))
    assert "@import" not in STYLE
    assert "url(" not in STYLE


def test_data_is_never_markup() -> None:
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "srcdoc"):
        assert word not in SCRIPT, word


def test_the_page_holds_nothing_that_its_policy_forbids() -> None:
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", PAGE)


def test_the_script_finds_every_element_that_it_looks_for() -> None:
    ids = set(re.findall(r'id="([^"]+)"', PAGE))
    fields = set(re.findall(r'data-field="([^"]+)"', PAGE))

    assert set(re.findall(r'element\("([^"]+)"\)', SCRIPT)) <= ids
    assert set(re.findall(r'fields(?:\.(\w+)|\["([\w-]+)"\])', SCRIPT)) <= {(name, "") for name in fields} | {
        ("", name) for name in fields
    }
