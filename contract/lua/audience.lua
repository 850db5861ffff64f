-- audience: how many viewers a stream has, over the gateways that live.
-- KEYS: 1 viewers
-- ARGV: none
-- Returns: the sum
-- Errors: those of Redis itself
-- Cost: O(gateways)

local now = now_ms()
local sum = 0
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local count, expiry = string.match(fields[i + 1], '^(%d+) (%d+)$')
  if fields[i] ~= '=told' and tonumber(expiry) > now then sum = sum + count end
end
return sum
