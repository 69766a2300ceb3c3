"""The app: the jobs run inside it, and it has the pages of jobs, of documents and of sessions, and the chat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from examples.service import chat, reports, samples
from examples.service.handbook import docs
from examples.service.jobs import scheduler
from tickwork import RunState
from tickwork.fastapi import create_router, lifespan
from tickwork.fastapi.documents import create_documents_router
from tickwork.fastapi.sessions import create_sessions_router


@asynccontextmanager
async def closing(app: FastAPI) -> AsyncIterator[None]:
    """What is open is closed after the last job has ended."""
    yield
    await asyncio.to_thread(docs.close)
    chat.sessions.close()


app = FastAPI(title="Example service", lifespan=lifespan(scheduler, closing))

# On a machine of one's own. Elsewhere: create_router(scheduler, prefix="/tickwork", dependencies=[Depends(admin)])
app.include_router(create_router(scheduler, prefix="/tickwork", unprotected=True))
app.include_router(create_documents_router(docs, prefix="/documents", unprotected=True))
app.include_router(create_sessions_router(chat.sessions, prefix="/sessions", unprotected=True))
app.include_router(chat.router)


@app.get("/", include_in_schema=False)
async def start_page() -> RedirectResponse:
    return RedirectResponse("/tickwork/")


@app.get("/samples")
def show_samples(limit: int = 100) -> list[dict[str, object]]:
    """How busy this machine was, newest first."""
    return samples.latest(limit)


@app.get("/digest")
def show_digest(limit: int = 10) -> list[dict[str, object]]:
    """What the latest digests of the folder found. The ledger keeps what a job returns."""
    runs = scheduler.get_runs("digest", states=[RunState.SUCCEEDED], limit=limit)
    return [{"fire_time": run.fire_time, **run.result} for run in runs]


@app.get("/reports")
def show_reports() -> dict[str, str]:
    """The daily reports, in Markdown."""
    return reports.read_all()
