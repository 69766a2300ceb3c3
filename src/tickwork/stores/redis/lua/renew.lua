-- Extend the leases of runs that go on at the version that was read; answers their places as JSON.
-- ARGV: ids, versions that were read, rows as lines, the end of the leases.

local ids, versions, rows = decode(ARGV[1]), decode(ARGV[2]), lines(ARGV[3])
local won, renewed, open, leases = {}, {}, {}, {}
for place, before in ipairs(fields(':open', ids)) do
  if stands(before, 'running', versions[place]) then
    won[#won + 1], renewed[#renewed + 1] = place, ids[place]
    open[#open + 1], open[#open + 2] = ids[place], rows[place]
    leases[#leases + 1], leases[#leases + 2] = ARGV[4], ids[place]
  end
end
call_with('ZREM', ':leases', renewed)  -- first, since a server whose memory is full does not refuse it, and so the rest
call_with('HSET', ':open', open)
call_with('ZADD', ':leases', leases)
return listed(won)
