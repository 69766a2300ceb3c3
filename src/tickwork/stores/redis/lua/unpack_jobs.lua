-- Write jobs that are not here yet, as they are; answers whether the note of a move is the one that was given.
-- ARGV: the note; jobs as [uid, id, row, definition, expectation (false: none), fields and values of its state].

if call('GET', P .. ':move') ~= ARGV[1] then
  return 0
end
for _, job in ipairs(decode(ARGV[2])) do
  local uid, id, row, definition, expectation, state = unpack(job)
  if call('HEXISTS', P .. ':jobs', uid) == 0 then
    call('HSET', P .. ':ids', id, uid)
    call('ZADD', P .. ':names', 0, id)
    call('ZADD', P .. ':ledgers', 0, padded(uid))
    call('HSET', P .. ':definitions', uid, definition)
    put_job(uid, row, decode(row))
    if expectation then
      put_expectation(uid, expectation)
    end
    call_with('HSET', ':kept:' .. uid, state)
    touched[uid] = true
  end
end
note_claims()
return 1
