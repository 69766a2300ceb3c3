-- Write which jobs a version of the code declares.
-- ARGV: its name, the time, ids.

call('ZADD', P .. ':declarations', ARGV[2], ARGV[1])
call_with('SADD', ':declaration:' .. ARGV[1], decode(ARGV[3]))
