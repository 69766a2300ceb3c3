"""Every statement of the PostgreSQL store, whole.

Parameters are numbered as they stand in the call; a list of values is one array in PostgreSQL's own notation, read by
`unnest`.

The planner takes a new table, and one that was empty when it looked, for empty: it would rather walk all of it for each
given row than look each one up. So plans are made once for all parameters and without walks through whole tables
(`server.py`), and a row is looked up by `= any (array[...])`: an index can answer that, and unlike `=` it gives no
reason to walk the index in its order. `test_statements.py` holds them to it.
"""

from __future__ import annotations

JOB = """
uid, id, version, revision, anchored_at, next_fire_time, last_fire_time, paused_at, pause_reason, paused_by, definition
"""
JOBS = "tickwork_jobs join tickwork_definitions as defined (of_uid, definition, app) on of_uid = any (array[uid])"
RUN = """
job_id, job_uid, fire_time, available_at, through, attempt, origin, state, version, node, lease_until,
started_at, ended_at, reason, error, result, progress, cancel_reason, asked_by, given,
counted_from, backfill, expires_at
"""
RUN_ARRAYS = """
$1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::text[], $8::text[], $9::bigint[],
$10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::text[], $17::text[],
$18::text[], $19::text[], $20::text[], $21::int[], $22::text[], $23::bigint[]
"""
SAME_RUN = """
run.job_uid = any (array[given.job_uid]) and run.fire_time = given.fire_time and run.origin = given.origin
    and run.attempt = given.attempt
"""

BACKFILL = """
id, job_uid, job_id, "trigger", start, "end", cursor, asked_at, max_instances, everything, newest_first, given,
asked_by, born, passed_over, version, ended_at, reason
"""
NODE = """
id, host, pid, version, started_at, seen_since, seen_at, lease_until, stopped_at, paused, runs, lateness, declaration,
clock_error, lifeline
"""
EXPECTATION = "job.id, job_uid, expect_by, succeeded_at, overdue_at, told_by"

# Stands in what fires, claims and fills: a store that is left, or filled, does none of it. All of these lock jobs, and
# who writes the note locks out all who do.
HERE = "not exists (select from tickwork_moves where place = 1 and state in ('leaving', 'left', 'arriving'))"

# jobs

INSERT_JOBS = """
insert into tickwork_jobs (uid, id, version, revision, executor, max_instances, anchored_at,
    next_fire_time, last_fire_time, paused_at, pause_reason, paused_by)
select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::int[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[])
on conflict do nothing
"""
INSERT_DEFINITIONS = """
insert into tickwork_definitions (uid, definition, app) select * from unnest($1::bigint[], $2::text[], $3::text[])
"""
TAKEN_IDS = "select id from tickwork_jobs where id = any($1::text[]) and uid <> all($2::bigint[])"
SOME_IDS = "select id from tickwork_jobs limit 200"
SELECT_JOB = f"select {JOB} from {JOBS} where id = $1"
SELECT_ALL_JOBS = f"select {JOB} from {JOBS} where id > $1 order by id limit $2"
SELECT_JOBS = f"select {JOB} from {JOBS} where id = any($1::text[]) and id > $2 order by id limit $3"
SELECT_JOBS_BY_UID = f"select {JOB} from {JOBS} where uid = any($1::bigint[])"
LOCK_JOB = "select revision from tickwork_jobs where uid = $1 and version = $2 for no key update"
LOCK_JOB_IF_FREE = f"{LOCK_JOB} skip locked"
LOCK_JOBS = "select uid from tickwork_jobs where id = any($1::text[]) order by uid for update"
LOCK_ALL_JOBS = "select uid from tickwork_jobs order by uid for update"
KEEP_JOBS = "select uid from tickwork_jobs where uid = any($1::bigint[]) order by uid for key share"
UPDATE_JOB = """
update tickwork_jobs set version = $2, revision = $3, executor = $4, max_instances = $5, anchored_at = $6,
    next_fire_time = $7, last_fire_time = $8, paused_at = $9, pause_reason = $10, paused_by = $11
where uid = $1
"""
UPDATE_DEFINITION = "update tickwork_definitions set definition = $2, app = $3 where uid = $1"
DELETE_JOBS = "delete from tickwork_jobs where uid = any($1::bigint[])"
CANCEL_PENDING = f"""
with cancelled as (
    delete from tickwork_open_runs where job_uid = any($1::bigint[]) and state = 'pending' returning *
)
insert into tickwork_runs (number, {RUN})
select number, job_id, job_uid, fire_time, available_at, through, attempt, origin, 'cancelled', version + 1, node,
    lease_until, started_at, $2::bigint, 'its job was removed', error, result, progress, cancel_reason,
    asked_by, given, counted_from, backfill, expires_at
from cancelled
"""

# fire

