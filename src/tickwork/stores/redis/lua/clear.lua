-- Delete some keys; answers whether the note of a move is the one that was given.
-- ARGV: the note, the keys.

if call('GET', P .. ':move') ~= ARGV[1] then
  return 0
end
for _, key in ipairs(decode(ARGV[2])) do
  call('UNLINK', key)
end
return 1
