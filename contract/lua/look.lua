-- look: whether a partition has jobs that a worker could take.
-- KEYS: 1 jobs
-- ARGV: 1 idle time in ms after which a lease is over
-- Returns: {how many jobs nobody has taken, 1 if a lease is over else 0}
-- Errors: NOGROUP where the group is gone; those of Redis itself
-- Cost: O(pending jobs)

local waiting = redis.call('XLEN', KEYS[1])
local pending = redis.call('XPENDING', KEYS[1], 'workers')[1]
local is_over = pending > 0 and redis.call('XPENDING', KEYS[1], 'workers', 'IDLE', ARGV[1], '-', '+', 1)[1]
return { waiting - pending, is_over and 1 or 0 }