SELECT_DUE = f"""
select uid, version, revision, next_fire_time, last_fire_time from tickwork_jobs
where executor = $1 and paused_at is null and next_fire_time is not null
    and next_fire_time between $2 and $3 and uid <> all($4::bigint[]) and {HERE}
order by next_fire_time limit $5 for no key update skip locked
"""
SELECT_ACTIVE = f"select {RUN} from tickwork_open_runs where job_uid = any($1::bigint[]) order by number"
ADVANCE_JOBS = """
update tickwork_jobs as job
set version = given.version + 1, next_fire_time = given.next_fire_time, last_fire_time = given.last_fire_time
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
    as given (uid, version, next_fire_time, last_fire_time)
where job.uid = any (array[given.uid]) and job.version = given.version
"""

# births, under the lock of their jobs: so what KNOWN_RUNS does not find is not born by anyone else meanwhile

DRAW_NUMBERS = "select nextval('tickwork_numbers') from generate_series(1, $1)"
INSERT_OPEN_RUNS = f"insert into tickwork_open_runs ({RUN}, number) select * from unnest({RUN_ARRAYS}, $24::bigint[])"
INSERT_CLOSED_RUNS = f"insert into tickwork_runs ({RUN}, number) select * from unnest({RUN_ARRAYS}, $24::bigint[])"
KNOWN_RUNS = f"""
select place from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[]) with ordinality
    as given (job_uid, fire_time, origin, attempt, place)
where exists (select from tickwork_open_runs as run where {SAME_RUN})
    or exists (select from tickwork_runs as run where {SAME_RUN})
"""

# Nearly all fires, whole: each job advances past one fire time, at which a run is born in the hands of the firing node.
# It tells how many jobs advanced; and of which jobs runs were born, unless that is all of them.
FIRST_RUN = """
run.job_uid = moved.uid and run.fire_time = moved.fire_time and run.origin = 'schedule' and run.attempt = 1
"""
FIRE_HELD_RUNS = f"""
with moved as (
    update tickwork_jobs as job
    set version = given.version + 1, next_fire_time = given.next_fire_time, last_fire_time = given.fire_time
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
        as given (uid, version, next_fire_time, fire_time)
    where job.uid = any (array[given.uid]) and job.version = given.version
    returning job.uid, job.id, given.fire_time
),
born as (
    insert into tickwork_open_runs
        (job_id, job_uid, fire_time, available_at, attempt, origin, state, version, node, lease_until)
    select id, uid, fire_time, fire_time, 1, 'schedule', 'running', 1, $5::text, $6::bigint
    from moved
    where (select true from tickwork_open_runs as run where {FIRST_RUN}) is null
        and (select true from tickwork_runs as run where {FIRST_RUN}) is null
    returning job_uid
)
select (select count(*) from moved),
    case when count(*) < cardinality($1::bigint[]) then coalesce(array_agg(job_uid), array[]::bigint[]) end
from born
"""

# claim: what waits in the schedule's order, under the locks of its jobs, and behind it what is backfilled

STARTABLE = """
run.state = 'pending' and run.available_at between $2 and $1 and run.backfill is null
    and (run.expires_at is null or run.expires_at > $1)
    and (job.paused_at is null or run.origin = 'manual' or run.counted_from > 1)
    and not exists (
        select from tickwork_open_runs as older
        where older.job_uid = job.uid and older.state = 'pending' and older.backfill is null and older.available_at < $2
    )
"""
RUNNING = """
select count(*) from tickwork_open_runs as other
where other.job_uid = job.uid and other.state = 'running' and other.backfill is null
"""
OF_RUN = ", ".join("run." + column.strip() for column in RUN.split(","))
SELECT_CLAIMABLE_JOBS = f"""
with waiting as (
    select job.uid, min(run.available_at) as first
    from tickwork_open_runs as run join tickwork_jobs as job on job.uid = any (array[run.job_uid])
    where {STARTABLE} and job.executor = $3 and job.uid <> all($4::bigint[]) and job.max_instances > ({RUNNING})
        and {HERE}
    group by job.uid order by first limit $5
)
select job.uid from waiting join tickwork_jobs as job on job.uid = any (array[waiting.uid])
order by waiting.first for no key update of job skip locked
"""
SELECT_PENDING = f"""
select {OF_RUN}, job.max_instances, ({RUNNING})
from tickwork_jobs as job join tickwork_open_runs as run on run.job_uid = any (array[job.uid])
where job.uid = any($3::bigint[]) and {STARTABLE}
order by run.available_at, run.number
"""
SELECT_PENDING_BACKFILLED = f"""
select {OF_RUN}
from tickwork_open_runs as run join tickwork_jobs as job on job.uid = any (array[run.job_uid])
where run.state = 'pending' and run.backfill is not null and run.available_at <= $1 and job.executor = $2
    and (run.expires_at is null or run.expires_at > $1) and job.paused_at is null and job.uid <> all($3::bigint[])
    and {HERE}
order by run.available_at limit $4 for update of run skip locked for key share of job skip locked
"""
CLAIM_RUNS = f"""
with claimed as (
    update tickwork_open_runs as run set state = 'running', version = given.version + 1, node = $6, lease_until = $7
    from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bigint[]) with ordinality
        as given (job_uid, fire_time, origin, attempt, version, place)
    where {SAME_RUN} and run.version = given.version and run.state = 'pending'
    returning place
)
select array_agg(place) from claimed
"""

