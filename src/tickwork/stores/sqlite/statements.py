"""Every statement of the SQLite store, whole.

Parameters are in the order in which they stand; a list of values is one JSON text, read by `json_each`. Where
one state is asked for, the index's own condition stands beside it: without that SQLite reads the whole ledger.
"""

from __future__ import annotations

from tickwork.clock import BEGINNING, to_micros

JOB = """
uid, id, version, revision, anchored_at, next_fire_time, last_fire_time, paused_at, pause_reason,
paused_by, definition
"""
JOBS = "tickwork_jobs join tickwork_definitions using (uid)"
RUN = """
job_id, job_uid, fire_time, available_at, through, attempt, origin, state, version, node, lease_until,
started_at, ended_at, reason, error, result, progress, cancel_reason, asked_by, given,
counted_from, backfill, expires_at
"""
BACKFILL = """
id, job_uid, job_id, "trigger", start, "end", cursor, asked_at, max_instances, everything, newest_first, given,
asked_by, born, passed_over, version, ended_at, reason
"""

NODE = """
id, host, pid, version, started_at, seen_since, seen_at, lease_until, stopped_at, paused, runs, lateness, declaration,
clock_error, lifeline
"""

# Stands in what fires, claims and fills, where SQLite asks it once: a store that is left, or filled, does none of it.
HERE = "not exists (select 1 from tickwork_moves where place = 1 and state in ('leaving', 'left', 'arriving'))"

# jobs

INSERT_JOB = """
insert into tickwork_jobs (uid, id, version, revision, executor, max_instances, anchored_at,
    next_fire_time, last_fire_time, paused_at, pause_reason, paused_by)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_DEFINITION = "insert into tickwork_definitions (uid, definition) values (?, ?)"
TAKEN_IDS = """
select id from tickwork_jobs
where id in (select value from json_each(?)) and uid not in (select value from json_each(?))
"""
SOME_IDS = "select id from tickwork_jobs limit 200"
SELECT_REVISION = "select revision from tickwork_jobs where uid = ?"
SELECT_JOB = f"select {JOB} from {JOBS} where id = ?"
SELECT_ALL_JOBS = f"select {JOB} from {JOBS} where id > ? order by id limit ?"
SELECT_JOBS = f"""
select {JOB} from {JOBS} where id in (select value from json_each(?)) and id > ? order by id limit ?
"""
SELECT_JOBS_BY_UID = f"select {JOB} from {JOBS} where uid in (select value from json_each(?))"
UPDATE_JOB = """
update tickwork_jobs set version = ?, revision = ?, executor = ?, max_instances = ?, anchored_at = ?,
    next_fire_time = ?, last_fire_time = ?, paused_at = ?, pause_reason = ?, paused_by = ?
where uid = ? and version = ?
"""
UPDATE_DEFINITION = "update tickwork_definitions set definition = ? where uid = ?"
DELETE_JOB = "delete from tickwork_jobs where uid = ?"
CANCEL_PENDING = """
update tickwork_runs set state = 'cancelled', version = version + 1, ended_at = ?, reason = 'its job was removed'
where job_uid = ? and state in ('pending', 'running') and state = 'pending'
"""

# fire

ANY_DUE = """
select 1 from tickwork_jobs
where executor = ? and paused_at is null and next_fire_time is not null and next_fire_time between ? and ? limit 1
"""
SELECT_DUE = f"""
select uid, version, revision, next_fire_time, last_fire_time from tickwork_jobs
where executor = ? and paused_at is null and next_fire_time is not null and next_fire_time between ? and ?
    and uid not in (select value from json_each(?)) and {HERE}
