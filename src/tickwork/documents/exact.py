"""The index that is none: every vector of the catalogue is compared.

Exact, always true, for any number of processes, and fast enough for tens of thousands of chunks (100,000 of 384
numbers take some 8 ms, once they are read). It serves while another index is built.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from tickwork.documents.catalogue import Catalogue, NewChunk
from tickwork.documents.index import Found

READ_AT_ONCE = 10_000


class ExactIndex:
    """A view of the vectors of *space* in the catalogue. It keeps those of one epoch in memory, and reads for the next
    one what is new in it.
    """

    def __init__(self, catalogue: Catalogue, space: int) -> None:
        self._catalogue = catalogue
        self._space = space
        self._lock = threading.Lock()
        self._epoch: int | None = None
        self._held: tuple[Any, Any] = np.array([], np.int64), np.empty((0, 0), np.float32)
        """The numbers of its chunks, and their vectors."""

    def add(self, chunks: Sequence[NewChunk], vectors: Sequence[Sequence[float]]) -> None:
        """The catalogue has them already."""

    def delete(self, chunks: Sequence[int]) -> None:
        """The catalogue shows them no more."""

    def query(self, vector: Sequence[float], limit: int, epoch: int) -> Found:
        with self._lock:
            if self._epoch != epoch:
                self._held = self._of(epoch)
                self._epoch = epoch
            held = self._held
        return _nearest(vector, limit, *held)

    def query_among(self, chunks: Sequence[int], vector: Sequence[float], limit: int) -> Found:
        """The nearest of these *chunks*, of which alone the vectors are read."""
        return _nearest(vector, limit, *self._read(chunks))

    def _of(self, epoch: int) -> tuple[Any, Any]:
        numbers, matrix = self._held
        shown = np.array(self._catalogue.shown(epoch), np.int64)
        stays, new = np.isin(numbers, shown), np.setdiff1d(shown, numbers, assume_unique=True)
        if not stays.all():
            numbers, matrix = numbers[stays], matrix[stays]
        if not len(new):
            return numbers, matrix
        read, vectors = self._read(new.tolist())
        if not len(numbers):
            return read, vectors
        if not len(read):
            return numbers, matrix
        return np.concatenate([numbers, read]), np.concatenate([matrix, vectors])

    def _read(self, chunks: Collection[int]) -> tuple[Any, Any]:
        numbers, matrices = [np.array([], np.int64)], []
        for start in range(0, len(chunks), READ_AT_ONCE):
            rows = self._catalogue.space([*chunks][start : start + READ_AT_ONCE], self._space)
            if rows:
                numbers.append(np.array([number for number, _ in rows], np.int64))
                halves = np.frombuffer(b"".join(vector for _, vector in rows), "<f2")
                matrices.append(halves.astype(np.float32).reshape(len(rows), -1))
        return np.concatenate(numbers), np.concatenate(matrices) if matrices else np.empty((0, 0), np.float32)


def _nearest(vector: Sequence[float], limit: int, numbers: Any, matrix: Any) -> Found:
    """By the cosine; of the same, the one with the lower number first."""
    if not len(numbers):
        return []
    scores = matrix @ np.asarray(vector, np.float32)
    best = np.arange(len(scores))
    if limit < len(scores):
        best = np.flatnonzero(scores >= -np.partition(-scores, limit - 1)[limit - 1])
    best = best[np.lexsort((numbers[best], -scores[best]))][:limit]
    return [(int(numbers[place]), float(scores[place])) for place in best]