# renew, lost, cancel

RENEW_RUNS = f"""
with renewed as (
    update tickwork_open_runs as run set version = given.version + 1, lease_until = $6,
        started_at = given.started_at, progress = given.progress, reason = given.reason
    from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bigint[], $7::bigint[], $8::text[], $9::text[])
        with ordinality
        as given (job_uid, fire_time, origin, attempt, version, started_at, progress, reason, place)
    where {SAME_RUN} and run.version = given.version and run.state = 'running'
    returning place
)
select array_agg(place) from renewed
"""
SELECT_LOST = f"""
select {RUN} from tickwork_open_runs
where state = 'running' and lease_until is not null and lease_until <= $1 order by lease_until limit $2
"""
SELECT_LOST_OR_HELD = f"""
select {RUN} from tickwork_open_runs
where state = 'running' and lease_until is not null and (lease_until <= $1 or node = any($3::text[]))
order by lease_until limit $2
"""
CANCEL_RUNNING = f"""
with cancelled as (
    update tickwork_open_runs as run set version = given.version + 1, cancel_reason = given.cancel_reason
    from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bigint[], $6::text[]) with ordinality
        as given (job_uid, fire_time, origin, attempt, version, cancel_reason, place)
    where {SAME_RUN} and run.version = given.version and run.state = 'running'
    returning place
)
select array_agg(place) from cancelled
"""
CANCEL_WAITING = f"""
with given as (
    select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bigint[], $6::text[], $7::bigint[],
        $8::text[], $9::text[]) with ordinality
        as given (job_uid, fire_time, origin, attempt, version, cancel_reason, ended_at, reason, state, place)
),
cancelled as (
    delete from tickwork_open_runs as run using given
    where {SAME_RUN} and run.version = given.version and run.state = 'pending'
    returning run.*, given.cancel_reason as new_cancel_reason, given.ended_at as new_ended_at,
        given.reason as new_reason, given.state as new_state, given.place
),
kept as (
    insert into tickwork_runs (number, {RUN})
    select number, job_id, job_uid, fire_time, available_at, through, attempt, origin, new_state, version + 1, node,
        null, started_at, new_ended_at, new_reason, error, result, progress, new_cancel_reason,
        asked_by, given, counted_from, backfill, expires_at
    from cancelled
)
select array_agg(place) from cancelled
"""
SELECT_CANCELLING = f"""
select {RUN} from tickwork_open_runs where node = $1 and cancel_reason is not null and state = 'running'
"""

# settle: the first is what nearly every run passes through

SETTLE_SUCCEEDED_RUNS = f"""
with given as (
    select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[])
        with ordinality as given (job_uid, fire_time, origin, attempt, version, started_at, ended_at, place)
),
settled as (
    delete from tickwork_open_runs as run using given
    where {SAME_RUN} and run.version = given.version and run.state = 'running'
    returning run.*, given.started_at as new_started_at, given.ended_at as new_ended_at, given.place
),
kept as (
    insert into tickwork_runs (number, {RUN})
    select number, job_id, job_uid, fire_time, available_at, through, attempt, origin, 'succeeded', version + 1, node,
        null, new_started_at, new_ended_at, null, null, null, null, cancel_reason,
        asked_by, given, counted_from, backfill, expires_at
    from settled
)
select array_agg(place) from settled
"""
SETTLE_RUNS = f"""
with given as (
    select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bigint[], $6::text[], $7::text[],
        $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[])
        with ordinality as given (job_uid, fire_time, origin, attempt, version, state, node, lease_until,
            started_at, ended_at, reason, error, result, progress, place)
),
settled as (
    delete from tickwork_open_runs as run using given
    where {SAME_RUN} and run.version = given.version and run.state = 'running'
    returning run.number, run.job_id, run.available_at, run.through, run.cancel_reason, run.asked_by, run.given,
        run.counted_from, run.backfill, run.expires_at, given.*
),
kept as (
    insert into tickwork_runs (number, {RUN})
    select number, job_id, job_uid, fire_time, available_at, through, attempt, origin, state, version + 1, node,
        lease_until, started_at, ended_at, reason, error, result, progress, cancel_reason,
        asked_by, given, counted_from, backfill, expires_at
    from settled
)
select array_agg(place) from settled
"""
RELEASE_RUNS = f"""
with given as (
    select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bigint[], $6::text[], $7::text[],
        $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[])
        with ordinality as given (job_uid, fire_time, origin, attempt, version, state, node, lease_until,
            started_at, ended_at, reason, error, result, progress, place)
),
released as (
    update tickwork_open_runs as run set state = given.state, version = given.version + 1, node = given.node,
        lease_until = given.lease_until, started_at = given.started_at, ended_at = given.ended_at,
        reason = given.reason, error = given.error, result = given.result, progress = given.progress
    from given
    where {SAME_RUN} and run.version = given.version and run.state = 'running'
    returning place
)
select array_agg(place) from released
"""

