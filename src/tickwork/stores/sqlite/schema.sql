-- Version 1. Instants are whole microseconds since 1970 in UTC.

create table tickwork_jobs (
    uid            integer primary key,
    id             text not null unique,
    version        integer not null,
    revision       integer not null,
    executor       text not null,
    max_instances  integer not null,
    anchored_at    integer not null,
    next_fire_time integer,
    last_fire_time integer,
    paused_at      integer,
    pause_reason   text
);

-- Apart, so that a job is a short row: each fire writes it anew, and reads no definition.
create table tickwork_definitions (
    uid        integer primary key references tickwork_jobs (uid) on delete cascade,
    definition text not null
);

create index tickwork_jobs_due on tickwork_jobs (executor, next_fire_time)
    where paused_at is null and next_fire_time is not null;

-- The ledger. Its unique key is promise 1: no fire time is born twice. Each index here is paid for by
-- every run: there is one for what is open, and the ledger itself is read by job or from its end.
create table tickwork_runs (
    number       integer primary key,
    job_id       text not null,
    job_uid      integer not null,
    fire_time    integer not null,
    available_at integer not null,
    through      integer,
    attempt      integer not null,
    origin       text not null,
    state        text not null,
    version      integer not null,
    node         text,
    lease_until  integer,
    started_at   integer,
    ended_at     integer,
    reason       text,
    error        text,
    result       text,
    progress     text,
    unique (job_uid, fire_time, origin, attempt)
);

create index tickwork_runs_open on tickwork_runs (state, job_uid, lease_until) where state in ('pending', 'running');
create index tickwork_runs_pending on tickwork_runs (available_at) where state = 'pending';
