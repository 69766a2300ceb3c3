"""Sessions that a program carries in a header: `Authorization: Bearer <token>`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi.openapi.models import HTTPBearer
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from tickwork.fastapi.sessions.answers import looked_up, required
from tickwork.sessions import Session, Sessions
from tickwork.sessions.sessions import check_sessions


class SessionHeader(SecurityBase):
    """A dependency that gives a route the session of the program that asks: `Depends(SessionHeader(sessions))`.

    The app hands out `session.token`, over HTTPS; the program sends it as `Authorization: Bearer <token>`. A browser
    does so on behalf of no other page, so there is no forgery to fear. `Depends(header.optional)` gives None where a
    route can do without. Errors are those of `SessionCookie`.
    """

    def __init__(self, sessions: Sessions) -> None:
        check_sessions("SessionHeader", sessions)
        self.model = HTTPBearer()
        self.scheme_name = type(self).__name__
        self._sessions = sessions

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[Session]:
        """The session, or 401."""
        async with looked_up(self._sessions, _token(connection), connection) as session:
            yield required(session, connection)

    async def optional(self, connection: HTTPConnection) -> AsyncIterator[Session | None]:
        """The session, or None."""
        async with looked_up(self._sessions, _token(connection), connection) as session:
            yield session


def _token(connection: HTTPConnection) -> str | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
