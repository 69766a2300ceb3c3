-- Version 3. What is known of a job's ledger besides its rows: up to where it was pruned, and when the job was removed,
-- of which no other trace is left. No fire writes it.

create table tickwork_ledgers (
    job_uid        integer primary key,
    job_id         text not null,
    removed_at     integer,
    pruned_through integer
);

create index tickwork_ledgers_removed on tickwork_ledgers (job_id, removed_at) where removed_at is not null;
