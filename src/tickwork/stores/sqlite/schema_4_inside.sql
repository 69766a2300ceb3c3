-- Version 4. What runs leave behind besides their row: what they logged, and the state of their job. Apart, so that who
-- lists runs reads no logs, and who fires a job no state.

create table tickwork_logs (
    number integer primary key references tickwork_runs (number) on delete cascade,
    log    text not null
);

create table tickwork_states (
    job_uid integer primary key references tickwork_jobs (uid) on delete cascade,
    version integer not null,
    state   text not null
);
