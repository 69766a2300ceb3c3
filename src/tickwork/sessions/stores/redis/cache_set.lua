-- KEYS: value, lease.  ARGV: value, its time to live in ms.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
return 1
