-- announce: says that a worker lives and what it offers, until the time given; forgets those whose time is over.
-- KEYS: 1 workers, 2 offers
-- ARGV: 1 worker, 2 lifetime in ms (0: it leaves), 3 offer JSON
-- Returns: how many workers live
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
-- Workers may have different lifetimes: the keys outlive the last of them.
local longest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if longest then
  redis.call('PEXPIREAT', KEYS[1], longest)
  redis.call('PEXPIREAT', KEYS[2], longest)
end
return redis.call('ZCARD', KEYS[1])
