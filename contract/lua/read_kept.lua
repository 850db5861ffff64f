-- read_kept: what Redis keeps of a run, for the account of its caller.
-- KEYS: 1 meta
-- ARGV: none
-- Returns: {status ('' if the run does not exist), bytes ('' if they are not counted), lifetime in ms}
-- Errors: those of Redis itself
-- Cost: O(1)

local status, bytes = unpack(redis.call('HMGET', KEYS[1], 'status', 'bytes'))
return { status or '', bytes or '', math.max(1, redis.call('PTTL', KEYS[1])) }
