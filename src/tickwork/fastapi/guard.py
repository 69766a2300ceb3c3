"""Who may call, where the app has not said so: what a browser can be tricked into is refused.

Two tricks are met here. A page elsewhere may send a request to this server with its visitor's cookies, or from
behind its visitor's firewall (cross-site request forgery). And it may let its own name point at this server, so
that the browser takes both for one site (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.params import Depends as Dependency
from starlette.types import Message, Receive

from tickwork.checks import shown
from tickwork.errors import did_you_mean

MAX_NAME = 200
"""Letters of a name that are kept."""
KNOWN_PARAMETERS = "tickwork.known_parameters"
"""Where a request has the names that its URL may ask for."""
MAX_BODY = 16 * 1024
"""Bytes; the longest body that tickwork has a use for is a reason."""


def name_of(caller: Dependency | None) -> Any:
    """A dependency that gives the name of who calls, as *caller* tells it: the app's word, and never the request's.

    What a name may not hold is replaced, so that a display name of any kind can be kept.
    """

    def name(told: Any = caller or Depends(_nobody)) -> str | None:
        if told is not None and not isinstance(told, str):
            raise TypeError(f"create_router: expected caller to return a name or None, got {type(told).__name__}")
        printable = "".join(letter if letter.isprintable() else "?" for letter in (told or "").strip())
        return printable[:MAX_NAME] or None

    return Depends(name)


def _nobody() -> None:
    """Nothing says who calls."""


async def refuse_simple_requests(request: Request) -> None:
    """A change is asked for in JSON.

    Browsers send forms and plain text to any site unasked. A request with a JSON body they send elsewhere
    only if that site agrees first (a CORS preflight), so the app's own CORS policy decides; DELETE likewise.
    What the browser itself marks as coming from the same origin needs no JSON, such as the page of the API's
    description: no script can write these headers. Nor does a program that names no content type: `curl -X POST`.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    asked_in_json = content_type == "application/json" or (not content_type and not _of_browser(request))
    if request.method == "POST" and not asked_in_json and not _of_same_origin(request):
        raise HTTPException(
            415,
            f"expected a request with the header 'Content-Type: application/json', got {content_type or 'none'!r}: "
            "send it along, with or without a body; a form on another site cannot",
        )


def _of_browser(request: Request) -> bool:
    """Whether a page may have sent it: with each POST a browser says whose page it is, if only `Origin: null`."""
    return "origin" in request.headers or "sec-fetch-site" in request.headers


def _of_same_origin(request: Request) -> bool:
    """Whether a browser says that a page of this very server sent it: by the newer header, which it sends over HTTPS
    and to this machine, or by the older one. A page over HTTP does not count as one over HTTPS, which it could forge.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    scheme, _, origin = request.headers.get("origin", "").lower().partition("://")
    return (
        bool(origin) and origin == request.headers.get("host", "").lower() and scheme in ("https", request.url.scheme)
    )


def refuse_unknown_parameters(request: Request) -> None:
    """What is misspelt in a URL is refused, and not passed over as if it had not been asked for.

    What the dependencies of the app declare is known; a route notes it where this looks.
    """
    known: Collection[str] | None = request.scope.get(KNOWN_PARAMETERS)
    unknown = [] if known is None else [name for name in request.query_params if name not in known]
    if unknown:
        raise HTTPException(422, f"query: {unexpected(unknown[0], sorted(known or ()))}")


def unexpected(name: str, known: Collection[str]) -> str:
    """What is wrong with a *name* that is none of those *known*."""
    near = did_you_mean(name, known)
    return f"expected {', '.join(known) or 'nothing'}, got {shown(name)}{near if near.startswith(' (did') else ''}"


def refuse_strangers(allowed_hosts: Collection[str]) -> Callable[[Request], Awaitable[None]]:
    """For a router that nothing else protects: it answers to its own names, and to pages of its own.

    Its own names are IP addresses, `localhost`, names without a dot, and *allowed_hosts*: no one else can
    let such a name point here. `*` among them lets every name pass, and case makes no difference. Pages of
    `localhost`, on any port, count as its own: a front end in development.
    """
    allowed = {host.lower() for host in allowed_hosts}

    async def check(request: Request) -> None:
        if "*" in allowed:
            return
        host = _hostname(f"//{request.headers.get('host', '')}")
        if not (_is_local(host) or host in allowed):
            raise HTTPException(
                403,
                f"expected to be called by a local name, as nothing protects this router, got {host!r}: "
                f"pass allowed_hosts=[{host!r}] to create_router, or better, dependencies",
            )
        origin = request.headers.get("origin")
        source = None if origin is None else _hostname(origin)
        if source is not None and source not in (host, "localhost", *allowed):
            raise HTTPException(
                403,
                f"expected a request from a page of {host!r}, as nothing protects this router, got {origin!r}: "
                f"pass allowed_hosts=[{source!r}] to create_router if that is one of yours",
            )

    return check


def refuse_long_bodies(request: Request, most: int = MAX_BODY) -> Request:
    """*request*, but whoever reads its body gets no more of it than *most* bytes.

    What it says of its length is believed before anything is read, and what comes is counted: it may say nothing.
    """
    announced = request.headers.get("content-length", "")
    receive, received = request.receive, 0

    async def receive_counting() -> Message:
        nonlocal received
        if announced.isdecimal() and int(announced[:12]) > most:  # Python refuses to read thousands of digits
            raise _too_long(most)
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise _too_long(most)
        return message

    counting: Receive = receive_counting
    return Request(request.scope, counting)


def _too_long(most: int) -> HTTPException:
    return HTTPException(413, f"expected a body of at most {most} bytes, got more: send no more than is asked for")


def _is_local(host: str) -> bool:
    if host.endswith(".localhost") or (host and "." not in host):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _hostname(url: str) -> str:
    """The host in *url*, or '' if there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
