"""The catalogue in a PostgreSQL database, which any number of machines share.

The rule: writers of one catalogue take turns by its row, which each locks first; so each of their statements sees what
the one before them wrote, as in a SQLite file. Readers wait for nobody.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tickwork.clock import from_micros, to_micros
from tickwork.codec import read_instant, write_instant
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
from tickwork.documents.plan import Known
from tickwork.errors import StoreUnavailableError, StoreUnusableError
from tickwork.stores.postgresql import schema
from tickwork.stores.postgresql.address import Address
from tickwork.stores.postgresql.rows import integers, texts
from tickwork.stores.postgresql.server import Server, Session
from tickwork.stores.server_clock import ServerClock

SCRIPTS = [(Path(__file__).parent / "postgresql.sql").read_text("utf-8")]
"""What leads from each version to the next: the first script makes version 1 from nothing."""
VERSION_TABLE = "tickwork_documents_schema"

PATIENCE = 5.0
"""Seconds to wait for a server that is away: a restart passes unnoticed, and a longer outage is told."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
NAP = 0.05
"""Seconds between two looks whether the turn is free."""

FIND_CATALOGUE = "select number from tickwork_catalogues where name = $1"
MAKE_CATALOGUE = """
insert into tickwork_catalogues (name) values ($1)
on conflict (name) do update set name = excluded.name returning number
"""
LOCK_CATALOGUE = "select number from tickwork_catalogues where number = $1 for update"
TRY_TURN = "select pg_try_advisory_lock($1::bigint)"
END_TURN = "select pg_advisory_unlock($1::bigint)"
WATCH_CLIENT = """
select set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '3', false),
    set_config('tcp_keepalives_count', '3', false)
"""
"""So that the server notices within seconds that the machine of a turn's holder is gone, and lets go of it."""

SELECT_META = "select value from tickwork_catalogue_meta where catalogue = $1 and key = $2"
WRITE_META = """
insert into tickwork_catalogue_meta (catalogue, key, value)
select $1, said.key, said.value::jsonb from unnest($2::text[], $3::text[]) as said (key, value)
on conflict (catalogue, key) do update set value = excluded.value
"""
WRITE_FIRST_META = """
insert into tickwork_catalogue_meta (catalogue, key, value)
select $1, said.key, said.value::jsonb from unnest($2::text[], $3::text[]) as said (key, value)
on conflict (catalogue, key) do nothing
"""
COUNT_UP = """
update tickwork_catalogue_meta set value = to_jsonb(value::bigint + $3) where catalogue = $1 and key = $2
returning value::bigint
"""
STANDING = """
select (select value::bigint from tickwork_catalogue_meta where catalogue = $1 and key = 'epoch'),
    (select value::bigint from tickwork_catalogue_meta where catalogue = $1 and key = 'space')
"""
SPACES = """
select (select value::bigint from tickwork_catalogue_meta where catalogue = $1 and key = 'space'),
    (select value::bigint from tickwork_catalogue_meta where catalogue = $1 and key = 'begun_space'),
    (select value from tickwork_catalogue_meta where catalogue = $1 and key = 'begun_by')
"""
INDEX_STANDING = """
select (select value::bigint from tickwork_catalogue_meta where catalogue = $1 and key = 'generation'),
    (select value::bigint from tickwork_catalogue_meta where catalogue = $1 and key = 'index_behind')
"""

BEGIN_SYNC = """
insert into tickwork_sources (catalogue, name, sync, began_at) values ($1, $2, $3, $4)
on conflict (catalogue, name) do update set sync = excluded.sync, began_at = excluded.began_at
"""
CURRENT_SYNC = "select sync from tickwork_sources where catalogue = $1 and name = $2"
FINISH_SYNC = """
update tickwork_sources set confirmed_at = coalesce($3::bigint, confirmed_at), error = $4
where catalogue = $1 and name = $2
"""
SELECT_KNOWN = """
select document.id, document.number, revision.fingerprint,
    case when revision.splitter = $3 then revision.version end,
    document.failures, document.failed, document.retry_at
from tickwork_documents as document
    left join lateral (
        select fingerprint, splitter, version from tickwork_revisions
        where tickwork_revisions.document = document.number and born is not null and died is null limit 1
    ) as revision on true
where document.catalogue = $1 and document.source = $2
"""
"""One look for each document: without statistics a join of both may go through every pair."""
SELECT_LIVE_CHUNKS = """
select revision.document, chunk.number, chunk.hash
from tickwork_revisions as revision
    join tickwork_placements as placement on placement.revision = revision.number
    join tickwork_chunks as chunk on chunk.number = placement.chunk
where revision.document = any($1::bigint[]) and revision.born is not null and revision.died is null
order by revision.document, placement.position
"""

