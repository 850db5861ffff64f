-- add_recent_run: puts a run at the head of the list of the latest ones, and forgets those that have outlived their streams.
-- KEYS: 1 recent
-- ARGV: 1 stream id, 2 beginning of what was asked, 3 most runs, 4 lifetime in ms
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(runs forgotten)

redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'id', ARGV[1], 'prompt', ARGV[2])
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%d', now_ms() - ARGV[4]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
