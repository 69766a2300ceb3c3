-- Version 6. Who paused a job; who asked for a run, with which arguments, and from which attempt its retries are counted.
-- Backfills, and the runs that are a part of one. How long a run may wait.

alter table tickwork_jobs add column paused_by text;
alter table tickwork_runs add column asked_by text;
alter table tickwork_runs add column given text;
alter table tickwork_runs add column counted_from integer not null default 1;
alter table tickwork_runs add column backfill text;
alter table tickwork_runs add column expires_at integer;

create index tickwork_runs_backfilled on tickwork_runs (available_at) where state = 'pending' and backfill is not null;

create index tickwork_runs_expiring on tickwork_runs (expires_at) where state = 'pending' and expires_at is not null;

create table tickwork_backfills (
    number        integer primary key,
    id            text not null unique,
    job_uid       integer not null,
    job_id        text not null,
    "trigger"     text not null,
    start         integer not null,
    "end"         integer not null,
    cursor        integer,
    asked_at      integer not null,
    max_instances integer not null,
    everything    integer not null,
    newest_first  integer not null,
    given         text,
    asked_by      text,
    born          integer not null,
    passed_over   integer not null,
    version       integer not null,
    ended_at      integer,
    reason        text
);

create index tickwork_backfills_open on tickwork_backfills (job_uid) where ended_at is null;
