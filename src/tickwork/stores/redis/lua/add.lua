-- Add all of these jobs, or none. Answers the first id that is taken; '' for a uid that is; nil when all were added.
-- ARGV: jobs as [uid, id, row, definition, by when it is to succeed (false: never)], who rings.

local jobs = decode(ARGV[1])
local new = {}
for _, job in ipairs(jobs) do
  local uid, id = job[1], job[2]
  if new[id] or call('HEXISTS', P .. ':ids', id) == 1 then
    return id
  end
  if call('HEXISTS', P .. ':jobs', uid) == 1 then
    return ''
  end
  new[id] = true
end

local ids, names, definitions, ledgers = {}, {}, {}, {}
for _, job in ipairs(jobs) do
  local uid, id, row, definition, expect_by = unpack(job)
  ids[#ids + 1], ids[#ids + 2] = id, uid
  names[#names + 1], names[#names + 2] = 0, id
  definitions[#definitions + 1], definitions[#definitions + 2] = uid, definition
  ledgers[#ledgers + 1], ledgers[#ledgers + 2] = 0, padded(uid)
  put_job(uid, row, decode(row))
  if expect_by then
    expect(uid, expect_by)
  end
end
call_with('HSET', ':ids', ids)
call_with('ZADD', ':names', names)
call_with('HSET', ':definitions', definitions)
call_with('ZADD', ':ledgers', ledgers)
ring(ARGV[2])
return nil