SELECT_VECTORS = """
select hash, vector from tickwork_vectors where catalogue = $1 and space = $2 and hash = any($3::text[])
"""
INSERT_VECTORS = """
insert into tickwork_vectors (catalogue, space, hash, vector)
select $1, $2, made.hash, made.vector from unnest($3::text[], $4::bytea[]) as made (hash, vector)
on conflict (catalogue, space, hash) do nothing
"""
INSERT_DOCUMENTS = """
insert into tickwork_documents (catalogue, source, id, digest)
select $1, $2, listed.id, listed.digest from unnest($3::text[], $4::text[]) as listed (id, digest)
on conflict (catalogue, source, digest) do update set id = excluded.id returning id, number
"""
INSERT_REVISIONS = """
insert into tickwork_revisions
    (document, revision, sync, fingerprint, splitter, version, uri, meta, modified_at, indexed_at, checked_at)
select staged.document,
    (select coalesce(max(former.revision), 0) + 1 from tickwork_revisions as former
        where former.document = staged.document),
    $1, staged.fingerprint, $2, staged.version, staged.uri, staged.meta, staged.modified_at, $3, $3
from unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[])
    as staged (document, fingerprint, version, uri, meta, modified_at)
returning document, number
"""
NUMBER_CHUNKS = "select nextval('tickwork_chunk_numbers') from generate_series(1, $1::bigint)"
INSERT_CHUNKS = """
insert into tickwork_chunks (number, catalogue, document, hash, heading, text)
select new.number, $1, new.document, new.hash, new.heading, new.text
from unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[])
    as new (number, document, hash, heading, text)
"""
INSERT_PLACEMENTS = """
insert into tickwork_placements (revision, position, chunk)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])
"""
END_LIVE_REVISIONS = """
update tickwork_revisions set died = $1, died_at = $2
where born is not null and died is null
    and document in (select document from tickwork_revisions where number = any($3::bigint[]))
"""
BEGIN_REVISIONS = "update tickwork_revisions set born = $1, indexed_at = $2 where number = any($3::bigint[])"
FORGIVE_DOCUMENTS = """
update tickwork_documents set error = null, failures = 0, failed = null, retry_at = null
where number in (select document from tickwork_revisions where number = any($1::bigint[]))
"""
CONFIRM_REVISIONS = """
update tickwork_revisions as revision
set checked_at = greatest(revision.checked_at, $1), version = coalesce(same.version, revision.version)
from unnest($2::bigint[], $3::text[]) as same (document, version)
where revision.document = same.document and revision.born is not null and revision.died is null
"""
CONFIRM_DOCUMENTS = """
update tickwork_documents set error = null, failures = 0, failed = null, retry_at = null
where number = any($1::bigint[]) and error is not null
"""
FAIL_DOCUMENT = """
insert into tickwork_documents (catalogue, source, id, digest, error, failures, failed, retry_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (catalogue, source, digest) do update set
    error = excluded.error, failures = excluded.failures, failed = excluded.failed, retry_at = excluded.retry_at
"""
BURY_REVISIONS = """
update tickwork_revisions set died = $1, died_at = $2
where born is not null and died is null and document in (
    select number from tickwork_documents where catalogue = $3 and source = $4 and digest = any($5::text[])
)
"""
FORGET_TROUBLE = """
update tickwork_documents set error = null, failures = 0, failed = null, retry_at = null
where catalogue = $1 and source = $2 and digest = any($3::text[])
"""

DELETE_UNBORN = """
delete from tickwork_revisions
where born is null and sync < $3
    and document in (select number from tickwork_documents where catalogue = $1 and source = $2)
"""
DELETE_DEAD = """
delete from tickwork_revisions
where died is not null and died_at < $2
    and document in (select number from tickwork_documents where catalogue = $1)
"""
DELETE_EMPTY_DOCUMENTS = """
delete from tickwork_documents as document
where catalogue = $1 and error is null
    and not exists (select from tickwork_revisions where tickwork_revisions.document = document.number)
"""
SELECT_ORPHANS = """
select number from tickwork_chunks as chunk
where catalogue = $1 and not exists (select from tickwork_placements where tickwork_placements.chunk = chunk.number)
order by number limit $2
"""
DELETE_CHUNKS = """
delete from tickwork_chunks as chunk
where catalogue = $1 and number = any($2::bigint[])
    and not exists (select from tickwork_placements where tickwork_placements.chunk = chunk.number)
returning hash
"""
DELETE_VECTORS = """
delete from tickwork_vectors as vector
where catalogue = $1 and hash = any($2::text[]) and not exists (
    select from tickwork_chunks as chunk where chunk.catalogue = $1 and chunk.hash = vector.hash
)
"""
DELETE_OTHER_SPACES = "delete from tickwork_vectors where catalogue = $1 and space <> $2"

