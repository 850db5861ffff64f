-- leave: notes that the caller of a run has left. `renew` stops the run after some time, unless somebody watches it then.
-- KEYS: 1 meta
-- ARGV: 1 time in ms
-- Returns: ok; gone if the stream has ended or expired
-- Errors: those of Redis itself
-- Cost: O(1)

local status = redis.call('HGET', KEYS[1], 'status')
if status ~= 'queued' and status ~= 'running' then return 'gone' end
redis.call('HSET', KEYS[1], 'abandon_ms', string.format('%d', now_ms() + ARGV[1]))
return 'ok'
