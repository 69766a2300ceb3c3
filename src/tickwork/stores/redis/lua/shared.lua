-- Where jobs and runs lie on the server, and what moves with them. This stands before every script.
--
-- KEYS[1] begins all keys; its hash tag keeps them on one node of a cluster. A job's uid is written in hexadecimal, as
-- in the ids of its runs: <uid>-<fire time>[m|b]-<attempt>. Instants are whole microseconds since 1970.
--
--   ids            id -> uid                          names           ids, in their order
--   jobs           uid -> row                         definitions     uid -> JSON
--   due:<executor> uid by next fire time, of jobs that fire           executors       those that jobs have named
--   in_hand        uid by until when another node leaves it alone     paused          uids of jobs that do not fire
--   declared:<app> ids of jobs that an app declares, and not retired
--   kept:<uid>     the state of a job: 'version', and k<key> -> version and value
--   expectations   uid -> row                         expected, overdue   uids by when they fall overdue; that are
--
--   open, closed   run -> row: what waits or runs, and what has ended     logs            run -> JSON
--   ledger         run by number, in the order of birth               numbers         the last number
--   ledger:<uid>   rest of a run's id by fire time    ledgers         the uids that may have one, in 16 digits
--   state:<state>  run by number: closed runs that did not succeed
--   active         open runs, in the order of their ids: so those of a job lie together
--   backfilling:<uid>         those of backfills among them
--   leases, pending, expiring run by the instant that ends its lease, its delay, its patience
--   waiting:<uid>  pending runs of the schedule or by hand, by when they are available; asked:<uid>: by hand alone
--   claimable:<executor>      uid by when the first of its runs may be claimed, of jobs that have room for one
--   backfilled     pending runs of backfills          cancelling:<node>   running runs that are asked to end
--
--   backfills      id -> row                          backfills:all, backfills:open   ids by number
--   backfills:ended           ids by when they ended
--   nodes          stretch -> row                     nodes:seen, nodes:alive         stretches by last beat, by lease
--   declarations   name by when it was declared       declaration:<name>              ids
--   removed, removals         uid -> id, uid by when, of removed jobs; removed:<id>   the same of one id
--   pruned         uid -> up to where its ledger lacks rows
--   server, quiet, asserted   which server all this was written on, and how its nodes go on after a restart
--   move           what is noted of a move from here or to here, as JSON
--   version        of this list                       bell            the channel on which nodes wake each other
--
-- Lua writes a number of more than 14 digits with an exponent. So rows are written by the caller, or through `written`.

local P = KEYS[1]
local call, null, decode = redis.call, cjson.null, cjson.decode

-- the fields of a run's row that are read here; the others follow
local STATE, VERSION, NODE, LEASE_UNTIL, AVAILABLE_AT, EXPIRES_AT, CANCEL_REASON, BACKFILL = 1, 2, 3, 4, 5, 6, 7, 8
local COUNTED_FROM, ENDED_AT, REASON, THROUGH = 9, 10, 11, 13

-- those of a job's, of which the first is its version
local OF_REVISION, OF_NEXT, OF_PAUSED_AT, OF_MAX_INSTANCES, OF_EXECUTOR = 2, 3, 4, 6, 7
local OF_APP, OF_KEEP, OF_DISPOSABLE, OF_ID = 8, 9, 10, 11

local MOST = 4000  -- values that one call of Redis is given

