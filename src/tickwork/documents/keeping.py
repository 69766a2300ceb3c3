"""The keeper of the index: opens it, notices when it cannot be used, builds it anew, and searches exactly meanwhile.

The rule: no trouble of an index is trouble of a sync or of a search. All that an index knows stands in the catalogue.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tickwork.documents.catalogue import Catalogue, NewChunk
from tickwork.documents.chroma import ChromaIndex, FolderLock, probe
from tickwork.documents.errors import DocumentsError, EmbeddingError, IndexUnusableError
from tickwork.documents.exact import ExactIndex
from tickwork.documents.index import Found
from tickwork.documents.vectors import Vectors

BUILT_AT_ONCE = 1_000

log = logging.getLogger("tickwork.documents")


class Drift(NamedTuple):
    """Where the index and the catalogue differ."""

    missing: int
    """Chunks that a search should find, and the index lacks."""
    extra: int
    """Chunks that only the index has; no search shows them."""


class IndexKeeper:
    """A Chroma index of the catalogue's vectors, in folders named after *path*; itself an index that never fails.

    `turn` is held while a sync writes, and while the index is built anew.
    """

    def __init__(self, path: Path, catalogue: Catalogue, vectors: Vectors) -> None:
        self._path = path
        self._catalogue = catalogue
        self._vectors = vectors
        self._lock = FolderLock(path.with_name(f"{path.name}.index-lock"))
        self._exact = ExactIndex(catalogue, vectors.space)
        self._chroma: ChromaIndex | None = None
        self._opening = threading.Lock()
        self._opened = False
        self.turn = threading.RLock()
        self.trouble: str | None = None
        """Why every search is exact, until the next sync has built the index anew. None: all is well."""

    # as an index

    def add(self, chunks: Sequence[NewChunk], vectors: Sequence[Sequence[float]]) -> None:
        self._with_chroma(lambda chroma: chroma.add(chunks, vectors))

    def delete(self, chunks: Sequence[int]) -> None:
        self._with_chroma(lambda chroma: chroma.delete(chunks))

    def query(self, vector: Sequence[float], limit: int, epoch: int) -> Found:
        found: list[Found] = []
        self._with_chroma(lambda chroma: found.append(chroma.query(vector, limit, epoch)))
        return found[0] if found else self._exact.query(vector, limit, epoch)

    def query_exactly(self, vector: Sequence[float], limit: int, epoch: int) -> Found:
        return self._exact.query(vector, limit, epoch)

    # as its keeper

    def open(self) -> None:
        """Open the index if it is not open. Raises DocumentsInUseError while another process has it."""
        with self._opening:
            if self._opened:
                return
            self._lock.take()
            self._remove_all_but(self._folder())
            clean = self._catalogue.meta("index_in_use") != 1
            self._catalogue.note(index_in_use=1)
            self.trouble = None if clean or not self._folder().exists() else probe(self._folder(), self._about())
            if self.trouble is None:
                self._open_chroma(reconcile=not clean)
            if self.trouble is not None:
                log.error("index %s cannot be used, and is built anew by the next sync: %s", self._path, self.trouble)
            self._opened = True

    def mend(self) -> None:
        """Build the index anew if it cannot be used."""
        self.open()
        with self.turn:
            if self.trouble is not None:
                self.rebuild()

    def rebuild(self) -> int:
        """Build the index anew, in another folder, and use that one from then on; how many chunks it holds.

        Embeds only what has no vector. Searches go on meanwhile, syncs wait.
        """
        self.open()
        with self.turn:
            generation = self._catalogue.meta("generation") + 1
            folder = self._folder(generation)
            shutil.rmtree(folder, ignore_errors=True)
            fresh = ChromaIndex(folder, self._about())
            built = 0
            for chunks in self._catalogue.chunks(BUILT_AT_ONCE):
                fresh.add(chunks, self._vectors.of([new.chunk for new in chunks])[0])
                built += len(chunks)
            self._catalogue.note(generation=generation)
            former, self._chroma, self.trouble = self._chroma, fresh, None
            if former is not None:
                former.close()
            self._remove_all_but(folder)
        return built

    def drift(self, *, repair: bool = False) -> Drift:
        """Compare what the index holds with what it should, and with *repair* mend it."""
        self.open()
        with self.turn:
            if self._chroma is None:
                return Drift(len(self._catalogue.placed()), 0)
            return self._compare(self._chroma, repair=repair)

    def close(self) -> None:
        """Close the index, so that another process may open it."""
        with self._opening, self.turn:
            if not self._opened:
                return
            if self._chroma is not None:
                self._chroma.close()
                self._chroma = None
                self._catalogue.note(index_in_use=0)
            self._opened = False
            self._lock.give_back()

    def _open_chroma(self, *, reconcile: bool) -> None:
        try:
            chroma = self._chroma = ChromaIndex(self._folder(), self._about())
            if reconcile or chroma.count() < len(self._catalogue.placed()):
                self._compare(chroma, repair=True)
        except (IndexUnusableError, EmbeddingError) as error:
            self._give_up(error)

    def _compare(self, chroma: ChromaIndex, *, repair: bool) -> Drift:
        held = chroma.numbers()
        missing, extra = self._catalogue.placed() - held, held - self._catalogue.all_chunks()
        if repair and (missing or extra):
            chroma.delete([*extra])
            for chunks in self._catalogue.chunks(BUILT_AT_ONCE):
                lacking = [new for new in chunks if new.number in missing]
                chroma.add(lacking, self._vectors.of([new.chunk for new in lacking])[0])
        return Drift(len(missing), len(extra))

    def _with_chroma(self, use: Callable[[ChromaIndex], object]) -> None:
        self.open()
        if (chroma := self._chroma) is None:
            return
        try:
            use(chroma)
        except IndexUnusableError as error:
            if self._chroma is chroma:  # otherwise it was built anew meanwhile
                self._give_up(error)

    def _give_up(self, error: DocumentsError) -> None:
        log.error("index %s cannot be used, and is built anew by the next sync: %s", self._path, error)
        self._chroma, self.trouble = None, str(error)

    def _about(self) -> str:
        return f"{self._catalogue.meta('name')} {self._vectors.space} {self._vectors.embedder.identity}"

    def _folder(self, generation: int | None = None) -> Path:
        number = self._catalogue.meta("generation") if generation is None else generation
        return self._path.with_name(f"{self._path.name}.index-{number}")

    def _remove_all_but(self, folder: Path) -> None:
        """Other generations: left behind by a rebuild, or by a kill during one."""
        for other in self._path.parent.glob(f"{self._path.name}.index-*"):
            if other.is_dir() and other != folder:
                shutil.rmtree(other, ignore_errors=True)
