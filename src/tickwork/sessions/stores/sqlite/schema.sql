-- Version 1. Instants are whole microseconds since 1970 in UTC; bodies and values are JSON in UTF-8.

create table tickwork_sessions (
    number     integer primary key,
    name       text not null,
    id         text not null unique,
    user       text,
    created_at integer not null,
    seen_at    integer not null,
    expires_at integer not null,
    ends_at    integer not null,
    last       integer not null default 0,
    turn       integer not null default 0,
    messages   integer not null default 0,
    bytes      integer not null default 0
);

create index tickwork_sessions_of_user on tickwork_sessions (name, user) where user is not null;
create index tickwork_sessions_by_end on tickwork_sessions (name, expires_at);

-- Turn 0 is that of pinned messages; the others are named after their first message.
create table tickwork_session_messages (
    session integer not null references tickwork_sessions (number) on delete cascade,
    number  integer not null,
    turn    integer not null,
    body    blob not null,
    primary key (session, number)
) without rowid;

create table tickwork_session_state (
    session integer not null references tickwork_sessions (number) on delete cascade,
    key     text not null,
    value   blob not null,
    primary key (session, key)
) without rowid;

create table tickwork_cache (
    number     integer primary key,
    name       text not null,
    key        text not null,
    value      blob not null,
    expires_at integer not null,
    unique (name, key)
);

create index tickwork_cache_by_end on tickwork_cache (name, expires_at);

-- Who computes a value that is not there, and how long that is believed.
create table tickwork_cache_leases (
    name        text not null,
    key         text not null,
    owner       text not null,
    lease_until integer not null,
    primary key (name, key)
) without rowid;
