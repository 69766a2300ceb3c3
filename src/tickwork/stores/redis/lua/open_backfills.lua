-- Read backfills that go on, of jobs that fire: [row, version of its job, [[run, row], ...] of its active runs].
-- ARGV: how many.

local found = {}
for _, name in ipairs(call('ZRANGE', P .. ':backfills:open', 0, -1)) do
  local text = call('HGET', P .. ':backfills', name)
  local backfill = decode(text)
  local job = call('HGET', P .. ':jobs', backfill.job_uid)
  if #found < tonumber(ARGV[1]) and job and decode(job)[OF_PAUSED_AT] == null then
    local runs = {}
    for _, id in ipairs(call('ZRANGE', P .. ':backfilling:' .. backfill.job_uid, 0, -1)) do
      local row = call('HGET', P .. ':open', id)
      if decode(row)[BACKFILL] == name then
        runs[#runs + 1] = '["' .. id .. '",' .. row .. ']'
      end
    end
    found[#found + 1] = '[' .. text .. ',"' .. string.match(job, '^%[(%d+),') .. '",' .. listed(runs) .. ']'
  end
end
return listed(found)
