"""One index for any number of processes: what one adds all find, and whoever dies, nothing is lost and nobody fails."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.documents.chroma import ChromaServer
from tests.documents.sample import Shop
from tests.documents.worker import Worker

from tickwork.documents import Doc

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="the tests look for processes in /proc"),
]
PATIENCE = 30.0


def wait_until(fact: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < until, "it does not come true"
        time.sleep(0.02)


def processes(*parts: str) -> list[int]:
    """Those whose command line has all of these."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                said = (entry / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if all(any(part in word for word in said) for part in parts):
                found.append(int(entry.name))
    return found


def servers(folder: Path) -> list[int]:
    """The processes of Chroma itself."""
    return processes("chromadb_rust_bindings", str(folder))


def owner(folder: Path) -> int:
    (keeper,) = processes("tickwork.documents.serving", str(folder))
    status = Path(f"/proc/{keeper}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("PPid")).split()[1])


@pytest.fixture
def workers(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[Worker]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(tmp_path)) for _ in range(getattr(request, "param", 2))]


def document(number: int) -> dict[str, str]:
    return {f"d{number}": f"apple number{number}"}


def all_find(workers: list[Worker], number: int) -> bool:
    for worker in workers:
        worker.tell("search", f"apple number{number}", 1)
    return [worker.answer() for worker in workers] == [[f"apple number{number}"]] * len(workers)


@pytest.mark.parametrize("workers", [4], indirect=True)
def test_what_one_adds_all_find_at_once_through_one_server(workers: list[Worker], tmp_path: Path) -> None:
    for worker in workers:
        worker.tell("trouble")  # all of them open it at the same time

    assert [worker.answer() for worker in workers] == [None] * 4
    assert len(servers(tmp_path)) == 1
    for number in range(12):
        workers[number % 4].ask("sync", document(number))
        assert all_find(workers, number)
    assert workers[0].ask("verify") == [0, 0]


@pytest.mark.parametrize("workers", [4], indirect=True)
def test_the_owner_is_killed_and_no_search_fails(workers: list[Worker], tmp_path: Path) -> None:
    workers[0].ask("sync", {id: text for number in range(20) for id, text in document(number).items()})
    assert all_find(workers, 7)
    (former,) = servers(tmp_path)
    killed = next(worker for worker in workers if worker.process.pid == owner(tmp_path))
    others = [worker for worker in workers if worker is not killed]

    killed.process.kill()

    assert all_find(others, 7)
    others[0].ask("sync", document(50))
    assert all_find(others, 50)
    wait_until(lambda: all_find(others, 50) and all(worker.ask("trouble") is None for worker in others))
    (server,) = servers(tmp_path)
    assert server != former
    assert others[1].ask("verify") == [0, 0]
    assert all_find(others, 3)


def test_the_server_is_killed_and_comes_back(workers: list[Worker], tmp_path: Path) -> None:
    workers[0].ask("sync", document(1))
    assert all_find(workers, 1)
    (former,) = servers(tmp_path)

    os.kill(former, signal.SIGKILL)

    assert all_find(workers, 1)
    workers[1].ask("sync", document(2))
    wait_until(lambda: all_find(workers, 2) and all(worker.ask("trouble") is None for worker in workers))
    (server,) = servers(tmp_path)
    assert server != former
    assert workers[1].ask("verify") == [0, 0]


def test_chroma_does_not_outlive_its_keeper(workers: list[Worker], tmp_path: Path) -> None:
    assert workers[0].ask("trouble") is None
    (server,) = servers(tmp_path)
    (keeper,) = processes("tickwork.documents.serving", str(tmp_path))

    os.kill(keeper, signal.SIGKILL)

    wait_until(lambda: server not in servers(tmp_path))


def test_nothing_is_left_when_all_have_closed(tmp_path: Path) -> None:
    with Worker(tmp_path) as one, Worker(tmp_path) as other:
        one.ask("sync", document(1))
        assert all_find([one, other], 1)
    assert servers(tmp_path) == []

    with Worker(tmp_path) as again:
        assert again.ask("search", "apple", 1) == ["apple number1"]
        assert again.ask("trouble") is None


