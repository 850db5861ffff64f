-- revoke: makes all tickets of a stream void that were given out so far, and has gateways send away who watches.
-- KEYS: 1 meta, 2 live channel
-- ARGV: none
-- Returns: how often that was done by now; false where there is no such stream
-- Errors: those of Redis itself
-- Cost: O(1)

if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local revoked = redis.call('HINCRBY', KEYS[1], 'revoked', 1)
redis.call('PUBLISH', KEYS[2], '!\nrevoked ' .. revoked)
return revoked
