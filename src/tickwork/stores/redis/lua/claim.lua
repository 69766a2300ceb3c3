-- Take pending runs that may start now: [[run, row], ...] and [[uid, row], ...] of their jobs.
-- ARGV: executor, the time, since when they are available at the earliest ('': at any time, and those of backfills
-- too), how many, uids to pass over, the node, the end of its lease.

if is_away() or is_quiet(tonumber(ARGV[2])) then
  return '[[],[]]'
end

local executor, now, since, limit = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local skip = {}
local skipped = decode(ARGV[5])
for _, uid in ipairs(skipped) do
  skip[uid] = true
end
local node, lease_until = ARGV[6], tonumber(ARGV[7])

local claimed, jobs, seen = {}, {}, {}

local function take(id, before, run)
  run[STATE], run[VERSION], run[NODE], run[LEASE_UNTIL] = 'running', run[VERSION] + 1, node, lease_until
  local text = written(run)
  move(id, before, text)
  claimed[#claimed + 1] = '["' .. id .. '",' .. text .. ']'
end

local function has_not_expired(run)
  return run[EXPIRES_AT] == null or run[EXPIRES_AT] > now
end

local function note_job(uid, text)
  if not seen[uid] then
    seen[uid] = true
    jobs[#jobs + 1] = '["' .. uid .. '",' .. text .. ']'
  end
end

local first = since == '' and '-inf' or since
local looked = limit + #skipped + 100  -- of some jobs all that waits has expired, and is not closed yet
for _, uid in ipairs(call('ZRANGEBYSCORE', P .. ':claimable:' .. executor, first, now, 'LIMIT', 0, looked)) do
  if #claimed == limit then
    break
  end
  if not skip[uid] then
    local text = call('HGET', P .. ':jobs', uid)
    local job = decode(text)
    local waiting = P .. ':waiting:' .. uid
    local room = math.min(job[OF_MAX_INSTANCES] - running_of(uid), limit - #claimed)
    local list = job[OF_PAUSED_AT] == null and waiting or P .. ':asked:' .. uid
    for _, id in ipairs(call('ZRANGEBYSCORE', list, '-inf', now, 'LIMIT', 0, math.max(room, 0) + 100)) do
      local before = call('HGET', P .. ':open', id)
      local run = decode(before)
      if room > 0 and has_not_expired(run) then
        take(id, before, run)
        room = room - 1
        note_job(uid, text)
      end
    end
  end
end

if since == '' and #claimed < limit then
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. ':backfilled', '-inf', now, 'LIMIT', 0, 1000)) do
    local uid = uid_of(id)
    local text = call('HGET', P .. ':jobs', uid)
    local job = text and decode(text)
    if #claimed < limit and job and job[OF_EXECUTOR] == executor and job[OF_PAUSED_AT] == null and not skip[uid] then
      local before = call('HGET', P .. ':open', id)
      local run = decode(before)
      if has_not_expired(run) then
        take(id, before, run)
        note_job(uid, text)
      end
    end
  end
end

note_claims()
return '[' .. listed(claimed) .. ',' .. listed(jobs) .. ']'
