"""`Folder`: files as documents."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tickwork.checks import shown
from tickwork.documents.document import Doc, Listed, Same, Unreadable, id_of
from tickwork.documents.errors import InvalidDocumentError, SourceUnavailableError
from tickwork.documents.reasons import reason_of
from tickwork.documents.sources.readers import READERS, Reader, name_of, read_text

LARGEST_FILE = 20_000_000
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The files in *folder* whose paths match *pattern*; their ids are their paths within it.

    Markdown and text in UTF-8, HTML, and with `tickwork[files]` PDF. *readers* read others, or the same in another way:
    `{".docx": read_docx}`, where `read_docx(path)` returns Markdown. A file with an unchanged size and time is not
    read again. One that cannot be read, is no text, or is larger than 20 MB keeps its last good revision. A folder that
    does not exist, or in which one that *pattern* leads to cannot be read, is a SourceUnavailableError, and deletes
    nothing.
    """

    folder: str | Path
    pattern: str = "**/*.md"
    readers: Mapping[str, Reader] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str | Path) or not isinstance(self.pattern, str) or not self.pattern:
            raise InvalidDocumentError(
                f"Folder: expected a folder and a pattern such as '**/*.md', got {shown(self.folder)} and "
                f"{shown(self.pattern)}"
            )
        try:
            any(Path(os.devnull).glob(self.pattern))
        except (ValueError, NotImplementedError) as error:
            raise InvalidDocumentError(f"Folder: expected a pattern such as '**/*.md', got {error}") from None
        if ".." in Path(self.pattern).parts:
            raise InvalidDocumentError(
                f"Folder: expected a pattern of files within the folder, got {shown(self.pattern)}: name the "
                f"folder above"
            )
        for ending, reader in self.readers.items():
            if not isinstance(ending, str) or not ending.startswith(".") or not callable(reader):
                raise InvalidDocumentError(
                    f"Folder readers: expected endings with functions, such as {{'.docx': read_docx}}, got "
                    f"{shown(ending)}: {shown(reader)}"
                )

    def __call__(self, versions: Mapping[str, str]) -> Iterator[Listed]:
        root = Path(self.folder)
        if not root.is_dir():
            raise SourceUnavailableError(f"Folder: expected an existing folder, got {shown(str(root))}: create it")
        try:
            paths = self._paths(root)
        except OSError as error:
            raise SourceUnavailableError(f"Folder: expected to read all of {root}, got {error}") from error
        for path in paths:
            if path.is_file() and path.resolve().is_relative_to(root.resolve()):
                yield self._read(path, id_of(path.relative_to(root).as_posix()), versions)

    def _paths(self, root: Path) -> list[Path]:
        """All that match. OSError for a folder that may hold some and cannot be read: to `glob` they are gone."""
        parts = Path(self.pattern).parts
        for place, folders, _ in os.walk(root, onerror=_refuse):
            depth = len(Path(place).relative_to(root).parts)
            if "**" not in parts[: depth + 1]:  # else it goes on below any of them
                folders[:] = fnmatch.filter(folders, parts[depth]) if depth + 1 < len(parts) else []
        return sorted(root.glob(self.pattern))

    def _read(self, path: Path, id: str, versions: Mapping[str, str]) -> Listed:
        ending = path.suffix.lower()
        reader = self.readers.get(ending) or READERS.get(ending, read_text)
        try:
            status = path.stat()
            version = f"{status.st_mtime_ns}-{status.st_size}"
            if reader is not read_text:
                version = f"{version} {name_of(reader)}"[:500]
            if versions.get(id) == version:
                return Same(id)
            if status.st_size > LARGEST_FILE:
                return Unreadable(id, f"it has {status.st_size:,} bytes, and {LARGEST_FILE:,} are the most")
            modified = datetime.fromtimestamp(status.st_mtime, UTC)
            return Doc(id, reader(path), uri=id_of(str(path)), version=version, modified=modified)
        except Exception as error:  # noqa: BLE001  no right to read it, no UTF-8, a broken PDF, a reader of somebody
            return Unreadable(id, reason_of(error))


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # that one was deleted meanwhile
        raise error
