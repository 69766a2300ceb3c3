-- Write what runs have logged so far, of those that are at this version still.
-- ARGV: [id, version, log], ...

for _, one in ipairs(decode(ARGV[1])) do
  local id, version, log = unpack(one)
  local text = call('HGET', P .. ':open', id) or call('HGET', P .. ':closed', id)
  if text and string.match(text, '^%["%l+_?%l*",(%d+),') == version then
    call('HSET', P .. ':logs', id, log)
  end
end
