-- KEYS: value, lease.  ARGV: owner, lease in ms.  The value or false, and what another's lease has left or false.
local value = redis.call('GET', KEYS[1])
if value then return {value, false} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {false, false} end
return {false, redis.call('PTTL', KEYS[2])}
