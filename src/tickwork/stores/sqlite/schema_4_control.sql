-- Version 4. Who paused a job, and who asked for a run, with which arguments.

alter table tickwork_jobs add column paused_by text;
alter table tickwork_runs add column asked_by text;
alter table tickwork_runs add column given text;
