-- now_ms: Redis's clock. Leases and expiries depend on no other clock. Every script starts with this file.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines a function that returns Unix time in ms.
-- Errors: none
-- Cost: O(1)

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

