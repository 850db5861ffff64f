-- sum_viewers: shared by read_viewers and renew, which start with this file.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines a function that returns the number of viewers on all live gateways.
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

