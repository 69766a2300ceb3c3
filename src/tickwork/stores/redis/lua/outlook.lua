-- Read the first instants after these, of each kind: fire, claim, lapse, expire, expect; and the server's time.
-- ARGV: executors, after which fire time, after which other instant.

local function first(key, after)
  return call('ZRANGEBYSCORE', P .. key, '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
end

local fire_at
for _, executor in ipairs(decode(ARGV[1])) do
  local at = first(':due:' .. executor, ARGV[2])
  if at and (fire_at == nil or tonumber(at) < tonumber(fire_at)) then
    fire_at = at
  end
end
local now = ARGV[3]
return {
  fire_at or false, first(':pending', now) or false, first(':leases', now) or false, first(':expiring', now) or false,
  first(':expected', now) or false, {call('TIME')},
}
