-- KEYS: meta, history, pinned, state; the same of the new id; index.
-- ARGV: id, new id, user or '' to rotate alone, idle ms, absolute ms, prefix of the users' indexes.
local meta = redis.call('HMGET', KEYS[1], 'user', 'created', 'seen', 'expires', 'ends', 'messages', 'bytes')
if not meta[1] then return 'ended' end
local old_user, user = meta[1], meta[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[3] ~= '' then
  if old_user ~= '' and old_user ~= ARGV[3] then return 'of another user' end
  user, meta[1], meta[2], meta[5] = ARGV[3], ARGV[3], now, now + ARGV[5]
end
local expires = math.min(now + ARGV[4], tonumber(meta[5]))
meta[3], meta[4] = now, expires
for key = 1, 4 do
  if redis.call('EXISTS', KEYS[key]) == 1 then redis.call('RENAME', KEYS[key], KEYS[key + 4]) end
  redis.call('PEXPIREAT', KEYS[key + 4], expires)
end
redis.call('HSET', KEYS[5], 'user', user, 'created', meta[2], 'seen', now, 'expires', expires, 'ends', meta[5])
redis.call('ZREM', KEYS[9], ARGV[1])
if old_user ~= '' then redis.call('ZREM', ARGV[6] .. old_user, ARGV[1]) end
local indexes = {KEYS[9]}
if user ~= '' then indexes[2] = ARGV[6] .. user end
for _, index in ipairs(indexes) do
  redis.call('ZADD', index, expires, ARGV[2])
  redis.call('PEXPIREAT', index, redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')[2])
end
return meta
