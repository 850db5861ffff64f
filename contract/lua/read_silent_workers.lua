-- read_silent_workers: the registered workers that have not announced themselves for some time.
-- KEYS: 1 workers
-- ARGV: 1 lifetime of a registration in ms, 2 silence in ms
-- Returns: their names
-- Errors: those of Redis itself
-- Cost: O(workers)

return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now_ms() + ARGV[1] - ARGV[2]))
