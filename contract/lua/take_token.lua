-- take_token: takes the token of one request from an evenly refilling bucket. A full bucket's key expires.
-- KEYS: 1 bucket
-- ARGV: 1 size of the bucket, 2 ms to fill it from empty
-- Returns: {1 if a token was taken else 0, tokens left, ms until the next token (0: now), ms until the bucket is full}
-- Errors: those of Redis itself
-- Cost: O(1)

local size, full_ms, now = tonumber(ARGV[1]), tonumber(ARGV[2]), now_ms()
local state = redis.call('HMGET', KEYS[1], 'left', 'at_ms')
local left = size
-- If Redis's clock was set back, no tokens are added until it has caught up, and none are removed.
if state[1] then left = math.min(size, state[1] + math.max(0, now - state[2]) * size / full_ms) end
local taken = left >= 1
if taken then left = left - 1 end
local until_full = math.ceil((size - left) * full_ms / size)
redis.call('HSET', KEYS[1], 'left', string.format('%.6f', left), 'at_ms', string.format('%d', now))
redis.call('PEXPIRE', KEYS[1], math.max(1, until_full))
return { taken and 1 or 0, math.floor(left), left >= 1 and 0 or math.ceil((1 - left) * full_ms / size), until_full }
