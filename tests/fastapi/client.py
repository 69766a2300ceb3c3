"""Requests to an app, through the whole of ASGI and no network."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import Depends, FastAPI

from tickwork.fastapi import create_router
from tickwork.scheduler import Scheduler

JSON = {"Content-Type": "application/json"}


class Client:
    """Asks *app* from a test that has no event loop; each request gets one."""

    def __init__(self, app: FastAPI, *, base_url: str = "http://localhost", root_path: str = "") -> None:
        self.transport = httpx.ASGITransport(app, root_path=root_path)
        self.base_url = base_url

    def ask(self, method: str, url: str, **options: Any) -> httpx.Response:
        async def asking() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url=self.base_url) as client:
                return await client.request(method, url, **options)

        return asyncio.run(asking())

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.ask("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self.ask("POST", url, **({"headers": JSON} | options))

    def delete(self, url: str, **options: Any) -> httpx.Response:
        return self.ask("DELETE", url, **options)


def anyone() -> None:
    """A dependency that lets everyone in."""


def make_app(scheduler: Scheduler, **options: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(create_router(scheduler, **({"dependencies": [Depends(anyone)]} | options)))
    return app
