-- Write runs that are not here yet, as they are; answers whether the note of a move is the one that was given.
-- ARGV: the note; runs as [id, number, row, log (false: none)].

if call('GET', P .. ':move') ~= ARGV[1] then
  return 0
end
local runs, ids = decode(ARGV[2]), {}
for place, run in ipairs(runs) do
  ids[place] = run[1]
end
local known_places, last = known(ids), tonumber(call('GET', P .. ':numbers') or '0')
for place, one in ipairs(runs) do
  local id, number, text, kept = unpack(one)
  if not known_places[place] then
    local uid, rest, fire_time = string.match(id, '^(%x+)%-((%-?%d+).*)$')
    local run = decode(text)
    call('ZADD', P .. ':ledger:' .. uid, fire_time, rest)
    call('ZADD', P .. ':ledgers', 0, padded(uid))
    call('ZADD', P .. ':ledger', number, id)
    if is_open(run[STATE]) then
      call('HSET', P .. ':open', id, text)
      call('ZADD', P .. ':active', 0, id)
      if run[BACKFILL] ~= null then
        call('ZADD', P .. ':backfilling:' .. uid, number, id)
      end
      put_in(id, uid, run)
      touched[uid] = true
    else
      put_closed(id, run, text)
    end
    if kept then
      call('HSET', P .. ':logs', id, kept)
    end
  end
  last = math.max(last, number)
end
call('SET', P .. ':numbers', string.format('%.0f', last))
note_claims()
return 1
