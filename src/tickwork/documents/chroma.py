"""The index in Chroma: the only file that imports it, and only when an index is opened (its import takes a second).

Measured of Chroma 1.5.9, and the reasons for what is done here (docs/decisions/0022-documents.md): a kill while it
writes can ruin a folder so that a query ends the whole process, so a folder that was not closed is first tried in a
child process; large batches let queries wait for seconds; its client waits for ever for a server that does not answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tickwork.documents.catalogue import NewChunk
from tickwork.documents.errors import IndexUnusableError
from tickwork.documents.index import Found

WRITTEN_AT_ONCE = 50
PAUSE = 0.05
"""Seconds between two writes: with it, half of the queries beside a sync take 6 ms, and without it 145."""
SMALL = 2_000
"""Up to so many chunks are written so fast that no pause is needed."""
BUILT_AT_ONCE = 500
READ_AT_ONCE = 10_000
"""More parameters than some 32,000 are too many for its SQLite."""
PATIENCE = 10.0
"""Seconds until a server that does not answer is taken for gone."""
PROBE_PATIENCE = 120.0
"""Seconds until a folder that answers nothing is taken for ruined."""
PROBED = 500


class Name(NamedTuple):
    """The name of a collection."""

    catalogue: str
    """How the names of all begin that are of this catalogue."""
    generation: str
    about: str
    """What is kept with it: whose vectors these are."""

    @property
    def whole(self) -> str:
        return self.catalogue + self.generation


class Chroma:
    """A database of Chroma: a *folder* that this process alone has open, or a server at a URL.

    Everything that Chroma raises is an IndexUnusableError.
    """

    def __init__(self, place: Path | str) -> None:
        try:
            import chromadb  # noqa: PLC0415  it takes a second, and is an extra
            from chromadb.config import Settings  # noqa: PLC0415
        except ImportError as error:
            raise IndexUnusableError(
                f"expected the package chromadb, got {error}: pip install 'tickwork[documents]', or use index='exact'"
            ) from error
        self._place = place
        self._sessions: list[Any] = []
        quiet = Settings(anonymized_telemetry=False)
        try:
            if isinstance(place, Path):
                self._client: Any = chromadb.PersistentClient(str(place), settings=quiet)
            else:
                url = urlsplit(place)
                self._client = chromadb.HttpClient(
                    url.hostname or "", url.port or (443 if url.scheme == "https" else 8000), url.scheme == "https",
                    settings=quiet,
                )  # fmt: skip
                # For its patience it has no setting, and closing it leaves its connections open.
                self._sessions = [one._server._session for one in (self._client, self._client._admin_client)]  # noqa: SLF001
                for session in self._sessions:
                    session.timeout = PATIENCE
        except BaseException as error:  # its Rust part panics with what is no Exception
            raise unusable(place, error) from error

    def index(self, name: Name) -> ChromaIndex:
        """The collection of that *name*, which is made if there is none; IndexUnusableError if it is about another."""
        try:
            collection = self._client.get_or_create_collection(
                name.whole, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None,
                metadata={"about": name.about},
            )  # fmt: skip
        except BaseException as error:
            raise unusable(self._place, error) from error
        if (collection.metadata or {}).get("about") != name.about:
            raise IndexUnusableError(f"expected in {self._place} an index of {name.about}, got that of another")
        return ChromaIndex(collection, self._place)

    def drop_others(self, name: Name) -> None:
        """Delete all other collections of the same catalogue."""
        try:
            for known in self._client.list_collections():
                if known.name.startswith(name.catalogue) and known.name != name.whole:
                    self._client.delete_collection(known.name)
        except BaseException as error:
            raise unusable(self._place, error) from error

    def close(self) -> None:
        self._client.close()
        for session in self._sessions:
            session.close()


class ChromaIndex:
    """A collection of chunks. IndexUnusableError for whatever Chroma raises."""

    def __init__(self, collection: Any, place: Path | str) -> None:
        self._collection = collection
        self._place = place

    def add(self, chunks: Sequence[NewChunk], vectors: Sequence[Sequence[float]]) -> None:
        """Politely: queries of others go on meanwhile."""
        pause = PAUSE if len(chunks) > WRITTEN_AT_ONCE and self.count() > SMALL else 0.0
        self._add(chunks, vectors, WRITTEN_AT_ONCE, pause)

    def build(self, chunks: Sequence[NewChunk], vectors: Sequence[Sequence[float]]) -> None:
        """The same, while nobody asks it."""
        self._add(chunks, vectors, BUILT_AT_ONCE, 0.0)

    def _add(
        self, chunks: Sequence[NewChunk], vectors: Sequence[Sequence[float]], at_once: int, pause: float
    ) -> None:  # fmt: skip
        for start in range(0, len(chunks), at_once):
            some = chunks[start : start + at_once]
            self._ask(
                "upsert", ids=[str(new.number) for new in some], documents=[new.chunk.text for new in some],
                embeddings=[list(vector) for vector in vectors[start : start + at_once]],
            )  # fmt: skip
            if pause and start + at_once < len(chunks):
                time.sleep(pause)

    def delete(self, chunks: Sequence[int]) -> None:
        for start in range(0, len(chunks), BUILT_AT_ONCE):
            self._ask("delete", ids=[str(number) for number in chunks[start : start + BUILT_AT_ONCE]])

    def query(self, vector: Sequence[float], limit: int, epoch: int) -> Found:
        found = self._ask("query", query_embeddings=[list(vector)], n_results=limit, include=["distances"])
        return [(int(id), 1 - distance) for id, distance in zip(found["ids"][0], found["distances"][0], strict=True)]

    def count(self) -> int:
        return int(self._ask("count"))

    def numbers(self) -> set[int]:
        """All that it holds."""
        return {int(id) for page in self._pages() for id in page}

    def one_vector(self) -> Sequence[float]:
        """Of any of its chunks; it must have one."""
        return [float(number) for number in self._ask("get", include=["embeddings"], limit=1)["embeddings"][0]]

    def _pages(self) -> Iterator[list[str]]:
        offset = 0
        while page := self._ask("get", include=[], limit=READ_AT_ONCE, offset=offset)["ids"]:
            yield page
            offset += len(page)

    def _ask(self, verb: str, **asked: Any) -> Any:
        try:
            return getattr(self._collection, verb)(**asked)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # its Rust part panics with what is no Exception
            raise unusable(self._place, error) from error


def probe(folder: Path, name: Name) -> str | None:
    """Why the index in *folder* cannot be used, found out by a child process that may die of it; None: it can."""
    try:
        done = subprocess.run(  # noqa: S603  this interpreter, and arguments of our own
            [sys.executable, "-m", "tickwork.documents.chroma", str(folder), *name],
            check=False, capture_output=True, text=True, timeout=PROBE_PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it answered nothing for {PROBE_PATIENCE:.0f} s"
    if done.returncode:
        return f"a process that opened it ended with {done.returncode}: {done.stderr.strip()[-300:]}"
    told = json.loads(done.stdout)
    if told["reached"] < min(told["count"], PROBED) * 0.9:
        return f"a search reached {told['reached']} of {told['count']} chunks"
    return None


def unusable(place: Path | str, error: BaseException) -> IndexUnusableError:
    return IndexUnusableError(
        f"expected a usable index at {place}, got {type(error).__name__}: {str(error)[:300]}: every vector is compared "
        f"until it is back, or built anew"
    )


def _probe_here(folder: Path, name: Name) -> None:
    index = Chroma(folder).index(name)
    count = index.count()
    reached = len({number for number, _ in index.query(index.one_vector(), min(count, PROBED), 0)}) if count else 0
    sys.stdout.write(json.dumps({"count": count, "reached": reached}))


if __name__ == "__main__":
    _probe_here(Path(sys.argv[1]), Name._make(sys.argv[2:]))
