-- Read what is expected of jobs: [uid, id of the job, row].
-- ARGV: uids.

local uids = decode(ARGV[1])
local found = {}
for place, text in ipairs(fields(':expectations', uids)) do
  if text then
    found[#found + 1] = told(uids[place], text)
  end
end
return listed(found)
