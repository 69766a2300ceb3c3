-- KEYS: meta, history, pinned.  ARGV: from which message of the history on.
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
return {redis.call('LRANGE', KEYS[3], 0, -1), redis.call('LRANGE', KEYS[2], ARGV[1], -1)}
