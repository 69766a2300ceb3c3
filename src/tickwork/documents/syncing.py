"""A sync: what a source has now becomes what is searched.

The walk of a changed document: split, embed what is unknown, stage, index, flip. Until the flip nothing that anyone
sees has changed, and the flip is one transaction; so a kill between any two steps leaves each document wholly old or
wholly new. What a killed sync left behind, the next one of its source clears away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias, assert_never

from tickwork.checks import shown
from tickwork.clock import Clock
from tickwork.documents import plan
from tickwork.documents.catalogue import Catalogue, FailedDocument, Write
from tickwork.documents.document import Chunk, Doc, Listed, Same, Unreadable
from tickwork.documents.errors import EmbeddingError, InvalidDocumentError
from tickwork.documents.index import Index
from tickwork.documents.plan import Known, Verdict
from tickwork.documents.reasons import reason_of, told
from tickwork.documents.splitting import Splitter
from tickwork.documents.vectors import Vectors

DOCUMENTS_AT_ONCE = 200
CHARACTERS_AT_ONCE = 200_000
"""What is offered is written when there is so much of it."""
FAILURES_IN_A_ROW = 5
"""So many documents that cannot be embedded one after the other: it is the embedder, and not they."""
GRACE = timedelta(minutes=1)
"""How long what is no longer live stays in the index: longer than any search takes."""
CLEARED_AT_ONCE = 1_000

Progress: TypeAlias = Callable[[int, int, str], object]
"""Told how many documents are done, of how many as far as is known, and what was done."""

log = logging.getLogger("tickwork.documents")


class Step(StrEnum):
    """The steps of a sync and of a compaction, each named when it is done."""

    BEGUN = "begun"
    CONFIRMED = "confirmed"
    EMBEDDED = "embedded"
    STAGED = "staged"
    INDEXED = "indexed"
    FLIPPED = "flipped"
    BURIED = "buried"
    FINISHED = "finished"
    UNINDEXED = "unindexed"
    CLEARED = "cleared"
    # of a compaction, after these
    FORGOTTEN = "forgotten"
    REBUILT = "rebuilt"
    VACUUMED = "vacuumed"


@dataclass(slots=True)
class Report:
    """What a sync did, or with *dry_run* what it would do."""

    source: str
    dry_run: bool = False
    listed: int = 0
    unchanged: int = 0
    changed: int = 0
    embedded: int = 0
    """Chunks that went to the embedder."""
    kept: int = 0
    """Chunks of changed documents that were there already."""
    deleted: list[str] = field(default_factory=list)
    """The ids of documents that the source has no more."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why a document stays as it was, by its id."""


