-- add_recent_run: adds a run to the list of recent runs, and removes the runs whose streams have expired.
-- KEYS: 1 recent
-- ARGV: 1 stream id, 2 beginning of the prompt, 3 max runs, 4 lifetime in ms
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(removed runs)

redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'id', ARGV[1], 'prompt', ARGV[2])
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%d', now_ms() - ARGV[4]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
