-- KEYS: meta, history, pinned, state, index.  ARGV: id, prefix of the users' indexes.
local user = redis.call('HGET', KEYS[1], 'user')
if not user then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[1])
if user ~= '' then redis.call('ZREM', ARGV[2] .. user, ARGV[1]) end
return 1
