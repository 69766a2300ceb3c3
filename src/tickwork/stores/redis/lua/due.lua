-- Take what is due in hand: the uids and rows of jobs, as lines, and [[run, row], ...] of the active runs of these.
-- For a moment no other node takes the same jobs in hand, so that not all decide on them and one alone wins. It is no
-- lock: fire.lua compares versions.
-- ARGV: executor, the first and the last fire time, uids to pass over, the time, until when they are in hand; how many
-- to take, behind how many that were looked at before. Answers also how many these are now.

local looked_at = tonumber(ARGV[8])
if is_away() or is_quiet(tonumber(ARGV[5])) then
  return {'', '[]', looked_at}
end

local limit = tonumber(ARGV[7])
local pass_over = {}
for _, uid in ipairs(decode(ARGV[4])) do
  pass_over[uid] = true
end
call('ZREMRANGEBYSCORE', P .. ':in_hand', '-inf', ARGV[5])
for _, uid in ipairs(call('ZRANGE', P .. ':in_hand', 0, -1)) do
  pass_over[uid] = true
end

local uids, taken = {}, {}
repeat
  local page = call('ZRANGEBYSCORE', P .. ':due:' .. ARGV[1], ARGV[2], ARGV[3], 'LIMIT', looked_at, limit)
  for _, uid in ipairs(page) do
    if #uids < limit then
      looked_at = looked_at + 1
      if not pass_over[uid] then
        uids[#uids + 1] = uid
        taken[#taken + 1], taken[#taken + 2] = ARGV[6], uid
      end
    end
  end
until #page < limit or #uids == limit
if call('ZCOUNT', P .. ':nodes:alive', '(' .. ARGV[5], '+inf') ~= 1 then  -- nobody is in the way of a node that is alone
  call_with('ZADD', ':in_hand', taken)
end

local jobs, ids = {}, {}
local any_open = call('EXISTS', P .. ':open') == 1
for place, row in ipairs(fields(':jobs', uids)) do
  local uid = uids[place]
  jobs[place] = uid .. row
  if any_open then
    for _, id in ipairs(active_of(uid)) do
      ids[#ids + 1] = id
    end
  end
end
local runs = {}
for place, row in ipairs(fields(':open', ids)) do
  runs[place] = '["' .. ids[place] .. '",' .. row .. ']'
end
return {table.concat(jobs, '\n'), listed(runs), looked_at}
