-- Say again what a node has written lately, since the server may have lost it: it was restarted, or another took its
-- place. Whatever stands at a lower version is written. Until all living nodes have done so nothing is fired or
-- claimed, but not for ever.
-- ARGV: by what the server is known, the time, until when the others are waited for at the latest; '1' if the node has
-- seen another server here before; jobs as [uid, row, id, definition or null]; runs as [id, row]; uids of removed jobs;
-- the node, once it has said all.

-- A server whose memory is full does not refuse what removes something, and so nothing of what follows.
local server = call('GET', P .. ':server')
call('SREM', P .. ':asserted', ARGV[8])
if server ~= ARGV[1] then
  call('DEL', P .. ':asserted')
  call('SET', P .. ':server', ARGV[1])
  if server or ARGV[4] == '1' then
    call('SET', P .. ':quiet', ARGV[2] .. ' ' .. ARGV[3])
  end
end

local function version_of(text)
  return tonumber(string.match(text, '^%[(%d+),') or string.match(text, '^%["%l+_?%l*",(%d+),'))
end

for _, uid in ipairs(decode(ARGV[7])) do
  local text = call('HGET', P .. ':jobs', uid)
  if text then
    local job = decode(text)
    forget_job(uid, job)
    call('ZADD', P .. ':removed:' .. job[OF_ID], ARGV[2], uid)
    call('ZADD', P .. ':removals', ARGV[2], uid)
    call('HSET', P .. ':removed', uid, job[OF_ID])
    for _, run in ipairs(active_of(uid)) do
      local before = call('HGET', P .. ':open', run)
      if string.find(before, '^%["pending"') then
        cancel_orphan(run, before, tonumber(ARGV[2]))
      end
    end
  end
end

for _, job in ipairs(decode(ARGV[5])) do
  local uid, row, id, definition = unpack(job)
  local before = call('HGET', P .. ':jobs', uid)
  if before and version_of(before) < version_of(row) then
    take_out_job(uid, decode(before))
    put_job(uid, row, decode(row))
    if definition ~= null then
      call('HSET', P .. ':definitions', uid, definition)
    end
    touched[uid] = true
  elseif definition ~= null and call('HEXISTS', P .. ':ids', id) == 0
    and call('HEXISTS', P .. ':removed', uid) == 0 then
    call('HSET', P .. ':ids', id, uid)
    call('ZADD', P .. ':names', 0, id)
    call('ZADD', P .. ':ledgers', 0, padded(uid))
    call('HSET', P .. ':definitions', uid, definition)
    put_job(uid, row, decode(row))
  end
end

for _, run in ipairs(decode(ARGV[6])) do
  local id, row = unpack(run)
  local before = call('HGET', P .. ':open', id)
  if before then
    if version_of(before) < version_of(row) then
      move(id, before, row)
    end
  else
    bear({id}, {row})
  end
  if call('HEXISTS', P .. ':jobs', uid_of(id)) == 0 then
    local after = call('HGET', P .. ':open', id)
    if after and string.find(after, '^%["pending"') then
      cancel_orphan(id, after, tonumber(ARGV[2]))
    end
  end
end

note_claims()
if ARGV[8] ~= '' and call('EXISTS', P .. ':quiet') == 1 then
  call('SADD', P .. ':asserted', ARGV[8])
end
