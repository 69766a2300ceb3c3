"""The catalogue in one SQLite file, which all processes of a machine share."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tickwork.clock import SystemClock, from_micros, to_micros
from tickwork.documents.catalogue import (
    FailedDocument,
    NewChunk,
    Passage,
    SourceStatus,
    StoredChunk,
    StoredDocument,
    StoredText,
    Write,
    embedded_anew,
    pack,
    superseded,
    unpack,
)
from tickwork.documents.document import Chunk
from tickwork.documents.locks import WriteTurn
from tickwork.documents.plan import Known
from tickwork.sqlite.file import DatabaseFile
from tickwork.sqlite.place import check_place
from tickwork.stores.sqlite.schema import upgrade

SCRIPT = Path(__file__).parent / "sqlite.sql"

NEXT_EPOCH = "update meta set value = value + 1 where key = 'epoch' returning value"
NEXT_SYNC = "update meta set value = value + 1 where key = 'syncs' returning value"
BEGIN_SYNC = """
insert into sources (name, sync, began_at) values (?1, ?2, ?3)
on conflict (name) do update set sync = excluded.sync, began_at = excluded.began_at
"""
SELECT_KNOWN = """
select document.id, document.number, revision.fingerprint,
    case when revision.splitter = ?2 then revision.version end,
    document.failures, document.failed, document.retry_at
from documents as document left join revisions as revision
    on revision.document = document.number and revision.born is not null and revision.died is null
where document.source = ?1
"""
SELECT_LIVE_CHUNKS = """
select chunk.number, chunk.hash
from revisions as revision
    join placements as placement on placement.revision = revision.number
    join chunks as chunk on chunk.number = placement.chunk
where revision.document = ? and revision.born is not null and revision.died is null
order by placement.position
"""
SELECT_VECTORS = "select hash, vector from vectors where space = ? and hash in (select value from json_each(?))"
INSERT_VECTOR = "insert or ignore into vectors (space, hash, vector) values (?, ?, ?)"
INSERT_DOCUMENT = """
insert into documents (source, id) values (?1, ?2)
on conflict (source, id) do update set id = excluded.id returning number
"""
INSERT_REVISION = """
insert into revisions
    (document, revision, sync, fingerprint, splitter, version, uri, meta, modified_at, indexed_at, checked_at)
