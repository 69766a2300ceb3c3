"""The function of the jobs that keep sources fresh: what a ledger names."""

from __future__ import annotations

from typing import Any

from tickwork.documents.documents import find_documents
from tickwork.executors.call import RunContext


async def sync_source(documents: str, source: str, run: RunContext) -> dict[str, Any]:
    """Sync *source* of the *documents* that this process made; what it did is the run's result."""
    report = await find_documents(documents).sync(source, progress=run.progress)
    return {
        "listed": report.listed, "changed": report.changed, "embedded": report.embedded,
        "deleted": len(report.deleted), "failed": len(report.failed),
    }  # fmt: skip