SELECT_PASSAGES = """
select chunk.number, chunk.text, chunk.heading, document.source, document.id, placement.position, revision.uri,
    revision.meta, revision.revision, revision.modified_at, revision.indexed_at, revision.checked_at
from tickwork_chunks as chunk
    join tickwork_placements as placement on placement.chunk = chunk.number
    join tickwork_revisions as revision on revision.number = placement.revision
    join tickwork_documents as document on document.number = revision.document
where chunk.catalogue = $1 and revision.born <= $2 and (revision.died is null or revision.died > $2)
    and chunk.number = any($3::bigint[])
"""
SELECT_SHOWN = """
select distinct placement.chunk
from tickwork_documents as document
    join tickwork_revisions as revision on revision.document = document.number
    join tickwork_placements as placement on placement.revision = revision.number
where document.catalogue = $1 and revision.born <= $2 and (revision.died is null or revision.died > $2)
"""
SELECT_METAS = """
select revision.number, revision.meta
from tickwork_documents as document join tickwork_revisions as revision on revision.document = document.number
where document.catalogue = $1 and revision.born <= $2 and (revision.died is null or revision.died > $2)
    and ($3::text is null or document.source = $3)
"""
SELECT_CHUNKS_OF = "select distinct chunk from tickwork_placements where revision = any($1::bigint[])"
SELECT_SPACE = """
select chunk.number, vector.vector
from tickwork_chunks as chunk
    cross join lateral (
        select vector from tickwork_vectors
        where tickwork_vectors.catalogue = chunk.catalogue and space = $3 and hash = chunk.hash limit 1
    ) as vector
where chunk.catalogue = $1 and chunk.number = any($2::bigint[])
"""
"""One look for each chunk."""
SELECT_CHUNKS = """
select chunk.number, chunk.text, chunk.heading from tickwork_chunks as chunk
where chunk.catalogue = $1 and chunk.number > $2 and exists (
    select from tickwork_placements as placement
        join tickwork_revisions as revision on revision.number = placement.revision
    where placement.chunk = chunk.number and revision.born is not null
)
order by chunk.number limit $3
"""
SELECT_PLACED = """
select chunk.number from tickwork_chunks as chunk
where chunk.catalogue = $1 and exists (
    select from tickwork_placements as placement
        join tickwork_revisions as revision on revision.number = placement.revision
    where placement.chunk = chunk.number and revision.born is not null
)
"""
COUNT_PLACED = """
select count(*) from tickwork_chunks as chunk
where chunk.catalogue = $1 and exists (
    select from tickwork_placements as placement
        join tickwork_revisions as revision on revision.number = placement.revision
    where placement.chunk = chunk.number and revision.born is not null
)
"""
ALL_CHUNKS = "select number from tickwork_chunks where catalogue = $1"
WRITTEN_SINCE_BUILT = """
select (select value::bigint from tickwork_catalogue_meta where catalogue = $1 and key = 'index_built')
    + (select value::bigint from tickwork_catalogue_meta where catalogue = $1 and key = 'chunks')
    - (select value::bigint from tickwork_catalogue_meta where catalogue = $1 and key = 'index_built_to')
"""
SELECT_LACKING = """
select 1 from tickwork_chunks as chunk
where chunk.catalogue = $1 and exists (
        select from tickwork_placements as placement
            join tickwork_revisions as revision on revision.number = placement.revision
        where placement.chunk = chunk.number and revision.born is not null
    )
    and not exists (
        select from tickwork_vectors as vector
        where vector.catalogue = $1 and vector.space = $2 and vector.hash = chunk.hash
    )
limit 1
"""
SELECT_STATUS = """
select source.name, source.began_at, source.confirmed_at, source.error,
    (select count(*) from tickwork_documents as document
            join tickwork_revisions as revision on revision.document = document.number
        where document.catalogue = $1 and document.source = source.name and born is not null and died is null),
    (select count(*) from tickwork_documents as document
            join tickwork_revisions as revision on revision.document = document.number
            join tickwork_placements as placement on placement.revision = revision.number
        where document.catalogue = $1 and document.source = source.name and born is not null and died is null)
from tickwork_sources as source where source.catalogue = $1 order by source.name
"""
SELECT_FAILED = """
select source, id, error, failures, retry_at from tickwork_documents
where catalogue = $1 and error is not null order by source, id
"""

