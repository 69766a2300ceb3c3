-- Write that jobs succeeded; answers what was overdue of them, as it was.
-- ARGV: [uid, by when it is to succeed again (null: no more), when it succeeded], ...

local overdue = {}
for _, success in ipairs(decode(ARGV[1])) do
  local uid, by, at = success[1], success[2], success[3]
  local text = call('HGET', P .. ':expectations', uid)
  if text then
    local one = decode(text)
    if one[OVERDUE_AT] ~= null then
      overdue[#overdue + 1] = told(uid, text)
    end
    by = (by == null or one[EXPECT_BY] == null) and null or math.max(by, one[EXPECT_BY])
    at = one[SUCCEEDED_AT] == null and at or math.max(at, one[SUCCEEDED_AT])
    put_expectation(uid, {by, at, null, null})
  end
end
return listed(overdue)
