"""`tickwork serve`: a scheduler in a web server, with its dashboard and API.

The rule: who can reach it can change jobs, so nobody beyond this machine reaches it unless someone says so.
"""
# ruff: noqa: PLC0415  (what only this command needs is imported by it, so that `tickwork --help` is quick)

from __future__ import annotations

import argparse
import json
import logging
import os
import socket
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from secrets import compare_digest
from typing import TYPE_CHECKING

from tickwork.cli.arguments import UsageError
from tickwork.cli.running import LOG_FORMAT
from tickwork.cli.targets import load_scheduler
from tickwork.scheduler import BlockingScheduler, Scheduler

if TYPE_CHECKING:
    from fastapi import FastAPI

SERVED = "TICKWORK_SERVED"
"""The environment variable in which `serve` tells its workers what to serve."""
TOKEN = "TICKWORK_TOKEN"  # noqa: S105
"""The environment variable with the secret that visitors of `serve` have to know."""


def serve(options: argparse.Namespace) -> int:
    """Run a scheduler in a web server, with its dashboard and API.

    With --workers N it is N processes that share the schedule; each fire time still runs once.

    Who can reach it can pause and remove jobs. So it listens on this machine alone, unless the environment
    variable TICKWORK_TOKEN holds a secret (browsers ask for it as the password, programs send it as
    `Authorization: Bearer ...`), or --unprotected says that something else protects it.
    """
    try:
        import uvicorn

        import tickwork.fastapi  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(f"expected fastapi and uvicorn, got no {error.name}: pip install 'tickwork[serve]'") from None
    _check_exposure(options.host, unprotected=options.unprotected)
    _check_servable(load_scheduler(options.target), options.workers)
    _check_port(options.host, options.port)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    os.environ[SERVED] = json.dumps([options.target, options.timeout.total_seconds(), _is_loopback(options.host)])
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(f"tickwork: the dashboard is at http://{host}:{options.port}/", flush=True)
    uvicorn.run(
        "tickwork.cli.serving:make_app", factory=True, host=options.host, port=options.port, workers=options.workers,
        log_level="warning", timeout_graceful_shutdown=5,
    )  # fmt: skip
    return 0


def make_app() -> FastAPI:
    """The app that `serve` runs, made anew in each of its workers."""
    from fastapi import Depends, FastAPI

    from tickwork.fastapi import create_router, lifespan

    target, timeout, loopback = json.loads(os.environ[SERVED])
    token = os.environ.get(TOKEN)
    scheduler = load_scheduler(target)
    if token:
        router = create_router(scheduler, dependencies=[Depends(_knows(token))])
    else:  # beyond this machine --unprotected was given: who protects the port knows by which names it is called
        router = create_router(scheduler, unprotected=True, allowed_hosts=[] if loopback else ["*"])
    app = FastAPI(
        title="tickwork", lifespan=lifespan(scheduler, timeout=timeout),
        docs_url=None, redoc_url=None, openapi_url=None,  # the router's dependencies would not guard them
    )  # fmt: skip
    app.include_router(router)
    return app


def _knows(token: str) -> Callable[..., None]:
    """A dependency that lets in who knows the *token*: a browser's password, or a program's bearer token."""
    from fastapi import Header, HTTPException

    def check(authorization: str = Header("")) -> None:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":
            with suppress(ValueError):
                given = b64decode(given).decode().partition(":")[2]
        if not compare_digest(given.encode(), token.encode()):
            raise HTTPException(401, f"expected the secret of {TOKEN}", {"WWW-Authenticate": 'Basic realm="tickwork"'})

    return check


def _check_exposure(host: str, *, unprotected: bool) -> None:
    if not (_is_loopback(host) or os.environ.get(TOKEN) or unprotected):
        raise UsageError(
            f"expected a secret in {TOKEN} before others may reach the dashboard, got --host {host} and no secret: "
            f"set it, or pass --unprotected if something else protects the port"
        )


def _check_servable(scheduler: Scheduler, workers: int) -> None:
    """UsageError or StoreError if no worker could run it: found out here once, and not in each of them."""
    if isinstance(scheduler, BlockingScheduler):
        raise UsageError(
            "expected an AsyncIOScheduler or a BackgroundScheduler, got a BlockingScheduler: use `tickwork run`"
        )
    if workers > 1 and scheduler.health().store == "memory":
        raise UsageError(
            f"expected a store that {workers} workers share, got memory: "
            f"give the scheduler one, as in AsyncIOScheduler('sqlite:///jobs.db')"
        )
    scheduler.get_jobs()


def _check_port(host: str, port: int) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UsageError(
            f"expected to listen on {host} port {port}, got: {error.strerror}: choose another --port"
        ) from None


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
