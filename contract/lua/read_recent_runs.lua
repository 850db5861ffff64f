-- read_recent_runs: the latest runs of a partition.
-- KEYS: 1 recent
-- ARGV: 1 max runs
-- Returns: {{entry, {field, value, ...}}, ...}, the newest first
-- Errors: those of Redis itself
-- Cost: O(max runs)

return redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1])
