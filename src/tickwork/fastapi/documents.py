"""Documents over HTTP: search, how the sources stand, sync now, uploads; and their page.

The rule: who may call is said as for jobs, and guarded by the same means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from fastapi import APIRouter, Depends, Query, Response
from fastapi.params import Depends as Dependency
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from tickwork.clock import SystemClock
from tickwork.documents import (
    Compaction,
    Doc,
    Documents,
    DocumentsError,
    EmbeddingError,
    Hit,
    InvalidDocumentError,
    MassDeletionError,
    Report,
    SourceNotFoundError,
    SourceStatus,
    SourceUnavailableError,
    StaleError,
    StoredDocument,
    StoredText,
    SyncSupersededError,
)
from tickwork.documents.documents import MOST_HITS, OnStale
from tickwork.documents.where import read_where
from tickwork.errors import TickworkError
from tickwork.fastapi.checks import check_dependencies, check_prefix
from tickwork.fastapi.guard import refuse_simple_requests, refuse_strangers, refuse_unknown_parameters
from tickwork.fastapi.models import Nothing, ProgressView
from tickwork.fastapi.pages import Page, add_page
from tickwork.fastapi.router import (
    STATUS,
    Limit,
    Offset,
    TickworkRoute,
    add_rights,
    check_protection,
    errors_of,
    read_body,
    schema_of,
)
from tickwork.run import Run, RunState
from tickwork.scheduler import Scheduler

LONGEST_UPLOAD = 20_000_000
"""Bytes of JSON."""
MOST_FAILED = 50
"""Documents in trouble that are listed for each source; all of them are counted."""

DOCUMENTS_STATUS: Sequence[tuple[type[TickworkError], int]] = (
    (SourceNotFoundError, 404),
    (MassDeletionError, 409),
    (StaleError, 409),
    (SyncSupersededError, 409),
    (InvalidDocumentError, 422),
    (EmbeddingError, 502),
    (SourceUnavailableError, 502),
    (DocumentsError, 503),
    *STATUS,
)

Where = Annotated[
    list[str], Query(default_factory=list, description="Such as lang:en, one or several times: meta that hits have.")
]


class FreshnessView(BaseModel):
    revision: int
    modified_at: datetime | None
    indexed_at: datetime
    checked_at: datetime
    age: float
    stale: bool


class HitView(BaseModel):
    text: str
    score: float
    source: str
    doc_id: str
    position: int
    heading: str
    uri: str | None
    meta: dict[str, Any]
    freshness: FreshnessView

    @classmethod
    def of(cls, hit: Hit) -> Self:
        fresh = hit.freshness
        return cls(
            text=hit.text, score=hit.score, source=hit.source, doc_id=hit.doc_id, position=hit.position,
            heading=hit.heading, uri=hit.uri, meta=dict(hit.meta),
            freshness=FreshnessView(
                revision=fresh.revision, modified_at=fresh.modified_at, indexed_at=fresh.indexed_at,
                checked_at=fresh.checked_at, age=fresh.age.total_seconds(), stale=fresh.stale,
            ),
        )  # fmt: skip


class FailedView(BaseModel):
    id: str
    error: str
    failures: int
    retry_at: datetime | None


class SyncProgressView(ProgressView):
    rate: float | None = Field(description="Documents a second, since this sync began.")
    eta: float | None = Field(description="Seconds that it takes on at this rate.")

    @classmethod
    def of(cls, run: Run, now: datetime) -> Self:
        told = run.progress
        if told is None:
            return cls(done=None, total=None, message="", rate=None, eta=None)
        spent = 0.0 if run.started_at is None else (now - run.started_at).total_seconds()
        rate = told.done / spent if told.done and spent > 0 else None
        left = None if rate is None or not told.total else max(0.0, told.total - (told.done or 0)) / rate
        return cls(done=told.done, total=told.total, message=told.message, rate=rate, eta=left)


class SourceView(BaseModel):
    name: str
    last_ok: datetime | None
    lag: float | None
    fresh: bool | None
    error: str | None
    documents: int
    chunks: int
    failed: list[FailedView]
    failed_total: int
    job_id: str | None
    next_fire_time: datetime | None
    progress: SyncProgressView | None

    @classmethod
    def of(cls, status: SourceStatus, scheduler: Scheduler | None, now: datetime) -> Self:
        next_fire_time, progress = _standing(status.job_id, scheduler, now)
        return cls(
            name=status.name, last_ok=status.last_ok, lag=None if status.lag is None else status.lag.total_seconds(),
            fresh=status.fresh, error=status.error, documents=status.documents, chunks=status.chunks,
            failed=[
                FailedView(id=one.id, error=one.error, failures=one.failures, retry_at=one.retry_at)
                for one in status.failed[:MOST_FAILED]
            ],
            failed_total=len(status.failed), job_id=status.job_id, next_fire_time=next_fire_time, progress=progress,
        )  # fmt: skip


class DocumentsOverview(BaseModel):
    now: datetime
    name: str
    read_only: bool
    trouble: str | None
    sources: list[SourceView]


class DocumentView(BaseModel):
    """A document as it is kept."""

    id: str
    state: Literal["live", "quarantined"] = Field(
        description="quarantined: what its source has now cannot be taken in; its last good revision is searched."
    )
    error: str | None
    failures: int
    retry_at: datetime | None
    revision: int | None = Field(description="None: no revision of it was ever taken in.")
    uri: str | None
    meta: dict[str, Any]
    modified_at: datetime | None
    indexed_at: datetime | None
    checked_at: datetime | None
    chunks: int

    @classmethod
    def of(cls, stored: StoredDocument) -> Self:
        known = {name: value for name, value in stored._asdict().items() if name in cls.model_fields}
        return cls(**known, state="live" if stored.error is None else "quarantined")


class DocumentsPage(BaseModel):
    """Some of the documents of a source, by their ids."""

    source: str
    total: int
    documents: list[DocumentView]


class ChunkView(BaseModel):
    position: int
    heading: str
    text: str


class ChunksPage(BaseModel):
    """Some of the chunks of a document, in their order."""

    source: str
    id: str
    revision: int
    total: int
    chunks: list[ChunkView]

    @classmethod
    def of(cls, source: str, id: str, text: StoredText) -> Self:
        chunks = [ChunkView(**chunk._asdict()) for chunk in text.chunks]
        return cls(source=source, id=id, revision=text.revision, total=text.total, chunks=chunks)


class ReportView(BaseModel):
    source: str
    dry_run: bool
    listed: int
    unchanged: int
    changed: int
    embedded: int
    kept: int
    deleted: list[str]
    failed: dict[str, str]

    @classmethod
    def of(cls, report: Report) -> Self:
        return cls(**{name: getattr(report, name) for name in cls.model_fields})


class SyncView(BaseModel):
    run_id: str | None
    report: ReportView | None


class SyncOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")
    dry_run: StrictBool = False
    allow_mass_delete: StrictBool = False


class Upload(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str = Field(min_length=1)
    text: str
    uri: str | None = None
    modified: datetime | None = None
    meta: dict[str, Any] = {}


class CompactionView(BaseModel):
    chunks: int
    vectors: int
    rebuilt: bool
    vacuumed: bool
    freed: int = Field(description="Bytes on the disk of the machine that answered.")
    left: list[str] = Field(description="What could not be given back now.")

    @classmethod
    def of(cls, done: Compaction) -> Self:
        return cls(**done._asdict())


class DocumentsRoute(TickworkRoute):
    statuses: ClassVar = DOCUMENTS_STATUS
    longest_body: ClassVar = LONGEST_UPLOAD


def create_documents_router(
    docs: Documents,
    *,
    dependencies: Sequence[Dependency] | None = None,
    changes: Sequence[Dependency] | None = None,
    unprotected: bool = False,
    read_only: bool = False,
    allowed_hosts: Collection[str] = (),
    prefix: str = "",
) -> APIRouter:
    """The search over *docs*, their sources, and a page of both at the root.

        app.include_router(create_documents_router(docs, prefix="/docs-index", dependencies=[Depends(admin)]))

    Who may call it is said as for `create_router`: *dependencies*, *changes*, *read_only* or *unprotected*; otherwise
    this raises UnprotectedRoutesError. Whoever may call it can search all documents.

    Routes, below *prefix*: `GET overview`, and `GET search?q=...` (with `k`, `where=key:value`, `source`, `max_age`,
    `on_stale`); `GET sources/{name}/documents` (with `quarantined`, `limit`, `offset`), and of one of them
    `GET sources/{name}/documents/{id}/chunks`; `POST sources/{name}/sync`, which has the source's job run now (202,
    `run_id`), or, if it has none and for a dry run, syncs and answers with the report; `POST sources/{name}/documents`
    takes in one document of a source that lists nothing itself; `DELETE sources/{name}/documents/{id}`;
    `POST compact`. Errors are `{"detail": ...}`.
    """
    check_dependencies("create_documents_router", dependencies)
    check_dependencies("create_documents_router", changes, "changes")
    check_prefix(prefix)
    check_protection(
        dependencies, changes=changes, unprotected=unprotected, read_only=read_only, allowed_hosts=allowed_hosts,
        deeds="sync, take in and delete documents", made_by="create_documents_router",
    )  # fmt: skip
    guards = [*(dependencies or [Depends(refuse_strangers(allowed_hosts))]), Depends(refuse_unknown_parameters)]
    router = APIRouter(prefix=prefix, tags=["documents"], route_class=DocumentsRoute, dependencies=guards)
    _add_reading_routes(router, docs, read_only=read_only)
    if not read_only:
        _add_changing_routes(router, docs, changes or ())
    add_rights(router, changes or (), read_only=read_only)
    add_page(router, Page("documents", "tickwork documents", f"Documents: {docs.name}", "overview, search"))
    return router


def _add_reading_routes(router: APIRouter, docs: Documents, *, read_only: bool) -> None:
    @router.get("/search", responses=errors_of(409, 502, 503))
    async def search(
        *,
        q: Annotated[str, Query(description="What is looked for.")],
        k: Annotated[int, Query(ge=1, le=MOST_HITS)] = 5,
        where: Where,
        source: str | None = None,
        max_age: Annotated[str | None, Query(description="Such as 2h: hits that are older are stale.")] = None,
        on_stale: OnStale = "mark",
    ) -> list[HitView]:
        """The chunks nearest to a question, each with its freshness."""
        wanted = read_where(map(_entry, where))
        found = await docs.search(q, k, where=wanted, source=source, max_age=max_age, on_stale=on_stale)
        return [HitView.of(hit) for hit in found]

    @router.get("/overview", responses=errors_of(503))
    def overview() -> DocumentsOverview:
        """How each source stands, and the index."""
        now = SystemClock().now()
        return DocumentsOverview(
            now=now, name=docs.name, read_only=read_only, trouble=docs.trouble,
            sources=[SourceView.of(status, docs.scheduler, now) for status in docs.status()],
        )  # fmt: skip

    @router.get("/sources/{name}/documents", responses=errors_of(404, 503))
    def documents(
        name: str,
        *,
        quarantined: Annotated[bool | None, Query(description="Only those in quarantine, or only the others.")] = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> DocumentsPage:
        """The documents of a source by their ids, a page at a time."""
        found = docs.get_documents(name, quarantined=quarantined, limit=limit, offset=offset)
        total = docs.count_documents(name, quarantined=quarantined)
        return DocumentsPage(source=name, total=total, documents=[DocumentView.of(one) for one in found])

    @router.get("/sources/{name}/documents/{id:path}/chunks", responses=errors_of(404, 503))
    def chunks(name: str, id: str, *, limit: Limit = 100, offset: Offset = 0) -> ChunksPage:
        """What is searched of a document: its chunks in their order."""
        text = docs.get_text(name, id, limit=limit, offset=offset)
        if text is None:
            raise _no_document(name, id)
        return ChunksPage.of(name, id, text)


def _add_changing_routes(router: APIRouter, docs: Documents, changes: Sequence[Dependency]) -> None:
    guard = [Depends(refuse_simple_requests), *changes]
    order, upload = Depends(read_body(SyncOrder)), Depends(read_body(Upload))

    @router.post(
        "/sources/{name}/sync", dependencies=guard, responses=errors_of(404, 409, 413, 415, 502),
        openapi_extra=schema_of(SyncOrder),
    )  # fmt: skip
    async def sync(name: str, response: Response, how: SyncOrder = order) -> SyncView:
        """Sync a source now."""
        statuses = await asyncio.to_thread(docs.status)
        job_id = next((status.job_id for status in statuses if status.name == name), None)
        if job_id is not None and docs.scheduler is not None and how == SyncOrder():
            run = await asyncio.to_thread(docs.scheduler.run_job_now, job_id)
            response.status_code = 202
            return SyncView(run_id=run.id, report=None)
        report = await docs.sync(name, dry_run=how.dry_run, allow_mass_delete=how.allow_mass_delete)
        return SyncView(run_id=None, report=ReportView.of(report))

    @router.post(
        "/sources/{name}/documents", dependencies=guard, responses=errors_of(409, 413, 415, 502),
        openapi_extra=schema_of(Upload),
    )  # fmt: skip
    async def put(name: str, sent: Upload = upload) -> ReportView:
        """Take in a document, new or changed."""
        report = await docs.put(name, Doc(sent.id, sent.text, uri=sent.uri, modified=sent.modified, meta=sent.meta))
        if sent.id in report.failed:
            raise InvalidDocumentError(f"document {sent.id!r}: {report.failed[sent.id]}")
        return ReportView.of(report)

    @router.post(
        "/compact", dependencies=[*guard, Depends(read_body(Nothing))], responses=errors_of(409, 413, 415, 503)
    )
    def compact() -> CompactionView:
        """Give back the room of what no search can find any more; may take minutes."""
        return CompactionView.of(docs.compact())

    @router.delete("/sources/{name}/documents/{id:path}", dependencies=guard, responses=errors_of(404))
    async def remove(name: str, id: str) -> list[str]:
        """Delete a document."""
        removed = await docs.remove(name, id)
        if not removed:
            raise _no_document(name, id)
        return removed


def _no_document(source: str, id: str) -> SourceNotFoundError:
    return SourceNotFoundError(f"expected a document of source {source!r}, got {id!r}, which it does not have")


def _standing(
    job_id: str | None, scheduler: Scheduler | None, now: datetime
) -> tuple[datetime | None, SyncProgressView | None]:
    """When its job fires next, and how far the run of it has come that goes on."""
    if job_id is None or scheduler is None or (job := scheduler.get_job(job_id)) is None:
        return None, None
    for run in scheduler.get_runs(job_id, states=[RunState.RUNNING], limit=1):
        return job.next_run_time, SyncProgressView.of(run, now)
    return job.next_run_time, None


def _entry(written: str) -> tuple[str, str]:
    name, colon, value = written.partition(":")
    if not colon:
        raise InvalidDocumentError(f"where: expected an entry such as lang:en, got {written!r}")
    return name, value
