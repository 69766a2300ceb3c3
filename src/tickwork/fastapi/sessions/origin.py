"""From which pages a browser may send a session along (cross-site request forgery).

The rule: what changes something comes from a page of this server, or of an origin that the app has named. SameSite=Lax
keeps the cookie from other sites; but a page on another subdomain or port is of the same site, and refused here. So is
a login from elsewhere, which needs no cookie, and would make its visitor work in the session of somebody else.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi.requests import HTTPConnection

from tickwork.checks import shown
from tickwork.errors import InvalidSessionError
from tickwork.fastapi.sessions.answers import refusal

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
OWN_SITES = ("same-origin", "none")
"""What a browser says of a request from a page of this very server, and of one that its user typed."""
SCHEMES_OF_PAGES = {"ws": "http", "wss": "https"}
"""Of the pages that may open a WebSocket."""


def refuse_other_origins(connection: HTTPConnection, allowed_origins: Collection[str]) -> None:
    """403 for a change, or a WebSocket, that a page of another origin asks for.

    The browser says from where: in Sec-Fetch-Site, which no script can write, or else in Origin. What says neither is
    no browser, and has no visitor's cookie.
    """
    if connection.scope["type"] == "http" and connection.scope["method"] in SAFE_METHODS:
        return
    origin = connection.headers.get("origin")
    site = connection.headers.get("sec-fetch-site")
    ours = _is_ours(connection, origin) if site is None else site in OWN_SITES
    if not ours and origin not in allowed_origins:
        raise refusal(
            connection, 403, f"expected a request from a page of this server, got one from {origin or site!r}: "
            "name its origin in allowed_origins if that is one of yours",
        )  # fmt: skip


def check_origins(origins: Collection[str]) -> frozenset[str]:
    """InvalidSessionError unless all are origins, such as https://app.example.com."""
    if isinstance(origins, str) or not isinstance(origins, Collection):
        raise InvalidSessionError(f"allowed_origins: expected a list of origins, got {shown(origins)}")
    for origin in origins:
        scheme, _, host = origin.partition("://") if isinstance(origin, str) else ("", "", "")
        if scheme not in ("http", "https") or not host or host != host.lower() or set(host) & set("/?#@*, "):
            raise InvalidSessionError(
                f"allowed_origins: expected origins such as 'https://app.example.com', got {shown(origin)}"
            )
    return frozenset(origins)


def hostname(connection: HTTPConnection) -> str:
    """By which name the server was called, or '' if that cannot be told."""
    try:
        return urlsplit(f"//{connection.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_ours(connection: HTTPConnection, origin: str | None) -> bool:
    if origin is None:
        return True
    scheme, _, host = origin.lower().partition("://")
    here = SCHEMES_OF_PAGES.get(connection.url.scheme, connection.url.scheme)
    # a proxy may have taken the TLS off; but a page over HTTP, which could be forged, is no page of one over HTTPS
    return bool(host) and host == connection.headers.get("host", "").lower() and scheme in ("https", here)
