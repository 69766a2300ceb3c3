-- Write those changes of jobs whose job is still at the version that was read, each whole; answers their places.
-- ARGV: changes, each with uid, version, row, definition, retires, runs and cancelled; what is expected from now on, as
-- [uid, by when]; who rings; the time.

local refused = refusal()
if refused then
  return refused
end

local changes, expected = decode(ARGV[1]), decode(ARGV[2])

-- Whether a node that is alive declares this job: then it is not retired, however the others saw it.
local function is_declared(id)
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. ':nodes:alive', '(' .. ARGV[4], '+inf')) do
    local declaration = decode(call('HGET', P .. ':nodes', name)).declaration
    if call('SISMEMBER', P .. ':declaration:' .. declaration, id) == 1 then
      return true
    end
  end
  return false
end

local function save(change)
  local uid = change.uid
  local before = call('HGET', P .. ':jobs', uid)
  if not before or string.match(before, '^%[(%d+),') ~= change.version then
    return false
  end
  local ids, rows = {}, {}
  for place, run in ipairs(change.runs) do
    ids[place], rows[place] = run[1], run[2]
  end
  local _, count = known(ids)
  if count > 0 then
    return false
  end
  before = decode(before)
  if change.retires and before[OF_APP] ~= null and is_declared(before[OF_ID]) then
    return false
  end
  local job = decode(change.row)
  take_out_job(uid, before)
  put_job(uid, change.row, job)
  touched[uid] = true
  bear(ids, rows)
  cancel(change.cancelled)
  if before[OF_REVISION] ~= job[OF_REVISION] then -- otherwise it stays as it was written, perhaps by a newer version
    call('HSET', P .. ':definitions', uid, change.definition)
    if not change.expects then
      call('HDEL', P .. ':expectations', uid)
      call('ZREM', P .. ':expected', uid)
      call('ZREM', P .. ':overdue', uid)
    end
  end
  return true
end

local won, saved = {}, {}
for place, change in ipairs(changes) do
  if save(change) then
    won[#won + 1], saved[change.uid] = place, true
  end
end
for _, one in ipairs(expected) do
  if saved[one[1]] then
    expect(one[1], one[2])
  end
end
note_claims()
if #won > 0 then
  ring(ARGV[3])
end
return won
