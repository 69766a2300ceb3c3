-- KEYS: meta, state.  ARGV: key, number, most keys.
local expires = redis.call('HGET', KEYS[1], 'expires')
if not expires then return 'ended' end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then
  return 'max_keys'
end
local sum = redis.pcall('HINCRBY', KEYS[2], ARGV[1], ARGV[2])
if type(sum) == 'table' then return 'no integer' end
redis.call('PEXPIREAT', KEYS[2], expires)
return redis.call('HGET', KEYS[2], ARGV[1])
