-- KEYS: meta, history, pinned.  ARGV: 'pinned', 'begins' or 'continues'; body; most messages; most bytes.
-- An entry is '<number> <turn> <body>'; a turn is named after its first message.
local meta = redis.call('HMGET', KEYS[1], 'seq', 'turn', 'messages', 'bytes', 'expires')
if not meta[1] then return 'ended' end
local number, turn = meta[1] + 1, tonumber(meta[2])
local messages, bytes = meta[3] + 1, meta[4] + #ARGV[2]
if ARGV[1] == 'begins' or (ARGV[1] == 'continues' and turn == 0) then turn = number end

local trimmed = 0
while messages > tonumber(ARGV[3]) or bytes > tonumber(ARGV[4]) do
  local oldest
  repeat  -- one turn, to its end
    local entry = redis.call('LINDEX', KEYS[2], trimmed)
    local head, its_turn = string.match(entry or '', '^(%d+ (%d+) )')
    if oldest and its_turn ~= oldest then break end
    if not its_turn or tonumber(its_turn) == turn then
      return messages > tonumber(ARGV[3]) and 'max_messages' or 'max_bytes'
    end
    oldest, trimmed = its_turn, trimmed + 1
    messages, bytes = messages - 1, bytes - (#entry - #head)
  until false
end
if trimmed > 0 then redis.call('LTRIM', KEYS[2], trimmed, -1) end

local key = ARGV[1] == 'pinned' and KEYS[3] or KEYS[2]
redis.call('RPUSH', key, string.format('%d %d ', number, turn) .. ARGV[2])
redis.call('PEXPIREAT', key, meta[5])
redis.call('HSET', KEYS[1], 'seq', number, 'turn', turn, 'messages', messages, 'bytes', bytes)
return number
