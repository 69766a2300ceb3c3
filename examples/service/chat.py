"""The chat: questions to the handbook. The history is the session's, so that it is the same in every worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from examples.service import model
from examples.service.handbook import EVERY, PAGES, TO_EDIT, WITH_CHROMA, docs
from examples.service.jobs import scheduler
from examples.service.settings import MODEL, MODEL_URL, VAR
from tickwork.documents import DocumentsError, Hit
from tickwork.errors import StoreError
from tickwork.fastapi.pages import Page, add_page
from tickwork.fastapi.router import TickworkRoute
from tickwork.fastapi.sessions import SessionCookie
from tickwork.sessions import Session, Sessions, add_sweep_job

MOST_QUOTES = 3
FITS = 0.09
"""A passage with a lower score has next to nothing in common with the question."""
EARLIER = 6
"""Messages of before that a model is told."""

log = logging.getLogger("examples.service")

sessions = Sessions(f"sqlite:///{VAR}/sessions.db")
add_sweep_job(scheduler, sessions)

# make run serves this machine alone, without HTTPS. Elsewhere: SessionCookie(sessions)
cookie = SessionCookie(sessions, secure=False)

# FastAPI's own routes quote what they refuse, and fail where that is half a surrogate pair
router = APIRouter(prefix="/chat", tags=["chat"], route_class=TickworkRoute)
add_page(router, Page("chat", "Ask the handbook", "Chat", "history", folder=Path(__file__).parent / "static"))


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")
    question: str = Field(min_length=1, max_length=2_000, pattern=r"\S")


@router.get("/history")
async def history(session: Annotated[Session | None, Depends(cookie.optional)]) -> dict[str, Any]:
    """What was said in this session, and what the answers come from."""
    return await _told(session)


@router.post("/ask")
async def ask(asked: Question, session: Annotated[Session, Depends(cookie.begun)]) -> dict[str, Any]:
    """Answer a question, and keep both in the session."""
    try:
        answer = await answer_to(asked.question, session)
    except (DocumentsError, StoreError) as error:
        log.warning("a question could not be answered: %s", error)
        raise HTTPException(503, "expected to search the handbook, got an error: see the log, and try again") from error
    await session.aio.append("user", asked.question)
    await session.aio.append("assistant", answer)
    return await _told(session)


@router.delete("/history", status_code=204, response_model=None)
async def forget(response: Response, session: Annotated[Session | None, Depends(cookie.optional)]) -> None:
    """End the session, with all that was said in it."""
    if session is not None:
        await sessions.aio.destroy(session)
    cookie.delete(response)


async def answer_to(question: str, session: Session) -> dict[str, Any]:
    """Quotes, the nearest first, and the words of a model if there is one."""
    found = await docs.search(question, MOST_QUOTES)
    hits = [hit for hit in found if hit.score >= max(FITS, found[0].score / 2)]
    answer = {"text": _introduced(hits, empty=not found), "quotes": [_quote(hit) for hit in hits]}
    if not (MODEL_URL and hits):
        return answer
    try:
        said = await model.ask(question, hits, _said(await session.aio.history(last=EARLIER)))
    except model.ModelError as error:
        log.warning("the language model gave no answer: %s", error)
        return answer | {"text": f"The language model gave no answer: {error}. These passages come nearest:"}
    return answer | {"text": said}


def _introduced(hits: Sequence[Hit], *, empty: bool) -> str:
    if empty:
        return "The handbook has not been read yet. Ask again in a moment."
    if not hits:
        return "The handbook says nothing about that."
    return "The handbook says:" if len(hits) == 1 else "The handbook says, the nearest first:"


def _quote(hit: Hit) -> dict[str, Any]:
    """A hit with its freshness as of now: later the handbook may say something else."""
    modified = hit.freshness.modified_at
    return {
        "text": hit.text, "heading": hit.heading, "document": hit.doc_id, "score": round(hit.score, 2),
        "revision": hit.freshness.revision, "modified_at": modified and modified.isoformat(),
        "checked_at": hit.freshness.checked_at.isoformat(), "stale": hit.freshness.stale,
    }  # fmt: skip


def _said(messages: Sequence[Any]) -> list[tuple[str, str]]:
    """What was said before, as a model takes it: of answers the text without the quotes."""
    return [
        (message.role, message.content if message.role == "user" else message.content["text"]) for message in messages
    ]


async def _told(session: Session | None) -> dict[str, Any]:
    messages = [] if session is None else await session.aio.history()
    statuses = await asyncio.to_thread(docs.status)
    return {
        "now": datetime.now(UTC),
        "folder": str(PAGES),
        "to_edit": str(TO_EDIT),
        "every": EVERY,
        "found_by": "meaning (English) and words" if WITH_CHROMA else "words",
        "model": MODEL if MODEL_URL else None,
        "documents": sum(status.documents for status in statuses),
        "lag": max((status.lag.total_seconds() for status in statuses if status.lag is not None), default=None),
        "fresh": all(status.fresh for status in statuses),
        "messages": [
            {"id": message.number, "role": message.role, "content": message.content, "at": message.at}
            for message in messages
        ],
    }
