-- Read what comes due first: fire times by executor, claim, lapse, expire, expect; whether a backfill goes on and the
-- node has to end a run; and the server's time.
-- ARGV: executors, the node.

local function first(key)
  return call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')[2] or false
end

local fire_at = {}
for place, executor in ipairs(decode(ARGV[1])) do
  fire_at[place] = first(':due:' .. executor)
end
return {
  fire_at, first(':pending'), first(':leases'), first(':expiring'), first(':expected'),
  call('EXISTS', P .. ':backfills:open'), call('EXISTS', P .. ':cancelling:' .. ARGV[2]), call('TIME'),
}
