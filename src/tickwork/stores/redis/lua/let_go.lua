-- Let go of jobs that were taken in hand, as they are.
-- ARGV: uids.

call_with('ZREM', ':in_hand', decode(ARGV[1]))
