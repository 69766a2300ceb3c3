-- Cancel runs that are open at the version that was read: what waits is closed, what runs is asked to end.
-- Answers their places.
-- ARGV: runs as [id, version, row], who rings.

local refused = refusal()
if refused then
  return refused
end

local won = cancel(decode(ARGV[1]))
note_claims()
if #won > 0 then
  ring(ARGV[2])
end
return won
