-- agree: the number of partitions that all services of a deployment use. The first service to ask decides it.
-- KEYS: 1 partitions
-- ARGV: 1 the number to store if there is none
-- Returns: {count, keyed}: how many partitions there are, and among how many idempotency keys are distributed
-- Errors: those of Redis itself
-- Cost: O(1)

local count, keyed = unpack(redis.call('HMGET', KEYS[1], 'count', 'keyed'))
if not count then
  count, keyed = ARGV[1], ARGV[1]
  redis.call('HSET', KEYS[1], 'count', count, 'keyed', keyed)
end
return { count, keyed or count }
