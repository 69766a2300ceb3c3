-- Version 4. Who paused a job, and who asked for a run.

alter table tickwork_jobs add column paused_by text;
alter table tickwork_runs add column asked_by text;
