"""`Website`: the pages of a site as documents, by its sitemap.

The rule: it asks one host, for what the sitemap or the caller names, and for no more of a page than it may hold. A page
that did not change is not sent again.
"""

from __future__ import annotations

import gzip
import html as entities
import io
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urldefrag, urlsplit

from tickwork.checks import check_whole, shown
from tickwork.documents.document import Doc, Listed, Same, Unreadable, id_of
from tickwork.documents.errors import InvalidDocumentError, SourceUnavailableError
from tickwork.documents.reasons import reason_of
from tickwork.documents.sources import html
from tickwork.documents.sources.readers import text_of_pdf
from tickwork.durations import Duration, read_duration
from tickwork.errors import InvalidJobError

if TYPE_CHECKING:
    import httpx
else:
    try:
        import httpx
    except ModuleNotFoundError:  # whoever constructs it is told how to get it
        httpx = None

LARGEST_PAGE = 20_000_000
"""Bytes, when it is unpacked."""
SLOWEST = 10
"""Times the timeout that a page may take, although its server never keeps silent for so long."""
MOST_REDIRECTS = 5
MOST_SITEMAPS = 500
LOCATION = re.compile(r"<loc>\s{0,999}(?:<!\[CDATA\[\s{0,999})?([^\s<\]]{1,9999})(?:\]\]>|\s|<)", re.IGNORECASE)
GONE = {404, 410}
PLAIN = {"text/plain", "text/markdown"}
PAGES = {"text/html", "application/xhtml+xml"}

log = logging.getLogger("tickwork.documents")


@dataclass(frozen=True, slots=True)
class Website:
    """The pages that *sitemap* names, or the sitemaps that it names, and those of *pages*; their ids are their URLs.

    HTML, text, and with `tickwork[files]` PDF. All are of one host: what is elsewhere, or leads there, is left out. A
    page is fetched again if its ETag or its time says so, or if it has neither. One that is not there (404, 410) is
    gone; one that cannot be fetched or read keeps its last good revision. A sitemap that cannot be fetched is a
    SourceUnavailableError, and deletes nothing; so are more than *most* pages.

    *headers* are sent along, such as those that let you in. *timeout* (seconds) is how long a server may keep silent; a
    page may take ten times as long.
    """

    sitemap: str | None = None
    pages: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: Duration = 20.0
    most: int = 10_000

    def __post_init__(self) -> None:
        if httpx is None:
            raise InvalidDocumentError(
                "Website: expected the package httpx, got none: pip install 'tickwork[documents]'"
            )
        if isinstance(self.pages, str) or not (self.sitemap or self.pages):
            raise InvalidDocumentError(
                f"Website: expected sitemap='https://...' or pages=[...], got {shown(self.sitemap)} and "
                f"{shown(self.pages)}"
            )
        for url in self._start():
            if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise InvalidDocumentError(
                    f"Website: expected addresses such as 'https://docs.example.com/', got {shown(url)}"
                )
        if len({_host(url) for url in self._start()}) > 1:
            raise InvalidDocumentError("Website: expected addresses of one host, got several: make a source of each")
        try:
            check_whole("Website most", self.most, most=1_000_000)
            read_duration("Website timeout", self.timeout)
        except InvalidJobError as error:
            raise InvalidDocumentError(str(error)) from None

    def __call__(self, versions: Mapping[str, str]) -> Iterator[Listed]:
        headers = {"User-Agent": "tickwork", **self.headers}
        with httpx.Client(headers=headers, timeout=self._patience) as client:
            for number, url in enumerate(self._urls(client)):
                if number >= self.most:
                    raise SourceUnavailableError(
                        f"Website: expected at most {self.most:,} pages, got more: raise most="
                    )
                listed = self._page(client, url, versions.get(url))
                if listed is not None:
                    yield listed

    @property
    def _patience(self) -> float:
        return read_duration("Website timeout", self.timeout).total_seconds()

    def _start(self) -> list[str]:
        return [*([] if self.sitemap is None else [self.sitemap]), *self.pages]

    def _urls(self, client: httpx.Client) -> Iterator[str]:
        """Each page once."""
        seen: set[str] = set()
        for named in (*self.pages, *self._named(client)):
            url = urldefrag(named).url
            if url not in seen:
                seen.add(url)
                yield url

    def _named(self, client: httpx.Client) -> Iterator[str]:
        waiting = [] if self.sitemap is None else [self.sitemap]
        read: set[str] = set()
        while waiting:
            url = waiting.pop(0)
            if url in read:
                continue
            read.add(url)
            if len(read) > MOST_SITEMAPS:
                raise SourceUnavailableError(f"Website: expected at most {MOST_SITEMAPS} sitemaps, got more")
            text = self._sitemap(client, url)
            ours: list[str] = []
            strangers: list[str] = []
            host = _host(url)
            for location in map(entities.unescape, LOCATION.findall(text)):
                (ours if _host(location) == host else strangers).append(location)
            if strangers:
                log.warning(
                    "sitemap %s names %d addresses of other hosts, which are left out: %s",
                    url,
                    len(strangers),
                    strangers[0],
                )
            if "<sitemapindex" in text[:10_000]:
                waiting += ours
            else:
                yield from ours

    def _sitemap(self, client: httpx.Client, url: str) -> str:
        try:
            answer = self._fetch(client, url, {})
            if answer.status != 200:
                raise SourceUnavailableError(f"Website: expected the sitemap {url}, got {answer.status}")
            content = answer.content
            if content.startswith(b"\x1f\x8b"):
                with gzip.open(io.BytesIO(content)) as unpacked:
                    content = unpacked.read(LARGEST_PAGE + 1)
            text = content.decode("utf-8-sig", "replace")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, EOFError, _RefusedError) as error:
            raise SourceUnavailableError(f"Website: expected the sitemap {url}, got {reason_of(error)}") from error
        if "<urlset" not in text and "<sitemapindex" not in text:
            raise SourceUnavailableError(f"Website: expected a sitemap at {url}, got {shown(text)}")
        return text

    def _page(self, client: httpx.Client, url: str, version: str | None) -> Listed | None:
        """None: it is gone."""
        try:
            answer = self._fetch(client, url, _if_changed(version))
            if answer.status == 304:
                return Same(url)
            if answer.status in GONE:
                return None
            if answer.status != 200:
                return Unreadable(url, f"HTTP status {answer.status}")
            text = _text_of(answer)
            return Doc(url, text, uri=url, version=_version(answer.headers), modified=_modified(answer.headers))
        except Exception as error:  # noqa: BLE001  the network, a page that is no text, a broken PDF
            return Unreadable(id_of(url), reason_of(error))

    def _fetch(self, client: httpx.Client, url: str, headers: dict[str, str]) -> _Answer:
        request = client.build_request("GET", url, headers=headers)
        for _ in range(MOST_REDIRECTS):
            if _host(str(request.url)) != _host(self._start()[0]):
                raise _RefusedError(
                    f"expected a page of the same host, got one that leads to {_host(str(request.url))}"
                )
            answer = client.send(request, stream=True)
            try:
                if answer.next_request is None:
                    content = b"".join(_bounded(answer, self._patience * SLOWEST))
                    return _Answer(answer.status_code, answer.headers, content)
                request = answer.next_request
            finally:
                answer.close()
        raise _RefusedError(f"expected at most {MOST_REDIRECTS} redirects, got more")


