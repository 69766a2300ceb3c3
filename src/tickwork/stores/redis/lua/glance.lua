-- Read what comes due first.
-- ARGV: executors, the node.

return {glance(ARGV[1], ARGV[2])}
