"""Documents: what a sync costs when nothing, little or all is new, beside LangChain; and how long a search takes.

Vectors come from the hash of their text at once, so that the embedder, the same for all, does not hide the rest.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from zlib import crc32

import numpy as np

from benchmarks import postgresql
from benchmarks.tables import Case, Metric, Result, Size, Table
from tickwork.documents import Chunk, Doc, Documents

CHUNKS = 10
CHANGED = 10
DIMENSION = 384
QUERIES = 200


def tables(size: Size) -> Sequence[Table]:
    documents = {"full": 1_000, "quick": 200, "tiny": 20}[size]
    searched = {"full": 100_000, "quick": 10_000, "tiny": 100}[size]
    kinds = ("managed", "embedded", "exact")
    syncs = {f"tickwork, {kind}": Case(sync, {"index": kind, "documents": documents}) for kind in kinds}
    in_postgresql = "exact, catalogue in PostgreSQL"
    syncs[f"tickwork, {in_postgresql}"] = Case(
        sync, {"index": "exact", "documents": documents, "kept": postgresql.KEPT}
    )
    searches = {kind: Case(search, {"index": kind, "chunks": searched}) for kind in kinds}
    searches[in_postgresql] = Case(search, {"index": "exact", "chunks": searched, "kept": postgresql.KEPT})
    syncs["LangChain index()"] = Case(sync_langchain, {"documents": documents})
    return [
        Table(
            f"documents: a sync of {documents:,} documents, {documents * CHUNKS:,} chunks",
            syncs,
            [
                Metric("first", "all of it new, s (less is better)"),
                Metric("same", "nothing changed, s"),
                Metric("changed", f"a chunk of each of {min(CHANGED, documents)} documents changed, s"),
                Metric("embedded_same", "chunks embedded though nothing changed"),
                Metric("embedded_changed", f"chunks embedded for {min(CHANGED, documents)} that changed"),
            ],
            bases=["LangChain index()"],
            most_rounds=3,
        ),
        Table(
            f"documents: a search among {searched:,} chunks",
            searches,
            [
                Metric("p50", "half of the searches took at most, ms"),
                Metric("p95", "95 of 100, ms"),
                Metric("beside", "half of those beside a sync, ms"),
                Metric("build", "to build the index, s"),
            ],
            rounds=1,
        ),
    ]


def sync(folder: str, *, index: str, documents: int, kept: str = "") -> Result:
    embedder = Hashes()
    docs = Documents("kb", place(folder, kept), embedder=embedder, index=index, splitter=Lines())
    listed = [Doc(f"d{number}", text(number, 0)) for number in range(documents)]
    docs.source("all")(lambda: listed)
    first = timed(lambda: asyncio.run(docs.sync("all")))
    embedder.embedded = 0
    same = timed(lambda: asyncio.run(docs.sync("all")))
    embedded_same, embedder.embedded = embedder.embedded, 0
    for number in range(min(CHANGED, documents)):
        listed[number] = Doc(f"d{number}", text(number, 1))
    changed = timed(lambda: asyncio.run(docs.sync("all")))
    docs.close()
    return {
        "first": first, "same": same, "changed": changed,
        "embedded_same": embedded_same, "embedded_changed": embedder.embedded,
    }  # fmt: skip


def sync_langchain(folder: str, *, documents: int) -> Result:
    """As its documentation shows: a record manager, Chroma on disk, and the clean-up that deletes what vanished."""
    from langchain_chroma import Chroma
    from langchain_core.documents import Document
    from langchain_core.indexing import InMemoryRecordManager, index

    class Embeddings(Hashes):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[*map(float, vector)] for vector in self.embed(texts)]

    embedder = Embeddings()
    store = Chroma("docs", embedder, persist_directory=str(folder))  # type: ignore[arg-type]
    records = InMemoryRecordManager("kb")
    records.create_schema()

    def run(revisions: int) -> None:
        pieces = [
            Document(line, metadata={"source": f"d{number}"})
            for number in range(documents)
            for line in text(number, int(number < revisions)).splitlines()
        ]
        index(pieces, records, store, cleanup="full", source_id_key="source", key_encoder="sha256")

    first = timed(lambda: run(0))
    embedder.embedded = 0
    same = timed(lambda: run(0))
    embedded_same, embedder.embedded = embedder.embedded, 0
    changed = timed(lambda: run(min(CHANGED, documents)))
    return {
        "first": first, "same": same, "changed": changed,
        "embedded_same": embedded_same, "embedded_changed": embedder.embedded,
    }  # fmt: skip


def place(folder: str, kept: str) -> Path | str:
    return postgresql.database_url() if kept == postgresql.KEPT else Path(folder, "docs")


def search(folder: str, *, index: str, chunks: int, kept: str = "") -> Result:
    docs = Documents("kb", place(folder, kept), embedder=Hashes(), index="exact", splitter=Lines())
    docs.source("all")(lambda: (Doc(f"d{number}", text(number, 0)) for number in range(chunks // CHUNKS)))
    asyncio.run(docs.sync("all"))
    docs.close()
    docs = Documents("kb", place(folder, kept), embedder=Hashes(), index=index, splitter=Lines())
    docs.source("new")(lambda: (Doc(f"n{number}", text(number, 2)) for number in range(max(10, chunks // 200))))
    build = timed(lambda: built(docs))
    alone = asked(docs, range(QUERIES))
    syncing = threading.Thread(target=lambda: asyncio.run(docs.sync("new")))
    syncing.start()
    beside = asked(docs, until(syncing))
    syncing.join()
    docs.close()
    return {"p50": median(alone), "p95": quantiles(alone, n=20)[-1], "beside": median(beside), "build": build}


def built(docs: Documents) -> None:
    """Wait until the index holds all of it."""
    docs.verify(repair=True)
    asked(docs, range(1))


def asked(docs: Documents, numbers: range | Iterator[int]) -> list[float]:
    """Milliseconds that each search took, all in one event loop as in a server."""

    async def ask() -> list[float]:
        took = []
        for number in numbers:
            began = time.perf_counter()
            await docs.search(f"d{number} line 3", 10)
            took.append(1_000 * (time.perf_counter() - began))
        return took

    return asyncio.run(ask())


def until(thread: threading.Thread) -> Iterator[int]:
    """Numbers for as long as *thread* goes on, ten at least."""
    number = 0
    while thread.is_alive() or number < 10:
        yield number
        number += 1


def text(number: int, revision: int) -> str:
    """Ten lines, of which the first is another in each revision."""
    return "\n".join(
        f"d{number} line {line}" + (f" revision {revision}" if line == 0 else "") for line in range(CHUNKS)
    )


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Lines:
    """A chunk for each line."""

    identity = "lines"

    def split(self, text: str) -> Sequence[Chunk]:
        return [Chunk(line) for line in text.splitlines()]


class Hashes:
    """Vectors at next to no cost: those of a document lie close together."""

    identity = "hashes"

    def __init__(self) -> None:
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        self.embedded += len(texts)
        return [self._vector(text.split(" ", 1)[0]) + 0.25 * self._vector(text) for text in texts]

    def _vector(self, text: str) -> np.ndarray:
        return np.random.default_rng(crc32(text.encode())).standard_normal(DIMENSION).astype("float32")
