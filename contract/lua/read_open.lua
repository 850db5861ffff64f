-- read_open: the open runs of a caller: those that have a reservation and are not settled.
-- KEYS: 1 open runs
-- ARGV: none
-- Returns: {stream id, ms since its reservation, …}
-- Errors: those of Redis itself
-- Cost: O(open runs)

local now, found = now_ms(), redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 2, #found, 2 do found[i] = now - found[i] end
return found
