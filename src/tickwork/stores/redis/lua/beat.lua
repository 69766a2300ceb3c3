-- Write that a node was heard of; answers what the nodes declare that are alive now.
-- ARGV: the name of its stretch, row, when it was heard of, the end of its lease, '1' unless it has stopped, the time.

call('HSET', P .. ':nodes', ARGV[1], ARGV[2])
call('ZADD', P .. ':nodes:seen', ARGV[3], ARGV[1])
if ARGV[5] == '1' then
  call('ZADD', P .. ':nodes:alive', ARGV[4], ARGV[1])
else
  call('ZREM', P .. ':nodes:alive', ARGV[1])
end
if call('EXISTS', P .. ':quiet') == 1 then  -- it has said all it knows, or it is new and knows nothing
  call('SADD', P .. ':asserted', decode(ARGV[2]).id)
end

local living = {}
for place, row in ipairs(fields(':nodes', call('ZRANGEBYSCORE', P .. ':nodes:alive', '(' .. ARGV[6], '+inf'))) do
  living[place] = decode(row).declaration
end
return living
