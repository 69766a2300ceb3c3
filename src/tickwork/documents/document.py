"""The values of documents: what a source yields, and what a search finds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, TypeAlias

from tickwork.checks import shown
from tickwork.clock import aware_utc, to_micros
from tickwork.documents.errors import InvalidDocumentError
from tickwork.errors import InvalidJobError

MOST_CHARACTERS = 50_000_000
"""A longer text is no document, but a mistake."""
LONGEST_ID = 2_000
MOST_META = 64 * 1024
"""Characters of JSON."""


@dataclass(frozen=True, slots=True)
class Doc:
    """A document, as its source has it now. Raises InvalidDocumentError for what cannot be kept.

    *id* is its name within its source. *version* is anything that changes whenever the document does (an ETag, a
    time): the source may yield `Same(id)` instead as long as it is what `known` says. *meta* is plain JSON, and what
    `where` filters by.
    """

    id: str
    text: str
    uri: str | None = None
    version: str | None = None
    modified: datetime | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_id(self.id)
        _check_text(self.id, "text", self.text, MOST_CHARACTERS)
        for name in ("uri", "version"):
            if getattr(self, name) is not None:
                _check_text(self.id, name, getattr(self, name), LONGEST_ID)
        if self.modified is not None:
            try:
                object.__setattr__(self, "modified", aware_utc(self.modified, "modified"))
            except InvalidJobError as error:
                raise InvalidDocumentError(f"document {shown(self.id)}: {error}") from None
        _check_meta(self.id, self.meta)

    def fingerprint(self, splitter: str) -> str:
        """The same as long as nothing of the document changes, nor how it is split."""
        modified = None if self.modified is None else to_micros(self.modified)
        rest = json.dumps([splitter, self.uri, modified, self.meta], sort_keys=True)
        return blake2b(f"{rest}\n{self.text}".encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Same:
    """A document that still has the version that the source knew: confirmed, without its text."""

    id: str

    def __post_init__(self) -> None:
        check_id(self.id)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that exists and cannot be read just now. Its last good revision stays, and its trouble is visible."""

    id: str
    reason: str

    def __post_init__(self) -> None:
        check_id(self.id)


Listed: TypeAlias = Doc | Same | Unreadable


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document, found as one. *heading* is the path of headings above it."""

    text: str
    heading: str = ""

    @property
    def embedded(self) -> str:
        """What is embedded: a paragraph says more under its headings."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text

    @property
    def is_text(self) -> bool:
        """Whether it is text, which can be kept, and no binary data."""
        return all(isinstance(part, str) and "\0" not in part and _encodes(part) for part in (self.text, self.heading))

    @property
    def hash(self) -> str:
        return blake2b(self.embedded.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far an answer can be trusted to be what its source says now."""

    revision: int
    """1 when the document was first seen, and one more with each change."""
    modified_at: datetime | None
    """When its author changed it, if the source says so."""
    indexed_at: datetime
    """When this revision became searchable."""
    checked_at: datetime
    """When the sync began that last found it unchanged at its source, or wrote it."""
    age: timedelta
    """How long ago that was."""
    stale: bool
    """Whether that is longer than was asked for, or than its source promises."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a search found."""

    text: str
    score: float
    """The cosine of the angle to the question: 1 means the same, 0 nothing in common."""
    source: str
    doc_id: str
    position: int
    """Which chunk of its document this is, from 0."""
    heading: str
    uri: str | None
    meta: Mapping[str, Any]
    freshness: Freshness


def check_id(id: object) -> None:
    """InvalidDocumentError unless *id* can name a document."""
    if not isinstance(id, str) or not 0 < len(id) <= LONGEST_ID or "\0" in id or not _encodes(id):
        raise InvalidDocumentError(f"document: expected an id of 1 to {LONGEST_ID} characters, got {shown(id)}")


def id_of(name: str) -> str:
    """An id for what others have named: what none may have is written out, and what is too long is cut."""
    written = name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0") or "''"
    if len(written) <= LONGEST_ID:
        return written
    return f"{written[: LONGEST_ID - 36]}... {blake2b(written.encode(), digest_size=16).hexdigest()}"


def _check_text(id: str, name: str, text: object, most: int) -> None:
    if not isinstance(text, str):
        raise InvalidDocumentError(f"document {shown(id)}: expected {name} as a string, got {shown(text)}")
    if len(text) > most:
        raise InvalidDocumentError(
            f"document {shown(id)}: expected a {name} of at most {most:,} characters, got {len(text):,}: split it"
        )
    if "\0" in text or not _encodes(text):
        raise InvalidDocumentError(
            f"document {shown(id)}: expected a {name} of characters, got binary data: decode it, or leave it out"
        )


def _check_meta(id: str, meta: object) -> None:
    try:
        kept = (
            json.dumps(meta, allow_nan=False, ensure_ascii=False, sort_keys=True) if isinstance(meta, Mapping) else None
        )
    except (TypeError, ValueError, RecursionError):
        kept = None
    if kept is None or len(kept) > MOST_META or not _encodes(kept):
        raise InvalidDocumentError(
            f"document {shown(id)}: expected meta as a mapping that is plain JSON of at most {MOST_META:,} "
            f"characters, got {shown(meta)}"
        )


def _encodes(text: str) -> bool:
    """Whether it is Unicode: half a surrogate pair is not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