SELECT_DOCUMENTS = """
select document.id, document.error, document.failures, document.retry_at, revision.revision, revision.version,
    revision.uri, revision.meta, revision.modified_at, revision.indexed_at, revision.checked_at,
    (select count(*) from tickwork_placements as placement where placement.revision = revision.number)
from tickwork_documents as document
    left join tickwork_revisions as revision
        on revision.document = document.number and revision.born is not null and revision.died is null
where document.catalogue = $1 and document.source = $2
    and (revision.number is not null or document.error is not null)
    and ($3::bool is null or (document.error is not null) = $3::bool)
order by document.id limit $4 offset $5
"""
COUNT_DOCUMENTS = """
select count(*)
from tickwork_documents as document
    left join tickwork_revisions as revision
        on revision.document = document.number and revision.born is not null and revision.died is null
where document.catalogue = $1 and document.source = $2
    and (revision.number is not null or document.error is not null)
    and ($3::bool is null or (document.error is not null) = $3::bool)
"""
SELECT_LIVE_REVISION = """
select revision.number, revision.revision,
    (select count(*) from tickwork_placements as placement where placement.revision = revision.number)
from tickwork_documents as document
    join tickwork_revisions as revision
        on revision.document = document.number and revision.born is not null and revision.died is null
where document.catalogue = $1 and document.source = $2 and document.digest = $3
"""
SELECT_PLACED_CHUNKS = """
select placement.position, chunk.heading, chunk.text
from tickwork_placements as placement join tickwork_chunks as chunk on chunk.number = placement.chunk
where placement.revision = $1 order by placement.position limit $2 offset $3
"""
DELETE_USELESS_VECTORS = """
delete from tickwork_vectors
where (catalogue, space, hash) in (
    select vector.catalogue, vector.space, vector.hash from tickwork_vectors as vector
    where vector.catalogue = $1 and not exists (
        select from tickwork_chunks as chunk where chunk.catalogue = $1 and chunk.hash = vector.hash offset 0
    )
    limit $2
)
"""
"""`offset 0`: one look for each vector, and no plan that joins all of both."""
SIZE = """
select coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint
from pg_catalog.pg_class join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
where nspname = current_schema() and relname = any($1::text[])
"""
TABLES = ("tickwork_revisions", "tickwork_chunks", "tickwork_placements", "tickwork_vectors")
"""Those that grow with what is searched."""


