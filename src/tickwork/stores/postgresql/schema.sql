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
    pause_reason   text collate "C",
    paused_by      text collate "C"
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Apart, so that a job is a short row: each fire writes it anew, and reads no definition. The application that declares the job,
-- unless it is retired, stands beside: PostgreSQL does not read all JSON that Python writes.
create table tickwork_definitions (
    uid        bigint primary key references tickwork_jobs (uid) on delete cascade,
    definition text collate "C" not null,
    app        text collate "C"
);

create index tickwork_definitions_declared on tickwork_definitions (app) where app is not null;

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
    asked_by      text collate "C",
    given         text collate "C",
    counted_from  integer not null default 1,
    backfill      text collate "C",
    expires_at    bigint,
    primary key (job_uid, fire_time, origin, attempt)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- What is settled is found by its key and `state = 'running'`: no index has that as its condition, or the planner, which
-- takes the table for empty until it is told otherwise, would rather walk the whole of that index.
create index tickwork_open_runs_pending on tickwork_open_runs (available_at) where state = 'pending';
create index tickwork_open_runs_leases on tickwork_open_runs (lease_until) where lease_until is not null;
create index tickwork_open_runs_cancelling on tickwork_open_runs (node) where cancel_reason is not null;
create index tickwork_open_runs_backfilled on tickwork_open_runs (available_at) where state = 'pending' and backfill is not null;
create index tickwork_open_runs_expiring on tickwork_open_runs (expires_at) where expires_at is not null;

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
    asked_by      text collate "C",
    given         text collate "C",
    counted_from  integer not null default 1,
    backfill      text collate "C",
    expires_at    bigint,
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

-- What runs leave behind besides their row: what they logged, and the state of their job. Apart, so that who lists runs reads
-- no logs, and who fires a job no state.
create table tickwork_logs (
    number bigint primary key,
    log    text collate "C" not null
);

create table tickwork_states (
    job_uid bigint primary key references tickwork_jobs (uid) on delete cascade,
    version bigint not null,
    state   text collate "C" not null
);

-- The nodes that are and were: a row for each stretch in which one was heard of without a break.
create table tickwork_nodes (
    id          text collate "C" not null,
    seen_since  bigint not null,
    seen_at     bigint not null,
    lease_until bigint not null,
    started_at  bigint not null,
    stopped_at  bigint,
    host        text collate "C" not null,
    pid         bigint not null,
    version     text collate "C" not null,
    paused      boolean not null,
    runs        bigint not null,
    lateness    bigint,
    declaration text collate "C" not null,
    primary key (id, seen_since)
);

create index tickwork_nodes_seen on tickwork_nodes (seen_at);
create index tickwork_nodes_since on tickwork_nodes (seen_since);
create index tickwork_nodes_open on tickwork_nodes (lease_until) where stopped_at is null;

-- Which jobs are to succeed by when. Jobs without `expect_every` have no row here.
create table tickwork_expectations (
    job_uid      bigint primary key references tickwork_jobs (uid) on delete cascade,
    expect_by    bigint,
    succeeded_at bigint,
    overdue_at   bigint,
    told_by      text collate "C"
);

create index tickwork_expectations_next on tickwork_expectations (expect_by)
    where overdue_at is null and expect_by is not null;
create index tickwork_expectations_overdue on tickwork_expectations (overdue_at) where overdue_at is not null;

-- What each version of the code declares: apart, so that a beat is a short row, and the same for all workers of an app.
create table tickwork_declarations (
    name text collate "C" primary key,
    ids  text[] collate "C" not null
);

create table tickwork_backfills (
    number        bigint generated always as identity primary key,
    id            text collate "C" not null unique,
    job_uid       bigint not null,
    job_id        text collate "C" not null,
    "trigger"     text collate "C" not null,
    start         bigint not null,
    "end"         bigint not null,
    cursor        bigint,
    asked_at      bigint not null,
    max_instances integer not null,
    everything    boolean not null,
    newest_first  boolean not null,
    given         text collate "C",
    asked_by      text collate "C",
    born          bigint not null,
    passed_over   bigint not null,
    version       bigint not null,
    ended_at      bigint,
    reason        text collate "C"
);

create index tickwork_backfills_open on tickwork_backfills (job_uid) where ended_at is null;
create index tickwork_backfills_ended on tickwork_backfills (ended_at) where ended_at is not null;
