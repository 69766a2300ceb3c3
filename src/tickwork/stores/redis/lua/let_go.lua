-- Let go of jobs that were taken in hand, as they are.
-- ARGV: uids.

call_with({'ZREM', P .. ':in_hand'}, decode(ARGV[1]))
