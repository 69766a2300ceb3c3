-- KEYS: meta, index.  ARGV: id, user or '', idle ms, absolute ms, prefix of the users' indexes.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = now + ARGV[4]
local expires = math.min(now + ARGV[3], ends)
redis.call('HSET', KEYS[1], 'user', ARGV[2], 'created', now, 'seen', now, 'expires', expires, 'ends', ends,
  'seq', 0, 'turn', 0, 'messages', 0, 'bytes', 0)
redis.call('PEXPIREAT', KEYS[1], expires)
local indexes = {KEYS[2]}
if ARGV[2] ~= '' then indexes[2] = ARGV[5] .. ARGV[2] end
for _, index in ipairs(indexes) do
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
  redis.call('ZADD', index, expires, ARGV[1])
  redis.call('PEXPIREAT', index, redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')[2])
end
return {ARGV[2], now, now, expires, ends, 0, 0}
