"""The examples run, each of them; and the service keeps its promises with four workers on one file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread, Timer
from typing import Any, ClassVar

import httpx
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PATIENCE = 60.0
"""Seconds that a process may take for what is asked of it: four workers open an index on a machine that is busy."""

pytestmark = pytest.mark.timeout(300)

PROGRAMS = {
    "hello_background": ["hello at ", "succeeded"],
    "hello_asyncio": ["fetched", "succeeded 42 pages"],
    "retry": ["attempt 1: failed ConnectionError", "attempt 2: failed ConnectionError", "attempt 3: succeeded"],
    "depends": ["attempt 1: failed ConnectionError", "attempt 2: succeeded ordered for Sunday", "[('2026-03-01', 5)]"],
    "manual_clock": ["31 reports, at [1, 2] in UTC"],
}
"""The small programs, and what each of them prints."""


@pytest.mark.processes
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_runs(name, tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert [text for text in PROGRAMS[name] if text not in done.stdout] == []


def test_no_example_is_forgotten():
    programs = {path.stem for path in EXAMPLES.glob("*.py")} - {"__init__"}
    services = {path.name for path in EXAMPLES.iterdir() if (path / "__main__.py").exists()}

    assert programs == {*PROGRAMS, "fastapi_app"}
    assert services == {"service"}


@pytest.mark.processes
def test_fastapi_app_runs_its_job_once_per_fire_time_in_two_workers(tmp_path):
    command = ["-m", "uvicorn", "examples.fastapi_app:app", "--app-dir", str(ROOT), "--workers", "2"]
    with served(*command, cwd=tmp_path) as (process, http):
        asked = http.post("/refresh").json()
        wait_until(lambda: http.get(f"/tickwork/runs/{asked}").json()["state"] == "succeeded")
        wait_until(lambda: len(finished(http, "refresh")) >= 4)
        scheduled = [row for row in rows(http, "refresh") if row["origin"] == "schedule"]
        stop(process)

    assert_every_tick_has_one_answer(scheduled, every=timedelta(seconds=1))


@pytest.mark.processes
def test_service_runs_each_fire_time_once_and_survives_a_restart(tmp_path):
    """The main job, for real: four workers on one file; pauses and history outlive them."""
    folder, var = tmp_path / "folder", tmp_path / "var"
    folder.mkdir()
    (folder / "first.txt").write_text("first")

    with service(var, folder) as (process, http):
        wait_until(lambda: len(finished(http, "sample")) >= 2)
        wait_until(lambda: finished(http, "digest") and finished(http, "inventory"))
        http.post("/tickwork/jobs/daily-report/run", json={})
        wait_until(lambda: finished(http, "daily-report"))
        paused = http.post("/tickwork/jobs/digest/pause", json={"reason": "the folder moves"})
        before = rows(http, "sample")
        report, digests, samples = (http.get(path).json() for path in ("/reports", "/digest", "/samples"))
        start = http.get("/")
        printed = stop(process)

    assert_every_tick_has_one_answer(before, every=timedelta(seconds=2))
    assert paused.json()["pause_reason"] == "the folder moves"
    assert start.status_code == 307
    assert start.headers["location"] == "/tickwork/"
    assert [text.startswith("# ") for text in report.values()] == [True]
    assert (digests[0]["added"], digests[0]["files"], digests[0]["bytes"]) == (["first.txt"], 1, 5)
    assert len(samples) >= 2
    assert samples[0]["load"] >= 0
    assert (var / "inventory.json").exists()
    assert printed.count("The dashboard is at http://127.0.0.1:") == 1
    assert "Traceback" not in printed

    (folder / "first.txt").write_text("the first")
    (folder / "second.txt").write_text("second")
    with service(var, folder) as (process, http):
        wait_until(lambda: len(finished(http, "sample")) >= len(before) + 2)
        still_paused = http.get("/tickwork/jobs/digest").json()
        after = rows(http, "sample")
        inventories = finished(http, "inventory")
        http.post("/tickwork/jobs/digest/run", json={})
        wait_until(lambda: len(http.get("/digest").json()) == len(digests) + 1)
        newest = http.get("/digest").json()[0]
        stop(process)

    assert still_paused["paused"]
    assert still_paused["pause_reason"] == "the folder moves"
    assert {run["id"] for run in before} < {run["id"] for run in after}
    assert_every_tick_has_one_answer(after, every=timedelta(seconds=2))
    assert len(inventories) == 1
    assert (newest["added"], newest["changed"], newest["removed"]) == (["second.txt"], ["first.txt"], [])
    assert newest["digest"] != digests[0]["digest"]


@pytest.mark.processes
def test_an_edited_page_changes_the_answer_in_every_worker_without_a_restart(tmp_path):
    """The other two kinds of state: documents that a job keeps fresh, and a history that all four workers share."""
    with service(tmp_path / "var", tmp_path) as (process, http):
        wait_until(lambda: "9:00" in answer(http, "When do you open?"))
        before = http.get("/chat/history").json()
        page = Path(before["to_edit"])
        page.write_text(page.read_text().replace("9:00", "7:15"))
        wait_until(lambda: "7:15" in answer(http, "When do you open?"))
        korean = answer(http, "토요일 영업 시간은?")
        histories = [asked_anew(http, "/chat/history")["messages"] for _ in range(20)]
        sessions = http.get("/sessions/sessions").json()
        overview = http.get("/documents/overview").json()
        pages = [http.get(path).status_code for path in ("/chat/", "/chat/chat.js", "/documents/", "/sessions/")]
        forgotten = http.delete("/chat/history").status_code
        after = http.get("/chat/history").json()["messages"]
        printed = stop(process)

    assert "오전 10시부터 오후 2시" in korean
    assert all(history == histories[0] for history in histories)
    assert [message["id"] for message in histories[0]] == [*range(1, len(histories[0]) + 1)]
    assert histories[0][-2]["content"] == "토요일 영업 시간은?"
    quote = histories[0][-3]["content"]["quotes"][0]
    assert (quote["document"], quote["revision"], quote["stale"]) == ("en/opening-hours.md", 2, False)
    assert sessions["count"] == 1
    assert (overview["trouble"], overview["sources"][0]["documents"], overview["sources"][0]["fresh"]) == (
        None,
        6,
        True,
    )
    assert pages == [200, 200, 200, 200]
    assert (forgotten, after) == (204, [])
    assert str(page) in printed
    assert "Traceback" not in printed

    with service(tmp_path / "var", tmp_path) as (process, http):
        wait_until(lambda: "7:15" in answer(http, "When do you open?"))
        stop(process)


@pytest.mark.processes
def test_without_chromadb_the_answers_come_from_every_vector(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['chromadb'] = None\n")
    with service(tmp_path / "var", tmp_path, PYTHONPATH=str(tmp_path)) as (process, http):
        wait_until(lambda: "9:00" in answer(http, "When does the shop open on Monday?"))
        found_by = http.get("/chat/history").json()["found_by"]
        trouble = http.get("/documents/overview").json()["trouble"]
        printed = stop(process)

    assert (found_by, trouble) == ("words", None)
    assert "Without chromadb every vector is compared" in printed


class Model(BaseHTTPRequestHandler):
    """A server that is OpenAI-compatible as long as it is asked nothing about the weather."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append({"path": self.path, "key": self.headers["authorization"], **asked})
        broken = "refund" in asked["messages"][-1]["content"]
        said = {"choices": [{"message": {"content": "At nine, <b>sir</b>."}}]}
        self.send_response(500 if broken else 200)
        self.end_headers()
        self.wfile.write(b"" if broken else json.dumps(said).encode())

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks itself."""


@pytest.mark.processes
def test_a_model_puts_the_quotes_into_words_and_one_that_fails_leaves_them(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        with service(
            tmp_path / "var", tmp_path, OPENAI_BASE_URL=url, OPENAI_API_KEY="secret", OPENAI_MODEL="small"
        ) as (process, http):
            wait_until(lambda: "At nine" in answer(http, "When do you open?"))
            broken = said(http, "How long does a refund take?")
            told = http.get("/chat/history").json()
            printed = stop(process)
    finally:
        server.shutdown()
        server.server_close()

    first = Model.asked[0]
    assert (first["path"], first["key"], first["model"]) == ("/v1/chat/completions", "Bearer secret", "small")
    assert "The shop opens at 9:00" in first["messages"][0]["content"]
    assert first["messages"][-1] == {"role": "user", "content": "When do you open?"}
    assert "The language model gave no answer: it answered with status 500" in broken["text"]
    assert "three working days" in str(broken["quotes"])
    assert told["model"] == "small"
    assert "secret" not in str(told) + printed


@pytest.mark.processes
def test_service_says_when_its_port_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = subprocess.run(
            [sys.executable, "-m", "examples.service", "--port", str(port)],
            cwd=ROOT, env={**os.environ, "SERVICE_VAR": str(tmp_path)},
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr == (
        f"expected to listen on 127.0.0.1 port {port}, got: Address already in use; "
        f"choose another: PORT={port + 1} make run\n"
    )


def assert_every_tick_has_one_answer(rows: list[dict[str, Any]], *, every: timedelta) -> None:
    """Each fire time from the first to the last stands in one row; a row may answer for several that did not run."""
    answered = []
    for row in rows:
        first, last = (datetime.fromisoformat(row[name] or row["fire_time"]) for name in ("fire_time", "through"))
        answered += [first + number * every for number in range((last - first) // every + 1)]
    answered.sort()
    assert answered == [answered[0] + number * every for number in range(len(answered))]


def said(http: httpx.Client, question: str) -> dict[str, Any]:
    """What the chat says."""
    answered = asked_anew(http, "/chat/ask", question)["messages"]
    content: dict[str, Any] = answered[-1]["content"]
    return content


def answer(http: httpx.Client, question: str) -> str:
    content = said(http, question)
    return content["text"] + " ".join(quote["text"] for quote in content["quotes"])


def asked_anew(http: httpx.Client, path: str, question: str | None = None) -> Any:
    """Over a connection of its own, which any of the workers may get; the session is that of *http*."""
    with httpx.Client(base_url=http.base_url, cookies=http.cookies, timeout=PATIENCE) as other:
        response = other.get(path) if question is None else other.post(path, json={"question": question})
        assert response.status_code == 200, response.text
        http.cookies.update(other.cookies)
        return response.json()


def service(var: Path, folder: Path, **more: str) -> Any:
    environment = {"SERVICE_VAR": str(var), "SERVICE_FOLDER": str(folder), "OPENAI_BASE_URL": "", **more}
    return served("-m", "examples.service", "--workers", "4", cwd=ROOT, environment=environment)


@contextmanager
def served(
    *arguments: str, cwd: Path, environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A program that serves on a free port; it answers, and does not outlive the test."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (
        subprocess.Popen(
            [sys.executable, *arguments, "--port", str(port)],
            cwd=cwd, env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,  # as from a terminal: Ctrl-C reaches the parent and its workers
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http,
    ):  # fmt: skip
        try:
            wait_until(lambda: process.poll() is not None or answers(http))
            yield process, http
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def stop(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C; what the program printed, when it has ended well."""
    os.killpg(process.pid, signal.SIGINT)
    kill = Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    kill.start()
    printed, _ = process.communicate()
    kill.cancel()
    assert process.returncode == 0, printed
    return printed


def answers(http: httpx.Client) -> bool:
    try:
        return http.get("/tickwork/health").status_code == 200
    except httpx.TransportError:
        return False


def rows(http: httpx.Client, job_id: str) -> list[dict[str, Any]]:
    """The ledger of a job, in which nothing has gone wrong."""
    found: list[dict[str, Any]] = http.get("/tickwork/runs", params={"job_id": job_id, "limit": 1000}).json()
    assert not [row for row in found if row["state"] in ("failed", "lost", "missed")], found
    return found


def finished(http: httpx.Client, job_id: str) -> list[dict[str, Any]]:
    return [row for row in rows(http, job_id) if row["state"] == "succeeded"]


def wait_until(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < deadline, "expected it within the patience of this test"
        time.sleep(0.05)
