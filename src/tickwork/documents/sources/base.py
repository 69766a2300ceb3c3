"""What a source is: it lists the documents there are."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from tickwork.checks import shown
from tickwork.documents.document import Listed
from tickwork.documents.errors import InvalidDocumentError
from tickwork.documents.splitting import Splitter

Listing: TypeAlias = Iterable[Listed] | AsyncIterable[Listed]
List: TypeAlias = Callable[..., Listing]
"""Lists the documents of a source, called with the versions that are live by id, or with nothing."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source as it was declared."""

    name: str
    list: List
    splitter: Splitter
    partial: bool = False
    """Whether a listing may leave out documents that still exist: then nothing is deleted."""
    max_staleness: timedelta | None = None
    """How long its documents may go unconfirmed. None: no promise is made."""

    def listing(self, versions: Mapping[str, str]) -> Listing:
        """What it has now. InvalidDocumentError if that is no listing."""
        listing = self.list(versions) if _wants_versions(self.list) else self.list()
        if not isinstance(listing, Iterable | AsyncIterable):
            if inspect.iscoroutine(listing):
                listing.close()
            raise InvalidDocumentError(
                f"source {self.name!r}: expected a generator of documents, got {shown(listing)}: write yield in it"
            )
        return listing


def _wants_versions(list: List) -> bool:
    """Whether it takes an argument."""
    return bool(inspect.signature(list).parameters)
