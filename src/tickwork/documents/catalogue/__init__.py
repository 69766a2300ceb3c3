"""The catalogue: what is true of all documents; in a SQLite file for one machine, in PostgreSQL for several.

The rule: a revision never changes, and which one of a document is live changes in one transaction, `flip`, which counts
the epoch up. A reader that keeps to one epoch sees each document wholly old or wholly new. A sync writes only as
long as it is the newest of its source: so of two that overlap, the older one can change nothing any more.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tickwork.checks import shown
from tickwork.clock import Clock
from tickwork.documents.document import Chunk, Doc
from tickwork.documents.errors import EmbedderChangedError, InvalidDocumentError, SyncSupersededError
from tickwork.documents.plan import Known, Placement
from tickwork.errors import StoreUnusableError, StoreURLError

FORMS = "a folder, or 'postgresql://user:password@host/database' for several machines"


class Catalogue(Protocol):
    """Every verb is a transaction, from any thread. Raises StoreError for what is wrong with where it is."""

    @property
    def location(self) -> str:
        """For people, without user and password."""
        ...

    @property
    def clock(self) -> Clock:
        """What all who share it agree on."""
        ...

    @property
    def turn(self) -> AbstractContextManager[object]:
        """Held by one of all processes: while it writes beside an index, or builds one anew."""
        ...

    def close(self) -> None: ...

    # what it says of itself

    def meta(self, key: str) -> Any:
        """None if nothing was said."""
        ...

    def note(self, **said: object) -> None: ...

    def note_first(self, key: str, said: object) -> Any:
        """Note it unless something was said before; what stands."""
        ...

    def index_standing(self) -> tuple[int, bool]:
        """The generation of the index, and whether it lies behind what it must hold."""
        ...

    def note_built(self) -> None:
        """The index holds what it must, and nothing else."""
        ...

    def wear(self) -> tuple[int, int]:
        """How many chunks of the index live, and how many it has that are dead."""
        ...

    # one sync, in the order of its steps

    def begin(self, source: str, now: datetime) -> int:
        """The number of a sync that begins: every older one of this source may write no more."""
        ...

    def known(self, source: str, splitter: str) -> dict[str, Known]:
        """The documents of *source*, by their ids; with the version of those that were split by this *splitter*."""
        ...

    def live_chunks(self, documents: Iterable[int]) -> dict[int, Sequence[tuple[int, str]]]:
        """Of each document the chunks that are live, in order: number and hash."""
        ...

    def vectors(self, hashes: Collection[str], space: int) -> dict[str, Sequence[float]]:
        """Those that are known, by hash."""
        ...

    def keep_vectors(self, vectors: Mapping[str, Sequence[float]], space: int) -> None: ...

    def stage(
        self, source: str, sync: int, writes: Sequence[Write], vectors: Mapping[str, Sequence[float]], space: int,
        splitter: str, began_at: datetime,
    ) -> tuple[list[int], list[NewChunk]]:  # fmt: skip
        """Write revisions that nobody sees yet; their numbers, and the chunks that the index lacks.

        *vectors* are those of their new chunks, in case that they were cleared away meanwhile.
        """
        ...

    def flip(self, source: str, sync: int, revisions: Sequence[int], space: int, now: datetime) -> None:
        """These revisions are live from now on, and those before them are not: all at once."""
        ...

    def confirm(self, source: str, sync: int, documents: Sequence[tuple[int, str | None]], began_at: datetime) -> None:
        """The source still has these documents (number, version) as they are live; nothing else of them changes."""
        ...

    def fail(self, source: str, sync: int, failed: FailedDocument, fingerprint: str | None) -> None:
        """Note why a document cannot be taken in; what is live of it stays."""
        ...

    def bury(self, source: str, sync: int, ids: Sequence[str], now: datetime) -> None:
        """These documents are gone from the source: no search finds them from now on."""
        ...

    def withdraw(self, source: str, ids: Sequence[str], now: datetime) -> None:
        """The same, whatever sync of the source goes on: somebody wants them gone."""
        ...

    def finish(self, source: str, sync: int, began_at: datetime | None, error: str | None) -> None:
        """How it ended; *began_at* if it went through the whole listing."""
        ...

    # what lies behind

    def orphans(self, died_before: datetime, limit: int) -> list[int]:
        """Let go of revisions that died before then; the chunks that nothing places any more."""
        ...

    def forget(self, chunks: Sequence[int]) -> None:
        """Delete chunks that the index no longer holds, with their vectors."""
        ...

    def forget_vectors(self, limit: int) -> int:
        """Delete vectors of which there is no chunk; how many. A sync that is about to need one writes it again."""
        ...

    def size(self) -> int:
        """Bytes that it takes on a disk, with what lies beside it."""
        ...

    def begin_space(self, embedder: str) -> int:
        """The number of the space in which *embedder* embeds all anew: the one that it has begun, or a new one.

        What another embedder has begun there is let go of.
        """
        ...

    def adopt(self, space: int, embedder: str, dimension: int | None) -> bool:
        """Search by the vectors of *space* from now on, and let go of all others; False if one is lacking still."""
        ...

    # what readers ask

    def epoch(self, space: int) -> int:
        """What is true now. EmbedderChangedError if all was embedded anew since *space* was that of the vectors."""
        ...

    def passages(self, epoch: int, chunks: Collection[int]) -> list[Passage]:
        """What *epoch* shows of these chunks. A chunk may stand in a document twice."""
        ...

    def shown(self, epoch: int) -> list[int]:
        """The numbers of the chunks of *epoch*."""
        ...

    def metas(self, epoch: int, source: str | None) -> list[tuple[int, str]]:
        """The revisions of *epoch*, or those of a source, by number: each with its meta, as JSON."""
        ...

    def chunks_of(self, revisions: Sequence[int]) -> list[int]:
        """The numbers of their chunks."""
        ...

    def space(self, chunks: Sequence[int], space: int) -> list[tuple[int, bytes]]:
        """These chunks with their vectors, as they are kept."""
        ...

    def chunks(self, limit: int) -> Iterator[list[NewChunk]]:
        """The chunks that an index must hold, at most *limit* at a time."""
        ...

    def placed(self) -> set[int]:
        """The numbers of the chunks that an index must hold."""
        ...

    def placed_count(self) -> int: ...

    def all_chunks(self) -> set[int]:
        """The numbers of the chunks that an index may hold."""
        ...

    def status(self) -> list[SourceStatus]: ...

    def documents(self, source: str, *, quarantined: bool | None, limit: int, offset: int) -> list[StoredDocument]:
        """Those of *source* that are searched or in quarantine, by their ids; None: both."""
        ...

    def document_count(self, source: str, *, quarantined: bool | None) -> int: ...

    def text(self, source: str, id: str, *, limit: int, offset: int) -> StoredText | None:
        """Of a document what is searched. None: nothing is."""
        ...


class Passage(NamedTuple):
    """A chunk with what is true of it in one epoch."""

    number: int
    text: str
    heading: str
    source: str
    doc_id: str
    position: int
    uri: str | None
    meta: Mapping[str, Any]
    revision: int
    modified_at: datetime | None
    indexed_at: datetime
    checked_at: datetime


class Write(NamedTuple):
    """A document's next revision, as it is to be written."""

    doc: Doc
    fingerprint: str
    placements: Sequence[Placement]


