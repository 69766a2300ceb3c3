-- Add a backfill, if its job is there; answers whether it is.
-- ARGV: id, row, uid of the job, when it ended ('': it goes on), who rings.

if call('HEXISTS', P .. ':jobs', ARGV[3]) == 0 then
  return 0
end
local number = call('INCR', P .. ':backfills:numbers')
call('HSET', P .. ':backfills', ARGV[1], ARGV[2])
call('ZADD', P .. ':backfills:all', number, ARGV[1])
if ARGV[4] == '' then
  call('ZADD', P .. ':backfills:open', number, ARGV[1])
else
  call('ZADD', P .. ':backfills:ended', ARGV[4], ARGV[1])
end
ring(ARGV[5])
return 1
