-- Version 1. Instants are whole microseconds since 1970 in UTC.

-- epoch counts the moments at which something became true, syncs the syncs, space the embedders that there were.
-- The others say whose vectors these are, and how the index stands.
create table meta (
    key   text primary key,
    value
);

create table sources (
    name         text primary key,
    sync         integer not null default 0,  -- the number of its newest sync; an older one may write no more
    began_at     integer not null,
    confirmed_at integer,                     -- when the last sync began that went through its whole listing
    error        text                         -- why the last sync did not
);

create table documents (
    number   integer primary key,
    source   text not null,
    id       text not null,
    error    text,                            -- why what the source has now is not what is searched
    failures integer not null default 0,
    failed   text,                            -- the fingerprint of what failed
    retry_at integer,
    unique (source, id)
);

-- A revision never changes. One that has no `born` is being written, one that has `died` lies behind.
create table revisions (
    number      integer primary key,
    document    integer not null references documents (number) on delete cascade,
    revision    integer not null,
    sync        integer not null,
    fingerprint text not null,                -- of its content, and of how it was split
    splitter    text not null,
    version     text,
    uri         text,
    meta        text not null,
    modified_at integer,
    indexed_at  integer not null,
    checked_at  integer not null,             -- when the sync began that last confirmed it
    born        integer,
    died        integer,
    died_at     integer
);

create index revisions_of on revisions (document);
create unique index revisions_live on revisions (document) where born is not null and died is null;
create index revisions_dead on revisions (died_at) where died is not null;
create index revisions_unborn on revisions (sync) where born is null;

-- The number is the id in the index, and is never used again: what comes back is a new chunk.
create table chunks (
    number   integer primary key autoincrement,
    document integer not null,
    hash     text not null,
    heading  text not null,
    text     text not null
);

create table placements (
    revision integer not null references revisions (number) on delete cascade,
    position integer not null,
    chunk    integer not null references chunks (number),
    primary key (revision, position)
) without rowid;

create index placements_of on placements (chunk);

create index chunks_alike on chunks (hash);

create table vectors (
    space  integer not null,                  -- vectors of two embedders cannot be compared
    hash   text not null,
    vector blob not null,                     -- float16, little-endian
    unique (space, hash)
);
