"""An app with every page of tickwork, on a real server that a test can take away and bring back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest
import uvicorn
from fastapi import Depends, FastAPI
from playwright.sync_api import Page, expect
from starlette.types import ASGIApp
from tests.browser.chromium import AXE

from tickwork import BackgroundScheduler
from tickwork.documents import Documents, HashEmbedder
from tickwork.fastapi import create_router
from tickwork.fastapi.documents import create_documents_router
from tickwork.fastapi.sessions import create_sessions_router
from tickwork.sessions import Sessions

DEADLINE = 20.0
"""Seconds that a server may take to stop."""
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
"""Of axe-core: all that it is sure of."""
NARROW = {"width": 360, "height": 740}
Guard = Callable[..., None]
PAGES = {"tickwork": "Jobs", "documents": "Documents: handbook", "sessions": "Sessions"}
"""Where they are, and what links to them say."""


def anyone() -> None:
    """A dependency that lets everyone in."""


def settled(page: Page) -> None:
    """Wait until the page has shown the first answer."""
    expect(page.locator("#health-text")).not_to_have_text("connecting")


def failings(page: Page) -> list[str]:
    """What a program can tell that the page lacks for people who use it otherwise than most."""
    if not AXE.exists():
        pytest.skip(f"no axe-core in {AXE.parent}: `python -m tests.browser.chromium` brings it")
    page.evaluate(AXE.read_text("utf-8"))  # the debugger's way in, to which the policy of the page does not apply
    found = page.evaluate("rules => axe.run({ runOnly: rules })", list(RULES))
    return [f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes']][:3]}" for one in found["violations"]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server on a port of its own, which stays its own while the server is away. It is gone after its `with`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self.come_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.go_away()

    def come_back(self) -> None:
        config = uvicorn.Config(
            self._app, port=self._port, log_level="warning", http="h11", ws="none", lifespan="off",
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            self._thread.join(0.01)

    def go_away(self) -> None:
        self._server.should_exit = True
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "the server did not stop"


class Site:
    """The parts of the app, and what a test may want of them."""

    def __init__(
        self,
        folder: Path,
        scheduler: BackgroundScheduler | None = None,
        *,
        prefix: str = "",
        changes: Sequence[Guard] = (anyone,),
        content: Guard = anyone,
    ) -> None:
        self.scheduler = scheduler or BackgroundScheduler()
        self.docs = Documents(
            "handbook", folder / "docs", embedder=HashEmbedder(64), index="exact", scheduler=self.scheduler
        )
        self.sessions = Sessions(f"sqlite:///{folder}/sessions.db")
        self.app = FastAPI()
        guards = {"dependencies": [Depends(anyone)], "changes": [Depends(guard) for guard in changes]}
        self.app.include_router(create_router(self.scheduler, prefix=f"{prefix}/tickwork", **guards))
        self.app.include_router(create_documents_router(self.docs, prefix=f"{prefix}/documents", **guards))
        self.app.include_router(
            create_sessions_router(self.sessions, prefix=f"{prefix}/sessions", content=Depends(content), **guards)
        )

    def close(self) -> None:
        self.scheduler.shutdown(timeout=0)
        self.docs.close()
        self.sessions.close()
