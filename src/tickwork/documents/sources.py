"""Sources: what lists the documents there are, and `Folder`, which lists files."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from tickwork.checks import shown
from tickwork.documents.document import Doc, Listed, Same, Unreadable
from tickwork.documents.errors import InvalidDocumentError
from tickwork.documents.splitting import Splitter

Listing: TypeAlias = Iterable[Listed] | AsyncIterable[Listed]
List: TypeAlias = Callable[..., Listing]
"""Lists the documents of a source, called with the versions that are live by id, or with nothing."""

LARGEST_FILE = 20_000_000


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


@dataclass(frozen=True, slots=True)
class Folder:
    """The files in *folder* whose paths match *pattern*, as UTF-8 text; their ids are their paths within it.

    A file with an unchanged size and time is not read again. One that cannot be read, is no text, or is larger than
    20 MB keeps its last good revision. A folder that does not exist fails, and deletes nothing.
    """

    folder: str | Path
    pattern: str = "**/*.md"

    def __call__(self, versions: Mapping[str, str]) -> Iterator[Listed]:
        root = Path(self.folder)
        if not root.is_dir():
            raise InvalidDocumentError(f"Folder: expected an existing folder, got {shown(str(root))}: create it")
        for path in sorted(root.glob(self.pattern)):
            if path.is_file() and path.resolve().is_relative_to(root.resolve()):
                yield _read(path, path.relative_to(root).as_posix(), versions)


def _read(path: Path, id: str, versions: Mapping[str, str]) -> Listed:
    try:
        status = path.stat()
        version = f"{status.st_mtime_ns}-{status.st_size}"
        if versions.get(id) == version:
            return Same(id)
        if status.st_size > LARGEST_FILE:
            return Unreadable(id, f"it has {status.st_size:,} bytes, and {LARGEST_FILE:,} are the most")
        text = path.read_text("utf-8-sig")
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return Doc(id, text, uri=str(path), version=version, modified=modified)
    except (OSError, ValueError) as error:  # no right to read it, no UTF-8, zero bytes in it
        return Unreadable(id, f"{type(error).__name__}: {error}")


def _wants_versions(list: List) -> bool:
    """Whether it takes an argument."""
    return bool(inspect.signature(list).parameters)
