"""Readers: what makes text of a file, by the end of its name."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from tickwork.documents.document import MOST_CHARACTERS
from tickwork.documents.errors import InvalidDocumentError
from tickwork.documents.sources import html

Reader: TypeAlias = Callable[[Path], str]
"""Makes Markdown or plain text of a file. What it raises is why that file keeps its last good revision."""


def read_text(path: Path) -> str:
    """A file in UTF-8."""
    return path.read_text("utf-8-sig")


def read_html(path: Path) -> str:
    """A page, as Markdown."""
    return html.markdown_of(html.decoded(path.read_bytes()))


def read_pdf(path: Path) -> str:
    """The text of a PDF, page by page. Needs `tickwork[files]`."""
    return text_of_pdf(path.read_bytes())


def text_of_pdf(content: bytes) -> str:
    try:
        import pypdf  # noqa: PLC0415  it is an extra
    except ImportError as error:
        raise InvalidDocumentError(f"expected pypdf, got {error}: pip install 'tickwork[files]'") from None
    pages: list[str] = []
    length = 0
    for page in pypdf.PdfReader(io.BytesIO(content)).pages:
        pages.append(page.extract_text().strip())
        length += len(pages[-1])
        if length > MOST_CHARACTERS:  # a page may stand in it a thousand times
            raise InvalidDocumentError(f"expected a PDF with at most {MOST_CHARACTERS:,} characters, got more")
    text = "\n\n".join(pages).replace("\0", "")
    if not text.strip():
        raise InvalidDocumentError("expected a PDF with text in it, got pictures of it: recognise their letters first")
    return text.encode("utf-8", "replace").decode()  # some fonts name half a surrogate pair


READERS: Mapping[str, Reader] = {".html": read_html, ".htm": read_html, ".pdf": read_pdf}
"""All others are read as text."""


def name_of(reader: Reader) -> str:
    """What a file was read by: it is read again when that is another."""
    if reader is read_html:
        return html.READS_AS
    return f"{getattr(reader, '__module__', '')}:{getattr(reader, '__qualname__', type(reader).__qualname__)}"
