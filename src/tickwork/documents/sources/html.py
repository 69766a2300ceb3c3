"""HTML as Markdown: headings, paragraphs, lists and code, without what frames a page.

By the parser of the standard library, which takes what browsers take. What is in `<main>` is the page, if it has one.
"""

from __future__ import annotations

import codecs
import re
from html.parser import HTMLParser

READS_AS = "html-1"
"""What is read from the same page changes with it."""
LEFT_OUT = {
    "aside", "button", "dialog", "footer", "form", "iframe", "nav", "noscript", "object", "script", "select", "style",
    "svg", "template", "textarea",
}  # fmt: skip
BLOCKS = {
    "address", "article", "blockquote", "body", "br", "caption", "dd", "div", "dl", "dt", "fieldset", "figcaption",
    "figure", "head", "header", "hr", "html", "li", "main", "ol", "p", "pre", "section", "summary", "table", "tbody",
    "thead", "title", "tr", "ul",
}  # fmt: skip
CELLS = {"td", "th"}
HEADINGS = {f"h{level}": level for level in range(1, 7)}
CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w:.-]{1,40})", re.IGNORECASE)
SEARCHED = 4_096
"""Bytes in which a page says how it is encoded."""
NO_ENCODINGS = {"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}
"""Python knows them, but no page is written in them, and some take hours."""
MOST_UNFINISHED = 10_000
"""Characters of a tag or comment that the page does not end: browsers leave out a longer one, too, and the parser would
look through all of them for each that could begin another."""


def markdown_of(html: str) -> str:
    """What a page says, its title first if it has no heading of the first level."""
    page = _Page()
    page.feed(html)
    if not page.rawdata.startswith("<") or len(page.rawdata) <= MOST_UNFINISHED:
        page.close()
    page.end_block()
    blocks = page.main or page.blocks
    if page.title and not any(block.startswith("# ") for block in blocks):
        blocks = [f"# {page.title}", *blocks]
    return "\n\n".join(blocks)


def decoded(page: bytes, charset: str | None = None) -> str:
    """The text of a page: by its byte order mark, by *charset*, by what it says itself, or as UTF-8.

    Raises UnicodeDecodeError for what is none.
    """
    if page.startswith(b"\xef\xbb\xbf"):
        return page.decode("utf-8-sig")
    said = CHARSET.search(page[:SEARCHED])
    for name in (charset, said[1].decode("ascii", "replace") if said else None):
        if name is not None:
            try:
                if codecs.lookup(name).name not in NO_ENCODINGS:
                    return page.decode(name)
            except LookupError:  # nobody knows such an encoding
                continue
    return page.decode("utf-8")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self.main: list[str] = []
        self.title = ""
        self._text: list[str] = []
        self._tag = ""
        self._left_out: dict[str, None] = {}
        """The tags that are open, in their order, each where it was first opened."""
        self._in_main = 0
        self._in_pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in LEFT_OUT:
            self._left_out.setdefault(tag)
        elif tag in BLOCKS or tag in HEADINGS:
            if tag == "br" and self._in_pre:
                self._text.append("\n")
                return
            self.end_block()
            self._tag = tag
            self._in_main += tag == "main"
            self._in_pre += tag == "pre"
        elif tag in CELLS and "".join(self._text).strip():
            self._text.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        if tag in LEFT_OUT:
            while tag in self._left_out:  # one that was never closed ends with what it stands in
                self._left_out.popitem()
        elif tag in BLOCKS or tag in HEADINGS:
            self.end_block()
            self._in_main -= tag == "main" and self._in_main > 0
            self._in_pre -= tag == "pre" and self._in_pre > 0
            if tag == "body":
                self._left_out.clear()

    def handle_data(self, data: str) -> None:
        if not self._left_out:
            self._text.append(data)

    def end_block(self) -> None:
        text, self._text, tag, self._tag = "".join(self._text), [], self._tag, ""
        block = text.strip("\n") if self._in_pre else " ".join(text.split())
        if not block.strip():
            return
        if tag == "title":
            self.title = self.title or block
            return
        if tag in HEADINGS:
            block = f"{'#' * HEADINGS[tag]} {block}"
        elif tag == "li":
            block = f"- {block}"
        elif self._in_pre:
            block = f"```\n{block}\n```"
        elif block[0] in "#`~":
            block = f"\\{block}"  # it is what the page says, and no mark
        self.blocks.append(block)
        if self._in_main:
            self.main.append(block)
