"""The keeper of the index: opens it, notices when it cannot be used, mends it, and searches exactly meanwhile.

The rule: no trouble of an index is trouble of a sync or of a search. All that an index knows stands in the catalogue,
and so does whether it lies behind: then every process searches exactly, until one of them has filled it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tickwork.documents.catalogue import Catalogue, NewChunk
from tickwork.documents.catalogue.sqlite import SQLiteCatalogue
from tickwork.documents.chroma import Chroma, ChromaIndex, Name
from tickwork.documents.errors import DocumentsError, DocumentsInUseError, IndexUnusableError
from tickwork.documents.exact import ExactIndex
from tickwork.documents.homes import EmbeddedHome, Home, ManagedHome, ServerHome, Sweep
from tickwork.documents.index import Found
from tickwork.documents.vectors import Vectors

BUILT_AT_ONCE = 1_000
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
"""Seconds between two tries to mend an index: a search that finds it missing has it tried, but not more often."""
FEW = 10_000
"""An index with fewer dead chunks than that is not worth to be built anew by itself."""

log = logging.getLogger("tickwork.documents")


class Drift(NamedTuple):
    """Where the index and the catalogue differ."""

    missing: int
    """Chunks that a search should find, and the index lacks."""
    extra: int
    """Chunks that only the index has; no search shows them."""


class IndexKeeper:
    """A Chroma index of the catalogue's vectors, *kind* says where; itself an index that never fails.

    `turn` is held while a sync writes, and while the index is mended or built anew.
    """

    def __init__(self, kind: str, catalogue: Catalogue, vectors: Vectors, exact: ExactIndex) -> None:
        self._catalogue = catalogue
        self._vectors = vectors
        self._exact = exact
        self._home: Home
        if kind in ("embedded", "managed"):
            assert isinstance(catalogue, SQLiteCatalogue), "Documents refuses them beside another"
            self._home = (EmbeddedHome if kind == "embedded" else ManagedHome)(catalogue, self._name)
        else:
            self._home = ServerHome(catalogue, kind)
        self._opening = threading.RLock()  # whoever has the turn may take it, and nobody the other way round
        self._starting = threading.Lock()
        self._opened = False
        self._chroma: Chroma | None = None
        self._index: tuple[int, ChromaIndex] | None = None
        """What is asked, and its generation. None: it cannot be used just now."""
        self._reason: str | None = None
        self._mending: threading.Thread | None = None
        self._mend_at = 0.0
        self._pause = FIRST_PAUSE
        self._closing = False
        self.turn = catalogue.turn

    @property
    def trouble(self) -> str | None:
        """Why searches compare every vector just now, until the index is mended, which begins by itself."""
        self.open()
        if self._usable() is not None:
            return None
        self._mend_soon()
        return self._reason or "it lies behind the catalogue, and is being filled"

    # as an index

    def add(self, chunks: Sequence[NewChunk], vectors: Sequence[Sequence[float]]) -> None:
        self._write(lambda index: index.add(chunks, vectors))

    def delete(self, chunks: Sequence[int]) -> None:
        self._write(lambda index: index.delete(chunks))

    def query(self, vector: Sequence[float], limit: int, epoch: int) -> Found:
        self.open()
        index = self._usable()
        if index is not None:
            try:
                return index.query(vector, limit, epoch)
            except IndexUnusableError as error:
                self._give_up(index, error)
        self._mend_soon()
        return self._exact.query(vector, limit, epoch)

    # as its keeper

    def open(self) -> None:
        """Open the index if it was not opened yet. DocumentsInUseError while another process has an embedded one."""
        if self._opened:
            return
        with self._opening:
            if not self._opened:
                self._connect()
                self._opened = True

    def mend(self) -> None:
        """Make the index usable if it is not: open it again, and fill it with what it lacks."""
        self.open()
        if self._usable() is not None:
            return
        with self.turn:
            if self._usable() is None:
                if self._index is None:
                    with self._opening:
                        self._connect()
                self._fill()

    def rebuild(self) -> int:
        """Build the index anew, beside the former, and use that one from then on; how many chunks it holds.

        Embeds only what has no vector. Searches go on meanwhile, exactly, and syncs wait. Raises IndexUnusableError.
        """
        self.open()
        with self.turn:
            with self._opening:
                self._chroma = self._home.renew()
                self._look()
            self._fill()
            self._home.settle()
            index = self._usable()
            if index is None:
                raise IndexUnusableError(f"expected to build the index anew, got: {self._reason}")
            self._chroma.drop_others(self._name())
            return index.count()

    def worn(self, share: int) -> bool:
        """Whether one in *share* of the chunks that the index holds is dead, or more."""
        live, dead = self._catalogue.wear()
        return dead * share > live + dead

    def sweep(self) -> bool:
        """Remove the files of former indexes; False: whoever keeps the server has to, and does after its next sync."""
        self.open()
        with self.turn:
            index = self._usable()
            if index is not None and self._chroma is not None:
                self._chroma.drop_others(self._name())
            with self._opening:
                swept = self._home.sweep()
                if swept is Sweep.REOPEN:
                    self._connect()
            if swept is Sweep.REOPEN:
                self._fill()
            self._catalogue.note(index_sweep=int(swept is Sweep.NOT_OURS))
        return swept is not Sweep.NOT_OURS

    def rebuild_if_worn(self) -> None:
        """Build the index anew if most of what it holds is dead: Chroma keeps the room of all that was deleted."""
        if self._catalogue.meta("index_sweep") and self._home.ours:
            try:
                self.sweep()
            except IndexUnusableError:
                log.exception("the files of former indexes of %s could not be removed", self._catalogue.location)
        live, dead = self._catalogue.wear()
        if dead > max(live, FEW):
            log.info("the index holds %d chunks that are dead, and %d that live: it is built anew", dead, live)
            try:
                self.rebuild()
            except IndexUnusableError:
                log.exception("the index of %s could not be built anew", self._catalogue.location)

    def drift(self, *, repair: bool = False) -> Drift:
        """Compare what the index holds with what it should, and with *repair* mend it."""
        self.open()
        with self.turn:
            if repair:
                self.mend()
            if self._index is None:
                return Drift(self._catalogue.placed_count(), 0)
            return self._compare(self._index[1], repair=repair)

    def close(self) -> None:
        """Close the index, so that another process may open it, or go on with the server."""
        self._closing = True
        if (mending := self._mending) is not None:
            mending.join()
        with self.turn, self._opening:
            if self._opened:
                clean = self._index is not None
                self._index = self._chroma = None
                self._opened = False
                self._home.close(clean=clean)
        self._closing = False

    # its steps

    def _connect(self) -> None:
        """Open what there is; if that cannot be, say why."""
        self._index = None
        try:
            self._chroma = self._home.open()
            self._look()
        except DocumentsInUseError:
            raise
        except DocumentsError as error:
            self._doubt(error)

    def _look(self) -> ChromaIndex:
        """Take the index that the catalogue points to, and notice if it lies behind."""
        assert self._chroma is not None
        generation, _ = self._catalogue.index_standing()
        index = self._chroma.index(self._name())
        placed = self._catalogue.placed_count()  # before it is counted: what is placed was written before
        if index.count() < placed:
            self._catalogue.note(index_behind=1)
        self._index = generation, index
        return index

    def _fill(self) -> None:
        """Give the index what it lacks, and let it be used. The turn is held."""
        held = self._index
        if held is None:
            return
        try:
            generation, behind = self._catalogue.index_standing()
            index = held[1] if held[0] == generation else self._look()  # who built it anew may have died of that
            if behind or self._catalogue.index_standing()[1]:
                self._compare(index, repair=True)
                self._catalogue.note(index_behind=0)
        except DocumentsError as error:
            self._give_up(held[1], error)
        else:
            if self._reason is not None:
                log.info("the index of %s can be used again", self._catalogue.location)
            self._reason, self._pause = None, FIRST_PAUSE

    def _compare(self, index: ChromaIndex, *, repair: bool) -> Drift:
        held = index.numbers()
        placed = self._catalogue.placed()
        missing, extra = placed - held, held - self._catalogue.all_chunks()
        if repair and (missing or extra):
            index.delete([*extra])
            for chunks in self._catalogue.chunks(BUILT_AT_ONCE):
                if self._closing:
                    raise IndexUnusableError("expected the time to fill the index, got asked to close it")
                lacking = [new for new in chunks if new.number in missing]
                index.build(lacking, self._vectors.of([new.chunk for new in lacking])[0])
        if repair and not held:
            self._catalogue.note_built()
        return Drift(len(missing), len(extra))

    def _usable(self) -> ChromaIndex | None:
        """The index, unless it lies behind; the one that another process has built anew if there is one."""
        held = self._index
        if held is None:
            return None
        generation, behind = self._catalogue.index_standing()
        if behind:
            return None
        if held[0] != generation:
            try:
                return self._look()
            except IndexUnusableError as error:
                self._give_up(held[1], error)
                return None
        return held[1]

    def _write(self, write: Callable[[ChromaIndex], None]) -> None:
        """What cannot be written now is made up for when the index is mended."""
        self.open()
        if (index := self._usable()) is not None:
            try:
                return write(index)
            except IndexUnusableError as error:
                self._give_up(index, error)
        self._catalogue.note(index_behind=1)
        return self._mend_soon()

    def _give_up(self, index: ChromaIndex, error: DocumentsError) -> None:
        held = self._index
        if held is not None and held[1] is index:  # otherwise it was mended meanwhile
            self._index = None
            self._doubt(error)

    def _doubt(self, error: DocumentsError) -> None:
        if self._reason is None:
            log.error("the index of %s cannot be used just now: %s", self._catalogue.location, error)
        self._reason = str(error)

    def _mend_soon(self) -> None:
        """In a thread of its own, if the last try is long enough ago."""
        with self._starting:
            busy = self._mending is not None and self._mending.is_alive()
            if busy or self._closing or time.monotonic() < self._mend_at:
                return
            self._mend_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LAST_PAUSE)
            self._mending = threading.Thread(target=self._mend_here, name="tickwork-index-mending", daemon=True)
            self._mending.start()

    def _mend_here(self) -> None:
        try:
            self.mend()
        except Exception:
            log.exception("the index of %s could not be mended", self._catalogue.location)

    def _name(self) -> Name:
        """The collection that the catalogue points to."""
        catalogue, space = self._catalogue.meta("name"), self._vectors.space
        return Name(
            f"tickwork-{catalogue}-", f"{space}-{self._catalogue.meta('generation')}",
            f"{catalogue} {space} {self._vectors.embedder.identity}",
        )  # fmt: skip
