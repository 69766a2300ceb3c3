-- Remove these jobs; answers those that were there, as jobs.lua does.
-- ARGV: ids, the time.

local refused = refusal()
if refused then
  return refused
end

local now = tonumber(ARGV[2])
local removed = {}
for _, id in ipairs(decode(ARGV[1])) do
  local uid = call('HGET', P .. ':ids', id)
  if uid then
    local row, definition = call('HGET', P .. ':jobs', uid), call('HGET', P .. ':definitions', uid)
    removed[#removed + 1] = '["' .. uid .. '",' .. row .. ',' .. cjson.encode(definition) .. ']'
    forget_job(uid, decode(row))
    call('ZADD', P .. ':removed:' .. id, now, uid)
    call('ZADD', P .. ':removals', now, uid)
    call('HSET', P .. ':removed', uid, id)
    for _, run in ipairs(active_of(uid)) do
      local before = call('HGET', P .. ':open', run)
      if string.find(before, '^%["pending"') then
        cancel_orphan(run, before, now)
      end
    end
    for _, name in ipairs(call('ZRANGE', P .. ':backfills:open', 0, -1)) do
      local backfill = decode(call('HGET', P .. ':backfills', name))
      if backfill.job_uid == uid then
        backfill.version, backfill.ended_at, backfill.reason = backfill.version + 1, ARGV[2], 'its job was removed'
        call('HSET', P .. ':backfills', name, cjson.encode(backfill))
        call('ZREM', P .. ':backfills:open', name)
        call('ZADD', P .. ':backfills:ended', now, name)
      end
    end
  end
end
return listed(removed)