class _RefusedError(Exception):
    """What is not fetched."""


class _Answer(NamedTuple):
    status: int
    headers: Any
    content: bytes


def _bounded(answer: httpx.Response, patience: float) -> Iterator[bytes]:
    received, until = 0, time.monotonic() + patience
    for piece in answer.iter_bytes():
        if time.monotonic() > until:
            raise _RefusedError(f"it took longer than {patience:g} s")
        received += len(piece)
        if received > LARGEST_PAGE:
            raise _RefusedError(f"it has more than {LARGEST_PAGE:,} bytes")
        yield piece


def _text_of(answer: _Answer) -> str:
    kind, _, rest = answer.headers.get("Content-Type", "text/html").partition(";")
    charset = rest.partition("charset=")[2].strip(" \"'") or None
    match kind.strip().lower():
        case "application/pdf":
            return text_of_pdf(answer.content)
        case kind if kind in PAGES:
            return html.markdown_of(html.decoded(answer.content, charset))
        case kind if kind in PLAIN:
            return html.decoded(answer.content, charset)
        case kind:
            raise _RefusedError(f"expected HTML, text or PDF, got {kind[:100]}")


def _version(headers: Any) -> str | None:
    for name in ("ETag", "Last-Modified"):
        if (value := headers.get(name)) and len(value) <= 500:
            return f"{html.READS_AS} {name} {value}"
    return None


def _if_changed(version: str | None) -> dict[str, str]:
    """What asks for a page only if it is another than the one of that *version*."""
    reads_as, _, rest = (version or "").partition(" ")
    name, _, value = rest.partition(" ")
    if reads_as != html.READS_AS:
        return {}
    return {"If-None-Match" if name == "ETag" else "If-Modified-Since": value}


def _modified(headers: Any) -> datetime | None:
    try:
        modified = parsedate_to_datetime(headers.get("Last-Modified", ""))
    except ValueError:
        return None
    return modified if modified.tzinfo is not None else None


def _host(url: str) -> str:
    """Host and port, as far as they can be read."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    except ValueError:
        return ""
