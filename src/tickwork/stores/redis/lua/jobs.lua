-- Read jobs with their definitions, by ids or by uids: [uid, row, definition].
-- ARGV: ids, uids.

local uids = decode(ARGV[2])
for _, uid in ipairs(fields(':ids', decode(ARGV[1]))) do
  if uid then
    uids[#uids + 1] = uid
  end
end
local rows, definitions = fields(':jobs', uids), fields(':definitions', uids)
local found = {}
for place, uid in ipairs(uids) do
  if rows[place] then
    found[#found + 1] = '["' .. uid .. '",' .. rows[place] .. ',' .. cjson.encode(definitions[place]) .. ']'
  end
end
return listed(found)
