"""Four uvicorn workers: a session is the same in each of them, whoever began it."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.processes.crew import Process
from tests.sessions.server import redis_url  # noqa: F401

from tickwork.sessions import Sessions

WORKERS = 4
DEADLINE = 30

pytestmark = pytest.mark.processes


@pytest.fixture(params=["sqlite", "redis"])
def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sessions]:
    """What the workers use, seen from outside."""
    url = f"sqlite:///{tmp_path}/sessions.db" if request.param == "sqlite" else request.getfixturevalue("redis_url")
    sessions = Sessions(url, name=secrets.token_hex(8))
    yield sessions
    sessions.close()


@pytest.fixture
def address(sessions: Sessions, tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [
        "-m",
        "uvicorn",
        "tests.sessions.app:app",
        f"--port={port}",
        f"--workers={WORKERS}",
        "--log-level=warning",
    ]
    environment = {**os.environ, "SESSIONS_URL": sessions.location, "SESSIONS_NAME": sessions.name}
    server = Process(arguments, tmp_path / "log", environment)
    yield f"http://127.0.0.1:{port}"
    server.kill()


async def wait_served(client: httpx.AsyncClient) -> None:
    """Until two workers have answered: they come up one after the other."""
    pids: set[int] = set()
    async with asyncio.timeout(DEADLINE):
        while len(pids) < 2:
            try:
                pids.add((await client.get("/pid")).json())
            except httpx.TransportError:
                await asyncio.sleep(0.05)


def test_four_workers_keep_one_session(sessions: Sessions, address: str) -> None:
    async def use() -> None:
        limits = httpx.Limits(max_keepalive_connections=0)  # each request may meet another worker
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=DEADLINE) as browser:
            await wait_served(browser)
            before = await browser.post("/ask", params={"question": 0})
            assert before.status_code == 200
            old = dict(browser.cookies)
            await browser.post("/login", params={"user": "anna"})
            answers = await asyncio.gather(*(browser.post("/ask", params={"question": n}) for n in range(1, 200)))

            pids, numbers, sums = zip(*(answer.json() for answer in answers), strict=True)
            assert len(set(pids)) > 1
            assert sorted(numbers) == sorted(sums) == [*range(2, 201)]
            asked = {number: n for n, number in enumerate(numbers, 1)} | {1: 0}
            assert (await browser.get("/history")).json() == [asked[number] for number in range(1, 201)]

            costly = await asyncio.gather(*(browser.get("/costly") for _ in range(50)))
            assert len({answer.json() for answer in costly}) == 1

            async with httpx.AsyncClient(base_url=address, limits=limits, cookies=old) as thief:
                answers = await asyncio.gather(*(thief.get("/history") for _ in range(20)))
                assert {answer.status_code for answer in answers} == {401}

            kept = dict(browser.cookies)
            assert (await browser.post("/logout")).json() == 1
            async with httpx.AsyncClient(base_url=address, limits=limits, cookies=kept) as again:
                answers = await asyncio.gather(*(again.get("/history") for _ in range(20)))
                assert {answer.status_code for answer in answers} == {401}

    asyncio.run(use())
    assert sessions.count() == 0
