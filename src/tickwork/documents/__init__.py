"""Documents, kept fresh by jobs and found by meaning; each answer says how fresh it is.

scheduler = AsyncIOScheduler("sqlite:///jobs.db")
docs = Documents("kb", "data", scheduler=scheduler)


@docs.source("handbook", every="15m", max_staleness="1h")
async def handbook():
    async for page in pages():
        yield Doc(id=page.path, text=page.markdown, uri=page.url, version=page.etag)


hits = await docs.search("how do I reset my password", k=5)
hits[0].text, hits[0].uri, hits[0].freshness.age
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tickwork.documents.catalogue import StoredChunk, StoredDocument, StoredText
from tickwork.documents.compacting import Compaction
from tickwork.documents.document import Chunk, Doc, Freshness, Hit, Same, Unreadable
from tickwork.documents.documents import Documents, SourceStatus
from tickwork.documents.embedders import Embedder, HashEmbedder, MiniLM, OnnxEmbedder, SentenceTransformerEmbedder
from tickwork.documents.errors import (
    DocumentsError,
    DocumentsInUseError,
    EmbedderChangedError,
    EmbeddingError,
    IndexUnusableError,
    InvalidDocumentError,
    MassDeletionError,
    SourceNotFoundError,
    SourceUnavailableError,
    StaleError,
    SyncSupersededError,
)
from tickwork.documents.sources import Folder, SQLQuery
from tickwork.documents.splitting import BlockSplitter, Splitter
from tickwork.documents.syncing import Report

if TYPE_CHECKING:
    from tickwork.documents.embedders.openai import OpenAIEmbedder
    from tickwork.documents.sources.website import Website

__all__ = [
    "BlockSplitter",
    "Chunk",
    "Compaction",
    "Doc",
    "Documents",
    "DocumentsError",
    "DocumentsInUseError",
    "Embedder",
    "EmbedderChangedError",
    "EmbeddingError",
    "Folder",
    "Freshness",
    "HashEmbedder",
    "Hit",
    "IndexUnusableError",
    "InvalidDocumentError",
    "MassDeletionError",
    "MiniLM",
    "OnnxEmbedder",
    "OpenAIEmbedder",
    "Report",
    "SQLQuery",
    "Same",
    "SentenceTransformerEmbedder",
    "SourceNotFoundError",
    "SourceStatus",
    "SourceUnavailableError",
    "Splitter",
    "StaleError",
    "StoredChunk",
    "StoredDocument",
    "StoredText",
    "SyncSupersededError",
    "Unreadable",
    "Website",
]


def __getattr__(name: str) -> Any:
    """What imports httpx is imported when it is asked for."""
    match name:
        case "OpenAIEmbedder":
            from tickwork.documents.embedders.openai import OpenAIEmbedder  # noqa: PLC0415

            return OpenAIEmbedder
        case "Website":
            from tickwork.documents.sources.website import Website  # noqa: PLC0415

            return Website
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
