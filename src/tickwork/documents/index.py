"""What an index is: it finds the chunks whose vectors lie nearest to one.

The rule: it is derived from the catalogue and holds at least the chunks that any reader may still see. What it finds
beyond those, the catalogue leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from tickwork.documents.catalogue import NewChunk

Found: TypeAlias = list[tuple[int, float]]
"""The numbers of chunks, each with the cosine, the nearest first."""


class Index(Protocol):
    """Chunks by their vectors. Used from any thread; adding and deleting again changes nothing."""

    def add(self, chunks: Sequence[NewChunk], vectors: Sequence[Sequence[float]]) -> None: ...

    def delete(self, chunks: Sequence[int]) -> None: ...

    def query(self, vector: Sequence[float], limit: int, epoch: int) -> Found: ...
