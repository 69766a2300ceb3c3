"""What an embedder is, and the check of what it gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tickwork.checks import shown
from tickwork.documents.errors import EmbeddingError
from tickwork.documents.reasons import reason_of


class Embedder(Protocol):
    """Turns texts into vectors that lie close to each other when their meanings do. Used from any thread.

    *identity* names the model, its files and its settings: it changes whenever the vectors would. A model that wants
    questions in another form than passages has an `embed_queries` beside `embed`, which takes and gives the same.
    """

    @property
    def identity(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]: ...


def embed(
    embedder: Embedder, texts: Sequence[str], dimension: int | None, *, queries: bool = False
) -> Sequence[Sequence[float]]:
    """Unit vectors for *texts*, of this *dimension* if one is known. Raises EmbeddingError, whatever went wrong."""
    made: Callable[[Sequence[str]], Any] = embedder.embed
    if queries:
        made = getattr(embedder, "embed_queries", made)
    try:
        vectors = [[float(number) for number in vector] for vector in made(texts)]
    except EmbeddingError:
        raise
    except Exception as error:
        raise EmbeddingError(f"embedder {embedder.identity}: {reason_of(error)[:300]}") from error
    if len(vectors) != len(texts):
        raise EmbeddingError(f"embedder {embedder.identity}: expected {len(texts)} vectors, got {len(vectors)}")
    for vector in vectors:
        dimension = len(vector) if dimension is None else dimension
        if len(vector) != dimension or not vector:
            raise EmbeddingError(
                f"embedder {embedder.identity}: expected vectors of {dimension} numbers, got {len(vector)}"
            )
    return [_unit(embedder, vector) for vector in vectors]


def _unit(embedder: Embedder, vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    if not math.isfinite(length):
        raise EmbeddingError(f"embedder {embedder.identity}: expected finite numbers, got {shown(vector)}")
    return [number / length for number in vector] if length else vector
