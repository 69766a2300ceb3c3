-- Version 1. Instants are whole microseconds since 1970 in UTC. Texts compare by their bytes, as in SQLite.

-- Several documents may lie in one schema: each table says whose its rows are.
create table tickwork_catalogues (
    number bigint generated always as identity primary key,
    name   text collate "C" not null unique
);

-- epoch counts the moments at which something became true, syncs the syncs, space the embedders that there were, chunks
-- the chunks that were ever written. The others say whose vectors these are, and how the index stands.
create table tickwork_catalogue_meta (
    catalogue bigint not null references tickwork_catalogues (number) on delete cascade,
    key       text collate "C" not null,
    value     jsonb,
    primary key (catalogue, key)
) with (fillfactor = 50);

create table tickwork_sources (
    catalogue    bigint not null references tickwork_catalogues (number) on delete cascade,
    name         text collate "C" not null,
    sync         bigint not null default 0,  -- the number of its newest sync; an older one may write no more
    began_at     bigint not null,
    confirmed_at bigint,                     -- when the last sync began that went through its whole listing
    error        text collate "C",           -- why the last sync did not
    primary key (catalogue, name)
);

create table tickwork_documents (
    number    bigint generated always as identity primary key,
    catalogue bigint not null references tickwork_catalogues (number) on delete cascade,
    source    text collate "C" not null,
    id        text collate "C" not null,
    digest    text collate "C" not null,     -- of the id, which may be longer than an index of PostgreSQL takes
    error     text collate "C",              -- why what the source has now is not what is searched
    failures  bigint not null default 0,
    failed    text collate "C",              -- the fingerprint of what failed
    retry_at  bigint,
    unique (catalogue, source, digest)
);

create index tickwork_documents_failed on tickwork_documents (catalogue, source) where error is not null;

-- A revision never changes. One that has no `born` is being written, one that has `died` lies behind.
create table tickwork_revisions (
    number      bigint generated always as identity primary key,
    document    bigint not null references tickwork_documents (number) on delete cascade,
    revision    bigint not null,
    sync        bigint not null,
    fingerprint text collate "C" not null,   -- of its content, and of how it was split
    splitter    text collate "C" not null,
    version     text collate "C",
    uri         text collate "C",
    meta        text collate "C" not null,   -- PostgreSQL does not read all JSON that Python writes
    modified_at bigint,
    indexed_at  bigint not null,
    checked_at  bigint not null,             -- when the sync began that last confirmed it
    born        bigint,
    died        bigint,
    died_at     bigint
);

create index tickwork_revisions_of on tickwork_revisions (document, revision);
create unique index tickwork_revisions_live on tickwork_revisions (document) where born is not null and died is null;
create index tickwork_revisions_dead on tickwork_revisions (died_at) where died is not null;
create index tickwork_revisions_unborn on tickwork_revisions (document) where born is null;

-- The number is the id in the index, and is never used again: what comes back is a new chunk.
create sequence tickwork_chunk_numbers;

create table tickwork_chunks (
    number    bigint primary key default nextval('tickwork_chunk_numbers'),
    catalogue bigint not null references tickwork_catalogues (number) on delete cascade,
    document  bigint not null,
    hash      text collate "C" not null,
    heading   text collate "C" not null,
    text      text collate "C" not null
);

create index tickwork_chunks_of on tickwork_chunks (catalogue, number);
create index tickwork_chunks_alike on tickwork_chunks (catalogue, hash);

create table tickwork_placements (
    revision bigint not null references tickwork_revisions (number) on delete cascade,
    position bigint not null,
    chunk    bigint not null references tickwork_chunks (number) on delete cascade,
    primary key (revision, position)
);

create index tickwork_placements_of on tickwork_placements (chunk);

create table tickwork_vectors (
    catalogue bigint not null references tickwork_catalogues (number) on delete cascade,
    space     bigint not null,               -- vectors of two embedders cannot be compared
    hash      text collate "C" not null,
    vector    bytea not null,                -- float16, little-endian
    primary key (catalogue, space, hash)
);
