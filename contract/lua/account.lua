-- account: the bytes that Redis holds for a caller. Shared by reserve and settle.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines functions.
-- Errors: those of Redis itself
-- Cost: O(log items)

-- `bytes` has the size of each item of a caller (a run, or the messages of a chat), and in `=total` their sum. `expiry` has the
-- time in ms at which each leaves Redis: nothing tells a script that a key has expired.

local MAX_TRIMMED = 1000

local function trim_items(bytes, expiry)
  local now = string.format('%d', now_ms())
  for _, item in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, MAX_TRIMMED)) do
    redis.call('HINCRBY', bytes, '=total', -(redis.call('HGET', bytes, item) or 0))
    redis.call('HDEL', bytes, item)
    redis.call('ZREM', expiry, item)
  end
end

-- `size` 0 removes the item.
local function set_item(bytes, expiry, item, size, lifetime_ms)
  local change = size - (redis.call('HGET', bytes, item) or 0)
  if change ~= 0 then redis.call('HINCRBY', bytes, '=total', change) end
  if size == 0 then
    redis.call('HDEL', bytes, item)
    redis.call('ZREM', expiry, item)
    return
  end
  redis.call('HSET', bytes, item, size)
  local ends = string.format('%d', now_ms() + lifetime_ms)
  redis.call('ZADD', expiry, ends, item)
  -- Both live as long as the last item.
  for _, key in ipairs({ bytes, expiry }) do
    if redis.call('PEXPIREAT', key, ends, 'NX') == 0 then redis.call('PEXPIREAT', key, ends, 'GT') end
  end
end

