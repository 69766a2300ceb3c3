-- Version 1. Instants are whole microseconds since 1970 in UTC. Texts compare by their bytes, as in every other store.

create table tickwork_jobs (
    uid            bigint primary key,
    id             text collate "C" not null unique,
    version        bigint not null,
    revision       bigint not null,
    executor       text collate "C" not null,
    max_instances  integer not null,
    anchored_at    bigint not null,
    next_fire_time bigint,
    last_fire_time bigint,
    paused_at      bigint,
    pause_reason   text collate "C"
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Apart, so that a job is a short row: each fire writes it anew, and reads no definition.
create table tickwork_definitions (
    uid        bigint primary key references tickwork_jobs (uid) on delete cascade,
    definition text collate "C" not null
);

create index tickwork_jobs_due on tickwork_jobs (executor, next_fire_time)
    where paused_at is null and next_fire_time is not null;

-- The ledger in two tables of the same columns: what is open, and what is closed. A run is born in the first and moves to the
-- second as it ends, so that whatever is written again and again stays small, however long the ledger is. Each has the
-- unique key, promise 1; whoever gives birth to a run locks its job first, and looks into both.
create sequence tickwork_numbers;

create table tickwork_open_runs (
    number        bigint not null default nextval('tickwork_numbers'),
    job_id        text collate "C" not null,
    job_uid       bigint not null,
    fire_time     bigint not null,
    available_at  bigint not null,
    through       bigint,
    attempt       integer not null,
    origin        text collate "C" not null,
    state         text collate "C" not null,
    version       bigint not null,
    node          text collate "C",
    lease_until   bigint,
    started_at    bigint,
    ended_at      bigint,
    reason        text collate "C",
    error         text collate "C",
    result        text collate "C",
    progress      text collate "C",
    cancel_reason text collate "C",
    primary key (job_uid, fire_time, origin, attempt)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- What is settled is found by its key and `state = 'running'`: no index has that as its condition, or the planner, which
-- takes the table for empty until it is told otherwise, would rather walk the whole of that index.
create index tickwork_open_runs_pending on tickwork_open_runs (available_at) where state = 'pending';
create index tickwork_open_runs_leases on tickwork_open_runs (lease_until) where lease_until is not null;
create index tickwork_open_runs_cancelling on tickwork_open_runs (node) where cancel_reason is not null;

create table tickwork_runs (
    number        bigint primary key default nextval('tickwork_numbers'),
    job_id        text collate "C" not null,
    job_uid       bigint not null,
    fire_time     bigint not null,
    available_at  bigint not null,
    through       bigint,
    attempt       integer not null,
    origin        text collate "C" not null,
    state         text collate "C" not null,
    version       bigint not null,
    node          text collate "C",
    lease_until   bigint,
    started_at    bigint,
    ended_at      bigint,
    reason        text collate "C",
    error         text collate "C",
    result        text collate "C",
    progress      text collate "C",
    cancel_reason text collate "C",
    unique (job_uid, fire_time, origin, attempt)
) with (autovacuum_vacuum_scale_factor = 0.02);

-- Those that did not go well, which people look for among many that did.
create index tickwork_runs_unsuccessful on tickwork_runs (state, number) where state <> 'succeeded';

-- What is known of a job's ledger besides its rows: up to where it was pruned, and when the job was removed. No fire writes it.
create table tickwork_ledgers (
    job_uid        bigint primary key,
    job_id         text collate "C" not null,
    removed_at     bigint,
    pruned_through bigint
);

create index tickwork_ledgers_removed on tickwork_ledgers (job_id, removed_at) where removed_at is not null;
