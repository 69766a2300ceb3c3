"""The vectors of chunks: those that are known, and the others from the embedder, which are known from then on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tickwork.documents.catalogue import Catalogue, pack, unpack
from tickwork.documents.document import Chunk
from tickwork.documents.embedders import Embedder, embed
from tickwork.documents.errors import EmbedderChangedError, EmbeddingError

MOST_AT_ONCE = 64
"""Texts in one call of the embedder: what it has done is kept before the next."""


class Vectors:
    """One space of vectors: those of *embedder*, the first that the catalogue saw. EmbedderChangedError otherwise."""

    def __init__(self, catalogue: Catalogue, embedder: Embedder) -> None:
        self._catalogue = catalogue
        self.embedder = embedder
        self.space: int = catalogue.meta("space")
        self.dimension: int | None = catalogue.meta("dimension")
        """None: nothing was embedded yet."""
        known = catalogue.meta("embedder") or catalogue.note_first("embedder", embedder.identity)
        if known != embedder.identity:
            raise EmbedderChangedError(
                f"expected the embedder of the stored vectors, {known!r}, got {embedder.identity!r}: vectors of two "
                f"embedders cannot be compared; go back to that one, or embed all anew with docs.rebuild()"
            )

    def of(
        self, chunks: Sequence[Chunk], tell: Callable[[int], object] | None = None
    ) -> tuple[Sequence[Sequence[float]], int]:
        """Their vectors in this order, and how many had to be embedded. Raises EmbeddingError.

        *tell* is told how many are, now and then.
        """
        wanted = {chunk.hash: chunk.embedded for chunk in chunks}
        vectors = self._catalogue.vectors(wanted, self.space)
        unknown = [key for key in wanted if key not in vectors]
        for start in range(0, len(unknown), MOST_AT_ONCE):
            keys = unknown[start : start + MOST_AT_ONCE]
            made = dict(zip(keys, self.embed([wanted[key] for key in keys]), strict=True))
            self._catalogue.keep_vectors(made, self.space)
            vectors |= {key: unpack(pack(vector)) for key, vector in made.items()}
            if tell is not None:
                tell(start + len(keys))
        return [vectors[chunk.hash] for chunk in chunks], len(unknown)

    def unknown(self, chunks: Sequence[Chunk]) -> int:
        """How many would have to be embedded."""
        hashes = {chunk.hash for chunk in chunks}
        return len(hashes - self._catalogue.vectors(hashes, self.space).keys())

    def of_query(self, text: str) -> Sequence[float]:
        """Where to look for what answers *text*. Raises EmbeddingError."""
        return self.embed([text], queries=True)[0]

    def answer(self) -> bool:
        """Whether the embedder embeds anything at all just now."""
        try:
            self.embed(["hello"])
        except EmbeddingError:
            return False
        return True

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Sequence[Sequence[float]]:
        """Unit vectors of this space. Raises EmbeddingError."""
        vectors = embed(self.embedder, texts, self.dimension, queries=queries)
        if self.dimension is None:
            self.dimension = self._catalogue.note_first("dimension", len(vectors[0]))
            if len(vectors[0]) != self.dimension:
                raise EmbeddingError(
                    f"embedder {self.embedder.identity}: expected vectors of {self.dimension} numbers, as another "
                    f"process got, got {len(vectors[0])}"
                )
        return vectors


def embed_anew(catalogue: Catalogue, embedder: Embedder) -> None:
    """Make the vectors of *embedder* those of the catalogue, once it has one for every chunk.

    One that was cut short goes on where it was, unless another embedder has begun since.
    """
    space = catalogue.begin_space(embedder.identity)
    dimension: int | None = None
    lacking = True
    while lacking:
        for chunks in catalogue.chunks(MOST_AT_ONCE):
            wanted = {new.chunk.hash: new.chunk.embedded for new in chunks}
            for key, vector in catalogue.vectors(wanted, space).items():
                dimension = dimension or len(vector)
                del wanted[key]
            if wanted:
                vectors = embed(embedder, [*wanted.values()], dimension)
                dimension = len(vectors[0])
                catalogue.keep_vectors(dict(zip(wanted, vectors, strict=True)), space)
        lacking = not catalogue.adopt(space, embedder.identity, dimension)