class Sync:
    """One sync of one source. `offer` each document that it lists, `write` when it is `full`, at last `finish`.

    `offer` touches nothing but memory; the others block.
    """

    def __init__(
        self, source: str, *, catalogue: Catalogue, vectors: Vectors, index: Index, splitter: Splitter, clock: Clock,
        turn: AbstractContextManager[object], reached: Callable[[Step], None], progress: Progress,
        dry_run: bool = False,
    ) -> None:  # fmt: skip
        self.source = source
        self.report = Report(source, dry_run)
        self._catalogue = catalogue
        self._vectors = vectors
        self._index = index
        self._splitter = splitter
        self._clock = clock
        self._turn = turn
        self._reached = reached
        self._progress = progress
        self._began_at = clock.now()
        self._number = 0 if dry_run else catalogue.begin(source, self._began_at)
        self._known = catalogue.known(source, splitter.identity)
        self._listed: set[str] = set()
        self._confirmed: list[tuple[int, str | None]] = []
        self._failed: list[tuple[str, str, str | None]] = []
        self._waiting: list[tuple[Doc, str]] = []
        self._failures_in_a_row = 0
        self._down: EmbeddingError | None = None
        """Why nothing is embedded any more in this sync."""
        reached(Step.BEGUN)

    @property
    def versions(self) -> dict[str, str]:
        """The versions that are live, by document: what still has its version need not be read."""
        return {id: known.version for id, known in self._known.items() if known.version is not None}

    @property
    def full(self) -> bool:
        return (
            len(self._waiting) >= DOCUMENTS_AT_ONCE
            or sum(len(doc.text) for doc, _ in self._waiting) >= CHARACTERS_AT_ONCE
        )

    def offer(self, listed: Listed) -> None:
        """Take note of a document that the source has. Raises InvalidDocumentError for what is none."""
        if not isinstance(listed, Doc | Same | Unreadable):
            raise InvalidDocumentError(
                f"source {self.source!r}: expected it to yield Doc, Same or Unreadable, got {shown(listed)}"
            )
        if listed.id in self._listed:
            self.report.failed[listed.id] = "listed twice by its source: the first is kept"
            return
        self._listed.add(listed.id)
        self.report.listed += 1
        known = self._known.get(listed.id)
        match listed:
            case Same():
                if known is None or known.fingerprint is None:
                    self._fail(
                        listed.id, "said to be the same, but there is no revision of it: yield it as a Doc", None
                    )
                else:
                    self._confirm(known, None)
            case Unreadable():
                self._fail(listed.id, str(listed.reason), None)
            case Doc():
                self._judge(listed, known)
            case _:
                assert_never(listed)
        self._tell(0)

    def write(self) -> None:
        """Bring what was offered into the catalogue and the index."""
        writes = [write for doc, fingerprint in self._waiting if (write := self._split(doc, fingerprint)) is not None]
        if self.report.dry_run:
            self._foresee(writes)
        else:
            self._write_confirmed()
            if writes and self._down is None:
                self._write_together(writes)
            self._write_failed()
        self._waiting = []
        self._tell(0)

    def finish(self, *, partial: bool, allow_mass_delete: bool) -> Report:
        """The listing is through. What it did not name is gone, unless it was *partial*.

        Raises MassDeletionError; and EmbeddingError if the embedder is down: what it could not embed is as it was, and
        is tried again by the next sync.
        """
        self.write()
        gone = [] if partial else plan.gone(self._known_documents(), self._listed)
        if not allow_mass_delete:
            plan.check_deletions(self.source, len(self._listed), len(gone))
        self.report.deleted = gone
        if self.report.dry_run:
            return self.report
        if gone:
            self._catalogue.bury(self.source, self._number, gone, self._clock.now())
            self._reached(Step.BURIED)
        if self._down is not None:
            raise self._down
        self._catalogue.finish(self.source, self._number, self._began_at, None)
        self._reached(Step.FINISHED)
        return self.report

    def fail(self, error: Exception) -> None:
        """It did not get through: what it wrote stays, what it did not list does too."""
        if not self.report.dry_run:
            self._catalogue.finish(self.source, self._number, None, reason_of(error))

    # what is offered

    def _judge(self, doc: Doc, known: Known | None) -> None:
        fingerprint = doc.fingerprint(self._splitter.identity)
        verdict = plan.judge(known, fingerprint, self._began_at)
        if verdict is Verdict.UNCHANGED:
            assert known is not None
            self._confirm(known, doc.version)
        elif verdict is Verdict.QUARANTINED:
            self.report.failed[doc.id] = "it failed a short while ago, and is left alone for now"
        else:
            self._waiting.append((doc, fingerprint))

    def _confirm(self, known: Known, version: str | None) -> None:
        self.report.unchanged += 1
        self._confirmed.append((known.number, version))

    def _fail(self, id: str, reason: str, fingerprint: str | None) -> None:
        self.report.failed[id] = told(reason)
        self._failed.append((id, told(reason), fingerprint))

    def _known_documents(self) -> list[str]:
        """Those that can be gone: what is searched, or waits to be."""
        return [id for id, known in self._known.items() if known.fingerprint is not None or known.failures]

    # the steps of a write

    def _split(self, doc: Doc, fingerprint: str) -> Write | None:
        """Its chunks, not yet compared with the live ones; None if it cannot be split."""
        try:
            chunks = [*self._splitter.split(doc.text)]
            if not all(isinstance(chunk, Chunk) and chunk.text and chunk.is_text for chunk in chunks):
                raise InvalidDocumentError(f"expected chunks of text, none of it empty, got {shown(chunks)}")
        except Exception as error:
            log.warning("document %r of source %r cannot be split", doc.id, self.source, exc_info=True)
            self._fail(doc.id, f"it cannot be split: {reason_of(error)}", fingerprint)
            return None
        return Write(doc, fingerprint, chunks)

    def _foresee(self, writes: Sequence[Write]) -> None:
        """Count what a real sync would do."""
        revised = self._revised(writes)
        self.report.changed += len(revised)
        self.report.embedded += self._vectors.unknown(_new(revised))
        self.report.kept += sum(isinstance(placed, int) for write in revised for placed in write.placements)

    def _write_confirmed(self) -> None:
        confirmed, self._confirmed = self._confirmed, []
        if confirmed:
            self._catalogue.confirm(self.source, self._number, confirmed, self._began_at)
            self._reached(Step.CONFIRMED)

    def _write_together(self, writes: Sequence[Write]) -> None:
        """All, or one by one if that fails, so that one bad document stops no other; none if the embedder is down."""
        if self._down is not None:
            return
        try:
            self._write_all(writes)
        except EmbeddingError as error:
            self._failures_in_a_row += len(writes) == 1
            if self._failures_in_a_row >= FAILURES_IN_A_ROW or not self._vectors.answer():
                self._down = error
            elif len(writes) > 1:
                for write in writes:
                    self._write_together([write])
            else:
                self._fail(writes[0].doc.id, str(error), writes[0].fingerprint)
        else:
            self._failures_in_a_row = 0

    def _write_all(self, writes: Sequence[Write]) -> None:
        _, embedded = self._vectors.of(_new(self._revised(writes)), self._tell)  # all others go on meanwhile
        self._reached(Step.EMBEDDED)
        with self._turn:
            revised = self._revised(writes)  # somebody may have removed some of them
            new = _new(revised)
            vectors, anew = self._vectors.of(new)
            by_hash = {chunk.hash: vector for chunk, vector in zip(new, vectors, strict=True)}
            revisions, chunks = self._catalogue.stage(
                self.source, self._number, revised, by_hash, self._vectors.space, self._splitter.identity,
                self._began_at,
            )  # fmt: skip
            self._reached(Step.STAGED)
            self._index.add(chunks, vectors)
            self._reached(Step.INDEXED)
            self._catalogue.flip(self.source, self._number, revisions, self._vectors.space, self._clock.now())
            self._reached(Step.FLIPPED)
        self.report.changed += len(revised)
        self.report.embedded += embedded + anew
        self.report.kept += sum(isinstance(placed, int) for write in revised for placed in write.placements)

    def _tell(self, embedding: int) -> None:
        """How far it has come; *embedding* chunks of what waits are embedded."""
        report = self.report
        done = report.listed - len(self._waiting)
        said = f"{report.changed:,} changed, {report.embedded + embedding:,} chunks embedded"
        if report.failed:
            said += f", {len(report.failed):,} failed"
        self._progress(done, max(len(self._known), report.listed), said)

    def _revised(self, writes: Sequence[Write]) -> list[Write]:
        """The same, keeping the chunks that are live already."""
        numbers = {write.doc.id: self._known[write.doc.id].number for write in writes if write.doc.id in self._known}
        live = self._catalogue.live_chunks(numbers.values())
        return [
            Write(doc, fingerprint, plan.revise(live.get(numbers.get(doc.id, 0), ()), chunks))  # type: ignore[arg-type]
            for doc, fingerprint, chunks in writes
        ]

    def _write_failed(self) -> None:
        failed, self._failed = self._failed, []
        now = self._clock.now()
        for id, reason, fingerprint in failed:
            known = self._known.get(id)
            failures = 1 + (known.failures if known else 0)
            retry_at = now + plan.retry_after(failures) if fingerprint else None
            self._catalogue.fail(self.source, self._number, FailedDocument(id, reason, failures, retry_at), fingerprint)


def _new(writes: Sequence[Write]) -> list[Chunk]:
    """The chunks that the catalogue does not have yet."""
    return [placed for write in writes for placed in write.placements if isinstance(placed, Chunk)]


def clear(
    catalogue: Catalogue, index: Index, clock: Clock, reached: Callable[[Step], None], grace: timedelta = GRACE
) -> int:  # fmt: skip
    """Take out of the index, and then out of the catalogue, what nobody can see any more; how many chunks."""
    cleared = 0
    while chunks := catalogue.orphans(clock.now() - grace, CLEARED_AT_ONCE):
        index.delete(chunks)
        reached(Step.UNINDEXED)
        catalogue.forget(chunks)
        reached(Step.CLEARED)
        cleared += len(chunks)
    return cleared