def test_the_index_goes_on_when_its_owner_closes(workers: list[Worker], tmp_path: Path) -> None:
    workers[0].ask("sync", document(1))
    assert all_find(workers, 1)
    owning = next(worker for worker in workers if worker.process.pid == owner(tmp_path))
    others = [worker for worker in workers if worker is not owning]

    owning.ask("close")

    assert all_find(others, 1)
    wait_until(lambda: all_find(others, 1) and all(worker.ask("trouble") is None for worker in others))


def test_an_index_that_one_builds_anew_is_used_by_all(workers: list[Worker]) -> None:
    workers[0].ask("sync", {id: text for number in range(20) for id, text in document(number).items()})
    assert all_find(workers, 7)

    assert workers[1].ask("rebuild") == 20

    assert all_find(workers, 8)
    assert all(worker.ask("trouble") is None for worker in workers)
    workers[0].ask("sync", document(30))
    assert all_find(workers, 30)
    assert workers[0].ask("verify") == [0, 0]


@pytest.mark.parametrize("index", ["managed", "embedded"])
def test_a_ruined_index_ends_no_worker_and_is_built_anew(tmp_path: Path, index: str) -> None:
    many = {f"d{number}": "\n".join(f"apple {number} {line}" for line in range(120)) for number in range(10)}
    worker = Worker(tmp_path, index)
    worker.ask("sync", many)
    worker.process.kill()
    worker.__exit__()
    wait_until(lambda: not servers(tmp_path))
    segments = [*tmp_path.glob("kb.db.index-1/*/*.bin")]
    assert segments
    for segment in segments:
        os.truncate(segment, segment.stat().st_size // 3)

    with Worker(tmp_path, index) as again:
        assert again.ask("search", "apple 7 77", 1) == ["apple 7 77"]  # every vector is compared
        wait_until(lambda: again.ask("trouble") is None)
        # Chroma promises nearly all of the nearest, and among so many that are alike not each time the very one.
        assert len({*again.ask("search", "apple 7 77", 20)}) == 20
        assert again.ask("verify") == [0, 0]
    assert not (tmp_path / "kb.db.index-1").exists()


def test_a_server_elsewhere_may_go_and_come(place: Path | str, tmp_path: Path) -> None:
    server = ChromaServer(tmp_path / "server")
    with Worker(place, server.url) as one, Worker(place, server.url) as other:
        one.ask("sync", document(1))  # before there is a server
        assert all_find([one, other], 1)
        assert "usable index" in one.ask("trouble")
        server.start()
        wait_until(lambda: all_find([one, other], 1) and one.ask("trouble") is other.ask("trouble") is None)
        one.ask("sync", document(2))
        assert all_find([one, other], 2)
        server.stop()
        other.ask("sync", document(3))
        assert all_find([one, other], 3)
        server.start()

        wait_until(lambda: all_find([one, other], 3) and one.ask("trouble") is other.ask("trouble") is None)

        assert one.ask("verify") == [0, 0]
    server.stop()


class Stranger(BaseHTTPRequestHandler):
    """What listens where Chroma should: a Chroma that is too old, a proxy with a page of its own, another service."""

    answer: tuple[int, str, bytes]

    def do_GET(self) -> None:
        status, kind, body = self.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *said: object) -> None:
        """A test is quiet."""


@pytest.mark.parametrize(
    "answer",
    [
        (404, "application/json", b'{"detail":"Not Found"}'),  # a Chroma before 0.5.16, which has no /api/v2
        (410, "application/json", b'{"error":"Unimplemented","message":"The v1 API is deprecated"}'),
        (502, "text/html", b"<html>Bad Gateway"), (200, "text/html", b"<html>Welcome"), (200, "application/json", b"[]"),
        (200, "application/json", b'{"nanosecond heartbeat": "soon"}'), (401, "text/plain", b"who are you?"), (200, "text/plain", b"\xff\xff"),
    ],
)  # fmt: skip
def test_what_is_no_chroma_of_today_is_told_of_and_searches_go_on(
    tmp_path: Path, answer: tuple[int, str, bytes]
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answering", (Stranger,), {"answer": answer}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shop = Shop(tmp_path, f"http://127.0.0.1:{server.server_port}")
    shop.listed = [Doc("a", "apple")]

    assert shop.sync().changed == 1
    assert shop.texts() == ["apple"]
    trouble = shop.docs.trouble

    assert trouble is not None
    assert trouble.startswith(f"expected a usable index at http://127.0.0.1:{server.server_port}, got ")
    assert len(trouble) < 600
    shop.docs.close()
    server.shutdown()
    server.server_close()
