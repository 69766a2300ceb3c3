-- Read what the ledger of a job has of some fire times, but for what someone asked for by hand: [fire time, rest of the
-- run's id, state].
-- ARGV: uid, fire times.

local found = {}
for _, fire_time in ipairs(decode(ARGV[2])) do
  for _, rest in ipairs(call('ZRANGEBYSCORE', P .. ':ledger:' .. ARGV[1], fire_time, fire_time)) do
    local id = ARGV[1] .. '-' .. rest
    if not string.find(rest, 'm', 1, true) then
      local row = call('HGET', P .. ':open', id) or call('HGET', P .. ':closed', id)
      found[#found + 1] = '["' .. fire_time .. '","' .. rest .. '","' .. decode(row)[STATE] .. '"]'
    end
  end
end
return listed(found)
