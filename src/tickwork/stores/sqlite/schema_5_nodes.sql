-- Version 5. The nodes that are and were: a row for each stretch in which one was heard of without a break. The last
-- beat moves seen_at, so what lies between two rows is when nobody was there.

create table tickwork_nodes (
    id          text not null,
    seen_since  integer not null,
    seen_at     integer not null,
    lease_until integer not null,
    started_at  integer not null,
    stopped_at  integer,
    host        text not null,
    pid         integer not null,
    version     text not null,
    paused      integer not null,
    runs        integer not null,
    lateness    integer,
    declaration text not null,
    primary key (id, seen_since)
) without rowid;

create index tickwork_nodes_seen on tickwork_nodes (seen_at);
create index tickwork_nodes_open on tickwork_nodes (lease_until) where stopped_at is null;

-- Which jobs are to succeed by when. Jobs without `expect_every` have no row here.
create table tickwork_expectations (
    job_uid      integer primary key references tickwork_jobs (uid) on delete cascade,
    expect_by    integer,
    succeeded_at integer,
    overdue_at   integer,
    told_by      text
);

create index tickwork_expectations_next on tickwork_expectations (expect_by)
    where overdue_at is null and expect_by is not null;
create index tickwork_expectations_overdue on tickwork_expectations (overdue_at) where overdue_at is not null;

-- What each version of the code declares: apart, so that a beat is a short row, and the same for all workers of an app.
create table tickwork_declarations (
    name text primary key,
    ids  text not null
) without rowid;
