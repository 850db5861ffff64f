-- read_viewers: the number of viewers of a stream, on all live gateways.
-- KEYS: 1 viewers
-- ARGV: none
-- Returns: the sum
-- Errors: those of Redis itself
-- Cost: O(gateways)

return sum_viewers(KEYS[1], now_ms())
