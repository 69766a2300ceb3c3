-- Count what is alive: jobs, paused jobs, pending and running runs; the first fire time, since when a run waits.

local fire_at
for _, executor in ipairs(call('SMEMBERS', P .. ':executors')) do
  local at = call('ZRANGE', P .. ':due:' .. executor, 0, 0, 'WITHSCORES')[2]
  if at and (fire_at == nil or tonumber(at) < tonumber(fire_at)) then
    fire_at = at
  end
end
local pending = call('ZCARD', P .. ':pending')
return {
  call('HLEN', P .. ':jobs'), call('SCARD', P .. ':paused'), pending, call('HLEN', P .. ':open') - pending,
  fire_at or false, call('ZRANGE', P .. ':pending', 0, 0, 'WITHSCORES')[2] or false,
}
