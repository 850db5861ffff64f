-- read_offers: the offers of the workers that live.
-- KEYS: 1 workers, 2 offers
-- ARGV: none
-- Returns: their offers (JSON)
-- Errors: those of Redis itself
-- Cost: O(workers)

local now = now_ms()
local offers = {}
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%d', now), '+inf')) do
  offers[#offers + 1] = redis.call('HGET', KEYS[2], worker) or '{}'
end
return offers
