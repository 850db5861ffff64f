-- read_viewers_by_gateway: how many viewers each gateway that lives has of a stream.
-- KEYS: 1 viewers
-- ARGV: none
-- Returns: {gateway, viewers, gateway, viewers, …}; those without viewers are left out
-- Errors: those of Redis itself
-- Cost: O(gateways)

local now = now_ms()
local counts = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local count, expiry = string.match(fields[i + 1], '^(%d+) (%d+)$')
  if fields[i] ~= '=told' and tonumber(expiry) > now and tonumber(count) > 0 then
    counts[#counts + 1] = fields[i]
    counts[#counts + 1] = tonumber(count)
  end
end
return counts
