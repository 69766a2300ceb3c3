"""The dashboard: pages, their style and their scripts, as they lie in `static/`.

The rule: nothing is built, nothing is rendered, and nothing comes from elsewhere. The page knows the API
by names relative to its own, so it works below any prefix and behind any proxy; data is only ever text in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Asset:
    path: str
    file: str
    media_type: str


ASSETS = (
    Asset("/", "dashboard.html", "text/html"),
    Asset("/dashboard.css", "dashboard.css", "text/css"),
    Asset("/dashboard.js", "dashboard.js", "text/javascript"),
    Asset("/page.js", "page.js", "text/javascript"),
)


def add_dashboard(router: APIRouter, assets: Sequence[Asset] = ASSETS) -> None:
    """Serve a page at the router's root, to whom the router's dependencies let in."""
    for asset in assets:
        router.add_api_route(asset.path, _serve(asset), include_in_schema=False)
    if router.prefix:
        router.add_api_route("", _to_the_slash(router.prefix), include_in_schema=False)


def _serve(asset: Asset) -> Callable[[Request], Awaitable[Response]]:
    body = files("tickwork.fastapi").joinpath("static", asset.file).read_bytes()
    headers = {**HEADERS, "ETag": f'"{sha256(body).hexdigest()[:16]}"'}

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=asset.media_type, headers=headers)

    return serve


def _to_the_slash(prefix: str) -> Callable[[], Awaitable[Response]]:
    """The page's names are relative to its own, which has to end in a slash.

    So is the redirect: behind a proxy that adds a prefix of its own, the absolute path is not known here.
    """

    async def redirect() -> Response:
        return RedirectResponse(f"{prefix.rpartition('/')[2]}/")

    return redirect
