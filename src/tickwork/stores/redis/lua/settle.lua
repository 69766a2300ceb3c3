-- Write how runs ended (or are given back) that run at the version that was read; answers their places as JSON, and a glance.
-- ARGV: ids, versions that were read; rows, as lines; whether each succeeds and nobody had asked it to end; next
-- attempts as [place, id, row]; logs as [place, log]; changes of states as [place, uid, change]; the time; who rings;
-- executors and node, for the glance.

local ids, versions, rows, plain = decode(ARGV[1]), decode(ARGV[2]), lines(ARGV[3]), decode(ARGV[4])
local changes = {}
for _, one in ipairs(decode(ARGV[7])) do
  changes[one[1]] = one
end

-- A job that was removed has no state that could forbid anything.
local function is_allowed(place)
  local change = changes[place]
  return not change or call('HEXISTS', P .. ':jobs', change[2]) == 0 or change_state(change[2], change[3])
end

local won, has_won, ended, closed, released = {}, {}, {}, {}, {}
local seen = {}
for place, before in ipairs(fields(':open', ids)) do
  local id, text = ids[place], rows[place]
  if not seen[id] and stands(before, 'running', versions[place]) and is_allowed(place) then
    seen[id], has_won[place], won[#won + 1] = true, true, place
    if plain[place] == 1 then
      ended[#ended + 1], closed[#closed + 1], closed[#closed + 2] = id, id, text
    else
      move(id, before, text)
      if string.find(text, '^%["pending"') then
        released[#released + 1] = place
      end
    end
  end
end
call_with('HDEL', ':open', ended)  -- first, since a server whose memory is full does not refuse it, and so the rest
call_with('HSET', ':closed', closed)
call_with('ZREM', ':active', ended)
call_with('ZREM', ':leases', ended)

for _, place in ipairs(released) do
  if call('HEXISTS', P .. ':jobs', uid_of(ids[place])) == 0 then
    cancel_orphan(ids[place], rows[place], tonumber(ARGV[8]))
  end
end
for _, one in ipairs(decode(ARGV[5])) do
  local place, id, text = unpack(one)
  if has_won[place] and call('HEXISTS', P .. ':jobs', uid_of(id)) == 1 then
    bear({id}, {text})
  end
end
for _, one in ipairs(decode(ARGV[6])) do
  if has_won[one[1]] then
    call('HSET', P .. ':logs', ids[one[1]], one[2])
  end
end
if call('EXISTS', P .. ':pending') == 1 then
  for _, id in ipairs(ended) do
    touched[uid_of(id)] = true
  end
  note_claims()
end
if #released > 0 then
  ring(ARGV[9])
end
return {listed(won), glance(ARGV[10], ARGV[11])}