-- Call a command on a key with many values, some at a time.
local function call_with(command, key, values)
  for start = 1, #values, MOST do
    call(command, P .. key, unpack(values, start, math.min(start + MOST - 1, #values)))
  end
end

-- The values of many fields of a hash.
local function fields(key, names)
  local values = {}
  for start = 1, #names, MOST do
    local part = call('HMGET', P .. key, unpack(names, start, math.min(start + MOST - 1, #names)))
    for place = 1, #part do
      values[start + place - 1] = part[place]
    end
  end
  return values
end

-- The lines of an argument; none of an empty one.
local function lines(text)
  local found = {}
  for line in string.gmatch(text, '[^\n]+') do
    found[#found + 1] = line
  end
  return found
end

-- A row as JSON.
local function written(row)
  local texts = {}
  for place = 1, #row do
    local value = row[place]
    texts[place] = type(value) == 'number' and string.format('%.0f', value) or cjson.encode(value)
  end
  return '[' .. table.concat(texts, ',') .. ']'
end

-- A list of texts that are JSON.
local function listed(texts)
  return '[' .. table.concat(texts, ',') .. ']'
end

local function uid_of(id)
  return string.match(id, '^%x+')
end

local function by_hand(id, run)
  return string.find(id, 'm', 1, true) or run[COUNTED_FROM] > 1
end

local function padded(uid)
  return string.rep('0', 16 - #uid) .. uid
end

-- The open runs of a job.
local function active_of(uid)
  return call('ZRANGEBYLEX', P .. ':active', '[' .. uid .. '-', '(' .. uid .. '.')
end

-- How many of its runs go on that count for max_instances: what is backfilled does not.
local function running_of(uid)
  return call('ZLEXCOUNT', P .. ':active', '[' .. uid .. '-', '(' .. uid .. '.')
    - call('ZCARD', P .. ':backfilling:' .. uid) - call('ZCARD', P .. ':waiting:' .. uid)
end

-- what may be claimed

local touched = {}  -- the jobs of which a run may be claimed at another time than before

local function note_claim(uid)
  local text = call('HGET', P .. ':jobs', uid)
  if not text then
    return
  end
  local job = decode(text)
  local claimable = P .. ':claimable:' .. job[OF_EXECUTOR]
  local list = job[OF_PAUSED_AT] == null and ':waiting:' or ':asked:'
  local first = call('ZRANGE', P .. list .. uid, 0, 0, 'WITHSCORES')
  if first[1] and running_of(uid) < job[OF_MAX_INSTANCES] then
    call('ZADD', claimable, first[2], uid)
    return
  end
  call('ZREM', claimable, uid)
end

local function note_claims()
  for uid in pairs(touched) do
    note_claim(uid)
  end
end

-- open runs, in and out of their lists

local function put_in(id, uid, run)
  if run[STATE] == 'running' then
    if run[LEASE_UNTIL] ~= null then
      call('ZADD', P .. ':leases', run[LEASE_UNTIL], id)
    end
    if run[CANCEL_REASON] ~= null and run[NODE] ~= null then
      call('SADD', P .. ':cancelling:' .. run[NODE], id)
    end
    return
  end
  call('ZADD', P .. ':pending', run[AVAILABLE_AT], id)
  if run[EXPIRES_AT] ~= null then
    call('ZADD', P .. ':expiring', run[EXPIRES_AT], id)
  end
  if run[BACKFILL] ~= null then
    call('ZADD', P .. ':backfilled', run[AVAILABLE_AT], id)
    return
  end
  call('ZADD', P .. ':waiting:' .. uid, run[AVAILABLE_AT], id)
  if by_hand(id, run) then
    call('ZADD', P .. ':asked:' .. uid, run[AVAILABLE_AT], id)
  end
end

local function take_out(id, uid, run)
  if run[STATE] == 'running' then
    call('ZREM', P .. ':leases', id)
    if run[CANCEL_REASON] ~= null and run[NODE] ~= null then
      call('SREM', P .. ':cancelling:' .. run[NODE], id)
    end
    return
  end
  call('ZREM', P .. ':pending', id)
  call('ZREM', P .. ':expiring', id)
  call('ZREM', P .. ':backfilled', id)
  call('ZREM', P .. ':waiting:' .. uid, id)
  call('ZREM', P .. ':asked:' .. uid, id)
end

local function is_open(state)
  return state == 'running' or state == 'pending'
end

local function put_closed(id, run, text)
  call('HSET', P .. ':closed', id, text)
  if run[STATE] ~= 'succeeded' then
    call('ZADD', P .. ':state:' .. run[STATE], call('ZSCORE', P .. ':ledger', id), id)
  end
end

-- Write an open run as it becomes.
local function move(id, before, text)
  local uid, run = uid_of(id), decode(text)
  touched[uid] = true
  take_out(id, uid, decode(before))
  if is_open(run[STATE]) then
    call('HSET', P .. ':open', id, text)
    put_in(id, uid, run)
    return
  end
  call('HDEL', P .. ':open', id)
  call('ZREM', P .. ':active', id)
  call('ZREM', P .. ':backfilling:' .. uid, id)
  put_closed(id, run, text)
end

-- Close a run that waits for a job that was removed.
local function cancel_orphan(id, before, now)
  local run = decode(before)
  run[STATE], run[VERSION], run[ENDED_AT], run[REASON] = 'cancelled', run[VERSION] + 1, now, 'its job was removed'
  move(id, before, written(run))
end

-- Whether the row of an open run is in this state (nil: either) and at this version, which is text.
local function stands(text, state, version)
  if not text then
    return false
  end
  local its_state, its_version = string.match(text, '^%["(%l+_?%l*)",(%d+),')
  return its_version == version and (state == nil or state == its_state)
end

-- births

-- The places of those runs that the ledger has already, and how many they are.
local function known(ids)
  local found, count = {}, 0
  local open, closed = fields(':open', ids), fields(':closed', ids)
  for place = 1, #ids do
    if open[place] or closed[place] then
      found[place], count = true, count + 1
    end
  end
  return found, count
end

-- Write new runs; the places of those that the ledger has already, which are not born again. Of those that run as nearly
-- all do, and need no list but that of leases, *leases* has the end of it.
local function bear(ids, rows, leases)
  local known_places = {}
  if #ids == 0 then
    return known_places
  end
  local number = call('INCRBY', P .. ':numbers', #ids) - #ids
  local ledger, open, active, held = {}, {}, {}, {}
  for place, id in ipairs(ids) do
    local uid, rest, fire_time = string.match(id, '^(%x+)%-((%-?%d+).*)$')
    if call('ZADD', P .. ':ledger:' .. uid, fire_time, rest) == 0 then
      known_places[#known_places + 1] = place
    else
      local text, lease = rows[place], leases and leases[place] or null
      number = number + 1
      ledger[#ledger + 1], ledger[#ledger + 2] = number, id
      local run = lease == null and decode(text) or nil
      if run == nil or is_open(run[STATE]) then
        open[#open + 1], open[#open + 2] = id, text
        active[#active + 1], active[#active + 2] = 0, id
        touched[uid] = true
        if run == nil then
          held[#held + 1], held[#held + 2] = lease, id
        else
          if run[BACKFILL] ~= null then
            call('ZADD', P .. ':backfilling:' .. uid, number, id)
          end
          put_in(id, uid, run)
        end
      else
        call('ZADD', P .. ':ledger', number, id)
        put_closed(id, run, text)
      end
    end
  end
  call_with('ZADD', ':ledger', ledger)
  call_with('HSET', ':open', open)
  call_with('ZADD', ':active', active)
  call_with('ZADD', ':leases', held)
  return known_places
end

-- jobs

-- Put a job into its lists, but for what is due.
local function list_job(uid, job)
  if job[OF_PAUSED_AT] ~= null then
    call('SADD', P .. ':paused', uid)
  end
  if job[OF_APP] ~= null then
    call('SADD', P .. ':declared:' .. job[OF_APP], job[OF_ID])
  end
  call('SADD', P .. ':executors', job[OF_EXECUTOR])
end

local function put_job(uid, text, job)
  call('HSET', P .. ':jobs', uid, text)
  list_job(uid, job)
  if job[OF_PAUSED_AT] == null and job[OF_NEXT] ~= null then
    call('ZADD', P .. ':due:' .. job[OF_EXECUTOR], job[OF_NEXT], uid)
  end
end

local function take_out_job(uid, job)
  call('ZREM', P .. ':due:' .. job[OF_EXECUTOR], uid)
  call('ZREM', P .. ':claimable:' .. job[OF_EXECUTOR], uid)
  call('SREM', P .. ':paused', uid)
  if job[OF_APP] ~= null then
    call('SREM', P .. ':declared:' .. job[OF_APP], job[OF_ID])
  end
end

-- All there is of a job but its rows in the ledger, which pruning forgets.
local function forget_job(uid, job)
  take_out_job(uid, job)
  call('HDEL', P .. ':ids', job[OF_ID])
  call('ZREM', P .. ':names', job[OF_ID])
  call('HDEL', P .. ':jobs', uid)
  call('HDEL', P .. ':definitions', uid)
  call('DEL', P .. ':kept:' .. uid)
  call('HDEL', P .. ':expectations', uid)
  call('ZREM', P .. ':expected', uid)
  call('ZREM', P .. ':overdue', uid)
end

-- Cancel those runs that were read at these versions still; the places of these.
local function cancel(runs)
  local won = {}
  for place, run in ipairs(runs) do
    local id, version, text = run[1], run[2], run[3]
    local before = call('HGET', P .. ':open', id)
    if stands(before, nil, version) then
      move(id, before, text)
      won[#won + 1] = place
    end
  end
  return won
end

-- what is expected of jobs: [expect_by, succeeded_at, overdue_at, told_by]

local EXPECT_BY, SUCCEEDED_AT, OVERDUE_AT, TOLD_BY = 1, 2, 3, 4

local function put_expectation(uid, one)
  call('HSET', P .. ':expectations', uid, written(one))
  call('ZREM', P .. ':expected', uid)
  call('ZREM', P .. ':overdue', uid)
  if one[OVERDUE_AT] ~= null then
    call('ZADD', P .. ':overdue', 0, uid)
  elseif one[EXPECT_BY] ~= null then
    call('ZADD', P .. ':expected', one[EXPECT_BY], uid)
  end
end

-- By when a job is to succeed from now on, whatever stood there but the last success.
local function expect(uid, by)
  local text = call('HGET', P .. ':expectations', uid)
  local succeeded_at = text and decode(text)[SUCCEEDED_AT] or null
  put_expectation(uid, {by, succeeded_at, null, null})
end

-- An expectation as it is told: with the id of its job.
local function told(uid, text)
  local job = decode(call('HGET', P .. ':jobs', uid))
  return '["' .. uid .. '",' .. cjson.encode(job[OF_ID]) .. ',' .. text .. ']'
end

-- the state of a job: key -> version and value, and under the empty name the version of the whole

-- Change some keys, if each is at the version that was read; whether they were.
local function change_state(uid, change)
  local key = P .. ':kept:' .. uid
  for name, version in pairs(change.read) do
    local entry = call('HGET', key, 'k' .. name)
    if (entry and string.match(entry, '^%d+') or '0') ~= version then
      return false
    end
  end
  local version = call('HINCRBY', key, 'version', 1)
  for name in pairs(change.read) do
    if change.written[name] == nil then
      call('HDEL', key, 'k' .. name)
    end
  end
  for name, value in pairs(change.written) do
    call('HSET', key, 'k' .. name, string.format('%.0f ', version) .. value)
  end
  return true
end

-- after a restart of the server (reassert.lua)

local SHORTEST_QUIET = 2000000  -- microseconds; by then every node has tried again

-- Whether the server may have lost something that a living node has not said again.
local function is_quiet(now)
  local quiet = call('GET', P .. ':quiet')
  if not quiet then
    return false
  end
  local since, latest = string.match(quiet, '^(%d+) (%d+)$')
  if now < tonumber(latest) then
    if now < tonumber(since) + SHORTEST_QUIET then
      return true
    end
    for _, name in ipairs(call('ZRANGEBYSCORE', P .. ':nodes:alive', '(' .. string.format('%.0f', now), '+inf')) do
      if call('SISMEMBER', P .. ':asserted', decode(call('HGET', P .. ':nodes', name)).id) == 0 then
        return true
      end
    end
  end
  call('DEL', P .. ':quiet', P .. ':asserted')
  return false
end

-- a move from here to another store, or to here from another one

local FIRES_NOT = {leaving = true, left = true, arriving = true}
local REFUSES = {left = true, arriving = true}

-- The state of the move that is noted; nil: there is none.
local function move_state()
  local note = call('GET', P .. ':move')
  return note and decode(note).state
end

-- Whether nothing is fired and claimed here.
local function is_away()
  return FIRES_NOT[move_state()]
end

-- What answers who would change something that has moved, or is on its way to here; nil: go on.
local function refusal()
  local note = call('GET', P .. ':move')
  if note and REFUSES[decode(note).state] then
    return redis.error_reply('ELSEWHERE ' .. note)
  end
  return nil
end

-- What comes due first, of each kind: fire times by executor, claim, lapse, expire, expect; whether a backfill goes on
-- and the node has to end a run; and the server's time. Nothing, if nobody asks ('').
local function glance(executors, node)
  if executors == '' then
    return false
  end
  local function first(key)
    return call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')[2] or false
  end
  local fire_at = {}
  for place, executor in ipairs(decode(executors)) do
    fire_at[place] = first(':due:' .. executor)
  end
  return {
    fire_at, first(':pending'), first(':leases'), first(':expiring'), first(':expected'),
    call('EXISTS', P .. ':backfills:open'), call('EXISTS', P .. ':cancelling:' .. node), call('TIME'),
  }
end

-- Wake every other node that listens. *name* is our own; without one nobody is woken.
local function ring(name)
  if name ~= '' then
    call('PUBLISH', P .. ':bell', name)
  end
end
