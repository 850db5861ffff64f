-- read_viewers: how many viewers a stream has, over the gateways that live.
-- KEYS: 1 viewers
-- ARGV: none
-- Returns: the sum
-- Errors: those of Redis itself
-- Cost: O(gateways)

return sum_viewers(KEYS[1], now_ms())
