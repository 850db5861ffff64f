-- sum_viewers: the part that audience and renew share; it is put in front of each of them.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: a function only: how many viewers a stream has, over the gateways that live.
-- Errors: none of its own
-- Cost: O(gateways)

local function sum_viewers(viewers, now)
  local sum = 0
  local fields = redis.call('HGETALL', viewers)
  for i = 1, #fields, 2 do
    local count, expiry = string.match(fields[i + 1], '^(%d+) (%d+)$')
    if count and fields[i] ~= '=told' and tonumber(expiry) > now then sum = sum + count end
  end
  return sum
end

