-- Mark jobs as overdue whose time has come, the longest overdue first; answers them.
-- ARGV: the time, who tells of it, how many.

local refused = refusal()
if refused then
  return refused
end

local found = {}
for _, uid in ipairs(call('ZRANGEBYSCORE', P .. ':expected', '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  local one = decode(call('HGET', P .. ':expectations', uid))
  one[OVERDUE_AT], one[TOLD_BY] = tonumber(ARGV[1]), ARGV[2]
  put_expectation(uid, one)
  found[#found + 1] = told(uid, written(one))
end
return listed(found)
