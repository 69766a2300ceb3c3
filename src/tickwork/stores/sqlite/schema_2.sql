-- Version 2. Runs can be asked to end.

alter table tickwork_runs add column cancel_reason text;

create index tickwork_runs_cancelling on tickwork_runs (node) where cancel_reason is not null and state = 'running';
