"""What goes wrong with a session, as an answer over HTTP or the end of a WebSocket.

The rule: a session that cannot be looked up is nobody's. When the store is away the answer is 503, never another user
and never none.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import HTTPException, WebSocketException
from fastapi.requests import HTTPConnection

from tickwork.errors import (
    InvalidSessionError,
    SessionError,
    SessionFullError,
    SessionNotFoundError,
    StoreError,
    TickworkError,
)
from tickwork.sessions import Session, Sessions

POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
"""Why a WebSocket is closed, as RFC 6455 and its registry number it."""
LONGEST_REASON = 120
"""Bytes that the frame which closes a WebSocket has room for."""

STATUS: Sequence[tuple[type[TickworkError], int]] = (
    (SessionNotFoundError, 401),
    (SessionFullError, 409),
    (InvalidSessionError, 422),
    (StoreError, 503),
)

log = logging.getLogger("tickwork.sessions")


@asynccontextmanager
async def looked_up(
    sessions: Sessions, token: str | None, connection: HTTPConnection
) -> AsyncIterator[Session | None]:  # fmt: skip
    """The session that *token* opens, if there is one; what goes wrong with it inside becomes an answer."""
    try:
        yield await sessions.aio.get(token)
    except (SessionError, StoreError) as error:
        raise answer(connection, error) from error


def answer(connection: HTTPConnection, error: TickworkError) -> HTTPException | WebSocketException:
    """What an error is for a client. That a store is away is told to the log; where it is, to nobody else."""
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    if status != 503:
        log.info("a request with a session is answered with %d: %s", status, error)
        return refusal(connection, status, str(error))
    log.warning("a request with a session is answered with 503, since a store cannot be used: %s", error)
    return refusal(connection, status, "expected an answer from where sessions are kept, got none: try again")


def refusal(connection: HTTPConnection, status: int, detail: str) -> HTTPException | WebSocketException:
    if connection.scope["type"] == "websocket":
        code = TRY_AGAIN_LATER if status == 503 else POLICY_VIOLATION
        return WebSocketException(code, detail.encode("ascii", "replace")[:LONGEST_REASON].decode())
    return HTTPException(status, detail, headers={"Retry-After": "1"} if status == 503 else None)


def required(session: Session | None, connection: HTTPConnection) -> Session:
    if session is None:
        raise refusal(connection, 401, "expected a session that goes on, got none: log in")
    return session
