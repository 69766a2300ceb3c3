"""The app that uvicorn serves in the tests: a chat, with its login, as users write it."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import Depends, FastAPI, Response

from tickwork.fastapi.sessions import SessionCookie
from tickwork.sessions import Session, Sessions

sessions = Sessions(os.environ["SESSIONS_URL"], name=os.environ["SESSIONS_NAME"], max_messages=1_000)
cookie = SessionCookie(sessions, secure=False)
app = FastAPI()


@app.post("/login")
async def login(
    user: str, response: Response, session: Annotated[Session | None, Depends(cookie.optional)]
) -> int:  # fmt: skip
    cookie.set(response, await sessions.aio.log_in(user, session))
    return os.getpid()


@app.post("/ask")
async def ask(question: int, session: Annotated[Session, Depends(cookie.begun)]) -> tuple[int, int, int]:
    number = await session.aio.append("user", question)
    return os.getpid(), number, await session.aio.state.incr("questions")


@app.get("/history")
def history(session: Annotated[Session, Depends(cookie)]) -> list[int]:
    return [message.content for message in session.history()]


@app.get("/costly")
async def costly() -> int:
    return await sessions.cache.aio.get_or_set("pid", os.getpid, ttl="5m")


@app.get("/pid")
async def pid() -> int:
    return os.getpid()


@app.post("/logout")
def logout(response: Response, session: Annotated[Session, Depends(cookie)]) -> int:
    cookie.delete(response)
    return sessions.destroy_user(session.user or "")
