-- now_ms: Redis's clock, the only one that counts; it is put in front of every script.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: a function only: Unix time in ms.
-- Errors: none
-- Cost: O(1)

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

