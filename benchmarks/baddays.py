"""Bad days of documents, lived through with LangChain, LlamaIndex and tickwork: `python -m benchmarks.baddays`.

Each day is the same for all: pages of lines, a line a chunk, and an embedder that counts, and fails when it is told to.
What became of it is read from what the index holds afterwards and from that count; only what would be right is written
here. An hour lies between two runs. `--report docs/documents.md` writes the table between the marks in that page.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

BEGIN, END = "<!-- bad days: python -m benchmarks.baddays --report docs/documents.md -->", "<!-- end of bad days -->"


class Page(NamedTuple):
    lines: Sequence[str]
    lang: str = "en"


Pages = Mapping[str, Page]


class EmbedderDownError(Exception):
    """As when a server is away, or a quota is used up."""


@dataclass
class Embedder:
    """Vectors from the hash of a text; each is counted."""

    identity: str = "bad days"
    embedded: int = 0
    left: int | None = None
    """How many it embeds until it fails. None: it does not."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        for _ in texts:
            if self.left == 0:
                raise EmbedderDownError("the embedder is down")
            self.left = None if self.left is None else self.left - 1
            self.embedded += 1
        return [[float(byte) - 127.5 for byte in blake2b(text.encode(), digest_size=16).digest()] for text in texts]


class System(Protocol):
    """A tool with its index in *folder*."""

    embedder: Embedder

    def run(self, pages: Pages) -> None:
        """Bring in what the source lists now, as a schedule would; raises what the tool raises."""
        ...

    def held(self) -> Counter[tuple[str, str]]:
        """What a search can find: text and language of each chunk."""
        ...

    def lose_half(self) -> None:
        """Half of the vectors are gone, as after the backup of yesterday was put back; the program is started again."""
        ...

    def close(self) -> None: ...


# the tools


