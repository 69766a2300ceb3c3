-- Move a backfill on, with the runs born for it, if it and its job are at the versions that were read; answers whether
-- they were.
-- ARGV: id, version that was read, row, when it ended ('': it goes on), uid and version of its job, runs as [id, row].

if is_away() then
  return 0
end
local text, job = call('HGET', P .. ':backfills', ARGV[1]), call('HGET', P .. ':jobs', ARGV[5])
if not text or string.format('%.0f', decode(text).version) ~= ARGV[2] then
  return 0
end
if not job or string.match(job, '^%[(%d+),') ~= ARGV[6] then
  return 0
end
call('HSET', P .. ':backfills', ARGV[1], ARGV[3])
if ARGV[4] ~= '' then
  call('ZREM', P .. ':backfills:open', ARGV[1])
  call('ZADD', P .. ':backfills:ended', ARGV[4], ARGV[1])
end
local ids, rows = {}, {}
for place, run in ipairs(decode(ARGV[7])) do
  ids[place], rows[place] = run[1], run[2]
end
bear(ids, rows)
note_claims()
return 1
