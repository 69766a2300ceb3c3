"""Documents, kept fresh by jobs and found by meaning; each answer says how fresh it is.

scheduler = AsyncIOScheduler("sqlite:///jobs.db")
docs = Documents("kb", "data", embedder=MiniLM(), scheduler=scheduler)


@docs.source("handbook", every="15m", max_staleness="1h")
async def handbook():
    async for page in pages():
        yield Doc(id=page.path, text=page.markdown, uri=page.url, version=page.etag)


hits = await docs.search("how do I reset my password", k=5)
hits[0].text, hits[0].uri, hits[0].freshness.age
"""

from __future__ import annotations

from tickwork.documents.document import Chunk, Doc, Freshness, Hit, Same, Unreadable
from tickwork.documents.documents import Documents, SourceStatus
from tickwork.documents.embedders import Embedder, HashEmbedder
from tickwork.documents.errors import (
    DocumentsError,
    DocumentsInUseError,
    EmbedderChangedError,
    EmbeddingError,
    IndexUnusableError,
    InvalidDocumentError,
    MassDeletionError,
    SourceNotFoundError,
    StaleError,
    SyncSupersededError,
)
from tickwork.documents.sources import Folder
from tickwork.documents.splitting import BlockSplitter, Splitter
from tickwork.documents.syncing import Report

__all__ = [
    "BlockSplitter",
    "Chunk",
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
    "Report",
    "Same",
    "SourceNotFoundError",
    "SourceStatus",
    "Splitter",
    "StaleError",
    "SyncSupersededError",
    "Unreadable",
]
