-- KEYS: meta, history, pinned, state, index.  ARGV: id, idle ms, step ms, prefix of the users' indexes.
local meta = redis.call('HMGET', KEYS[1], 'user', 'created', 'seen', 'expires', 'ends', 'messages', 'bytes')
if not meta[1] then return false end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now - meta[3] < tonumber(ARGV[3]) then return meta end
local expires = math.min(now + ARGV[2], tonumber(meta[5]))
meta[3], meta[4] = now, expires
redis.call('HSET', KEYS[1], 'seen', now, 'expires', expires)
for key = 1, 4 do redis.call('PEXPIREAT', KEYS[key], expires) end
local indexes = {KEYS[5]}
if meta[1] ~= '' then indexes[2] = ARGV[4] .. meta[1] end
for _, index in ipairs(indexes) do
  redis.call('ZADD', index, expires, ARGV[1])
  redis.call('PEXPIREAT', index, redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')[2])
end
return meta
