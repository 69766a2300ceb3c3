-- Forget jobs that were removed before that and of which no row is left, backfills that ended and nodes that were last
-- heard of before that; and of nodes the earliest beyond so many.
-- ARGV: before when, the time, how many nodes are remembered, how many of each go at once.

local moving = move_state()
if moving and moving ~= 'arrived' then
  return
end

local before, now, most, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
for _, uid in ipairs(call('ZRANGEBYSCORE', P .. ':removals', '-inf', '(' .. before, 'LIMIT', 0, limit)) do
  if call('EXISTS', P .. ':ledger:' .. uid) == 0 then
    call('ZREM', P .. ':removals', uid)
    call('ZREM', P .. ':removed:' .. call('HGET', P .. ':removed', uid), uid)
    call('HDEL', P .. ':removed', uid)
    call('HDEL', P .. ':pruned', uid)
  end
end
for _, name in ipairs(call('ZRANGEBYSCORE', P .. ':backfills:ended', '-inf', '(' .. before, 'LIMIT', 0, limit)) do
  call('HDEL', P .. ':backfills', name)
  call('ZREM', P .. ':backfills:all', name)
  call('ZREM', P .. ':backfills:ended', name)
end

local too_many = call('ZCARD', P .. ':nodes:seen') - most
local names = call('ZRANGE', P .. ':nodes:seen', 0, limit - 1, 'WITHSCORES')
for place = 1, #names, 2 do
  local name, seen_at = names[place], tonumber(names[place + 1])
  local old = seen_at < tonumber(before)
  if (old or too_many > 0) and decode(call('HGET', P .. ':nodes', name)).lease_until <= now then
    call('HDEL', P .. ':nodes', name)
    call('ZREM', P .. ':nodes:seen', name)
    call('ZREM', P .. ':nodes:alive', name)
  end
  too_many = too_many - 1
end
