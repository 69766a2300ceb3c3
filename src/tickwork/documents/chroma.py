"""The index in Chroma: the only file that imports it, and only when an index is opened (its import takes a second).

Measured of Chroma 1.5.9, and the reasons for what is done here (docs/decisions/0022-documents.md): two processes
on one folder lose vectors without an error, so a lock file admits one; a kill while it writes can ruin a folder so that
a query ends the whole process, so a folder that was not closed is first tried in a child process; nothing that is
deleted is ever given back, so an index is built anew in a folder of its own now and then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tickwork.documents.catalogue import NewChunk
from tickwork.documents.errors import DocumentsInUseError, IndexUnusableError
from tickwork.documents.index import Found

try:
    import fcntl
except ImportError:  # Windows: Chroma's own files are open exclusively there
    fcntl = None  # type: ignore[assignment]

COLLECTION = "chunks"
WRITTEN_AT_ONCE = 100
"""More at once would let queries wait for seconds."""
READ_AT_ONCE = 10_000
"""More parameters than some 32,000 are too many for its SQLite."""
PROBE_PATIENCE = 120.0
"""Seconds until a folder that answers nothing is taken for ruined."""
PROBED = 500


class ChromaIndex:
    """The chunks in a Chroma collection in *folder*, which is made if there is none.

    *about* is kept with it: an index of another catalogue, or of other vectors, is an IndexUnusableError, and so is
    everything that Chroma raises.
    """

    def __init__(self, folder: Path, about: str) -> None:
        try:
            import chromadb  # noqa: PLC0415  it takes a second, and is an extra
            from chromadb.config import Settings  # noqa: PLC0415
        except ImportError as error:
            raise IndexUnusableError(
                f"expected the package chromadb, got {error}: pip install 'tickwork[documents]', or use index='exact'"
            ) from error
        try:
            self._client: Any = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
            self._collection: Any = self._client.get_or_create_collection(
                COLLECTION, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None,
                metadata={"about": about},
            )  # fmt: skip
        except BaseException as error:  # its Rust part panics with what is no Exception
            raise _unusable(folder, error) from error
        self._folder = folder
        if (self._collection.metadata or {}).get("about") != about:
            self.close()
            raise IndexUnusableError(f"expected in {folder} the index of {about}, got that of another")

    def add(self, chunks: Sequence[NewChunk], vectors: Sequence[Sequence[float]]) -> None:
        for start in range(0, len(chunks), WRITTEN_AT_ONCE):
            some = chunks[start : start + WRITTEN_AT_ONCE]
            self._ask(
                "upsert", ids=[str(new.number) for new in some], documents=[new.chunk.text for new in some],
                embeddings=[list(vector) for vector in vectors[start : start + WRITTEN_AT_ONCE]],
            )  # fmt: skip

    def delete(self, chunks: Sequence[int]) -> None:
        for start in range(0, len(chunks), WRITTEN_AT_ONCE):
            self._ask("delete", ids=[str(number) for number in chunks[start : start + WRITTEN_AT_ONCE]])

    def query(self, vector: Sequence[float], limit: int, epoch: int) -> Found:
        found = self._ask("query", query_embeddings=[list(vector)], n_results=limit, include=["distances"])
        return [(int(id), 1 - distance) for id, distance in zip(found["ids"][0], found["distances"][0], strict=True)]

    def count(self) -> int:
        return int(self._ask("count"))

    def numbers(self) -> set[int]:
        """All that it holds."""
        return {int(id) for page in self._pages() for id in page}

    def close(self) -> None:
        self._client.close()

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
            raise _unusable(self._folder, error) from error


class FolderLock:
    """One process may have an index open. The lock ends with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._lock = threading.Lock()

    def take(self) -> None:
        """DocumentsInUseError if another process has it."""
        with self._lock:
            if self._file is not None:
                return
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
            try:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                raise DocumentsInUseError(
                    f"expected to be the only process with the Chroma index beside {self._path} open, got another one: "
                    f"an embedded index is for one process; index='exact' serves any number of them"
                ) from None
            self._file = file

    def give_back(self) -> None:
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def probe(folder: Path, about: str) -> str | None:
    """Why the index in *folder* cannot be used, found out by a child process that may die of it; None: it can."""
    try:
        done = subprocess.run(  # noqa: S603  this interpreter, and arguments of our own
            [sys.executable, "-m", "tickwork.documents.chroma", str(folder), about],
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


def _probe_here(folder: Path, about: str) -> None:
    index = ChromaIndex(folder, about)
    count = index.count()
    reached = 0
    if count:
        one = index._ask("get", include=["embeddings"], limit=1)["embeddings"][0]  # noqa: SLF001
        reached = len({number for number, _ in index.query([float(x) for x in one], min(count, PROBED), 0)})
    sys.stdout.write(json.dumps({"count": count, "reached": reached}))


def _unusable(folder: Path, error: BaseException) -> IndexUnusableError:
    return IndexUnusableError(
        f"expected a usable index in {folder}, got {type(error).__name__}: {str(error)[:300]}: it is built anew by the "
        f"next sync, or docs.rebuild()"
    )


if __name__ == "__main__":
    _probe_here(Path(sys.argv[1]), sys.argv[2])
