-- announce: registers a live worker and its offer for some time, and removes the workers whose registration has expired.
-- KEYS: 1 workers, 2 offers
-- ARGV: 1 worker, 2 lifetime in ms (0: remove it), 3 offer JSON
-- Returns: the number of live workers
-- Errors: those of Redis itself
-- Cost: O(workers)

local now = now_ms()
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
end
-- Workers may have different lifetimes: keep the keys as long as the longest one.
local longest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if longest then
  redis.call('PEXPIREAT', KEYS[1], longest)
  redis.call('PEXPIREAT', KEYS[2], longest)
end
return redis.call('ZCARD', KEYS[1])