# what is kept of a run besides its row, and of a job

WRITE_LOGS = f"""
insert into tickwork_logs (number, log)
select run.number, given.log
from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bigint[], $6::text[])
    as given (job_uid, fire_time, origin, attempt, version, log)
    cross join lateral (
        select number from tickwork_open_runs as run where {SAME_RUN} and run.version = given.version
        union all
        select number from tickwork_runs as run where {SAME_RUN} and run.version = given.version
    ) as run
on conflict (number) do update set log = excluded.log
"""
SELECT_LOG = """
select log
from (
    select number from tickwork_open_runs where job_uid = $1 and fire_time = $2 and origin = $3 and attempt = $4
    union all
    select number from tickwork_runs where job_uid = $1 and fire_time = $2 and origin = $3 and attempt = $4
) as run left join tickwork_logs as kept on kept.number = any (array[run.number])
"""
SELECT_STATE = "select version, state from tickwork_states where job_uid = $1"
ENSURE_STATE = """
with job as (select uid from tickwork_jobs where uid = $1 for key share)
insert into tickwork_states (job_uid, version, state) select uid, 0, '{}' from job on conflict do nothing
"""
LOCK_STATE = "select version, state from tickwork_states where job_uid = $1 for update"
WRITE_STATE = "update tickwork_states set version = $2, state = $3 where job_uid = $1"
HOLD_RUN = """
select from tickwork_open_runs
where job_uid = $1 and fire_time = $2 and origin = $3 and attempt = $4 and node = $5 and state = 'running' for update
"""
LOCK_RUN = f"""
select {RUN} from tickwork_open_runs where job_uid = $1 and fire_time = $2 and origin = $3 and attempt = $4 for update
"""
HOLD_RUN_AT = """
select from tickwork_open_runs
where job_uid = $1 and fire_time = $2 and origin = $3 and attempt = $4 and version = $5 and state = 'running' for update
"""

# backfills: who bears their runs locks the job, as for all births; who ends one locks out all who might

SELECT_EXPIRED = f"""
select {RUN} from tickwork_open_runs
where state = 'pending' and expires_at is not null and expires_at <= $1 order by expires_at limit $2
"""
INSERT_BACKFILL = f"""
with job as (select uid from tickwork_jobs where uid = $2 for key share)
insert into tickwork_backfills ({BACKFILL})
select $1::text, uid, $3::text, $4::text, $5::bigint, $6::bigint, $7::bigint, $8::bigint, $9::int, $10::bool, $11::bool,
    $12::text, $13::text, $14::bigint, $15::bigint, $16::bigint, $17::bigint, $18::text
from job
"""
SELECT_OPEN_BACKFILLS = f"""
select {", ".join("backfill." + column.strip() for column in BACKFILL.split(","))}
from tickwork_backfills as backfill join tickwork_jobs as job on job.uid = any (array[backfill.job_uid])
where backfill.ended_at is null and job.paused_at is null and {HERE}
order by backfill.number limit $1 for no key update skip locked
"""
COUNT_OPEN_BACKFILLS = "select count(*) from tickwork_backfills where ended_at is null"
SELECT_BACKFILL = f"select {BACKFILL} from tickwork_backfills where id = $1"
SELECT_BACKFILLS = f"""
select {BACKFILL} from tickwork_backfills
where ($1::text is null or job_id = $1) and ($2::bool is null or (ended_at is not null) = $2)
order by number desc limit $3
"""
SELECT_ANSWERED = """
select fire_time, bool_or(state not in ('missed', 'skipped')), bool_or(state in ('pending', 'running')),
    max(case when origin = 'backfill' then attempt else 0 end)
from (
    select fire_time, origin, attempt, state from tickwork_open_runs
    where job_uid = $1 and fire_time = any($2::bigint[]) and origin <> 'manual'
    union all
    select fire_time, origin, attempt, state from tickwork_runs
    where job_uid = $1 and fire_time = any($2::bigint[]) and origin <> 'manual'
) as run
group by fire_time
"""
UPDATE_BACKFILL = """
update tickwork_backfills set cursor = $3, born = $4, passed_over = $5, version = $2 + 1, ended_at = $6, reason = $7
where id = $1 and version = $2
"""
LOCK_BACKFILLING = f"""
select {RUN} from tickwork_open_runs where job_uid = $1 and backfill = $2 order by number for update nowait
"""
LOCK_OUT = "select from tickwork_jobs where uid = $1 for update"
END_BACKFILLS = """
update tickwork_backfills set ended_at = $2, version = version + 1, reason = 'its job was removed'
where job_uid = any($1::bigint[]) and ended_at is null
"""
FORGET_BACKFILLS = """
delete from tickwork_backfills where number in (
    select number from tickwork_backfills where ended_at is not null and ended_at < $1 limit $2
)
"""

# what is expected