class PostgreSQLCatalogue:
    """The documents *name* in the schema of *address*; they are made if there are none. Connects at once.

    Raises StoreUnusableError for a database that lets us not in or lacks what is needed, StoreUnavailableError for a
    fault that may pass, StoreSchemaError for tables of a newer version.
    """

    def __init__(self, name: str, address: Address) -> None:
        self.clock = ServerClock()
        self.location = f"{address.location} ({name})"
        self._name = name
        self._address = address
        self._process = os.getpid()
        server = self._server = Server(address, self.clock)
        try:
            with server.writing() as session:
                assert server.schema is not None
                schema.upgrade(
                    session, address.location, server.schema, create=address.create, scripts=SCRIPTS,
                    table=VERSION_TABLE, kind="documents",
                )  # fmt: skip
            self._number = self._make()
        except BaseException:
            server.close()
            raise
        self._pooled = server.pooled
        self._turn = SessionTurn(self._server_here, _key(server.schema, name))

    @property
    def turn(self) -> SessionTurn:
        if self._pooled:
            raise StoreUnusableError(
                f"{self.location}: expected a session of the server, which holds the turn of those who write an index, "
                f"got a pooler that lends one for a transaction: name the server itself, or use index='exact'"
            )
        return self._turn

    def close(self) -> None:
        self._server_here().close()

    # what it says of itself

    def meta(self, key: str) -> Any:
        with self._reading() as session:
            row = session.select_one(SELECT_META, self._number, key)
        return None if row is None else row[0]

    def note(self, **said: object) -> None:
        with self._writing() as session:
            self._note(session, said)

    def note_first(self, key: str, said: object) -> Any:
        with self._writing() as session:
            session.execute(WRITE_FIRST_META, self._number, texts([key]), texts([json.dumps(said)]))
            row = session.select_one(SELECT_META, self._number, key)
            assert row is not None
        return row[0]

    def index_standing(self) -> tuple[int, bool]:
        with self._reading() as session:
            ((generation, behind),) = session.select(INDEX_STANDING, self._number)
        return int(generation), bool(behind)

    def note_built(self) -> None:
        with self._writing() as session:
            ((built,),) = session.select(COUNT_PLACED, self._number)
            ((chunks,),) = session.select(SELECT_META, self._number, "chunks")
            self._note(session, {"index_built_to": chunks, "index_built": built})

    def wear(self) -> tuple[int, int]:
        with self._reading() as session:
            ((live,),) = session.select(COUNT_PLACED, self._number)
            ((written,),) = session.select(WRITTEN_SINCE_BUILT, self._number)
        return int(live), max(0, int(written) - int(live))

    # one sync, in the order of its steps

    def begin(self, source: str, now: datetime) -> int:
        with self._writing() as session:
            sync = self._count_up(session, "syncs")
            session.execute(BEGIN_SYNC, self._number, source, sync, to_micros(now))
            session.execute(DELETE_UNBORN, self._number, source, sync)
        return sync

    def known(self, source: str, splitter: str) -> dict[str, Known]:
        with self._reading() as session:
            rows = session.select(SELECT_KNOWN, self._number, source, splitter)
        return {id: Known._make((*rest, read_instant(retry_at))) for id, *rest, retry_at in rows}

    def live_chunks(self, documents: Iterable[int]) -> dict[int, Sequence[tuple[int, str]]]:
        live: dict[int, list[tuple[int, str]]] = {number: [] for number in documents}
        with self._reading() as session:
            for document, number, digest in session.select(SELECT_LIVE_CHUNKS, integers(live)):
                live[document].append((number, digest))
        return dict(live)

    def vectors(self, hashes: Collection[str], space: int) -> dict[str, Sequence[float]]:
        with self._reading() as session:
            rows = session.select(SELECT_VECTORS, self._number, space, texts(hashes))
        return {digest: unpack(vector) for digest, vector in rows}

    def keep_vectors(self, vectors: Mapping[str, Sequence[float]], space: int) -> None:
        with self._writing() as session:
            self._keep_vectors(session, vectors, space)

    def stage(
        self, source: str, sync: int, writes: Sequence[Write], vectors: Mapping[str, Sequence[float]], space: int,
        splitter: str, began_at: datetime,
    ) -> tuple[list[int], list[NewChunk]]:  # fmt: skip
        with self._writing_as(source, sync) as session:
            ids = [doc.id for doc, _, _ in writes]
            numbers: dict[str, int] = dict(session.select(
                INSERT_DOCUMENTS, self._number, source, texts(ids), texts(map(_digest, ids))
            ))  # fmt: skip
            by_document: dict[int, int] = dict(session.select(
                INSERT_REVISIONS, sync, splitter, to_micros(began_at), integers(numbers[id] for id in ids),
                texts(fingerprint for _, fingerprint, _ in writes), texts(doc.version for doc, _, _ in writes),
                texts(doc.uri for doc, _, _ in writes), texts(json.dumps(doc.meta) for doc, _, _ in writes),
                integers(write_instant(doc.modified) for doc, _, _ in writes),
            ))  # fmt: skip
            count = sum(isinstance(placed, Chunk) for write in writes for placed in write.placements)
            unused = iter([number for (number,) in session.select(NUMBER_CHUNKS, count)])
            new: list[tuple[int, NewChunk]] = []
            placements: list[tuple[int, int, int]] = []
            for doc, _, placed_chunks in writes:
                document = numbers[doc.id]
                for position, placed in enumerate(placed_chunks):
                    if isinstance(placed, Chunk):
                        new.append((document, NewChunk(next(unused), placed)))
                        placed = new[-1][1].number  # noqa: PLW2901
                    placements.append((by_document[document], position, placed))
            session.execute(
                INSERT_CHUNKS, self._number, integers(one.number for _, one in new),
                integers(document for document, _ in new), texts(one.chunk.hash for _, one in new),
                texts(one.chunk.heading for _, one in new), texts(one.chunk.text for _, one in new),
            )  # fmt: skip
            session.execute(INSERT_PLACEMENTS, *(integers(column) for column in _columns(placements, 3)))
            self._count_up(session, "chunks", count)
            self._keep_vectors(session, vectors, space)
        return [by_document[numbers[id]] for id in ids], [one for _, one in new]

    def flip(self, source: str, sync: int, revisions: Sequence[int], space: int, now: datetime) -> None:
        with self._writing_as(source, sync) as session:
            if session.select(SELECT_META, self._number, "space") != [(space,)]:
                raise embedded_anew(f"source {source!r}")
            epoch, flipped = self._count_up(session, "epoch"), integers(revisions)
            session.execute(END_LIVE_REVISIONS, epoch, to_micros(now), flipped)
            session.execute(BEGIN_REVISIONS, epoch, to_micros(now), flipped)
            session.execute(FORGIVE_DOCUMENTS, flipped)

    def confirm(self, source: str, sync: int, documents: Sequence[tuple[int, str | None]], began_at: datetime) -> None:
        numbers = integers(number for number, _ in documents)
        with self._writing_as(source, sync) as session:
            session.execute(CONFIRM_REVISIONS, to_micros(began_at), numbers, texts(version for _, version in documents))
            session.execute(CONFIRM_DOCUMENTS, numbers)

    def fail(self, source: str, sync: int, failed: FailedDocument, fingerprint: str | None) -> None:
        with self._writing_as(source, sync) as session:
            session.execute(
                FAIL_DOCUMENT, self._number, source, failed.id, _digest(failed.id), failed.error,
                failed.failures, fingerprint, write_instant(failed.retry_at),
            )  # fmt: skip

    def bury(self, source: str, sync: int, ids: Sequence[str], now: datetime) -> None:
        with self._writing_as(source, sync) as session:
            self._bury(session, source, ids, now)

    def withdraw(self, source: str, ids: Sequence[str], now: datetime) -> None:
        with self._writing() as session:
            self._bury(session, source, ids, now)

    def finish(self, source: str, sync: int, began_at: datetime | None, error: str | None) -> None:
        with self._writing_as(source, sync) as session:
            session.execute(FINISH_SYNC, self._number, source, write_instant(began_at), error)

    # what lies behind

    def orphans(self, died_before: datetime, limit: int) -> list[int]:
        with self._writing() as session:
            session.execute(DELETE_DEAD, self._number, to_micros(died_before))
            session.execute(DELETE_EMPTY_DOCUMENTS, self._number)
            return [number for (number,) in session.select(SELECT_ORPHANS, self._number, limit)]

    def forget(self, chunks: Sequence[int]) -> None:
        with self._writing() as session:
            hashes = {digest for (digest,) in session.select(DELETE_CHUNKS, self._number, integers(chunks))}
            session.execute(DELETE_VECTORS, self._number, texts(hashes))

    def forget_vectors(self, limit: int) -> int:
        with self._writing() as session:
            return session.execute(DELETE_USELESS_VECTORS, self._number, limit)

    def size(self) -> int:
        with self._reading() as session:
            ((size,),) = session.select(SIZE, texts(TABLES))
        return int(size)

    def begin_space(self, embedder: str) -> int:
        with self._writing() as session:
            ((current, begun, begun_by),) = session.select(SPACES, self._number)
            if begun is not None and begun > current and begun_by == embedder:
                return int(begun)
            space = max(current, begun or 0) + 1
            self._note(session, {"begun_space": space, "begun_by": embedder})
            session.execute(DELETE_OTHER_SPACES, self._number, current)
        return int(space)

    def adopt(self, space: int, embedder: str, dimension: int | None) -> bool:
        with self._writing() as session:
            if session.select_one(SELECT_LACKING, self._number, space) is not None:
                return False
            self._note(session, {"space": space, "embedder": embedder, "dimension": dimension})
            session.execute(DELETE_OTHER_SPACES, self._number, space)
        return True

    # what readers ask

    def epoch(self, space: int) -> int:
        with self._reading() as session:
            ((epoch, current),) = session.select(STANDING, self._number)
        if current != space:
            raise embedded_anew(self.location)
        return int(epoch)

    def passages(self, epoch: int, chunks: Collection[int]) -> list[Passage]:
        with self._reading() as session:
            rows = session.select(SELECT_PASSAGES, self._number, epoch, integers(chunks))
        return [
            Passage._make((
                *rest, json.loads(meta), revision, read_instant(modified), from_micros(indexed), from_micros(checked)
            ))
            for *rest, meta, revision, modified, indexed, checked in rows
        ]  # fmt: skip

    def shown(self, epoch: int) -> list[int]:
        with self._reading() as session:
            return [number for (number,) in session.select(SELECT_SHOWN, self._number, epoch)]

    def metas(self, epoch: int, source: str | None) -> list[tuple[int, str]]:
        with self._reading() as session:
            return [(number, meta) for number, meta in session.select(SELECT_METAS, self._number, epoch, source)]

    def chunks_of(self, revisions: Sequence[int]) -> list[int]:
        with self._reading() as session:
            return [number for (number,) in session.select(SELECT_CHUNKS_OF, integers(revisions))]

    def space(self, chunks: Sequence[int], space: int) -> list[tuple[int, bytes]]:
        with self._reading() as session:
            rows = session.select(SELECT_SPACE, self._number, integers(chunks), space)
        return [(number, vector) for number, vector in rows]

    def chunks(self, limit: int) -> Iterator[list[NewChunk]]:
        after = 0
        while True:
            with self._reading() as session:
                rows = session.select(SELECT_CHUNKS, self._number, after, limit)
            if not rows:
                return
            yield [NewChunk(number, Chunk(text, heading)) for number, text, heading in rows]
            after = rows[-1][0]

    def placed(self) -> set[int]:
        with self._reading() as session:
            return {number for (number,) in session.select(SELECT_PLACED, self._number)}

    def placed_count(self) -> int:
        with self._reading() as session:
            ((count,),) = session.select(COUNT_PLACED, self._number)
        return int(count)

    def all_chunks(self) -> set[int]:
        with self._reading() as session:
            return {number for (number,) in session.select(ALL_CHUNKS, self._number)}

    def status(self) -> list[SourceStatus]:
        with self._reading() as session:
            rows = session.select(SELECT_STATUS, self._number)
            failed: dict[str, list[FailedDocument]] = {}
            for source, *row, retry_at in session.select(SELECT_FAILED, self._number):
                failed.setdefault(source, []).append(FailedDocument._make((*row, read_instant(retry_at))))
        return [
            SourceStatus(
                name, from_micros(began), read_instant(confirmed), error, documents, chunks, failed.get(name, [])
            )
            for name, began, confirmed, error, documents, chunks in rows
        ]

    def documents(self, source: str, *, quarantined: bool | None, limit: int, offset: int) -> list[StoredDocument]:
        with self._reading() as session:
            rows = session.select(SELECT_DOCUMENTS, self._number, source, quarantined, limit, offset)
        return [
            StoredDocument(
                id, error, failures, read_instant(retry_at), revision, version, uri, json.loads(meta or "{}"),
                read_instant(modified), read_instant(indexed), read_instant(checked), chunks,
            )
            for id, error, failures, retry_at, revision, version, uri, meta, modified, indexed, checked, chunks in rows
        ]  # fmt: skip

    def document_count(self, source: str, *, quarantined: bool | None) -> int:
        with self._reading() as session:
            ((count,),) = session.select(COUNT_DOCUMENTS, self._number, source, quarantined)
        return int(count)

    def text(self, source: str, id: str, *, limit: int, offset: int) -> StoredText | None:
        with self._reading() as session:
            found = session.select_one(SELECT_LIVE_REVISION, self._number, source, _digest(id))
            if found is None:
                return None
            number, revision, total = found  # a revision never changes: what is read next is of the same
            rows = session.select(SELECT_PLACED_CHUNKS, number, limit, offset)
        return StoredText(revision, total, [StoredChunk._make(row) for row in rows])

    # transactions

    def _server_here(self) -> Server:
        """The server with connections of this process: they must not be used on both sides of a fork."""
        if self._process != os.getpid():
            self._left_to_parent = self._server  # closing it would end the parent's connections
            self._process, self._server = os.getpid(), Server(self._address, self.clock)
        return self._server

    def _reading(self) -> AbstractContextManager[Session]:
        return _patiently(self._server_here().reading)

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """A transaction of the one writer of these documents; through the session of the turn, where that is held."""
        server, held = self._server_here(), self._turn.session
        with _patiently(server.writing) if held is None else server.writing_on(held) as session:
            if session.select_one(LOCK_CATALOGUE, self._number) is None:
                raise StoreUnusableError(
                    f"{self.location}: expected the documents that this process has opened, got none: somebody has "
                    f"deleted them; restart this process"
                )
            yield session

    @contextmanager
    def _writing_as(self, source: str, sync: int) -> Iterator[Session]:
        """A transaction of the newest sync of *source*; SyncSupersededError in any other."""
        with self._writing() as session:
            ((newest,),) = session.select(CURRENT_SYNC, self._number, source)
            if newest != sync:
                raise superseded(source, sync, newest)
            yield session

    # parts of them

    def _make(self) -> int:
        """The number of these documents, which are made if there are none."""
        with self._server_here().writing() as session:
            found = session.select_one(FIND_CATALOGUE, self._name)
            if found is None:
                ((number,),) = session.select(MAKE_CATALOGUE, self._name)
                first = {
                    "epoch": 0, "syncs": 0, "space": 1, "generation": 1, "chunks": 0, "index_behind": 0,
                    "index_built": 0, "index_built_to": 0, "name": secrets.token_hex(8),
                }  # fmt: skip
                session.execute(WRITE_FIRST_META, number, texts(first), texts(map(json.dumps, first.values())))
                return int(number)
            return int(found[0])

    def _note(self, session: Session, said: Mapping[str, object]) -> None:
        session.execute(WRITE_META, self._number, texts(said), texts(map(json.dumps, said.values())))

    def _count_up(self, session: Session, key: str, by: int = 1) -> int:
        ((count,),) = session.select(COUNT_UP, self._number, key, by)
        return int(count)

    def _keep_vectors(self, session: Session, vectors: Mapping[str, Sequence[float]], space: int) -> None:
        packed = [pack(vector) for vector in vectors.values()]
        session.execute(INSERT_VECTORS, self._number, space, texts(vectors), packed)

    def _bury(self, session: Session, source: str, ids: Sequence[str], now: datetime) -> None:
        epoch, digests = self._count_up(session, "epoch"), texts(map(_digest, ids))
        session.execute(BURY_REVISIONS, epoch, to_micros(now), self._number, source, digests)
        session.execute(FORGET_TROUBLE, self._number, source, digests)