class NewChunk(NamedTuple):
    """A chunk as the index takes it."""

    number: int
    chunk: Chunk


class SourceStatus(NamedTuple):
    """A source as its last sync left it."""

    name: str
    began_at: datetime
    """When its newest sync began."""
    confirmed_at: datetime | None
    """When the last sync began that went through the whole listing. None: none did yet."""
    error: str | None
    """Why the newest sync did not. None: it did, or goes on."""
    documents: int
    chunks: int
    failed: Sequence[FailedDocument]


class FailedDocument(NamedTuple):
    """A document whose last good revision is searched, because what the source has now cannot be taken in."""

    id: str
    error: str
    failures: int
    retry_at: datetime | None
    """It is left alone until then, unless it changes."""


class StoredDocument(NamedTuple):
    """A document of a source: what of it is searched, and whether that is what the source has."""

    id: str
    error: str | None
    """Why what the source has now cannot be taken in: it is in quarantine. None: it is live."""
    failures: int
    """How often that was tried."""
    retry_at: datetime | None
    """It is left alone until then, unless it changes."""
    revision: int | None
    """The one that is searched. None: none was ever taken in."""
    version: str | None
    uri: str | None
    meta: Mapping[str, Any]
    modified_at: datetime | None
    indexed_at: datetime | None
    checked_at: datetime | None
    """When the sync began that last found it at its source."""
    chunks: int