WRITE_EXPECTATIONS = """
insert into tickwork_expectations (job_uid, expect_by) select * from unnest($1::bigint[], $2::bigint[])
on conflict (job_uid) do update set expect_by = excluded.expect_by, overdue_at = null, told_by = null
"""
DELETE_EXPECTATION = "delete from tickwork_expectations where job_uid = $1"
LOCK_EXPECTATIONS = f"""
select {EXPECTATION} from tickwork_expectations as one join tickwork_jobs as job on job.uid = any (array[job_uid])
where job_uid = any($1::bigint[]) order by job_uid for no key update of one
"""
FULFIL_EXPECTATIONS = """
update tickwork_expectations as one set
    expect_by = case
        when given.ended or one.expect_by is null then null else greatest(one.expect_by, given.expect_by)
    end,
    succeeded_at = greatest(one.succeeded_at, given.succeeded_at), overdue_at = null, told_by = null
from (
    select job_uid, bool_or(expect_by is null) as ended, max(expect_by) as expect_by, max(succeeded_at) as succeeded_at
    from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as each (job_uid, expect_by, succeeded_at) group by job_uid
) as given
where one.job_uid = any (array[given.job_uid])
"""
MARK_OVERDUE = f"""
with falling as (
    select job_uid as uid from tickwork_expectations
    where overdue_at is null and expect_by is not null and expect_by <= $1 order by expect_by limit $3
    for no key update skip locked
),
marked as (
    update tickwork_expectations set overdue_at = $1, told_by = $2 from falling
    where job_uid = any (array[falling.uid]) returning tickwork_expectations.*
)
select {EXPECTATION} from marked join tickwork_jobs as job on job.uid = any (array[job_uid]) order by expect_by, job.id
"""
SELECT_EXPECTATIONS = f"""
select {EXPECTATION} from tickwork_expectations join tickwork_jobs as job on job.uid = any (array[job_uid])
order by job.id
"""
SELECT_OVERDUE = f"""
select {EXPECTATION} from tickwork_expectations join tickwork_jobs as job on job.uid = any (array[job_uid])
where overdue_at is not null order by job.id
"""

# nodes: one beat at a time, so that who finds a job that no living node declares is not looking past one that comes

TAKE_TURN = "select pg_advisory_xact_lock($1::bigint)"
WRITE_BEAT = f"""
insert into tickwork_nodes ({NODE}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
on conflict (id, seen_since) do update set seen_at = excluded.seen_at, lease_until = excluded.lease_until,
    stopped_at = excluded.stopped_at, paused = excluded.paused, runs = excluded.runs, lateness = excluded.lateness,
    clock_error = excluded.clock_error, lifeline = excluded.lifeline
"""
SELECT_DECLARING = "select declaration from tickwork_nodes where stopped_at is null and lease_until > $1"
HOLD_LIFELINE = """
select case
    when pg_try_advisory_lock(hashtextextended($1, 0)) then extract(epoch from pg_postmaster_start_time())::text
end
"""
"""The start of the server is the lifeline's name: with the server all sessions end, which proves nobody's death."""
SELECT_CUT_LIFELINES = """
select id
from (
    select id from tickwork_nodes
    where stopped_at is null and lease_until > $1
        and lifeline = extract(epoch from pg_postmaster_start_time())::text
    offset 0
) as node
where pg_try_advisory_xact_lock_shared(hashtextextended($2 || id, 0))
"""
SELECT_LIVING_NODES = f"""
select {NODE} from tickwork_nodes
where stopped_at is null and lease_until > $1 order by seen_at desc, started_at desc, id limit $2
"""
SELECT_NODES = f"""
select {NODE} from tickwork_nodes as node
where seen_since = (select max(seen_since) from tickwork_nodes as other where other.id = node.id)
order by seen_at desc, started_at desc, id limit $1
"""
FORGET_NODES = """
delete from tickwork_nodes where (id, seen_since) in (
    select id, seen_since from tickwork_nodes
    where lease_until <= $1 and (
        seen_at < $2 or seen_at < (select seen_at from tickwork_nodes order by seen_at desc limit 1 offset $3)
    )
    order by seen_at limit $4
)
"""
INSERT_DECLARATION = """
insert into tickwork_declarations (name, ids) values ($1, $2::text[]) on conflict do nothing
"""
FORGET_DECLARATIONS = """
delete from tickwork_declarations where name not in (select declaration from tickwork_nodes)
"""
SELECT_UNDECLARED = f"""
select {JOB} from {JOBS}
where next_fire_time is not null and app = any($1::text[]) and id not in (
    select unnest(ids) from tickwork_declarations
    where name in (select declaration from tickwork_nodes where stopped_at is null and lease_until > $2)
)
order by id for no key update of tickwork_jobs skip locked
"""

# what there is, as people read it

CENSUS_OF_JOBS = """
select count(*), count(paused_at), min(next_fire_time) filter (where paused_at is null) from tickwork_jobs
"""
CENSUS_OF_RUNS = """
select count(*) filter (where state = 'pending'), count(*) filter (where state = 'running'),
    min(available_at) filter (where state = 'pending')
from tickwork_open_runs
"""

# outlook

