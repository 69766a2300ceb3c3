"""The app that uvicorn serves in the tests: as users write it, with its jobs from the orders."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from tests.processes.orders import TIME_TO_END, Orders
from tests.processes.witness import testify

from tickwork import AsyncIOScheduler
from tickwork.fastapi import create_router, lifespan

logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
scheduler = Orders.given().scheduler(AsyncIOScheduler)


@asynccontextmanager
async def testified(_: Any) -> AsyncIterator[None]:
    testify("up", None)
    yield


app = FastAPI(lifespan=lifespan(scheduler, testified, timeout=TIME_TO_END))
app.include_router(create_router(scheduler, prefix="/tickwork", unprotected=True))
