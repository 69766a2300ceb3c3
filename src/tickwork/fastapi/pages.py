"""Pages for people: each a few HTML files and scripts as they lie in a folder, in a frame that all of them share.

The rule: nothing is built, nothing comes from elsewhere, and no data is ever written into the HTML. A page knows the
API by names relative to its own, so it works below any prefix and behind any proxy; data is only ever text in it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.routing import NoMatchFound

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
STATIC = files("tickwork.fastapi").joinpath("static")
SHARED = (("page.css", "text/css"), ("page.js", "text/javascript"))

_links: dict[str, str] = {}
"""The pages that routers of this process have, by the names of their routes: what links to them says."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: `<name>.html` is what stands in the frame, and `<name>.js`, a module, makes it live.

    *link* is what the other pages call it where they link to it, *also* where those who have no JavaScript find the
    same. The files are tickwork's own, or lie in *folder*.
    """

    name: str
    title: str
    link: str
    also: str
    folder: Path | None = None

    def read(self, file: str) -> bytes:
        return (self.folder or STATIC).joinpath(file).read_bytes()


def add_page(router: APIRouter, page: Page) -> None:
    """Serve *page* at the router's root, to whom the router's dependencies let in."""
    link = f"tickwork page: {page.link}"
    _links[link] = page.link
    router.add_api_route("/", _serve_page(page, link), include_in_schema=False, name=link)
    script = f"{page.name}.js"
    router.add_api_route(f"/{script}", _serve(page.read(script), "text/javascript"), include_in_schema=False)
    for file, media_type in SHARED:
        router.add_api_route(
            f"/{file}", _serve(STATIC.joinpath(file).read_bytes(), media_type), include_in_schema=False
        )
    if router.prefix:
        router.add_api_route("", _to_the_slash(router.prefix), include_in_schema=False)


def _serve_page(page: Page, link: str) -> Callable[[Request], Awaitable[Response]]:
    frame = Template(STATIC.joinpath("frame.html").read_text("utf-8"))
    words = {"name": page.name, "title": escape(page.title), "also": escape(page.also)}
    main = page.read(f"{page.name}.html").decode()

    async def serve(request: Request) -> Response:
        body = frame.substitute(words, links=_links_from(request, link), main=main).encode()
        return _answer(request, body, "text/html")

    return serve


def _links_from(request: Request, own: str) -> str:
    """Where this app has the other pages, relative to this one: what a proxy put before them is not known here."""
    here = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    items = []
    for name, said in _links.items():
        if name == own:
            items.append(f'<li><a href="./" aria-current="page">{escape(said)}</a></li>')
            continue
        try:
            there = request.app.url_path_for(name)
        except NoMatchFound:  # it is not mounted in this app, or its prefix has parameters
            continue
        items.append(f'<li><a href="{escape(posixpath.relpath(there, here))}/">{escape(said)}</a></li>')
    return "".join(items) if len(items) > 1 else ""


def _serve(body: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return _answer(request, body, media_type)

    return serve


def _answer(request: Request, body: bytes, media_type: str) -> Response:
    headers = {**HEADERS, "ETag": f'"{sha256(body).hexdigest()[:16]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _to_the_slash(prefix: str) -> Callable[[], Awaitable[Response]]:
    """The page's names are relative to its own, which has to end in a slash.

    So is the redirect: behind a proxy that adds a prefix of its own, the absolute path is not known here.
    """

    async def redirect() -> Response:
        return RedirectResponse(f"{prefix.rpartition('/')[2]}/")

    return redirect