class SessionTurn:
    """One process of all machines at a time writes beside an index, or builds one anew. The thread that has the turn
    may take it again.

    A session of the server holds it, and what its holder writes goes through that session: who is killed, or cut off,
    loses the turn with the session, and can write no more.
    """

    def __init__(self, server: Callable[[], Server], key: int) -> None:
        self._server = server
        self._key = key
        self._threads = threading.RLock()
        self._thread: int | None = None
        self._held = 0
        self._session: Session | None = None
        self._ending = ExitStack()

    @property
    def session(self) -> Session | None:
        """The one that holds the turn, for the thread that has it."""
        return self._session if self._thread == threading.get_ident() else None

    def __enter__(self) -> Self:
        self._threads.acquire()
        try:
            if not self._held:
                self._take()
            self._held += 1
        except BaseException:
            self._threads.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._held -= 1
            if not self._held:
                self._session = self._thread = None
                self._ending.pop_all().close()
        finally:
            self._threads.release()

    def _take(self) -> None:
        with ExitStack() as ending:
            session = ending.enter_context(_patiently(self._server().reading))
            session.select(WATCH_CLIENT)
            while session.select_one(TRY_TURN, self._key) != (True,):
                time.sleep(NAP)
            ending.callback(self._give_back, session)
            self._session, self._thread, self._ending = session, threading.get_ident(), ending.pop_all()

    def _give_back(self, session: Session) -> None:
        with suppress(psycopg.Error):  # then the session is lost, and the turn with it
            session.select(END_TURN, self._key)


@contextmanager
def _patiently(enter: Callable[[], AbstractContextManager[Session]]) -> Iterator[Session]:
    """Enter it; again, after growing pauses, while the server is away. What fails inside is not repeated."""
    until, pause = time.monotonic() + PATIENCE, FIRST_PAUSE
    with ExitStack() as stack:
        session: Session | None = None
        while session is None:
            try:
                session = stack.enter_context(enter())
            except StoreUnavailableError:
                if time.monotonic() + pause > until:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        yield session


def _key(schema: str | None, name: str) -> int:
    """The number of the lock of these documents."""
    digest = blake2b(f"tickwork documents {schema} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _digest(id: str) -> str:
    return blake2b(id.encode(), digest_size=16).hexdigest()


def _columns(rows: Sequence[Sequence[int]], count: int) -> Sequence[Sequence[int]]:
    return [[row[place] for row in rows] for place in range(count)]
