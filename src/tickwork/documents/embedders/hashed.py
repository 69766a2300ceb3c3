"""The embedder without a model: it matches words and their parts, not meaning.

For tests, and for machines without the extra. "Password" finds "passwords"; "credentials" finds neither.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

from tickwork.documents.errors import InvalidDocumentError

WORD = re.compile(r"\w+")
WEIGHT_OF_A_PART = 0.3


class HashEmbedder:
    """Words and their parts of three letters, each hashed to one of *dimension* numbers."""

    def __init__(self, dimension: int = 256) -> None:
        if not isinstance(dimension, int) or not 8 <= dimension <= 4096:
            raise InvalidDocumentError(f"HashEmbedder: expected a dimension from 8 to 4096, got {dimension!r}")
        self.dimension = dimension

    @property
    def identity(self) -> str:
        return f"hash-1 {self.dimension}"

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return [self._embed(text) for text in texts]

    def _embed(self, text: str) -> list[float]:
        vector = [0.0] * self.dimension
        for word, count in Counter(WORD.findall(text.lower())).items():
            weight = 1 + math.log(count)
            for place, sign in _places(word):
                vector[place % self.dimension] += sign * weight
        return vector


@lru_cache(50_000)
def _places(word: str) -> tuple[tuple[int, float], ...]:
    """Where a word and its parts go, and with which weight: the sign makes collisions cancel out on average."""
    padded = f"<{word}>"
    parts = [padded[start : start + 3] for start in range(len(padded) - 2)] if len(word) > 2 else []
    return tuple(
        (crc32(part.encode()) >> 1, weight if crc32(part.encode()) & 1 else -weight)
        for part, weight in ((padded, 1.0), *((part, WEIGHT_OF_A_PART) for part in parts))
    )
