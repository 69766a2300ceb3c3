-- Note a move, if what is noted is what was read ('': nothing); answers whether it was.
-- ARGV: what was read, what is noted from now on ('': nothing), who rings.

if (call('GET', P .. ':move') or '') ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  call('DEL', P .. ':move')
else
  call('SET', P .. ':move', ARGV[2])
end
ring(ARGV[3])
return 1
