-- Forget declarations that no node names, if they stand since so long still.
-- ARGV: names, since when at the latest.

for _, name in ipairs(decode(ARGV[1])) do
  local at = call('ZSCORE', P .. ':declarations', name)
  if at and tonumber(at) <= tonumber(ARGV[2]) then
    call('DEL', P .. ':declaration:' .. name)
    call('ZREM', P .. ':declarations', name)
  end
end
