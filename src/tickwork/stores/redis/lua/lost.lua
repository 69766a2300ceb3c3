-- Read the running runs whose lease has ended; and those that some nodes hold, behind them: [run, row].
-- ARGV: the time, how many, nodes.

if is_quiet(tonumber(ARGV[1])) then
  return '[]'
end
local limit = tonumber(ARGV[2])
local lost = call('ZRANGEBYSCORE', P .. ':leases', '-inf', ARGV[1], 'LIMIT', 0, limit)
local dead = {}
for _, node in ipairs(decode(ARGV[3])) do
  dead[node] = true
end
if next(dead) then
  local held = call('ZRANGEBYSCORE', P .. ':leases', '(' .. ARGV[1], '+inf')
  for place, row in ipairs(fields(':open', held)) do
    if #lost < limit and dead[decode(row)[NODE]] then
      lost[#lost + 1] = held[place]
    end
  end
end
for place, row in ipairs(fields(':open', lost)) do
  lost[place] = '["' .. lost[place] .. '",' .. row .. ']'
end
return listed(lost)
