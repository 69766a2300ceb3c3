-- Read what belongs to jobs besides them: the row of its expectation, or false, and its state, of each.
-- ARGV: uids.

local found = {}
for place, uid in ipairs(decode(ARGV[1])) do
  found[place] = {call('HGET', P .. ':expectations', uid), call('HGETALL', P .. ':kept:' .. uid)}
end
return found
