-- revoke: revokes all tickets of a stream, and makes gateways disconnect its viewers.
-- KEYS: 1 meta
-- ARGV: 1 live channel
-- Returns: how often tickets were revoked; false if the stream does not exist
-- Errors: those of Redis itself
-- Cost: O(1)

local live = ARGV[1]
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local revoked = redis.call('HINCRBY', KEYS[1], 'revoked', 1)
redis.call('PUBLISH', live, '!\nrevoked ' .. revoked)
return revoked
