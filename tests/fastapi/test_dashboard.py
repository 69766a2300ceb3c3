"""The dashboard: served under any name, allowed to load nothing but itself, and alive in a real browser."""

from __future__ import annotations

import asyncio
import html
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI
from tests.fastapi.client import Client, anyone, make_app

from tickwork import AsyncIOScheduler, RunContext
from tickwork.events import RunSettled, SchedulerStarted
from tickwork.fastapi import create_router, lifespan
from tickwork.testing import ManualScheduler

DEADLINE = 20
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
)  # fmt: skip

STATIC = files("tickwork.fastapi").joinpath("static")
PAGE = "".join(STATIC.joinpath(name).read_text("utf-8") for name in ("frame.html", "dashboard.html"))
STYLE = STATIC.joinpath("page.css").read_text("utf-8")
SCRIPT = "".join(STATIC.joinpath(name).read_text("utf-8") for name in ("dashboard.js", "page.js"))
ATTACK = "<img src=x onerror=\"document.title='taken over'\">"


def fail() -> None:
    raise ValueError(ATTACK)


async def count_to_half(run: RunContext) -> None:
    run.progress(120, 240, "pages")
    await asyncio.Event().wait()


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


# in a real browser


@contextmanager
def serve(app: FastAPI, started: threading.Event) -> Iterator[str]:
    """The address of *app*, served on a free port by a real server."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", http="h11", ws="none", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(DEADLINE)
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(DEADLINE)


def wait_until(fact: Callable[[], object]) -> None:
    """Wait for what no event tells."""
    deadline = time.monotonic() + DEADLINE
    while not fact():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def browse(url: str, profile: Path) -> tuple[str, str]:
    """The page at *url* as a browser shows it after some seconds of its own time, and what it complained of."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=5000", "--dump-dom", url],
        capture_output=True, check=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def text_of(dom: str) -> str:
    """What a reader sees of *dom*, roughly."""
    body = dom.partition("<body")[2].partition("<template")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium shows the page in it")
@pytest.mark.parametrize("read_only", [False, True], ids=["full", "read-only"])
def test_a_browser_shows_jobs_and_runs_and_lets_data_be_data(read_only: bool, tmp_path: Path) -> None:
    scheduler = AsyncIOScheduler(f"sqlite:///{tmp_path}/jobs.db")
    scheduler.add_job(fail, "interval", hours=1, id=ATTACK, name="</script><b>bold</b>")
    scheduler.add_job(count_to_half, "cron", hour=3, id="digest", timezone="Asia/Seoul")
    scheduler.add_job(fail, "interval", hours=1, id="paused/one")
    app = FastAPI(lifespan=lifespan(scheduler, timeout=timedelta(0)))
    dependencies = None if read_only else [Depends(anyone)]
    app.include_router(create_router(scheduler, dependencies=dependencies, read_only=read_only, prefix="/tickwork"))
    started, settled = threading.Event(), threading.Event()
    scheduler.add_listener(lambda event: started.set(), SchedulerStarted)
    scheduler.add_listener(lambda event: settled.set(), RunSettled)

    with serve(app, started) as address:
        scheduler.pause_job("paused/one", reason=f"being moved {ATTACK}")
        scheduler.run_job_now("digest")
        scheduler.run_job_now(ATTACK)
        assert settled.wait(DEADLINE)
        wait_until(lambda: scheduler.get_runs("digest")[0].progress)
        dom, complaints = browse(f"{address}/tickwork", tmp_path / "profile")

    shown = text_of(dom)
    assert complaints == ""
    assert "<title>tickwork</title>" in dom
    assert "<img" not in dom
    assert f"{ATTACK} </script><b>bold</b> · every hour" in shown
    assert "cron hour=3 minute=0, Asia/Seoul" in shown
    assert f": being moved {ATTACK}" in shown
    assert "3 jobs" in shown
    assert "1 paused" in shown
    assert "120 of 240 · pages" in shown
    assert f"ValueError: {ATTACK}" in shown
    assert re.search(r"Next fire time: in \d+ min", shown)
    assert ('class="read-only"' in dom) is read_only
    assert ("This page is read-only." in shown) is read_only
