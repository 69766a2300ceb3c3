-- Write what is not here yet besides jobs and runs; answers whether the note of a move is the one that was given.
-- ARGV: the note; backfills as [id, row, when it ended (false: it goes on)]; notes of ledgers as [uid, id, when the job was
-- removed, up to where rows are missing] (false: it was not, none are); nodes as [stretch, row, when it was heard of, the
-- end of its lease (false: it has stopped)]; declarations as [name, ids]; the time.

if call('GET', P .. ':move') ~= ARGV[1] then
  return 0
end
for _, one in ipairs(decode(ARGV[2])) do
  local id, row, ended_at = unpack(one)
  if call('HSETNX', P .. ':backfills', id, row) == 1 then
    local number = call('INCR', P .. ':backfills:numbers')
    call('ZADD', P .. ':backfills:all', number, id)
    if ended_at then
      call('ZADD', P .. ':backfills:ended', ended_at, id)
    else
      call('ZADD', P .. ':backfills:open', number, id)
    end
  end
end
for _, one in ipairs(decode(ARGV[3])) do
  local uid, id, removed_at, pruned_through = unpack(one)
  if removed_at then
    call('ZADD', P .. ':removed:' .. id, 'NX', removed_at, uid)
    call('ZADD', P .. ':removals', 'NX', removed_at, uid)
    call('HSETNX', P .. ':removed', uid, id)
  end
  if pruned_through then
    call('HSETNX', P .. ':pruned', uid, string.format('%.0f', pruned_through))
  end
end
for _, one in ipairs(decode(ARGV[4])) do
  local stretch, row, seen_at, lease_until = unpack(one)
  if call('HSETNX', P .. ':nodes', stretch, row) == 1 then
    call('ZADD', P .. ':nodes:seen', seen_at, stretch)
    if lease_until then
      call('ZADD', P .. ':nodes:alive', lease_until, stretch)
    end
  end
end
for _, one in ipairs(decode(ARGV[5])) do
  local name, ids = unpack(one)
  call('ZADD', P .. ':declarations', 'NX', ARGV[6], name)
  call_with('SADD', ':declaration:' .. name, ids)
end
return 1
