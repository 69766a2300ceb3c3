-- Change the state of a job; answers it as it is then, or nil if nothing was written.
-- ARGV: uid, change; a run that must go on ('': none) and the node at which it does.

local refused = refusal()
if refused then
  return refused
end

local uid, id = ARGV[1], ARGV[3]
if call('HEXISTS', P .. ':jobs', uid) == 0 then
  return nil
end
if id ~= '' then
  local text = call('HGET', P .. ':open', id)
  local run = text and decode(text)
  if not run or run[STATE] ~= 'running' or run[NODE] ~= ARGV[4] then
    return nil
  end
end
if not change_state(uid, decode(ARGV[2])) then
  return nil
end
return call('HGETALL', P .. ':kept:' .. uid)