COMES_FIRST = """
    array(
        select (
            select next_fire_time from tickwork_jobs as job
            where job.executor = wanted.executor and paused_at is null and next_fire_time is not null
            order by next_fire_time limit 1
        )
        from wanted order by place
    ),
    (select min(available_at) from tickwork_open_runs where state = 'pending'),
    (select min(lease_until) from tickwork_open_runs where state = 'running' and lease_until is not null),
    array(select node from tickwork_open_runs where cancel_reason is not null and state = 'running'),
    (select min(expires_at) from tickwork_open_runs where state = 'pending' and expires_at is not null),
    (select min(expect_by) from tickwork_expectations where overdue_at is null and expect_by is not null),
    exists (select from tickwork_expectations where overdue_at is not null),
    exists (select from tickwork_backfills where ended_at is null),
    exists (select from tickwork_moves where place = 1 and state is not null),
    (extract(epoch from clock_timestamp()) * 1000000)::bigint
"""
GLANCE = f"""
with wanted as (select * from unnest($1::text[]) with ordinality as wanted (executor, place))
select {COMES_FIRST}
"""
BEAT_AND_GLANCE = f"""
with wanted as (select * from unnest($16::text[]) with ordinality as wanted (executor, place)),
beat as ({WRITE_BEAT})
select array(
    select declaration from tickwork_nodes where stopped_at is null and lease_until > $7 and id <> $1
), {COMES_FIRST}
"""
"""Of an idle node: the others are seen as they were before the beat, and so is the node itself, which is left out."""
OUTLOOK = """
select
    (
        select min(first.next_fire_time) from unnest($1::text[]) as wanted (executor) cross join lateral (
            select next_fire_time from tickwork_jobs as job
            where job.executor = wanted.executor and paused_at is null and next_fire_time is not null
                and next_fire_time > $2
            order by next_fire_time limit 1
        ) as first
    ),
    (select min(available_at) from tickwork_open_runs where state = 'pending' and available_at > $3),
    (
        select min(lease_until) from tickwork_open_runs
        where state = 'running' and lease_until is not null and lease_until > $3
    ),
    (
        select min(expires_at) from tickwork_open_runs
        where state = 'pending' and expires_at is not null and expires_at > $3
    ),
    (
        select min(expect_by) from tickwork_expectations
        where overdue_at is null and expect_by is not null and expect_by > $3
    ),
    (extract(epoch from clock_timestamp()) * 1000000)::bigint
"""
NOW = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint"
IS_LENT = "select current_setting($1, true)"
RING = "select pg_notify($1, $2)"
SET_ALL = "select set_config(name, value, false) from unnest($1::text[], $2::text[]) as given (name, value)"

# the ledger, as people read it: the newest of both tables, of which a limit of nothing spares the one or the other

SELECT_RUN = f"""
select {RUN} from tickwork_open_runs where job_uid = $1 and fire_time = $2 and origin = $3 and attempt = $4
union all
select {RUN} from tickwork_runs where job_uid = $1 and fire_time = $2 and origin = $3 and attempt = $4
"""
SELECT_RUNS = f"""
select {RUN} from (
    (select number, {RUN} from tickwork_open_runs order by number desc limit $1)
    union all
    (select number, {RUN} from tickwork_runs order by number desc limit $2)
) as run
order by number desc limit $3 offset $4
"""
SELECT_RUNS_IN_STATES = f"""
select {RUN} from (
    (select number, {RUN} from tickwork_open_runs where state = any($5::text[]) order by number desc limit $1)
    union all
    (select number, {RUN} from tickwork_runs where state = any($5::text[]) order by number desc limit $2)
) as run
order by number desc limit $3 offset $4
"""
SELECT_UNSUCCESSFUL_RUNS = f"""
select {RUN} from (
    (select number, {RUN} from tickwork_open_runs where state = any($5::text[]) order by number desc limit $1)
    union all
    (
        select unsuccessful.* from unnest($5::text[]) as wanted (state) cross join lateral (
            select number, {RUN} from tickwork_runs as run
            where run.state = wanted.state and run.state <> 'succeeded' order by number desc limit $2
        ) as unsuccessful
    )
) as run
order by number desc limit $3 offset $4
"""
SELECT_RUNS_OF_JOBS = f"""
select {RUN} from (
    (
        select {RUN} from tickwork_open_runs
        where job_uid = any($5::bigint[]) and ($6::text[] is null or state = any($6::text[]))
        order by fire_time desc, attempt desc limit $1
    )
    union all
    (
        select of_one.* from unnest($5::bigint[]) as wanted (uid) cross join lateral (
            select {RUN} from tickwork_runs as run
            where run.job_uid = wanted.uid and ($6::text[] is null or run.state = any($6::text[]))
            order by fire_time desc, attempt desc limit $2
        ) as of_one
    )
) as run
order by fire_time desc, attempt desc limit $3 offset $4
"""
SELECT_UID = "select uid from tickwork_jobs where id = $1"
SELECT_REMOVED_UIDS = """
select job_uid from tickwork_ledgers where job_id = $1 and removed_at is not null order by removed_at desc limit $2
"""

