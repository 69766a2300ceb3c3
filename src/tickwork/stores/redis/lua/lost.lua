-- Read the running runs whose lease has ended.
-- ARGV: the time, how many.

if is_quiet(tonumber(ARGV[1])) then
  return {}
end
return call('ZRANGEBYSCORE', P .. ':leases', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