values (
    ?1, (select coalesce(max(revision), 0) + 1 from revisions where document = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
)
returning number
"""
INSERT_CHUNK = "insert into chunks (document, hash, heading, text) values (?, ?, ?, ?) returning number"
INSERT_PLACEMENT = "insert into placements (revision, position, chunk) values (?, ?, ?)"
CURRENT_SYNC = "select sync from sources where name = ?"
END_LIVE_REVISION = """
update revisions set died = ?1, died_at = ?2
where document = (select document from revisions where number = ?3) and born is not null and died is null
"""
BEGIN_REVISION = "update revisions set born = ?1, indexed_at = ?2 where number = ?3"
FORGIVE_DOCUMENT = """
update documents set error = null, failures = 0, failed = null, retry_at = null
where number = (select document from revisions where number = ?)
"""
CONFIRM_REVISION = """
update revisions set checked_at = max(checked_at, ?1), version = coalesce(?3, version)
where document = ?2 and born is not null and died is null
"""
CONFIRM_DOCUMENT = """
update documents set error = null, failures = 0, failed = null, retry_at = null
where number = ? and error is not null
"""
FAIL_DOCUMENT = """
insert into documents (source, id, error, failures, failed, retry_at) values (?, ?, ?, ?, ?, ?)
on conflict (source, id) do update set
    error = excluded.error, failures = excluded.failures, failed = excluded.failed, retry_at = excluded.retry_at
"""
BURY_REVISION = """
update revisions set died = ?1, died_at = ?2
where born is not null and died is null
    and document = (select number from documents where source = ?3 and id = ?4)
"""
FORGET_TROUBLE = """
update documents set error = null, failures = 0, failed = null, retry_at = null where source = ? and id = ?
"""
FINISH_SYNC = "update sources set confirmed_at = coalesce(?2, confirmed_at), error = ?3 where name = ?1"
DELETE_UNBORN = """
delete from revisions
where born is null and sync < ?2 and document in (select number from documents where source = ?1)
"""
DELETE_DEAD = "delete from revisions where died is not null and died_at < ?"
DELETE_EMPTY_DOCUMENTS = """
delete from documents
where error is null and not exists (select 1 from revisions where revisions.document = documents.number)
"""
SELECT_ORPHANS = """
select number from chunks
where not exists (select 1 from placements where placements.chunk = chunks.number) order by number limit ?
"""
DELETE_VECTOR = """
delete from vectors
where hash = (select hash from chunks where number = ?1)
    and not exists (
        select 1 from chunks where hash = (select hash from chunks where number = ?1) and number <> ?1
    )
"""
DELETE_CHUNK = """
delete from chunks
where number = ?1 and not exists (select 1 from placements where placements.chunk = chunks.number)
"""
DELETE_VECTORS = """
delete from vectors
where rowid in (
    select vector.rowid from vectors as vector
    where not exists (select 1 from chunks where chunks.hash = vector.hash) limit ?
)
"""
SELECT_PASSAGES = """
select chunk.number, chunk.text, chunk.heading, document.source, document.id, placement.position, revision.uri,
    revision.meta, revision.revision, revision.modified_at, revision.indexed_at, revision.checked_at
from chunks as chunk
    join placements as placement on placement.chunk = chunk.number
    join revisions as revision on revision.number = placement.revision
    join documents as document on document.number = revision.document
where revision.born <= ?1 and (revision.died is null or revision.died > ?1)
    and chunk.number in (select value from json_each(?2))
"""
SELECT_CHUNKS = """
select chunk.number, chunk.text, chunk.heading from chunks as chunk
where chunk.number > ? and exists (
    select 1 from placements join revisions on revisions.number = placements.revision
    where placements.chunk = chunk.number and revisions.born is not null
)
order by chunk.number limit ?
"""
SELECT_PLACED = """
select distinct placements.chunk from placements join revisions on revisions.number = placements.revision
where revisions.born is not null
"""
COUNT_PLACED = """
select count(distinct placements.chunk) from placements join revisions on revisions.number = placements.revision
where revisions.born is not null
"""
INDEX_STANDING = """
select (select value from meta where key = 'generation'), (select value from meta where key = 'index_behind')
"""
LAST_CHUNK = "coalesce((select seq from sqlite_sequence where name = 'chunks'), 0)"
NOTE_BUILT = f"""
insert or replace into meta (key, value) values ('index_built_to', {LAST_CHUNK}), ('index_built', ({COUNT_PLACED}))
"""
WEAR = f"""
select ({COUNT_PLACED}), (select value from meta where key = 'index_built')
    + {LAST_CHUNK} - (select value from meta where key = 'index_built_to')
"""
STANDING = "select (select value from meta where key = 'epoch'), (select value from meta where key = 'space')"
SPACES = """
select (select value from meta where key = 'space'), (select value from meta where key = 'begun_space'),
    (select value from meta where key = 'begun_by')
"""
SELECT_SHOWN = """
select distinct placement.chunk from revisions as revision
    join placements as placement on placement.revision = revision.number
where revision.born <= ?1 and (revision.died is null or revision.died > ?1)
"""
SELECT_METAS = """
select revision.number, revision.meta from revisions as revision
    join documents as document on document.number = revision.document
where revision.born <= ?1 and (revision.died is null or revision.died > ?1) and (?2 is null or document.source = ?2)
"""
SELECT_CHUNKS_OF = "select distinct chunk from placements where revision in (select value from json_each(?))"
SELECT_SPACE = """
select chunk.number, vector.vector
from json_each(?1) as asked
    cross join chunks as chunk on chunk.number = asked.value
    cross join vectors as vector on vector.space = ?2 and vector.hash = chunk.hash
"""
"""`cross` is what SQLite takes for this order."""
SELECT_LACKING = """
select 1 from chunks as chunk
where exists (
        select 1 from placements join revisions on revisions.number = placements.revision
        where placements.chunk = chunk.number and revisions.born is not null
    )
    and not exists (select 1 from vectors where vectors.space = ? and vectors.hash = chunk.hash) limit 1
"""
SELECT_STATUS = """
select source.name, source.began_at, source.confirmed_at, source.error,
    (select count(*) from documents join revisions on revisions.document = documents.number
        where documents.source = source.name and born is not null and died is null),
    (select count(*) from documents join revisions on revisions.document = documents.number
        join placements on placements.revision = revisions.number
        where documents.source = source.name and born is not null and died is null)
from sources as source order by source.name
"""
SELECT_FAILED = "select id, error, failures, retry_at from documents where source = ? and error is not null order by id"
SELECT_DOCUMENTS = """
select document.id, document.error, document.failures, document.retry_at, revision.revision, revision.version,
    revision.uri, revision.meta, revision.modified_at, revision.indexed_at, revision.checked_at,
    (select count(*) from placements where placements.revision = revision.number)
from documents as document left join revisions as revision
    on revision.document = document.number and revision.born is not null and revision.died is null
where document.source = ?1 and (revision.number is not null or document.error is not null)
    and (?2 is null or (document.error is not null) = ?2)
order by document.id limit ?3 offset ?4
"""
COUNT_DOCUMENTS = """
select count(*)
from documents as document left join revisions as revision
    on revision.document = document.number and revision.born is not null and revision.died is null
where document.source = ?1 and (revision.number is not null or document.error is not null)
    and (?2 is null or (document.error is not null) = ?2)
"""
SELECT_LIVE_REVISION = """
select revision.number, revision.revision,
    (select count(*) from placements where placements.revision = revision.number)
from documents as document join revisions as revision
    on revision.document = document.number and revision.born is not null and revision.died is null
where document.source = ? and document.id = ?
"""
SELECT_PLACED_CHUNKS = """
select placement.position, chunk.heading, chunk.text
from placements as placement join chunks as chunk on chunk.number = placement.chunk
where placement.revision = ? order by placement.position limit ? offset ?
"""


class SQLiteCatalogue:
    """The file at *path*, which is made if there is none. Every verb is a transaction, from any thread.

    Raises StoreUnusableError for a place where it could not keep its promises, StoreUnavailableError for a fault
    that may pass, StoreSchemaError for a file of a newer version.
    """

    def __init__(self, path: Path) -> None:
        check_place(path)
        self.path = path
        self.location = str(path)
        self.clock = SystemClock()
        self.turn = WriteTurn(path.with_name(f"{path.name}.index-turn"))
        self._file = DatabaseFile(path, path.with_name(f"{path.name}.turn"))
        with self._file.writing(create=True) as connection:
            upgrade(connection, str(path), [SCRIPT.read_text("utf-8")])
            for key, value in (
                ("epoch", 0),
                ("syncs", 0),
                ("space", 1),
                ("folder", 1),
                ("generation", 1),
                ("index_behind", 0),
                ("index_built", 0),
                ("index_built_to", 0),
                ("name", secrets.token_hex(8)),
            ):
                connection.execute("insert or ignore into meta (key, value) values (?, ?)", (key, value))

    def close(self) -> None:
        self._file.close()

    # what it says of itself

    def meta(self, key: str) -> Any:
        """None if nothing was said."""
        with self._file.reading() as connection:
            row = connection.execute("select value from meta where key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def note(self, **said: object) -> None:
        with self._file.writing() as connection:
            connection.executemany("insert or replace into meta (key, value) values (?, ?)", [*said.items()])

    def note_first(self, key: str, said: object) -> Any:
        """Note it unless something was said before; what stands."""
        with self._file.writing() as connection:
            connection.execute("insert or ignore into meta (key, value) values (?, ?)", (key, said))
            (value,) = connection.execute("select value from meta where key = ?", (key,)).fetchone()
        return value

    def index_standing(self) -> tuple[int, bool]:
        """The generation of the index, and whether it lies behind what it must hold."""
        with self._file.reading() as connection:
            generation, behind = connection.execute(INDEX_STANDING).fetchone()
        return int(generation), bool(behind)

    def note_built(self) -> None:
        """The index holds what it must, and nothing else."""
        with self._file.writing() as connection:
            connection.execute(NOTE_BUILT)

    def wear(self) -> tuple[int, int]:
        """How many chunks of the index live, and how many it has that are dead."""
        with self._file.reading() as connection:
            live, written = connection.execute(WEAR).fetchone()
        return int(live), max(0, int(written) - int(live))

    # one sync, in the order of its steps

    def begin(self, source: str, now: datetime) -> int:
        """The number of a sync that begins: every older one of this source may write no more."""
        with self._file.writing() as connection:
            (sync,) = connection.execute(NEXT_SYNC).fetchone()
            connection.execute(BEGIN_SYNC, (source, sync, to_micros(now)))
            connection.execute(DELETE_UNBORN, (source, sync))
        return int(sync)

    def known(self, source: str, splitter: str) -> dict[str, Known]:
        """The documents of *source*, by their ids; with the version of those that were split by this *splitter*."""
        with self._file.reading() as connection:
            rows = connection.execute(SELECT_KNOWN, (source, splitter)).fetchall()
        return {id: Known._make((*rest, _read(retry_at))) for id, *rest, retry_at in rows}

    def live_chunks(self, documents: Iterable[int]) -> dict[int, Sequence[tuple[int, str]]]:
        """Of each document the chunks that are live, in order: number and hash."""
        with self._file.reading() as connection:
            return {number: connection.execute(SELECT_LIVE_CHUNKS, (number,)).fetchall() for number in documents}

    def vectors(self, hashes: Collection[str], space: int) -> dict[str, Sequence[float]]:
        """Those that are known, by hash."""
        with self._file.reading() as connection:
            rows = connection.execute(SELECT_VECTORS, (space, json.dumps([*hashes]))).fetchall()
        return {digest: unpack(vector) for digest, vector in rows}

    def keep_vectors(self, vectors: Mapping[str, Sequence[float]], space: int) -> None:
        with self._file.writing() as connection:
            connection.executemany(INSERT_VECTOR, [(space, key, pack(vector)) for key, vector in vectors.items()])

    def stage(
        self, source: str, sync: int, writes: Sequence[Write], vectors: Mapping[str, Sequence[float]], space: int,
        splitter: str, began_at: datetime,
    ) -> tuple[list[int], list[NewChunk]]:  # fmt: skip
        """Write revisions that nobody sees yet; their numbers, and the chunks that the index lacks.

        *vectors* are those of their new chunks, in case that they were cleared away meanwhile.
        """
        revisions: list[int] = []
        new: list[NewChunk] = []
        with self._writing_as(source, sync) as connection:
            for doc, fingerprint, placements in writes:
                (document,) = connection.execute(INSERT_DOCUMENT, (source, doc.id)).fetchone()
                (revision,) = connection.execute(INSERT_REVISION, (
                    document, sync, fingerprint, splitter, doc.version, doc.uri,
                    json.dumps(doc.meta, ensure_ascii=False),
                    _write(doc.modified), to_micros(began_at), to_micros(began_at),
                )).fetchone()  # fmt: skip
                revisions.append(revision)
                for position, placed in enumerate(placements):
                    number = placed
                    if isinstance(placed, Chunk):
                        row = (document, placed.hash, placed.heading, placed.text)
                        (number,) = connection.execute(INSERT_CHUNK, row).fetchone()
                        new.append(NewChunk(int(number), placed))
                    connection.execute(INSERT_PLACEMENT, (revision, position, number))
            connection.executemany(INSERT_VECTOR, [(space, key, pack(vector)) for key, vector in vectors.items()])
        return revisions, new

    def flip(self, source: str, sync: int, revisions: Sequence[int], space: int, now: datetime) -> None:
        """These revisions are live from now on, and those before them are not: all at once."""
        with self._writing_as(source, sync) as connection:
            (current,) = connection.execute("select value from meta where key = 'space'").fetchone()
            if current != space:
                raise embedded_anew(f"source {source!r}")
            (epoch,) = connection.execute(NEXT_EPOCH).fetchone()
            connection.executemany(END_LIVE_REVISION, [(epoch, to_micros(now), revision) for revision in revisions])
            connection.executemany(BEGIN_REVISION, [(epoch, to_micros(now), revision) for revision in revisions])
            connection.executemany(FORGIVE_DOCUMENT, [(revision,) for revision in revisions])

    def confirm(self, source: str, sync: int, documents: Sequence[tuple[int, str | None]], began_at: datetime) -> None:
        """The source still has these documents (number, version) as they are live; nothing else of them changes."""
        with self._writing_as(source, sync) as connection:
            rows = [(to_micros(began_at), number, version) for number, version in documents]
            connection.executemany(CONFIRM_REVISION, rows)
            connection.executemany(CONFIRM_DOCUMENT, [(number,) for number, _ in documents])

    def fail(self, source: str, sync: int, failed: FailedDocument, fingerprint: str | None) -> None:
        """Note why a document cannot be taken in; what is live of it stays."""
        with self._writing_as(source, sync) as connection:
            connection.execute(FAIL_DOCUMENT, (
                source, failed.id, failed.error, failed.failures, fingerprint, _write(failed.retry_at)
            ))  # fmt: skip

    def bury(self, source: str, sync: int, ids: Sequence[str], now: datetime) -> None:
        """These documents are gone from the source: no search finds them from now on."""
        with self._writing_as(source, sync) as connection:
            _bury(connection, source, ids, now)

    def withdraw(self, source: str, ids: Sequence[str], now: datetime) -> None:
        """The same, whatever sync of the source goes on: somebody wants them gone."""
        with self._file.writing() as connection:
            _bury(connection, source, ids, now)

    def finish(self, source: str, sync: int, began_at: datetime | None, error: str | None) -> None:
        """How it ended; *began_at* if it went through the whole listing."""
        with self._writing_as(source, sync) as connection:
            connection.execute(FINISH_SYNC, (source, _write(began_at), error))

    # what lies behind

    def orphans(self, died_before: datetime, limit: int) -> list[int]:
        """Let go of revisions that died before then; the chunks that nothing places any more."""
        with self._file.writing() as connection:
            connection.execute(DELETE_DEAD, (to_micros(died_before),))
            connection.execute(DELETE_EMPTY_DOCUMENTS)
            return [number for (number,) in connection.execute(SELECT_ORPHANS, (limit,))]

    def forget(self, chunks: Sequence[int]) -> None:
        """Delete chunks that the index no longer holds, with their vectors."""
        with self._file.writing() as connection:
            connection.executemany(DELETE_VECTOR, [(number,) for number in chunks])
            connection.executemany(DELETE_CHUNK, [(number,) for number in chunks])

    def forget_vectors(self, limit: int) -> int:
        """Delete vectors of which there is no chunk; how many. A sync that is about to need one writes it again."""
        with self._file.writing() as connection:
            return int(connection.execute(DELETE_VECTORS, (limit,)).rowcount)

    def emptiness(self) -> tuple[int, int]:
        """How many of the file's pages are empty, and how many it has."""
        with self._file.reading() as connection:
            (empty,) = connection.execute("pragma freelist_count").fetchone()
            (pages,) = connection.execute("pragma page_count").fetchone()
        return int(empty), int(pages)

    def size(self) -> int:
        """Bytes that it and its index take on the disk."""
        total = 0
        for found in (
            *self.path.parent.glob(f"{self.path.name}*"), *self.path.parent.glob(f"{self.path.name}.index-*/**/*")
        ):  # fmt: skip
            try:
                status = found.stat()
            except OSError:  # it is gone by now
                continue
            total += status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size
        return total

    def vacuum(self) -> None:
        """Write the file anew without its empty pages. Others read meanwhile, and wait to write."""
        self._file.vacuum()

    def begin_space(self, embedder: str) -> int:
        """The number of the space in which *embedder* embeds all anew: the one that it has begun, or a new one."""
        with self._file.writing() as connection:
            current, begun, begun_by = connection.execute(SPACES).fetchone()
            if begun is not None and begun > current and begun_by == embedder:
                return int(begun)
            space = max(current, begun or 0) + 1
            said = [("begun_space", space), ("begun_by", embedder)]
            connection.executemany("insert or replace into meta (key, value) values (?, ?)", said)
            connection.execute("delete from vectors where space <> ?", (current,))
        return int(space)

    def adopt(self, space: int, embedder: str, dimension: int | None) -> bool:
        """Search by the vectors of *space* from now on, and let go of all others; False if one is lacking still."""
        with self._file.writing() as connection:
            if connection.execute(SELECT_LACKING, (space,)).fetchone() is not None:
                return False
            said = [("space", space), ("embedder", embedder), ("dimension", dimension)]
            connection.executemany("insert or replace into meta (key, value) values (?, ?)", said)
            connection.execute("delete from vectors where space <> ?", (space,))
        return True

    # what readers ask

    def epoch(self, space: int) -> int:
        """What is true now. EmbedderChangedError if all was embedded anew since *space* was that of the vectors."""
        with self._file.reading() as connection:
            epoch, current = connection.execute(STANDING).fetchone()
        if current != space:
            raise embedded_anew(self.location)
        return int(epoch)

    def passages(self, epoch: int, chunks: Collection[int]) -> list[Passage]:
        """What *epoch* shows of these chunks. A chunk may stand in a document twice."""
        with self._file.reading() as connection:
            rows = connection.execute(SELECT_PASSAGES, (epoch, json.dumps([*chunks]))).fetchall()
        return [
            Passage._make(
                (
                    *rest,
                    json.loads(meta),
                    revision,
                    _read(modified),
                    from_micros(indexed),
                    from_micros(checked),
                )
            )
            for *rest, meta, revision, modified, indexed, checked in rows
        ]

    def shown(self, epoch: int) -> list[int]:
        """The numbers of the chunks of *epoch*."""
        with self._file.reading() as connection:
            return [number for (number,) in connection.execute(SELECT_SHOWN, (epoch,))]

    def metas(self, epoch: int, source: str | None) -> list[tuple[int, str]]:
        """The revisions of *epoch*, or those of a source, by number: each with its meta, as JSON."""
        with self._file.reading() as connection:
            return connection.execute(SELECT_METAS, (epoch, source)).fetchall()

    def chunks_of(self, revisions: Sequence[int]) -> list[int]:
        """The numbers of their chunks."""
        with self._file.reading() as connection:
            return [number for (number,) in connection.execute(SELECT_CHUNKS_OF, (json.dumps([*revisions]),))]

    def space(self, chunks: Sequence[int], space: int) -> list[tuple[int, bytes]]:
        """These chunks with their vectors, as they are kept."""
        with self._file.reading() as connection:
            return connection.execute(SELECT_SPACE, (json.dumps([*chunks]), space)).fetchall()

    def chunks(self, limit: int) -> Iterator[list[NewChunk]]:
        """The chunks that an index must hold, at most *limit* at a time."""
        after = 0
        while True:
            with self._file.reading() as connection:
                rows = connection.execute(SELECT_CHUNKS, (after, limit)).fetchall()
            if not rows:
                return
            yield [NewChunk(number, Chunk(text, heading)) for number, text, heading in rows]
            after = rows[-1][0]

    def placed(self) -> set[int]:
        """The numbers of the chunks that an index must hold."""
        with self._file.reading() as connection:
            return {number for (number,) in connection.execute(SELECT_PLACED)}

    def placed_count(self) -> int:
        with self._file.reading() as connection:
            (count,) = connection.execute(COUNT_PLACED).fetchone()
        return int(count)

    def all_chunks(self) -> set[int]:
        """The numbers of the chunks that an index may hold."""
        with self._file.reading() as connection:
            return {number for (number,) in connection.execute("select number from chunks")}

    def status(self) -> list[SourceStatus]:
        with self._file.reading() as connection:
            return [
                SourceStatus(
                    name, from_micros(began), _read(confirmed), error, documents, chunks,
                    [
                        FailedDocument._make((*row, _read(at)))
                        for *row, at in connection.execute(SELECT_FAILED, (name,))
                    ],
                )
                for name, began, confirmed, error, documents, chunks in connection.execute(SELECT_STATUS).fetchall()
            ]  # fmt: skip

    def documents(self, source: str, *, quarantined: bool | None, limit: int, offset: int) -> list[StoredDocument]:
        """Those of *source* that are searched or in quarantine, by their ids; None: both."""
        with self._file.reading() as connection:
            rows = connection.execute(SELECT_DOCUMENTS, (source, quarantined, limit, offset)).fetchall()
        return [
            StoredDocument(
                id, error, failures, _read(retry_at), revision, version, uri, json.loads(meta or "{}"),
                _read(modified), _read(indexed), _read(checked), chunks,
            )
            for id, error, failures, retry_at, revision, version, uri, meta, modified, indexed, checked, chunks in rows
        ]  # fmt: skip

    def document_count(self, source: str, *, quarantined: bool | None) -> int:
        with self._file.reading() as connection:
            (count,) = connection.execute(COUNT_DOCUMENTS, (source, quarantined)).fetchone()
        return int(count)

    def text(self, source: str, id: str, *, limit: int, offset: int) -> StoredText | None:
        """Of a document what is searched. None: nothing is."""
        with self._file.reading() as connection:
            found = connection.execute(SELECT_LIVE_REVISION, (source, id)).fetchone()
            if found is None:
                return None
            number, revision, total = found  # a revision never changes: what is read next is of the same
            rows = connection.execute(SELECT_PLACED_CHUNKS, (number, limit, offset)).fetchall()
        return StoredText(revision, total, [StoredChunk._make(row) for row in rows])

    @contextmanager
    def _writing_as(self, source: str, sync: int) -> Iterator[sqlite3.Connection]:
        """A transaction of the newest sync of *source*; SyncSupersededError in any other."""
        with self._file.writing() as connection:
            (newest,) = connection.execute(CURRENT_SYNC, (source,)).fetchone()
            if newest != sync:
                raise superseded(source, sync, newest)
            yield connection


def _bury(connection: sqlite3.Connection, source: str, ids: Sequence[str], now: datetime) -> None:
    (epoch,) = connection.execute(NEXT_EPOCH).fetchone()
    connection.executemany(BURY_REVISION, [(epoch, to_micros(now), source, id) for id in ids])
    connection.executemany(FORGET_TROUBLE, [(source, id) for id in ids])


def _read(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _write(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)