# why: what surrounds one instant of a job, by the unique key

SELECT_BEFORE = f"""
with here as (
    select max(fire_time) as fire_time from (
        (
            select fire_time from tickwork_open_runs
            where job_uid = $1 and origin = 'schedule' and fire_time <= $2 order by fire_time desc limit 1
        )
        union all
        (
            select fire_time from tickwork_runs
            where job_uid = $1 and origin = 'schedule' and fire_time <= $2 order by fire_time desc limit 1
        )
    ) as latest
)
select {RUN} from tickwork_open_runs join here using (fire_time) where job_uid = $1 and origin = 'schedule'
union all
select {RUN} from tickwork_runs join here using (fire_time) where job_uid = $1 and origin = 'schedule'
order by attempt
"""
SELECT_AFTER = f"""
with here as (
    select min(fire_time) as fire_time from (
        (
            select fire_time from tickwork_open_runs
            where job_uid = $1 and origin = 'schedule' and fire_time > $2 order by fire_time limit 1
        )
        union all
        (
            select fire_time from tickwork_runs
            where job_uid = $1 and origin = 'schedule' and fire_time > $2 order by fire_time limit 1
        )
    ) as first
)
select {RUN} from tickwork_open_runs join here using (fire_time) where job_uid = $1 and origin = 'schedule'
union all
select {RUN} from tickwork_runs join here using (fire_time) where job_uid = $1 and origin = 'schedule'
order by attempt
"""
SELECT_ASKED_FOR = f"""
select {RUN} from tickwork_open_runs
where job_uid = $1 and origin = $2 and fire_time >= $3 and fire_time < $4
union all
select {RUN} from tickwork_runs
where job_uid = $1 and origin = $2 and fire_time >= $3 and fire_time < $4
order by fire_time, attempt limit $5
"""
SELECT_RUNNING = f"""
select {RUN} from tickwork_open_runs
where job_uid = $1 and state = 'running' and backfill is null order by fire_time, attempt limit $2
"""
SELECT_SILENCE = """
with run as (
    select number from tickwork_runs where job_uid = $1 and fire_time = $2 and origin = $3 and attempt = $4
),
seen as (
    select started_at, ended_at from run
        join tickwork_open_runs as other on other.number between run.number - $5 and run.number
    union all
    select started_at, ended_at from run
        join tickwork_runs as other on other.number between run.number - $5 and run.number
),
signs (at) as (select started_at from seen union all select ended_at from seen)
select max(at) filter (where at < $2), min(at) filter (where at >= $2) from signs
"""
ANY_NODE_ALIVE = """
select 1 from tickwork_nodes
where seen_since <= $1 and (seen_at >= $1 or (stopped_at is null and lease_until > $2)) limit 1
"""
SELECT_NODE_BEFORE = f"select {NODE} from tickwork_nodes where seen_at < $1 order by seen_at desc limit 1"
SELECT_NODE_AFTER = f"select {NODE} from tickwork_nodes where seen_since > $1 order by seen_since limit 1"
SELECT_REMOVED_SINCE = """
select job_uid, removed_at from tickwork_ledgers where job_id = $1 and removed_at >= $2 order by removed_at limit $3
"""
SELECT_LAST_REMOVED = """
select job_uid, removed_at from tickwork_ledgers
where job_id = $1 and removed_at is not null order by removed_at desc limit 1
"""
SELECT_PRUNED_THROUGH = "select pruned_through from tickwork_ledgers where job_uid = $1"
NOTE_REMOVAL = """
insert into tickwork_ledgers (job_uid, job_id, removed_at)
select uid, id, $3 from unnest($1::bigint[], $2::text[]) as given (uid, id)
on conflict (job_uid) do update set removed_at = excluded.removed_at
"""

# prune, job by job, by the unique key

NEXT_LEDGER = """
select (
    select job_uid from tickwork_runs
    where job_uid > $1 and job_uid not in (select job_uid from tickwork_backfills where ended_at is null)
    order by job_uid limit 1
)
"""
SELECT_DEFINITION = "select definition from tickwork_definitions where uid = $1"
SELECT_NTH_NEWEST = """
select fire_time from (
    (select fire_time from tickwork_open_runs where job_uid = $1 order by fire_time desc limit $2 + 1)
    union all
    (select fire_time from tickwork_runs where job_uid = $1 order by fire_time desc limit $2 + 1)
) as run
order by fire_time desc limit 1 offset $2
"""
SELECT_PRUNABLE = """
select number, job_id, coalesce(through, fire_time) from tickwork_runs
where job_uid = $1 and fire_time < greatest($2::bigint, $3::bigint)
    and (fire_time < $2 or ended_at < $3)
order by fire_time limit $4
"""
DELETE_RUNS = """
with forgotten as (delete from tickwork_logs where number = any($1::bigint[]))
delete from tickwork_runs where number = any($1::bigint[])
"""
NOTE_PRUNING = """
insert into tickwork_ledgers as ledger (job_uid, job_id, pruned_through) values ($1, $2, $3)
on conflict (job_uid) do update set pruned_through = greatest(ledger.pruned_through, excluded.pruned_through)
"""
DELETE_DISPOSABLE_JOB = """
delete from tickwork_jobs
where uid = $1 and next_fire_time is null
    and not exists (select from tickwork_open_runs where job_uid = $1)
    and not exists (select from tickwork_runs where job_uid = $1)
    and not exists (select from tickwork_backfills where job_uid = $1 and ended_at is null)
"""
DELETE_LEDGER = "delete from tickwork_ledgers where job_uid = $1"
FORGET_REMOVED = """
delete from tickwork_ledgers where job_uid in (
    select job_uid from tickwork_ledgers as ledger
    where removed_at is not null and removed_at < $1
        and not exists (select from tickwork_runs as run where run.job_uid = ledger.job_uid)
        and not exists (select from tickwork_open_runs as run where run.job_uid = ledger.job_uid)
    limit $2
)
"""

