-- Version 4. Who paused a job; who asked for a run, with which arguments, and from which attempt its retries are counted.

alter table tickwork_jobs add column paused_by text;
alter table tickwork_runs add column asked_by text;
alter table tickwork_runs add column given text;
alter table tickwork_runs add column counted_from integer not null default 1;