class StoredChunk(NamedTuple):
    """A chunk as it stands in its document."""

    position: int
    heading: str
    text: str


class StoredText(NamedTuple):
    """What is searched of a document, a stretch of its chunks."""

    revision: int
    total: int
    """How many chunks it has."""
    chunks: Sequence[StoredChunk]


def pack(vector: Sequence[float]) -> bytes:
    """Half precision: the cosine changes by less than a millionth, and the file is half as large."""
    return struct.pack(f"<{len(vector)}e", *vector)


def unpack(vector: bytes) -> Sequence[float]:
    return struct.unpack(f"<{len(vector) // 2}e", vector)


def superseded(source: str, sync: int, newest: int) -> SyncSupersededError:
    return SyncSupersededError(
        f"source {source!r}: expected sync {sync} to be its newest, got {newest}: the other one goes on"
    )


def embedded_anew(what: str) -> EmbedderChangedError:
    return EmbedderChangedError(
        f"{what}: expected the embedder that this process began with, got another one, with which all was embedded "
        f"anew meanwhile: restart this process with that one"
    )


def find_place(name: str, path: object) -> Callable[[], Catalogue]:
    """What opens the catalogue of the documents *name* at *path*, which is a folder or a URL.

    Raises InvalidDocumentError for what is neither, StoreURLError for a URL that cannot be. Nothing is opened yet.
    """
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise InvalidDocumentError(f"Documents: expected {FORMS}, got {shown(path)}")
    if isinstance(path, Path) and path.parts[:1] in (("postgresql:",), ("postgres:",)):
        raise InvalidDocumentError(
            "Documents: expected a URL as a string, got one that was made a Path: leave it as it is"
        )
    if isinstance(path, str) and "://" in path:
        return _find_server(name, path)
    return lambda: _open_file(Path(path), name)


def _open_file(folder: Path, name: str) -> Catalogue:
    from tickwork.documents.catalogue.sqlite import SQLiteCatalogue  # noqa: PLC0415  it builds on this file

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnusableError(f"expected a folder that can be made at {folder}, got {error}: name another") from None
    return SQLiteCatalogue((folder / f"{name}.db").resolve())


def _find_server(name: str, url: str) -> Callable[[], Catalogue]:
    scheme = url.partition("://")[0]
    dialect, _, driver = scheme.partition("+")
    if dialect not in ("postgresql", "postgres"):
        raise StoreURLError(f"Documents: expected {FORMS}, got a URL of {shown(scheme)}")
    if driver:
        raise StoreURLError(
            f"Documents: expected postgresql://, got {scheme}://: leave out '+{driver}'; tickwork brings its own "
            f"driver, which blocks no event loop"
        )
    try:
        from tickwork.documents.catalogue.postgresql import PostgreSQLCatalogue  # noqa: PLC0415  psycopg is an extra
        from tickwork.stores.postgresql.address import Address  # noqa: PLC0415
    except ImportError as error:  # also when there is a psycopg, but nothing that speaks to libpq
        raise StoreURLError(
            f"Documents: expected psycopg 3 for {scheme}://, got {error}: pip install 'tickwork[postgresql]'"
        ) from None
    address = Address.parse(url)
    return lambda: PostgreSQLCatalogue(name, address)
