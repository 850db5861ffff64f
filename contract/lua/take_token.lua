-- take_token: one request out of a bucket that fills up evenly. No sooner than the bucket is full again, it is forgotten.
-- KEYS: 1 bucket
-- ARGV: 1 how many it holds, 2 in how many ms it fills up from empty
-- Returns: {1 or 0: taken or not, how many are left, ms until one is there (0: now), ms until it is full}
-- Errors: those of Redis itself
-- Cost: O(1)

local size, full_ms, now = tonumber(ARGV[1]), tonumber(ARGV[2]), now_ms()
local state = redis.call('HMGET', KEYS[1], 'left', 'at_ms')
local left = size
-- Where Redis's clock was set back, nothing comes in until it has caught up, and nothing is taken out either.
if state[1] then left = math.min(size, state[1] + math.max(0, now - state[2]) * size / full_ms) end
local taken = left >= 1
if taken then left = left - 1 end
local until_full = math.ceil((size - left) * full_ms / size)
redis.call('HSET', KEYS[1], 'left', string.format('%.6f', left), 'at_ms', string.format('%d', now))
redis.call('PEXPIRE', KEYS[1], math.max(1, until_full))
return { taken and 1 or 0, math.floor(left), left >= 1 and 0 or math.ceil((1 - left) * full_ms / size), until_full }
