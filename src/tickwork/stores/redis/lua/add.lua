-- Add all of these jobs, or none. Answers the first id that is taken; '' for a uid that is; nil when all were added.
-- ARGV: jobs as [uid, id, row, definition, by when it is to succeed (false: never)], who rings.

local refused = refusal()
if refused then
  return refused
end

local jobs = decode(ARGV[1])
local uids, ids, names, rows, definitions, ledgers = {}, {}, {}, {}, {}, {}
local new, seen, again = {}, {}, false
for place, job in ipairs(jobs) do
  uids[place], names[place] = job[1], job[2]
  again = again or new[job[1]]
  new[job[1]] = true
end
local taken_names, taken_uids = fields(':ids', names), fields(':jobs', uids)
for place, id in ipairs(names) do
  if seen[id] or (taken_names[place] and not new[taken_names[place]]) then
    return id
  end
  again = again or taken_uids[place]
  seen[id] = true
end
if again then
  return ''
end

local due, sorted = {}, {}
for place, job in ipairs(jobs) do
  local uid, id, text, definition, expect_by = unpack(job)
  local row = decode(text)
  ids[2 * place - 1], ids[2 * place] = id, uid
  rows[2 * place - 1], rows[2 * place] = uid, text
  definitions[2 * place - 1], definitions[2 * place] = uid, definition
  sorted[2 * place - 1], sorted[2 * place] = 0, id
  ledgers[2 * place - 1], ledgers[2 * place] = 0, padded(uid)
  local of_executor = due[row[OF_EXECUTOR]] or {}
  due[row[OF_EXECUTOR]] = of_executor
  if row[OF_PAUSED_AT] == null and row[OF_NEXT] ~= null then
    of_executor[#of_executor + 1], of_executor[#of_executor + 2] = row[OF_NEXT], uid
  end
  if row[OF_PAUSED_AT] ~= null or row[OF_APP] ~= null then
    list_job(uid, row)
  end
  if expect_by then
    expect(uid, expect_by)
  end
end
call_with('HSET', ':ids', ids)
call_with('ZADD', ':names', sorted)
call_with('HSET', ':jobs', rows)
call_with('HSET', ':definitions', definitions)
call_with('ZADD', ':ledgers', ledgers)
for executor, of_executor in pairs(due) do
  call('SADD', P .. ':executors', executor)
  call_with('ZADD', ':due:' .. executor, of_executor)
end
ring(ARGV[2])
return nil
