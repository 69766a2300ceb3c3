"""Documents: sources that jobs keep fresh, and the search over them."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import threading
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args
from weakref import WeakValueDictionary

from tickwork.checks import shown
from tickwork.clock import Clock
from tickwork.documents import plan
from tickwork.documents.catalogue import Catalogue, FailedDocument, Passage, StoredDocument, StoredText, find_place
from tickwork.documents.compacting import Compaction, compact
from tickwork.documents.document import Doc, Freshness, Hit, check_id
from tickwork.documents.embedders import Embedder, MiniLM
from tickwork.documents.errors import (
    InvalidDocumentError,
    MassDeletionError,
    SourceNotFoundError,
    StaleError,
    SyncSupersededError,
)
from tickwork.documents.index import Found, Index
from tickwork.documents.sources import List, Source
from tickwork.documents.splitting import BlockSplitter, Splitter
from tickwork.documents.syncing import Progress, Report, Step, Sync, clear
from tickwork.documents.vectors import Vectors, embed_anew
from tickwork.documents.where import check_where, fits
from tickwork.durations import Duration, read_duration
from tickwork.errors import StoreError, did_you_mean
from tickwork.policies import Retry
from tickwork.scheduler import Scheduler

if TYPE_CHECKING:
    from tickwork.documents.exact import ExactIndex
    from tickwork.documents.keeping import Drift, IndexKeeper

OnStale = Literal["mark", "drop", "refresh", "raise"]
OF_ONE_MACHINE = ("managed", "embedded")
"""Their index lies beside the file of the catalogue, where another machine finds nothing."""
KINDS = (*OF_ONE_MACHINE, "exact")
SERVER = re.compile(r"https?://[^\s/?#@]+/?")
MOST_HITS = 1_000
LONGEST_QUESTION = 100_000
"""Characters: models look at some thousand at most, and a longer text takes long to cut."""
BEYOND = 10
"""So many more than asked for are fetched: some may be of a revision that this reader does not see."""
MOST_FETCHED = 2_000
"""An index that would have to be asked for more is slower than comparing every vector."""
FARTHEST = 10**9
"""The most that may be passed over in a list."""
AGAIN = Retry(100, delay="1m", backoff=2, max_delay=plan.SOON, give_up_on=(InvalidDocumentError, MassDeletionError))
"""Of the job of a source, which may wait for long otherwise until whatever was away is there again."""
MOST_OVERTAKEN = 20
"""Times that what is put may be overtaken by others that are put."""

ListType = TypeVar("ListType", bound=List)

log = logging.getLogger("tickwork.documents")

_known: WeakValueDictionary[str, Documents] = WeakValueDictionary()


class SourceStatus(NamedTuple):
    """How a source stands."""

    name: str
    last_ok: datetime | None
    """When the last sync began that went through its whole listing. None: none did yet."""
    lag: timedelta | None
    """How long ago that was."""
    fresh: bool | None
    """Whether that is within its `max_staleness`. None: it promises nothing."""
    error: str | None
    """Why its newest sync did not get through. None: it did, or goes on, or there was none."""
    documents: int
    chunks: int
    failed: tuple[FailedDocument, ...]
    """Those that stay at their last good revision, and why."""
    job_id: str | None
    """The job that syncs it. None: it has none in this process."""


class Documents:
    """Documents named *name*: a catalogue, which is the truth, in the folder or the PostgreSQL database *path*
    ("postgresql://..."; docs/documents.md has its options), and an index made from it.

    *index* is "managed", the default of a folder: one of the processes that share it runs a Chroma server as its child,
    on a loopback port, and the others use it. Or "embedded": within this process, while no other has it open; the URL
    of a Chroma server; or "exact", the default of a database, which is none: every vector is compared, which suits tens
    of thousands of chunks. *embedder* turns texts into vectors, `MiniLM` if none is named; another one later is an
    EmbedderChangedError, until `rebuild`. With a *scheduler* each source is a job. *clock* says what is stale, in place
    of this machine's clock or the database's. Raises InvalidDocumentError, StoreURLError.
    """

    def __init__(
        self, name: str, path: str | Path, *, embedder: Embedder | None = None, scheduler: Scheduler | None = None,
        index: str | None = None, splitter: Splitter | None = None, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum() or len(name) > 100:
            raise InvalidDocumentError(f"Documents: expected a name of letters, digits, - and _, got {shown(name)}")
        self._open_catalogue = find_place(name, path)
        shared = "://" in str(path)
        if index is None:
            index = "exact" if shared else "managed"
        if not isinstance(index, str) or not (index in KINDS or SERVER.fullmatch(index)):
            raise InvalidDocumentError(
                f"index: expected one of {', '.join(map(repr, KINDS))} or the URL of a Chroma server, such as "
                f"'http://chroma:8000', got {shown(index)}"
            )
        if shared and index in OF_ONE_MACHINE:
            raise InvalidDocumentError(
                f"index: expected 'exact' or the URL of a Chroma server beside a catalogue that machines share, got "
                f"{index!r}, which the other machines could not find"
            )
        embedder = MiniLM() if embedder is None else embedder
        if not callable(getattr(embedder, "embed", None)) or not isinstance(getattr(embedder, "identity", None), str):
            raise InvalidDocumentError(f"embedder: expected one with identity and embed, got {shown(embedder)}")
        self.name = name
        self.scheduler = scheduler
        """Whose jobs sync the sources."""
        self._embedder = embedder
        self._kind = index
        self._splitter = splitter or BlockSplitter()
        self._clock = clock
        self._sources: dict[str, Source] = {}
        self._jobs: set[str] = set()
        self._lock = threading.RLock()
        self._parts: Parts | None = None
        self._refreshing: dict[str, asyncio.Task[Report]] = {}
        self.reached: Callable[[Step], None] = _go_on
        """Called with each step that a sync has done: for tests that stop there."""
        _known[name] = self

    # sources

    def source(
        self, name: str, *, every: Duration | None = None, cron: str | None = None,
        max_staleness: Duration | None = None, partial: bool = False, splitter: Splitter | None = None,
        **options: Any,
    ) -> Callable[[ListType], ListType]:  # fmt: skip
        """Decorate a generator, async or not, that yields each document there is; or call it with a `Folder`.

        A document that a whole listing does not name is deleted; with *partial* nothing is. A listing that raises
        deletes nothing. A function with a parameter is given the versions that are live, by id: for a document that
        still has its version it may yield `Same(id)`.

        *every* or *cron* makes it a job of the scheduler, `documents:<name>:<source>`, with the *options* of `add_job`.
        With *every* a new one is synced at once; a cron has its hours. A sync that failed is tried again after a
        minute, later after a quarter of an hour, unless the next one comes as soon, or `retry` says otherwise.
        *max_staleness* is how long its documents may go unconfirmed: what `search` and `status` measure by; and its job
        is overdue (a JobOverdue is told) when most of that has passed. Raises InvalidDocumentError.
        """
        check_source_name(name)
        if every is not None and cron is not None:
            raise InvalidDocumentError(f"source {name!r}: expected every= or cron=, got both")
        longest = None if max_staleness is None else _read_length("max_staleness", max_staleness)
        trigger: dict[str, Any] = {} if cron is None else {"trigger": "cron", "crontab": cron}
        pause = None if every is None else _read_length("every", every)
        if pause is not None:
            trigger = {"trigger": "interval", "seconds": pause.total_seconds()}
            if self.scheduler is not None:
                options = {"next_run_time": self.scheduler.clock.now(), **options}
        if trigger and (pause is None or pause > plan.SOON):
            options = {"retry": AGAIN, **options}
        if trigger and longest is not None:
            options = {"expect_every": plan.alert_after(name, longest, pause), **options}
        if trigger and self.scheduler is None:
            raise InvalidDocumentError(
                f"source {name!r}: expected a scheduler for every= and cron=, got none: Documents(scheduler=...)"
            )
        if not trigger and options:
            raise InvalidDocumentError(f"source {name!r}: expected every= or cron= beside {', '.join(sorted(options))}")

        def declare(list: ListType) -> ListType:
            if not callable(list):
                raise InvalidDocumentError(f"source {name!r}: expected a generator function, got {shown(list)}")
            if name in self._sources:
                raise InvalidDocumentError(f"source: expected a new name, got {name!r}, which exists: choose another")
            self._sources[name] = Source(name, list, splitter or self._splitter, partial, longest)
            if trigger and self.scheduler is not None:
                self._jobs.add(name)
                self.scheduler.add_job(
                    "tickwork.documents.jobs:sync_source", id=self._job_id(name),
                    kwargs={"documents": self.name, "source": name},
                    replace_existing=self.scheduler.running, **trigger, **options,
                )  # fmt: skip
            return list

        return declare

    async def sync(
        self, source: str, *, dry_run: bool = False, allow_mass_delete: bool = False, progress: Progress | None = None
    ) -> Report:
        """Make what *source* has now what is searched; with *dry_run* only say what that would take.

        *progress* is told how many documents are done, of how many as far as is known, and what was done; from any
        thread. Raises what the source raises, SourceNotFoundError, EmbeddingError, MassDeletionError (nothing was
        deleted), SyncSupersededError, StoreError. Each document that was written is whole all the same.
        """
        declared = self._source(source)
        told = progress or _tell_nobody
        return await self._sync(declared, told, dry_run=dry_run, allow_mass_delete=allow_mass_delete)

    async def put(self, source: str, *docs: Doc) -> Report:
        """Take in these documents, new or changed, which a person or a program sends: *source* lists nothing itself.

        Others of it stay. Raises InvalidDocumentError for a source that was declared, SyncSupersededError if others
        write it all the time, and what `sync` raises; what could not be taken in is in the report.
        """
        if source in self._sources:
            raise InvalidDocumentError(
                f"put: expected a source that lists nothing itself, got {shown(source)}, whose next sync would delete "
                f"what is put there: use another name"
            )
        check_source_name(source)
        given = Source(source, lambda: docs, self._splitter, partial=True)
        for attempt in range(1, MOST_OVERTAKEN + 1):
            try:
                return await self._sync(given, _tell_nobody)
            except SyncSupersededError:  # another one is put at the same time
                if attempt == MOST_OVERTAKEN:
                    raise
                await asyncio.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311  no secret, only a scatter
        raise AssertionError("unreachable")

    async def remove(self, source: str, *ids: str) -> list[str]:
        """Delete documents of *source*, whoever put them there; the ids of those that were there.

        If the source lists them, its next sync brings them back.
        """
        return await asyncio.to_thread(self._remove, source, ids)

    async def _sync(
        self, declared: Source, progress: Progress, *, dry_run: bool = False, allow_mass_delete: bool = False
    ) -> Report:  # fmt: skip
        begun = await asyncio.to_thread(self._begin, declared, progress, dry_run=dry_run)
        try:
            listing = declared.listing(begun.versions)
            if isinstance(listing, AsyncIterable):
                async for listed in listing:
                    begun.offer(listed)
                    if begun.full:
                        await asyncio.to_thread(begun.write)
            else:
                await asyncio.to_thread(_take_all, begun, listing)
            report = await asyncio.to_thread(
                begun.finish, partial=declared.partial, allow_mass_delete=allow_mass_delete
            )
        except Exception as error:
            try:
                await asyncio.to_thread(begun.fail, error)
            except (SyncSupersededError, StoreError) as worse:  # what the source raised is what its user needs
                log.warning("that a sync of source %r failed could not be noted: %s", declared.name, worse)
            raise
        if not dry_run:
            await asyncio.to_thread(self._clear)
        log.info("synced source %r of documents %r: %s", declared.name, self.name, report)
        return report

    # search

    async def search(
        self, text: str, k: int = 5, *, where: Mapping[str, Any] | None = None, source: str | None = None,
        max_age: Duration | None = None, on_stale: OnStale = "mark",
    ) -> list[Hit]:  # fmt: skip
        """The *k* chunks nearest to *text*, the nearest first, each with its freshness.

        *where* names values that `meta` must have, lists of which it must have one, or None for what it must not have.
        A hit is stale if its source has not confirmed it for longer than *max_age*, or else than the source's
        `max_staleness`; then *on_stale* says whether it is marked, dropped, refreshed (its source is synced first, once
        for all who ask), or a StaleError.
        Raises InvalidDocumentError, EmbeddingError, StoreError, and SourceNotFoundError for a *source* of which neither
        this process nor the catalogue knows.
        """
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_QUESTION:
            raise InvalidDocumentError(
                f"search: expected a text of 1 to {LONGEST_QUESTION:,} characters, got {shown(text)}"
            )
        if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST_HITS:
            raise InvalidDocumentError(f"search: expected k from 1 to {MOST_HITS}, got {shown(k)}")
        if where is not None:
            check_where(where)
        if on_stale not in get_args(OnStale):
            raise InvalidDocumentError(f"on_stale: expected one of {get_args(OnStale)}, got {shown(on_stale)}")
        age = None if max_age is None else _read_length("max_age", max_age)
        if source is not None:
            await asyncio.to_thread(self._check_source, "search", source)
        hits = await asyncio.to_thread(self._search, text, k, where, source, age)
        stale = sorted({hit.source for hit in hits if hit.freshness.stale})
        if stale and on_stale == "refresh":
            for name in stale:
                if name in self._sources:
                    await self._refresh(name)
            hits = await asyncio.to_thread(self._search, text, k, where, source, age)
        elif stale and on_stale == "raise":
            oldest = max(hit.freshness.age for hit in hits)
            raise StaleError(
                f"expected answers that {', '.join(stale)} confirmed lately, got one {oldest} old: sync it"
            )
        return [hit for hit in hits if not hit.freshness.stale] if on_stale == "drop" else hits

    def status(self) -> list[SourceStatus]:
        """How each source stands, also those that were never synced. Blocks for milliseconds."""
        stored = {status.name: status for status in self._opened().catalogue.status()}
        now = self._opened().clock.now()
        statuses = []
        for name in sorted(stored.keys() | self._sources.keys()):
            found = stored.get(name)
            last_ok = found.confirmed_at if found else None
            lag = None if last_ok is None else now - last_ok
            longest = self._sources[name].max_staleness if name in self._sources else None
            fresh = None if longest is None else lag is not None and lag <= longest
            statuses.append(SourceStatus(
                name, last_ok, lag, fresh, found.error if found else None, found.documents if found else 0,
                found.chunks if found else 0, tuple(found.failed) if found else (),
                self._job_id(name) if name in self._jobs else None,
            ))  # fmt: skip
        return statuses

    # what there is

    def get_documents(
        self, source: str, *, quarantined: bool | None = None, limit: int = 100, offset: int = 0
    ) -> list[StoredDocument]:
        """The documents of *source* by their ids: those that are searched, and those in quarantine, or one of both.

        Blocks for milliseconds. Raises InvalidDocumentError, StoreError, and SourceNotFoundError for a *source* of
        which neither this process nor the catalogue knows.
        """
        _check_stretch("get_documents", limit, offset)
        _check_choice("get_documents", quarantined)
        self._check_source("get_documents", source)
        return self._opened().catalogue.documents(source, quarantined=quarantined, limit=limit, offset=offset)

    def count_documents(self, source: str, *, quarantined: bool | None = None) -> int:
        """How many `get_documents` would find."""
        _check_choice("count_documents", quarantined)
        self._check_source("count_documents", source)
        return self._opened().catalogue.document_count(source, quarantined=quarantined)

    def get_text(self, source: str, id: str, *, limit: int = 100, offset: int = 0) -> StoredText | None:
        """What is searched of a document: its chunks in their order, from *offset* on. None: nothing is.

        Blocks for milliseconds. Raises InvalidDocumentError, StoreError.
        """
        _check_stretch("get_text", limit, offset)
        check_source_name(source)
        check_id(id)
        return self._opened().catalogue.text(source, id, limit=limit, offset=offset)

    # the index

    @property
    def trouble(self) -> str | None:
        """Why searches compare every vector, until the index is mended, which begins by itself. None: all is well."""
        keeper = self._opened().keeper
        return None if keeper is None else keeper.trouble

    def verify(self, *, repair: bool = False) -> Drift | None:
        """How the index differs from the catalogue; with *repair* it does no longer. None: it has no index."""
        keeper = self._opened().keeper
        return None if keeper is None else keeper.drift(repair=repair)

    def rebuild(self) -> int:
        """Build the index anew from the catalogue, and give back the room of what was deleted; how many chunks.

        With another embedder than before, embed all chunks anew. Searches go on meanwhile, syncs wait. Blocks.
        """
        with self._lock, closing(self._open_catalogue()) as catalogue:
            if catalogue.meta("embedder") not in (None, self._embedder.identity):
                self.close()
                embed_anew(catalogue, self._embedder)
        keeper = self._opened().keeper
        return sum(map(len, self._opened().catalogue.chunks(MOST_FETCHED))) if keeper is None else keeper.rebuild()

    def compact(self) -> Compaction:
        """Give back the room of what no search can find any more: chunks and vectors of old revisions, the index if a
        tenth of it is dead, the empty pages of the catalogue's file. What of it had to stay is in the answer.

        Searches go on meanwhile, and syncs wait, each for its patience: one that waited in vain is made up for by the
        next. May be killed at any moment. Blocks, for an index that is built anew a second for 500 chunks. Raises
        StoreError.
        """
        parts = self._opened()
        with parts.turn:
            return compact(parts.catalogue, parts.index, parts.keeper, parts.clock, self.reached)

    def close(self) -> None:
        """Close the files, so that another process may open the index. What is asked later opens them again."""
        with self._lock:
            parts, self._parts = self._parts, None
        if parts is not None:
            if parts.keeper is not None:
                parts.keeper.close()
            parts.catalogue.close()

    # the parts, opened when they are first asked for

    def _opened(self) -> Parts:
        with self._lock:
            if self._parts is None:
                try:
                    from tickwork.documents.exact import ExactIndex  # noqa: PLC0415  numpy comes with the extra
                except ModuleNotFoundError as error:
                    raise InvalidDocumentError(
                        f"Documents: expected the package numpy, got {error}: pip install 'tickwork[documents]'"
                    ) from None
                from tickwork.documents.keeping import IndexKeeper  # noqa: PLC0415

                catalogue = self._open_catalogue()
                try:
                    vectors = Vectors(catalogue, self._embedder)
                    clock = self._clock or catalogue.clock
                    exact = ExactIndex(catalogue, vectors.space)
                    keeper = None if self._kind == "exact" else IndexKeeper(self._kind, catalogue, vectors, exact)
                    self._parts = Parts(catalogue, vectors, keeper or exact, exact, keeper, clock)
                except BaseException:
                    catalogue.close()
                    raise
            return self._parts

    def _job_id(self, source: str) -> str:
        return f"documents:{self.name}:{source}"

    def _check_source(self, place: str, name: object) -> None:
        if not isinstance(name, str):
            raise InvalidDocumentError(f"{place}: expected source as a name, got {shown(name)}")
        if name not in self._sources:
            self._check_known(name)

    def _check_known(self, name: str) -> None:
        """SourceNotFoundError for what has no documents, and none that this process could sync."""
        known = {*self._sources, *(status.name for status in self._opened().catalogue.status())}
        if name not in known:
            raise SourceNotFoundError(
                f"source: expected one of the documents {self.name!r}, got {shown(name)}{did_you_mean(name, known)}"
            )

    def _source(self, name: str) -> Source:
        if name not in self._sources:
            raise SourceNotFoundError(
                f"expected a source of documents {self.name!r}, got {shown(name)}{did_you_mean(name, self._sources)}"
            )
        return self._sources[name]

    # the steps of a sync

    def _begin(self, source: Source, progress: Progress, *, dry_run: bool) -> Sync:
        parts = self._opened()
        if parts.keeper is not None and not dry_run:
            parts.keeper.mend()
        return Sync(
            source.name, catalogue=parts.catalogue, vectors=parts.vectors, index=parts.index,
            splitter=source.splitter, clock=parts.clock, turn=parts.turn, reached=self.reached, progress=progress,
            dry_run=dry_run,
        )  # fmt: skip

    def _remove(self, source: str, ids: Sequence[str]) -> list[str]:
        parts = self._opened()
        catalogue = parts.catalogue
        known = catalogue.known(source, self._splitter.identity)
        found = sorted({id for id in ids if id in known and known[id].fingerprint is not None})
        if found:
            catalogue.withdraw(source, found, parts.clock.now())
        return found

    def _clear(self) -> None:
        parts = self._opened()
        if parts.keeper is not None:
            parts.keeper.rebuild_if_worn()
        with parts.turn:
            clear(parts.catalogue, parts.index, parts.clock, self.reached)

    # the steps of a search

    def _search(
        self, text: str, k: int, where: Mapping[str, Any] | None, source: str | None, age: timedelta | None
    ) -> list[Hit]:  # fmt: skip
        parts = self._opened()
        vector = parts.vectors.of_query(text)
        # The epoch first: what it shows is in the index by now, and stays there longer than this search takes.
        epoch = parts.catalogue.epoch(parts.vectors.space)
        filtered = where is not None or source is not None
        wanted = 4 * k + BEYOND if filtered else k + BEYOND
        hits: list[tuple[Passage, float]] = []
        while len(hits) < k:
            if wanted > MOST_FETCHED:
                hits = self._found(self._search_exactly(vector, k, epoch, where, source), epoch, where, source)
                break
            found = parts.index.query(vector, wanted, epoch)
            hits = self._found(found, epoch, where, source)
            if len(found) < wanted and parts.keeper is None:
                break
            # An index that has no more to give may miss a few; then there is little to compare.
            wanted = 4 * wanted if len(found) == wanted else MOST_FETCHED + 1
        now = parts.clock.now()
        return [self._hit(passage, score, now, age) for passage, score in hits[:k]]

    def _search_exactly(
        self, vector: Sequence[float], k: int, epoch: int, where: Mapping[str, Any] | None, source: str | None
    ) -> Found:
        """With a filter only what fits is compared: it is seldom much, or the index would have found enough of it."""
        catalogue, exact = self._opened().catalogue, self._opened().exact
        if where is None and source is None:
            return exact.query(vector, k, epoch)
        revisions = [number for number, meta in catalogue.metas(epoch, source) if fits(json.loads(meta), where or {})]
        return exact.query_among(catalogue.chunks_of(revisions), vector, k)

    def _found(
        self, found: Found, epoch: int, where: Mapping[str, Any] | None, source: str | None
    ) -> list[tuple[Passage, float]]:
        """What is shown of it, and fits."""
        passages = self._opened().catalogue.passages(epoch, [number for number, _ in found])
        by_number = {passage.number: passage for passage in passages}
        return [
            (by_number[number], score) for number, score in found
            if number in by_number and _fits(by_number[number], where, source)
        ]  # fmt: skip

    def _hit(self, passage: Passage, score: float, now: datetime, max_age: timedelta | None) -> Hit:
        declared = self._sources.get(passage.source)
        longest = max_age if max_age is not None or declared is None else declared.max_staleness
        age = now - passage.checked_at
        return Hit(
            text=passage.text, score=score, source=passage.source, doc_id=passage.doc_id, position=passage.position,
            heading=passage.heading, uri=passage.uri, meta=passage.meta,
            freshness=Freshness(
                passage.revision, passage.modified_at, passage.indexed_at, passage.checked_at, age,
                longest is not None and age > longest,
            ),
        )  # fmt: skip

    async def _refresh(self, source: str) -> None:
        """Sync a source once for all who wait for it; one that fails leaves its hits stale."""
        task = self._refreshing.get(source)
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            task = self._refreshing[source] = asyncio.create_task(self.sync(source))
        try:
            await asyncio.shield(task)
        except Exception:
            log.warning("source %r could not be refreshed for a search", source, exc_info=True)


@dataclass(frozen=True, slots=True)
class Parts:
    """What is open while documents are used."""

    catalogue: Catalogue
    vectors: Vectors
    index: Index
    exact: ExactIndex
    keeper: IndexKeeper | None
    """None: the index is exact, and needs none."""
    clock: Clock

    @property
    def turn(self) -> AbstractContextManager[object]:
        """Held while something is written."""
        return nullcontext() if self.keeper is None else self.keeper.turn


def check_source_name(name: object) -> None:
    """InvalidDocumentError unless *name* can be that of a source."""
    if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable():
        raise InvalidDocumentError(f"source: expected a name of 1 to 100 printable characters, got {shown(name)}")


def _check_stretch(place: str, limit: object, offset: object) -> None:
    for name, number, least, most in (("limit", limit, 1, MOST_HITS), ("offset", offset, 0, FARTHEST)):
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
            raise InvalidDocumentError(f"{place}: expected {name} from {least} to {most:,}, got {shown(number)}")


def _check_choice(place: str, quarantined: object) -> None:
    if quarantined is not None and not isinstance(quarantined, bool):
        raise InvalidDocumentError(f"{place}: expected quarantined as True, False or None, got {shown(quarantined)}")


def find_documents(name: str) -> Documents:
    """The documents that this process made under *name*; SourceNotFoundError if none."""
    found = _known.get(name)
    if found is None:
        raise SourceNotFoundError(
            f"expected documents that this process made, got {shown(name)}{did_you_mean(name, _known)}: import the "
            f"module that makes them where the scheduler is started"
        )
    return found


def _take_all(begun: Sync, listing: Iterable[Any]) -> None:
    for listed in listing:
        begun.offer(listed)
        if begun.full:
            begun.write()


def _fits(passage: Passage, where: Mapping[str, Any] | None, source: str | None) -> bool:
    return source in (None, passage.source) and fits(passage.meta, where or {})


def _go_on(step: Step) -> None:
    """Nothing happens between two steps."""


def _tell_nobody(done: int, total: int, said: str) -> None:
    """Nobody watches."""


def _read_length(name: str, written: Duration) -> timedelta:
    return read_duration(name, written, least=timedelta(microseconds=1), error=InvalidDocumentError)
