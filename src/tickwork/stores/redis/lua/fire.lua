-- Advance due jobs that are still at the version that was read, and give birth to their runs.
-- Answers the places of the jobs that were not, and of the runs that were born before; and a glance.
-- ARGV: executor; uids, versions that were read, next fire times; rows of the jobs, as lines; ids of the runs, to which
-- job each belongs, ends of leases; rows of the runs, as lines; runs to cancel, as [job, id, version, row]; who rings;
-- the time; executors and node, for the glance.

local uids, versions, nexts, rows = decode(ARGV[2]), decode(ARGV[3]), decode(ARGV[4]), lines(ARGV[5])
local ids, owners, leases, texts = decode(ARGV[6]), decode(ARGV[7]), decode(ARGV[8]), lines(ARGV[9])
local due = ':due:' .. ARGV[1]

local lost, lost_places, jobs, advanced, ended = {}, {}, {}, {}, {}
local quiet = is_away() or is_quiet(tonumber(ARGV[12]))
for place, before in ipairs(fields(':jobs', uids)) do
  if not quiet and before and string.match(before, '^%[(%d+),') == versions[place] then
    local uid, next_fire_time = uids[place], nexts[place]
    jobs[#jobs + 1], jobs[#jobs + 2] = uid, rows[place]
    if next_fire_time == null then
      ended[#ended + 1] = uid
    else
      advanced[#advanced + 1], advanced[#advanced + 2] = next_fire_time, uid
    end
  else
    lost[place], lost_places[#lost_places + 1] = true, place
  end
end
call_with('HSET', ':jobs', jobs)  -- first, since a server whose memory is full refuses it, and the whole script with it
call_with('ZADD', due, advanced)
call_with('ZREM', due, ended)
call_with('ZREM', ':in_hand', uids)

local make_way = {}
for _, one in ipairs(decode(ARGV[10])) do
  if not lost[one[1]] then
    make_way[#make_way + 1] = {one[2], one[3], one[4]}
  end
end
cancel(make_way)

local new_ids, new_rows, new_leases, places = {}, {}, {}, {}
for place, id in ipairs(ids) do
  if not lost[owners[place]] then
    local last = #places + 1
    places[last], new_ids[last], new_rows[last], new_leases[last] = place, id, texts[place], leases[place]
  end
end
local known_places = {}
for number, born_before in ipairs(bear(new_ids, new_rows, new_leases)) do
  known_places[number] = places[born_before]
end
if #make_way > 0 or call('EXISTS', P .. ':pending') == 1 then  -- what made way may have been the last that waited
  note_claims()
end
if #lost_places < #uids then
  ring(ARGV[11])
end
return {lost_places, known_places, glance(ARGV[13], ARGV[14])}
