-- Version 4. What runs leave behind besides their row: what they logged. Apart, so that who lists runs reads no logs.

create table tickwork_logs (
    number integer primary key references tickwork_runs (number) on delete cascade,
    log    text not null
);
