"""Sessions that a browser carries in a cookie, which no script can read and no other site can send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from ipaddress import ip_address

from fastapi import Request, Response
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from tickwork.checks import shown
from tickwork.errors import InvalidSessionError
from tickwork.fastapi.sessions.answers import looked_up, refusal, required
from tickwork.fastapi.sessions.origin import check_origins, hostname, refuse_other_origins
from tickwork.sessions import Session, Sessions
from tickwork.sessions.sessions import NAME, check_sessions


class SessionCookie(SecurityBase):
    """A dependency that gives a route the session of the browser that asks.

        cookie = SessionCookie(sessions)

        @app.get("/me")
        def me(session: Annotated[Session, Depends(cookie)]): ...

    - `Depends(cookie)`: a session, or 401;
    - `Depends(cookie.optional)`: a session, or None for who shows none, or one that has ended, or a forged one;
    - `Depends(cookie.begun)`: a session, which begins here if there is none (of nobody, until it logs in).

    The cookie is `__Host-session`: HttpOnly, Secure, SameSite=Lax, for this host alone. What changes something (any
    method but GET, HEAD, OPTIONS, TRACE; and any WebSocket) is refused with 403 if a page of another origin asks for
    it, with or without a session, unless that is one of *allowed_origins* (`["https://app.example.com"]`).

    While the store is away, whoever shows a token gets 503. What goes wrong with the session later in the route is
    answered too: 401 if it ended meanwhile, 409 if it is full, 422 for what cannot be kept.

    For development over http://localhost in a browser that keeps Secure cookies only over HTTPS (Safari),
    *secure*=False leaves out Secure and the prefix; then only this machine is answered, so that it cannot be left on.
    """

    def __init__(
        self, sessions: Sessions, *, name: str = "session", secure: bool = True, allowed_origins: Collection[str] = ()
    ) -> None:
        check_sessions("SessionCookie", sessions)
        if not isinstance(name, str) or not NAME.fullmatch(name) or name.startswith("__"):
            raise InvalidSessionError(
                f"name: expected 1 to 64 letters, digits, '_', '.' or '-', and no prefix, got {shown(name)}"
            )
        self.name = f"__Host-{name}" if secure else name
        self.model = APIKey.model_validate({"in": APIKeyIn.cookie, "name": self.name})
        self.scheme_name = type(self).__name__
        self._sessions = sessions
        self._secure = secure
        self._allowed_origins = check_origins(allowed_origins)

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[Session]:
        """The session, or 401."""
        async with looked_up(self._sessions, self._token(connection), connection) as session:
            yield required(session, connection)

    async def optional(self, connection: HTTPConnection) -> AsyncIterator[Session | None]:
        """The session, or None."""
        async with looked_up(self._sessions, self._token(connection), connection) as session:
            yield session

    async def begun(self, request: Request, response: Response) -> AsyncIterator[Session]:
        """The session; a new one goes into the cookie.

        A route that returns a response of its own (a stream) puts it there itself, with `cookie.set`: FastAPI then
        passes over what dependencies have set.
        """
        async with looked_up(self._sessions, self._token(request), request) as found:
            session = found or await self._sessions.aio.create()
            if found is None:
                self.set(response, session)
            yield session

    def set(self, response: Response, session: Session) -> None:
        """Let *response* give the session's token to the browser: after `log_in`, `rotate` and `create`."""
        left = session.record.ends_at - session.record.seen_at  # both by the store's clock
        response.set_cookie(
            self.name, session.token, max_age=int(left.total_seconds()), path="/", secure=self._secure,
            httponly=True, samesite="lax",
        )  # fmt: skip
        response.headers.setdefault("Cache-Control", "no-store")

    def delete(self, response: Response) -> None:
        """Let *response* take the token out of the browser: after `destroy`."""
        response.delete_cookie(self.name, path="/", secure=self._secure, httponly=True, samesite="lax")

    def _token(self, connection: HTTPConnection) -> str | None:
        """What the browser shows. If that opens nothing it is left where it is: the answer to a request from before a
        login may come after the login's, and would take away the new one.
        """
        host = hostname(connection)
        if not self._secure and not _is_this_machine(host):
            raise refusal(
                connection, 403, f"expected http://localhost, as secure=False is for development alone, got {host!r}: "
                "leave it out, and serve over HTTPS",
            )  # fmt: skip
        refuse_other_origins(connection, self._allowed_origins)
        return connection.cookies.get(self.name)


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
