-- End a backfill that is at the version that was read, and cancel its active runs. Answers 1; 0 if it has changed;
-- -1 if one of its runs has, and nothing was written.
-- ARGV: id, version that was read, row, when it ended, runs as [id, version, row], who rings.

local refused = refusal()
if refused then
  return refused
end

local text = call('HGET', P .. ':backfills', ARGV[1])
if not text or string.format('%.0f', decode(text).version) ~= ARGV[2] then
  return 0
end
local runs = decode(ARGV[5])
for _, run in ipairs(runs) do
  if not stands(call('HGET', P .. ':open', run[1]), nil, run[2]) then
    return -1
  end
end
call('HSET', P .. ':backfills', ARGV[1], ARGV[3])
call('ZREM', P .. ':backfills:open', ARGV[1])
call('ZADD', P .. ':backfills:ended', ARGV[4], ARGV[1])
cancel(runs)
note_claims()
ring(ARGV[6])
return 1
