-- KEYS: the user's index, index.  ARGV: id to spare or '', prefix of sessions.
local ended = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if id ~= ARGV[1] then
    local key = ARGV[2] .. id
    ended = ended + redis.call('DEL', key)
    redis.call('DEL', key .. ':history', key .. ':pinned', key .. ':state')
    redis.call('ZREM', KEYS[1], id)
    redis.call('ZREM', KEYS[2], id)
  end
end
return ended
