-- Add a backfill. Answers why it was not: 'too many' go on, there is 'no job'; nil when it was added.
-- ARGV: id, row, uid of the job, when it ended ('': it goes on), how many may go on, who rings.

local refused = refusal()
if refused then
  return refused
end

if call('ZCARD', P .. ':backfills:open') >= tonumber(ARGV[5]) then
  return 'too many'
end
if call('HEXISTS', P .. ':jobs', ARGV[3]) == 0 then
  return 'no job'
end
local number = call('INCR', P .. ':backfills:numbers')
call('HSET', P .. ':backfills', ARGV[1], ARGV[2])
call('ZADD', P .. ':backfills:all', number, ARGV[1])
if ARGV[4] == '' then
  call('ZADD', P .. ':backfills:open', number, ARGV[1])
else
  call('ZADD', P .. ':backfills:ended', ARGV[4], ARGV[1])
end
ring(ARGV[6])
return nil
