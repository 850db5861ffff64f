-- open_line: creates the group of workers of a partition, if it is missing.
-- KEYS: 1 jobs
-- ARGV: none
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(workers)

if redis.pcall('XPENDING', KEYS[1], 'workers').err then
  redis.call('XGROUP', 'CREATE', KEYS[1], 'workers', '0', 'MKSTREAM')
end