# moving house: who heeds the note holds its row, who writes it locks that, and then all out who lock jobs

MOVE = "id, state, other, since, mover, lease_until"
SELECT_MOVE = f"select {MOVE} from tickwork_moves where place = 1"
HOLD_MOVE = f"{SELECT_MOVE} for share"
LOCK_MOVE = f"{SELECT_MOVE} for update"
LOCK_OUT_ALL = "lock table tickwork_jobs in exclusive mode"
WRITE_MOVE = """
update tickwork_moves set id = $1, state = $2, other = $3, since = $4, mover = $5, lease_until = $6 where place = 1
"""
COUNT_HOLDINGS = """
select (select count(*) from tickwork_jobs),
    (select count(*) from tickwork_runs) + (select count(*) from tickwork_open_runs),
    (select count(*) from tickwork_backfills)
"""
SELECT_EXPECTATIONS_OF = f"""
select {EXPECTATION} from tickwork_expectations join tickwork_jobs as job on job.uid = any (array[job_uid])
where job_uid = any($1::bigint[])
"""
SELECT_STATES_OF = "select job_uid, version, state from tickwork_states where job_uid = any($1::bigint[])"
NUMBERED_RUN = f"run.number, log, {OF_RUN}"
SELECT_RUNS_AFTER = f"""
select {NUMBERED_RUN} from (
    (select number, {RUN} from tickwork_open_runs where number > $1 order by number limit $2)
    union all
    (select number, {RUN} from tickwork_runs where number > $1 order by number limit $2)
) as run left join tickwork_logs as kept on kept.number = any (array[run.number])
order by run.number limit $2
"""
SELECT_RUNS_NUMBERED = f"""
select {NUMBERED_RUN} from (
    select number, {RUN} from tickwork_open_runs where number = any($1::bigint[])
    union all
    select number, {RUN} from tickwork_runs where number = any($1::bigint[])
) as run left join tickwork_logs as kept on kept.number = any (array[run.number])
order by run.number limit $2
"""
SELECT_ALL_BACKFILLS = f"select {BACKFILL} from tickwork_backfills order by number"
SELECT_LEDGERS = "select job_uid, job_id, removed_at, pruned_through from tickwork_ledgers order by job_uid"
SELECT_STRETCHES = f"select {NODE} from tickwork_nodes order by seen_since, id"
SELECT_DECLARATIONS = "select name, ids from tickwork_declarations"
KNOWN_UIDS = "select uid from tickwork_jobs where uid = any($1::bigint[])"
INSERT_EXPECTATIONS = """
insert into tickwork_expectations (job_uid, expect_by, succeeded_at, overdue_at, told_by)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
"""
INSERT_STATES = """
insert into tickwork_states (job_uid, version, state) select * from unnest($1::bigint[], $2::bigint[], $3::text[])
"""
INSERT_KNOWN_OPEN_RUNS = f"{INSERT_OPEN_RUNS} on conflict do nothing"
INSERT_KNOWN_CLOSED_RUNS = f"{INSERT_CLOSED_RUNS} on conflict do nothing"
INSERT_LOGS = """
insert into tickwork_logs (number, log) select * from unnest($1::bigint[], $2::text[]) on conflict do nothing
"""
GO_BEYOND_NUMBERS = "select setval('tickwork_numbers', greatest($1, nextval('tickwork_numbers')))"
INSERT_KNOWN_BACKFILL = f"""
insert into tickwork_backfills ({BACKFILL})
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) on conflict do nothing
"""
INSERT_LEDGERS = """
insert into tickwork_ledgers (job_uid, job_id, removed_at, pruned_through)
select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) on conflict do nothing
"""
INSERT_STRETCH = f"""
insert into tickwork_nodes ({NODE}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
on conflict do nothing
"""
CLEAR = (
    "delete from tickwork_jobs",  # and with them definitions, states and expectations
    "delete from tickwork_open_runs",
    "delete from tickwork_runs",
    "delete from tickwork_logs",
    "delete from tickwork_ledgers",
    "delete from tickwork_backfills",
    "delete from tickwork_nodes",
    "delete from tickwork_declarations",
)
