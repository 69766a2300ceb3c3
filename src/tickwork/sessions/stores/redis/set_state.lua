-- KEYS: meta, state.  ARGV: key, value, most keys.
local expires = redis.call('HGET', KEYS[1], 'expires')
if not expires then return 'ended' end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then
  return 'max_keys'
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIREAT', KEYS[2], expires)
return 'kept'