class LangChain:
    """`index()` with Chroma and a record manager, as its documentation shows it."""

    def __init__(self, folder: Path, cleanup: str) -> None:
        from langchain_chroma import Chroma
        from langchain_core.embeddings import Embeddings
        from langchain_core.indexing import InMemoryRecordManager

        embedder = self.embedder = Embedder()

        class Vectors(Embeddings):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return embedder.embed(texts)

            def embed_query(self, text: str) -> list[float]:
                return embedder.embed([text])[0]

        self.store = Chroma("pages", Vectors(), persist_directory=str(folder))
        self.records = InMemoryRecordManager("pages")
        self.records.create_schema()
        self.cleanup = cleanup

    def run(self, pages: Pages) -> None:
        from langchain_core.documents import Document
        from langchain_core.indexing import index

        chunks = [
            Document(line, metadata={"source": name, "lang": page.lang})
            for name, page in pages.items()
            for line in page.lines
        ]
        index(
            chunks, self.records, self.store, cleanup=self.cleanup, source_id_key="source", key_encoder="sha256",
        )  # type: ignore[call-overload]  # fmt: skip

    def held(self) -> Counter[tuple[str, str]]:
        found = self.store.get()
        return Counter((text, meta["lang"]) for text, meta in zip(found["documents"], found["metadatas"], strict=True))

    def lose_half(self) -> None:
        ids = self.store.get()["ids"]
        self.store.delete(ids[: len(ids) // 2])

    def close(self) -> None:
        self.store._client.close()


class LlamaIndex:
    """`IngestionPipeline` with a docstore and the vector store of its core."""

    def __init__(self, folder: Path, strategy: str) -> None:
        from llama_index.core.embeddings import BaseEmbedding
        from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
        from llama_index.core.schema import NodeRelationship, TextNode, TransformComponent
        from llama_index.core.storage.docstore import SimpleDocumentStore
        from llama_index.core.vector_stores import SimpleVectorStore

        embedder = self.embedder = Embedder()
        texts = self.texts = {}

        class Lines(TransformComponent):
            def __call__(self, nodes: Any, **_: Any) -> Any:
                made = []
                for node in nodes:
                    for line in node.text.splitlines():
                        id = str(uuid4())
                        texts[id] = line, node.metadata["lang"]
                        source = {NodeRelationship.SOURCE: node.as_related_node_info()}
                        made.append(TextNode(id_=id, text=line, metadata=dict(node.metadata), relationships=source))
                return made

        class Vectors(BaseEmbedding):
            def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
                return embedder.embed(texts)

            def _get_text_embedding(self, text: str) -> list[float]:
                return embedder.embed([text])[0]

            _get_query_embedding = _get_text_embedding

            async def _aget_query_embedding(self, query: str) -> list[float]:
                return embedder.embed([query])[0]

        self.vectors = SimpleVectorStore()
        self.pipeline = IngestionPipeline(
            transformations=[Lines(), Vectors()], docstore=SimpleDocumentStore(), vector_store=self.vectors,
            docstore_strategy=DocstoreStrategy(strategy),
        )  # fmt: skip

    def run(self, pages: Pages) -> None:
        from llama_index.core import Document

        self.pipeline.run(documents=[
            Document(id_=name, text="\n".join(page.lines), metadata={"lang": page.lang}) for name, page in pages.items()
        ])  # fmt: skip

    def held(self) -> Counter[tuple[str, str]]:
        return Counter(self.texts[id] for id in self.vectors.data.embedding_dict)

    def lose_half(self) -> None:
        ids = [*self.vectors.data.embedding_dict]
        self.vectors.delete_nodes(ids[: len(ids) // 2])

    def close(self) -> None:
        """All of it is in memory."""


class Tickwork:
    """`Documents` with Chroma in the process."""

    def __init__(self, folder: Path) -> None:
        from tickwork.documents import Chunk, Doc, Documents
        from tickwork.testing import VirtualClock

        class Lines:
            identity = "lines"

            def split(self, text: str) -> Sequence[Chunk]:
                return [Chunk(line) for line in text.splitlines()]

        self.embedder = Embedder()
        self.pages: Pages = {}
        self.clock = VirtualClock()
        self.docs = Documents(
            "kb", folder, embedder=self.embedder, index="embedded", splitter=Lines(), clock=self.clock
        )
        self.docs.source("pages")(
            lambda: [Doc(name, "\n".join(page.lines), meta={"lang": page.lang}) for name, page in self.pages.items()]
        )

    def run(self, pages: Pages) -> None:
        from tickwork.documents import EmbeddingError

        self.pages = pages
        self.clock.advance(timedelta(hours=1))
        try:
            asyncio.run(self.docs.sync("pages"))
        except EmbeddingError as error:
            raise EmbedderDownError from error

    def held(self) -> Counter[tuple[str, str]]:
        """By asking Chroma, and not by a search, which compares all vectors where Chroma finds too little."""
        from tickwork.documents.catalogue import unpack

        trouble = self.docs.trouble
        assert trouble is None, trouble
        parts = self.docs._opened()
        assert parts.keeper is not None
        index = parts.keeper._usable()
        assert index is not None
        vectors = parts.catalogue.space(sorted(index.numbers()), parts.vectors.space)
        found = index.query(unpack(vectors[0][1]), 1_000, 0) if vectors else []
        passages = parts.catalogue.passages(parts.catalogue.epoch(parts.vectors.space), [number for number, _ in found])
        return Counter((passage.text, passage.meta["lang"]) for passage in passages)

    def lose_half(self) -> None:
        keeper = self.docs._opened().keeper
        assert keeper is not None
        index = keeper._usable()
        assert index is not None
        numbers = sorted(index.numbers())
        index.delete(numbers[: len(numbers) // 2])
        self.docs.close()

    def close(self) -> None:
        self.docs.close()


# the days


@dataclass(frozen=True)
class Outcome:
    right: bool
    said: str


@dataclass(frozen=True)
class Day:
    title: str
    live: Callable[[System], Outcome]


LONG = Page([f"line {number} of a long page" for number in range(200)])
"""Longer than the batch of LangChain, which is 100."""
CHANGED = Page([f"line {number} of a long page, revised" for number in range(200)])
FEW = {f"page {name}": Page([f"page {name}, line {number}" for number in range(10)]) for name in range(5)}


def nothing_changed(system: System) -> Outcome:
    system.run({"long": LONG})
    before = system.embedder.embedded
    system.run({"long": LONG})
    embedded = system.embedder.embedded - before
    return Outcome(not embedded and system.held() == chunks({"long": LONG}), f"{embedded} embedded")


def embedder_dies(system: System) -> Outcome:
    system.run({"long": LONG})
    system.embedder.left = 150
    with suppress(EmbedderDownError):
        system.run({"long": CHANGED})
    held = system.held()
    old, new = (sum((held & chunks({"long": page})).values()) for page in (LONG, CHANGED))
    return Outcome((old, new) in ((200, 0), (0, 200)), f"{old} old and {new} new chunks found")


def first_time_fails(system: System) -> Outcome:
    system.embedder.left = 150
    with suppress(EmbedderDownError):
        system.run({"long": LONG})
    system.embedder.left = None
    system.run({"long": LONG})
    found = sum((system.held() & chunks({"long": LONG})).values())
    return Outcome(found == 200 and system.held() == chunks({"long": LONG}), f"{found} of 200 found")


def line_is_added(system: System) -> Outcome:
    page = Page(LONG.lines[:17])
    system.run({"long": page})
    before = system.embedder.embedded
    longer = {"long": Page([*page.lines, "a line that was added"])}
    system.run(longer)
    embedded = system.embedder.embedded - before
    return Outcome(embedded == 1 and system.held() == chunks(longer), f"{embedded} embedded")


def page_vanishes(system: System) -> Outcome:
    system.run(FEW)
    left = {name: page for name, page in FEW.items() if name != "page 0"}
    system.run(left)
    stays = sum((system.held() & chunks({"page 0": FEW["page 0"]})).values())
    return Outcome(system.held() == chunks(left), f"{stays} of its 10 chunks still found")


def source_is_empty(system: System) -> Outcome:
    system.run(FEW)
    with suppress(Exception):
        system.run({})
    found = sum(system.held().values())
    return Outcome(found == 50, f"{found} of 50 found")


def metadata_changes(system: System) -> Outcome:
    system.run(FEW)
    before = system.embedder.embedded
    translated = {name: Page(page.lines, "de") for name, page in FEW.items()}
    system.run(translated)
    embedded, held = system.embedder.embedded - before, system.held()
    wrong = "" if held == chunks(translated) else ", and the old metadata found"
    return Outcome(not embedded and not wrong, f"{embedded} embedded{wrong}")


def index_loses_half(system: System) -> Outcome:
    system.run(FEW)
    system.lose_half()
    before = system.embedder.embedded
    system.run(FEW)
    found = sum((system.held() & chunks(FEW)).values())
    return Outcome(found == 50, f"{found} of 50 found, {system.embedder.embedded - before} embedded")


DAYS = (
    Day("nothing changed in a page of 200 chunks", nothing_changed),
    Day("a page of 200 chunks changes, and the embedder dies after 150", embedder_dies),
    Day("the same when it is first taken in; then the next run", first_time_fails),
    Day("a line is added to a page of 17", line_is_added),
    Day("one page of five is gone from the source", page_vanishes),
    Day("the source lists nothing, as in an outage", source_is_empty),
    Day("only the metadata of 50 chunks changes", metadata_changes),
    Day("the index loses half of its vectors, its books do not; then the next run", index_loses_half),
)

SYSTEMS: Mapping[str, Callable[[Path], System]] = {
    "LangChain, incremental": lambda folder: LangChain(folder, "incremental"),
    "LangChain, full": lambda folder: LangChain(folder, "full"),
    "LlamaIndex, upserts": lambda folder: LlamaIndex(folder, "upserts"),
    "LlamaIndex, upserts_and_delete": lambda folder: LlamaIndex(folder, "upserts_and_delete"),
    "tickwork": Tickwork,
}
PEERS = ("langchain_chroma", "llama_index")
VERSIONS = ("langchain-core", "langchain-chroma", "llama-index-core", "chromadb", "tickwork")


def chunks(pages: Pages) -> Counter[tuple[str, str]]:
    return Counter((line, page.lang) for page in pages.values() for line in page.lines)


def live(day: Day, make: Callable[[Path], System]) -> Outcome:
    """A day with a system of its own, whose index is empty. What is raised beside what the day brings is told."""
    with tempfile.TemporaryDirectory(prefix="tickwork-bad-day-", ignore_cleanup_errors=True) as folder:
        system = make(Path(folder))
        try:
            return day.live(system)
        except Exception as error:
            return Outcome(False, f"{type(error).__name__}: {' '.join(str(error).split())[:100]}")
        finally:
            system.close()


def table(systems: Mapping[str, Callable[[Path], System]]) -> tuple[str, Mapping[str, int]]:
    """The table in Markdown, and on how many days each system did what is right."""
    rows = [f"| | {' | '.join(systems)} |", f"|{'---|' * (len(systems) + 1)}"]
    right: Counter[str] = Counter()
    for day in DAYS:
        outcomes = {name: live(day, make) for name, make in systems.items()}
        right.update(name for name, outcome in outcomes.items() if outcome.right)
        said = [one.said if one.right else f"**{one.said}**" for one in outcomes.values()]
        rows.append(f"| {day.title} | {' | '.join(said)} |")
    rows.append(f"| days that went right | {' | '.join(f'{right[name]} of {len(DAYS)}' for name in systems)} |")
    return "\n".join(rows), right


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baddays", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--report", type=Path, help="a page with the marks of the table, which is written between them")
    options = parser.parse_args()
    if missing := [name for name in PEERS if importlib.util.find_spec(name) is None]:
        parser.error(f"expected the peers to compare with, got no {' and no '.join(missing)}: run `make benchmark`")
    logging.disable(logging.CRITICAL)  # the days are bad, and each tool says so
    written, _ = table(SYSTEMS)
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    print(f"{written}\n\n{versions}")
    if options.report is not None:
        page = options.report.read_text("utf-8")
        before, _, rest = page.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not end:
            parser.error(f"expected {BEGIN} and {END} in {options.report}, got neither: put them where the table goes")
        options.report.write_text(f"{before}{BEGIN}\n{written}\n\nVersions: {versions}.\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
