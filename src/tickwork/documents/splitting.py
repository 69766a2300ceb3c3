"""How a document is cut into chunks: at headings, fences and paragraphs, and by content.

The rule: whether a chunk ends after a block depends on that block alone, not on how many came before. So a
paragraph that is inserted changes the chunk it stands in, and the cuts behind it stay where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from tickwork.checks import shown
from tickwork.documents.document import Chunk
from tickwork.documents.errors import InvalidDocumentError

HEADING = re.compile(r"(?P<level>#{1,6})[ \t]+(?P<title>\S.*)")
FENCE = re.compile(r"[ ]{0,3}(?P<mark>`{3,}|~{3,})")
SENTENCE_ENDS = re.compile(r"(?<=[.!?。])\s+|\n")
CUTS_ONE_IN = 3
"""Of the blocks that a chunk could end after, one in so many ends it."""


class Splitter(Protocol):
    """Cuts texts into chunks. *identity* changes whenever it would cut otherwise: then all is split anew."""

    @property
    def identity(self) -> str: ...

    def split(self, text: str) -> Sequence[Chunk]: ...


@dataclass(frozen=True, slots=True)
class BlockSplitter:
    """Markdown and plain text in chunks of *least* to *most* characters, where its blocks allow that.

    A heading begins a chunk, and stands above each chunk under it; a fence stays whole if it can.
    """

    least: int = 250
    most: int = 1_000

    def __post_init__(self) -> None:
        if not (isinstance(self.least, int) and isinstance(self.most, int) and 0 < self.least <= self.most <= 100_000):
            raise InvalidDocumentError(
                f"BlockSplitter: expected 0 < least <= most <= 100,000, got least={shown(self.least)}, "
                f"most={shown(self.most)}"
            )

    @property
    def identity(self) -> str:
        return f"blocks-2 {self.least}-{self.most}"

    def split(self, text: str) -> Sequence[Chunk]:
        chunks: list[Chunk] = []
        headings: list[tuple[int, str]] = []
        waiting: list[str] = []

        def cut() -> None:
            if waiting:
                chunks.append(Chunk("\n\n".join(waiting), " > ".join(title for _, title in headings)))
                waiting.clear()

        for block in _blocks(text):
            if heading := HEADING.fullmatch(block):
                cut()
                level = len(heading["level"])
                headings = [above for above in headings if above[0] < level]
                headings.append((level, _title(heading["title"])))
                continue
            for part in self._fitting(block):
                if waiting and _length(waiting) + len(part) > self.most:
                    cut()
                waiting.append(part)
                if _length(waiting) >= self.least and crc32(part.encode()) % CUTS_ONE_IN == 0:
                    cut()
        cut()
        return chunks or _bare_headings(headings)

    def _fitting(self, block: str) -> Iterator[str]:
        """The block, or its parts if it is longer than a chunk may be: by sentences, and at last by length."""
        if len(block) <= self.most:
            yield block
            return
        part = ""
        for sentence in SENTENCE_ENDS.split(block):
            for start in range(0, len(sentence), self.most):
                piece = sentence[start : start + self.most]
                if part and len(part) + 1 + len(piece) > self.most:
                    yield part
                    part = ""
                part = f"{part} {piece}" if part else piece
        if part.strip():
            yield part


def _blocks(text: str) -> Iterator[str]:
    """Headings, fences and paragraphs, in their order."""
    lines: list[str] = []
    fence: str | None = None
    for line in text.splitlines():
        mark = FENCE.match(line)
        if fence is not None:
            lines.append(line)
            if mark and mark["mark"].startswith(fence) and not line.strip().strip(fence[0]):
                yield "\n".join(lines)
                lines, fence = [], None
        elif mark:
            if lines:
                yield "\n".join(lines)
            lines, fence = [line], mark["mark"]
        elif HEADING.fullmatch(line) or not line.strip():
            if lines:
                yield "\n".join(lines)
            lines = []
            if line.strip():
                yield line
        else:
            lines.append(line.rstrip())
    if lines:
        yield "\n".join(lines)


def _title(written: str) -> str:
    """Without the marks that may close a heading: "Fees ##" is "Fees", and "C#" is "C#"."""
    title = written.rstrip()
    bare = title.rstrip("#")
    return bare.rstrip() if bare != bare.rstrip() else title


def _length(blocks: Sequence[str]) -> int:
    return sum(map(len, blocks)) + 2 * len(blocks)


def _bare_headings(headings: Sequence[tuple[int, str]]) -> Sequence[Chunk]:
    """A document of headings alone can still be found."""
    return [Chunk(" > ".join(title for _, title in headings))] if headings else []