order by next_fire_time limit ?
"""
SELECT_STANDING = """
select uid, version, revision, next_fire_time, last_fire_time from tickwork_jobs
where uid in (select value from json_each(?)) and paused_at is null
"""
SELECT_ACTIVE = f"""
select {RUN} from tickwork_runs
where state in ('pending', 'running') and job_uid in (select value from json_each(?)) order by number
"""
ADVANCE_JOB = """
update tickwork_jobs set version = version + 1, next_fire_time = ?, last_fire_time = ? where uid = ? and version = ?
"""
INSERT_RUN = f"""
insert or ignore into tickwork_runs ({RUN}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

# The two that every run passes through, with no more parameters than they need: each costs as much as a column.
INSERT_HELD_RUN = """
insert or ignore into tickwork_runs
    (job_id, job_uid, fire_time, available_at, attempt, origin, state, version, node, lease_until)
values (?1, ?2, ?3, ?3, 1, 'schedule', 'running', 1, ?4, ?5)
"""
SETTLE_SUCCEEDED_RUN = """
update tickwork_runs set state = 'succeeded', version = version + 1, lease_until = null, started_at = ?, ended_at = ?
where job_uid = ? and fire_time = ? and origin = ? and attempt = ? and version = ? and state = 'running'
"""

# claim, renew, settle

ANY_PENDING = "select 1 from tickwork_runs where state = 'pending' and available_at between ? and ? limit 1"
SELECT_PENDING = f"""
select {", ".join("run." + column.strip() for column in RUN.split(","))}, job.max_instances,
    (select count(*) from tickwork_runs as other
        where other.state in ('pending', 'running') and other.state = 'running' and other.job_uid = run.job_uid
            and other.backfill is null)
from tickwork_runs as run join tickwork_jobs as job on job.uid = run.job_uid
where run.state = 'pending' and run.available_at between ?1 and ?2 and run.backfill is null and job.executor = ?3
    and (run.expires_at is null or run.expires_at > ?2)
    and (?1 = {to_micros(BEGINNING)} or not exists (
        select 1 from tickwork_runs as older
        where older.state in ('pending', 'running') and older.state = 'pending' and older.job_uid = run.job_uid
            and older.backfill is null and older.available_at < ?1
    ))
    and (job.paused_at is null or run.origin = 'manual' or run.counted_from > 1)
    and job.uid not in (select value from json_each(?4)) and {HERE}
order by run.available_at, run.number
"""
SELECT_PENDING_BACKFILLED = f"""
select {", ".join("run." + column.strip() for column in RUN.split(","))}
from tickwork_runs as run join tickwork_jobs as job on job.uid = run.job_uid
where run.state = 'pending' and run.backfill is not null and run.available_at <= ?1 and job.executor = ?2
    and (run.expires_at is null or run.expires_at > ?1) and job.paused_at is null
    and job.uid not in (select value from json_each(?3)) and {HERE}
order by run.available_at limit ?4
"""
CLAIM_RUN = """
update tickwork_runs set state = 'running', version = ?, node = ?, lease_until = ?
where job_uid = ? and fire_time = ? and origin = ? and attempt = ? and version = ? and state = 'pending'
"""
CANCEL_RUN = """
update tickwork_runs set state = ?, version = ?, lease_until = ?, ended_at = ?, reason = ?, cancel_reason = ?
where job_uid = ? and fire_time = ? and origin = ? and attempt = ? and version = ? and state in ('pending', 'running')
"""
SELECT_CANCELLING = f"""
select {RUN} from tickwork_runs where node = ? and cancel_reason is not null and state = 'running'
"""
RENEW_RUN = """
update tickwork_runs set version = ?, lease_until = ?, started_at = ?, progress = ?, reason = ?
where job_uid = ? and fire_time = ? and origin = ? and attempt = ? and version = ? and state = 'running'
"""
SETTLE_RUN = """
update tickwork_runs set state = ?, version = ?, node = ?, lease_until = ?, started_at = ?, ended_at = ?,
    reason = ?, error = ?, result = ?, progress = ?
where job_uid = ? and fire_time = ? and origin = ? and attempt = ? and version = ? and state = 'running'
"""
INSERT_ATTEMPT = f"""
insert or ignore into tickwork_runs ({RUN})
select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
where exists (select 1 from tickwork_jobs where uid = ?)
"""
CANCEL_ORPHAN = """
update tickwork_runs set state = 'cancelled', version = version + 1, ended_at = ?, reason = 'its job was removed'
where job_uid = ? and state in ('pending', 'running') and state = 'pending'
    and not exists (select 1 from tickwork_jobs where uid = tickwork_runs.job_uid)
"""
SELECT_LOST = f"""
select {RUN} from tickwork_runs
where state in ('pending', 'running') and state = 'running' and lease_until <= ? order by lease_until limit ?
"""
SELECT_LOST_OR_HELD = f"""
select {RUN} from tickwork_runs
where state in ('pending', 'running') and state = 'running'
    and (lease_until <= ? or node in (select value from json_each(?)))
order by lease_until limit ?
"""

# what is kept of a run besides its row, and of a job

WRITE_LOG = """
insert into tickwork_logs (number, log)
select number, ? from tickwork_runs
where job_uid = ? and fire_time = ? and origin = ? and attempt = ? and version = ?
on conflict (number) do update set log = excluded.log
"""
SELECT_STATE = "select version, state from tickwork_states where job_uid = ?"
WRITE_STATE = """
insert into tickwork_states (job_uid, version, state) select ?1, ?2, ?3 from tickwork_jobs where uid = ?1
on conflict (job_uid) do update set version = excluded.version, state = excluded.state
"""
IS_HELD = """
select 1 from tickwork_runs
where job_uid = ? and fire_time = ? and origin = ? and attempt = ? and node = ? and state = 'running'
"""
SELECT_LOG = """
select log from tickwork_runs left join tickwork_logs using (number)
where job_uid = ? and fire_time = ? and origin = ? and attempt = ?
"""
SELECT_EXPIRED = f"""
select {RUN} from tickwork_runs
where state = 'pending' and expires_at is not null and expires_at <= ? order by expires_at limit ?
"""

# backfills

INSERT_BACKFILL = f"""
insert into tickwork_backfills ({BACKFILL})
select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? where exists (select 1 from tickwork_jobs where uid = ?)
"""
COUNT_OPEN_BACKFILLS = "select count(*) from tickwork_backfills where ended_at is null"
ANY_OPEN_BACKFILL = "select 1 from tickwork_backfills where ended_at is null limit 1"
SELECT_OPEN_BACKFILLS = f"""
select {BACKFILL} from tickwork_backfills
where ended_at is null and job_uid in (select uid from tickwork_jobs where paused_at is null) and {HERE}
order by number limit ?
"""
SELECT_BACKFILL = f"select {BACKFILL} from tickwork_backfills where id = ?"
SELECT_BACKFILLS = f"""
select {BACKFILL} from tickwork_backfills
where (?1 is null or job_id = ?1) and (?2 is null or (ended_at is not null) = ?2) order by number desc limit ?3
"""
SELECT_ANSWERED = """
select fire_time, max(state not in ('missed', 'skipped')), max(state in ('pending', 'running')),
    max(case when origin = 'backfill' then attempt else 0 end)
from tickwork_runs
where job_uid = ? and fire_time in (select value from json_each(?)) and origin <> 'manual' group by fire_time
"""
UPDATE_BACKFILL = """
update tickwork_backfills set cursor = ?, born = ?, passed_over = ?, version = ?, ended_at = ?, reason = ?
where id = ? and version = ?
"""
END_BACKFILLS = """
update tickwork_backfills set ended_at = ?, version = version + 1, reason = 'its job was removed'
where job_uid = ? and ended_at is null
"""
FORGET_BACKFILLS = """
delete from tickwork_backfills where number in (
    select number from tickwork_backfills where ended_at < ? limit ?
)
"""

# outlook

NEXT_FIRE = """
select min(next_fire_time) from tickwork_jobs
where executor = ? and paused_at is null and next_fire_time is not null and next_fire_time > ?
"""
NEXT_CLAIM = "select min(available_at) from tickwork_runs where state = 'pending' and available_at > ?"
NEXT_LAPSE = """
select min(lease_until) from tickwork_runs
where state in ('pending', 'running') and state = 'running' and lease_until > ?
"""
NEXT_EXPIRY = """
select min(expires_at) from tickwork_runs where state = 'pending' and expires_at is not null and expires_at > ?
"""

# what there is, as people read it

CENSUS_OF_JOBS = """
select count(*), count(paused_at), min(next_fire_time) filter (where paused_at is null) from tickwork_jobs
"""
CENSUS_OF_RUNS = """
select count(*) filter (where state = 'pending'), count(*) filter (where state = 'running'),
    min(available_at) filter (where state = 'pending')
from tickwork_runs where state in ('pending', 'running')
"""

# what is expected

EXPECTATION = "id, job_uid, expect_by, succeeded_at, overdue_at, told_by"
WRITE_EXPECTATION = """
insert into tickwork_expectations (job_uid, expect_by) values (?, ?)
on conflict (job_uid) do update set expect_by = excluded.expect_by, overdue_at = null, told_by = null
"""
DELETE_EXPECTATION = "delete from tickwork_expectations where job_uid = ?"
SELECT_OVERDUE_AMONG = f"""
select {EXPECTATION} from tickwork_expectations join tickwork_jobs on uid = job_uid
where job_uid in (select value from json_each(?)) and overdue_at is not null order by id
"""
# Once nothing is expected any more it stays so: with a null, max is null.
FULFIL_EXPECTATION = """
update tickwork_expectations set
    expect_by = max(expect_by, ?1),
    succeeded_at = max(coalesce(succeeded_at, ?2), ?2), overdue_at = null, told_by = null
where job_uid = ?3
"""
SELECT_FALLING_OVERDUE = f"""
select {EXPECTATION} from tickwork_expectations join tickwork_jobs on uid = job_uid
where overdue_at is null and expect_by is not null and expect_by <= ? order by expect_by limit ?
"""
MARK_OVERDUE = "update tickwork_expectations set overdue_at = ?, told_by = ? where job_uid = ?"
SELECT_EXPECTATIONS = f"""
select {EXPECTATION} from tickwork_expectations join tickwork_jobs on uid = job_uid order by id
"""
SELECT_OVERDUE = f"""
select {EXPECTATION} from tickwork_expectations join tickwork_jobs on uid = job_uid
where overdue_at is not null order by id
"""
NEXT_OVERDUE = """
select min(expect_by) from tickwork_expectations where overdue_at is null and expect_by is not null and expect_by > ?
"""

# nodes

WRITE_BEAT = f"""
insert into tickwork_nodes ({NODE}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (id, seen_since) do update set seen_at = excluded.seen_at, lease_until = excluded.lease_until,
    stopped_at = excluded.stopped_at, paused = excluded.paused, runs = excluded.runs, lateness = excluded.lateness,
    clock_error = excluded.clock_error, lifeline = excluded.lifeline
"""
SELECT_LIVING_NODES = f"""
select {NODE} from tickwork_nodes
where stopped_at is null and lease_until > ? order by seen_at desc, started_at desc, id limit ?
"""
SELECT_DECLARING = "select declaration from tickwork_nodes where stopped_at is null and lease_until > ?"
SELECT_LIFELINES = """
select id, lifeline from tickwork_nodes where lifeline <> '' and stopped_at is null and lease_until > ?
"""
SELECT_NODES = f"""
select {NODE} from tickwork_nodes as node
where seen_since = (select max(seen_since) from tickwork_nodes where id = node.id)
order by seen_at desc, started_at desc, id limit ?
"""
FORGET_NODES = """
delete from tickwork_nodes where (id, seen_since) in (
    select id, seen_since from tickwork_nodes
    where lease_until <= ?1 and (
        seen_at < ?2 or seen_at < (select seen_at from tickwork_nodes order by seen_at desc limit 1 offset ?3)
    )
    order by seen_at limit ?4
)
"""

INSERT_DECLARATION = "insert or ignore into tickwork_declarations (name, ids) values (?, ?)"
FORGET_DECLARATIONS = """
delete from tickwork_declarations where name not in (select declaration from tickwork_nodes)
"""
SELECT_UNDECLARED = f"""
select {JOB} from {JOBS}
where next_fire_time is not null
    and json_extract(definition, '$.declared') in (select value from json_each(?))
    and json_extract(definition, '$.retired_at') is null
    and id not in (
        select declared.value from tickwork_declarations join json_each(ids) as declared
        where name in (select declaration from tickwork_nodes where stopped_at is null and lease_until > ?)
    )
order by id
"""

# the ledger, as people read it

SELECT_RUN = f"select {RUN} from tickwork_runs where job_uid = ? and fire_time = ? and origin = ? and attempt = ?"
SELECT_RUNS = f"select {RUN} from tickwork_runs order by number desc limit ? offset ?"
SELECT_RUNS_IN_STATES = f"""
select {RUN} from tickwork_runs where state in (select value from json_each(?)) order by number desc limit ? offset ?
"""
SELECT_RUNS_OF_JOB = f"""
select {RUN} from tickwork_runs
where job_uid = (select uid from tickwork_jobs where id = ?)
    and (? is null or state in (select value from json_each(?)))
order by fire_time desc, attempt desc limit ? offset ?
"""
SELECT_RUNS_OF_REMOVED_JOB = f"""
select {RUN} from tickwork_runs
where number > (select max(number) from tickwork_runs) - ? and job_id = ?
    and (? is null or state in (select value from json_each(?)))
order by fire_time desc, attempt desc limit ? offset ?
"""

# why: what surrounds one instant of a job, by the unique key

SELECT_BEFORE = f"""
select {RUN} from tickwork_runs
where job_uid = ?1 and origin = 'schedule' and fire_time = (
    select fire_time from tickwork_runs
    where job_uid = ?1 and origin = 'schedule' and fire_time <= ?2 order by fire_time desc limit 1
)
order by attempt
"""
SELECT_AFTER = f"""
select {RUN} from tickwork_runs
where job_uid = ?1 and origin = 'schedule' and fire_time = (
    select fire_time from tickwork_runs
    where job_uid = ?1 and origin = 'schedule' and fire_time > ?2 order by fire_time limit 1
)
order by attempt
"""
SELECT_ASKED_FOR = f"""
select {RUN} from tickwork_runs
where job_uid = ? and origin = ? and fire_time >= ? and fire_time < ? order by fire_time, attempt limit ?
"""
SELECT_RUNNING = f"""
select {RUN} from tickwork_runs
where state in ('pending', 'running') and state = 'running' and job_uid = ? and backfill is null
order by fire_time, attempt limit ?
"""
SELECT_NUMBER = "select number from tickwork_runs where job_uid = ? and fire_time = ? and origin = ? and attempt = ?"
SELECT_SILENCE = """
with signs (at) as (
    select started_at from tickwork_runs where number between ?1 - ?2 and ?1
    union all select ended_at from tickwork_runs where number between ?1 - ?2 and ?1
)
select max(at) filter (where at < ?3), min(at) filter (where at >= ?3) from signs
"""
ANY_NODE_ALIVE = """
select 1 from tickwork_nodes
where seen_since <= ?1 and (seen_at >= ?1 or (stopped_at is null and lease_until > ?2)) limit 1
"""
SELECT_NODE_BEFORE = f"select {NODE} from tickwork_nodes where seen_at < ? order by seen_at desc limit 1"
SELECT_NODE_AFTER = f"select {NODE} from tickwork_nodes where seen_since > ? order by seen_since limit 1"
SELECT_REMOVED_SINCE = """
select job_uid, removed_at from tickwork_ledgers where job_id = ? and removed_at >= ? order by removed_at limit ?
"""
SELECT_LAST_REMOVED = """
select job_uid, removed_at from tickwork_ledgers
where job_id = ? and removed_at is not null order by removed_at desc limit 1
"""
SELECT_PRUNED_THROUGH = "select pruned_through from tickwork_ledgers where job_uid = ?"
NOTE_REMOVAL = """
insert into tickwork_ledgers (job_uid, job_id, removed_at) values (?, ?, ?)
on conflict (job_uid) do update set removed_at = excluded.removed_at
"""

# prune, job by job, by the unique key

NEXT_LEDGER = """
select (
    select job_uid from tickwork_runs
    where job_uid > ? and job_uid not in (select job_uid from tickwork_backfills where ended_at is null)
    order by job_uid limit 1
)
"""
SELECT_KEEP = "select json_extract(definition, '$.keep') from tickwork_definitions where uid = ?"
SELECT_NTH_NEWEST = "select fire_time from tickwork_runs where job_uid = ? order by fire_time desc limit 1 offset ?"
SELECT_PRUNABLE = """
select number, job_id, coalesce(through, fire_time) from tickwork_runs
where job_uid = ?1 and fire_time < max(?2, ?3) and state not in ('pending', 'running')
    and (fire_time < ?2 or ended_at < ?3)
order by fire_time limit ?4
"""
DELETE_RUN = "delete from tickwork_runs where number = ?"
NOTE_PRUNING = """
insert into tickwork_ledgers (job_uid, job_id, pruned_through) values (?, ?, ?)
on conflict (job_uid) do update set pruned_through = max(coalesce(pruned_through, 0), excluded.pruned_through)
"""
DELETE_DISPOSABLE_JOB = """
delete from tickwork_jobs
where uid = ?1 and next_fire_time is null
    and exists (
        select 1 from tickwork_definitions where uid = ?1 and json_extract(definition, '$.disposable')
    )
    and not exists (select 1 from tickwork_runs where job_uid = ?1)
    and not exists (select 1 from tickwork_backfills where job_uid = ?1 and ended_at is null)
"""
DELETE_LEDGER = "delete from tickwork_ledgers where job_uid = ?"
FORGET_REMOVED = """
delete from tickwork_ledgers where job_uid in (
    select job_uid from tickwork_ledgers as ledger
    where removed_at is not null and removed_at < ?
        and not exists (select 1 from tickwork_runs where job_uid = ledger.job_uid) limit ?
)
"""

# moving house

MOVE = "id, state, other, since, mover, lease_until"
SELECT_MOVE = f"select {MOVE} from tickwork_moves"
DELETE_MOVE = "delete from tickwork_moves"
INSERT_MOVE = f"insert into tickwork_moves (place, {MOVE}) values (1, ?, ?, ?, ?, ?, ?)"
COUNT_HOLDINGS = """
select (select count(*) from tickwork_jobs), (select count(*) from tickwork_runs),
    (select count(*) from tickwork_backfills)
"""
SELECT_EXPECTATIONS_OF = f"""
select {EXPECTATION} from tickwork_expectations join tickwork_jobs on uid = job_uid
where job_uid in (select value from json_each(?))
"""
SELECT_STATES_OF = """
select job_uid, version, state from tickwork_states where job_uid in (select value from json_each(?))
"""
SELECT_RUNS_AFTER = f"""
select number, log, {RUN} from tickwork_runs left join tickwork_logs using (number)
where number > ? order by number limit ?
"""
SELECT_RUNS_NUMBERED = f"""
select number, log, {RUN} from tickwork_runs left join tickwork_logs using (number)
where number in (select value from json_each(?)) order by number limit ?
"""
SELECT_ALL_BACKFILLS = f"select {BACKFILL} from tickwork_backfills order by number"
SELECT_LEDGERS = "select job_uid, job_id, removed_at, pruned_through from tickwork_ledgers order by job_uid"
SELECT_STRETCHES = f"select {NODE} from tickwork_nodes order by seen_since, id"
SELECT_DECLARATIONS = "select name, ids from tickwork_declarations"
KNOWN_UIDS = "select uid from tickwork_jobs where uid in (select value from json_each(?))"
INSERT_EXPECTATION = """
insert into tickwork_expectations (job_uid, expect_by, succeeded_at, overdue_at, told_by) values (?, ?, ?, ?, ?)
"""
INSERT_NUMBERED_RUN = f"""
insert or ignore into tickwork_runs ({RUN}, number)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_LOG = "insert or ignore into tickwork_logs (log, number) values (?, ?)"
INSERT_KNOWN_BACKFILL = f"""
insert or ignore into tickwork_backfills ({BACKFILL}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_LEDGER = """
insert or ignore into tickwork_ledgers (job_uid, job_id, removed_at, pruned_through) values (?, ?, ?, ?)
"""
INSERT_STRETCH = f"insert or ignore into tickwork_nodes ({NODE}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
CLEAR = (
    "delete from tickwork_jobs",  # and with them definitions, states and expectations
    "delete from tickwork_runs",  # and with them logs
    "delete from tickwork_ledgers",
    "delete from tickwork_backfills",
    "delete from tickwork_nodes",
    "delete from tickwork_declarations",
)
