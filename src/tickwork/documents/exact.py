"""The index that is none: every vector of the catalogue is compared.

Exact, always true, for any number of processes, and fast enough for tens of thousands of chunks (100,000 of 384
numbers take some 8 ms, once they are read). It serves while another index is built.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from tickwork.documents.catalogue import Catalogue, NewChunk
from tickwork.documents.index import Found


class ExactIndex:
    """A view of the vectors of *space* in the catalogue. It keeps those of one epoch in memory."""

    def __init__(self, catalogue: Catalogue, space: int) -> None:
        self._catalogue = catalogue
        self._space = space
        self._lock = threading.Lock()
        self._read: tuple[int, Any, Any] | None = None

    def add(self, chunks: Sequence[NewChunk], vectors: Sequence[Sequence[float]]) -> None:
        """The catalogue has them already."""

    def delete(self, chunks: Sequence[int]) -> None:
        """The catalogue shows them no more."""

    def query(self, vector: Sequence[float], limit: int, epoch: int) -> Found:
        numbers, matrix = self._vectors(epoch)
        if not len(numbers):
            return []
        scores = matrix @ np.asarray(vector, np.float32)
        best = np.argsort(-scores, kind="stable")[:limit]
        return [(int(numbers[place]), float(scores[place])) for place in best]

    def _vectors(self, epoch: int) -> tuple[Any, Any]:
        with self._lock:
            if self._read is None or self._read[0] != epoch:
                rows = self._catalogue.space(epoch, self._space)
                halves = np.frombuffer(b"".join(vector for _, vector in rows), "<f2")
                matrix = halves.astype(np.float32).reshape(len(rows), -1) if rows else halves
                self._read = epoch, np.array([number for number, _ in rows]), matrix
            return self._read[1:]
