-- count_viewers: sets one gateway's count of a stream's viewers, and publishes the sum if it has changed.
-- KEYS: 1 viewers
-- ARGV: 1 live channel, 2 gateway, 3 its count (0: remove it), 4 lifetime in ms, 5 min ms between two publications
-- Returns: {sum over the live gateways, 1 if a change is not published yet}
-- Errors: those of Redis itself
-- Cost: O(gateways)

local live, gateway, viewers, lifetime_ms, telling_ms = unpack(ARGV)
local now = now_ms()
if viewers == '0' then
  redis.call('HDEL', KEYS[1], gateway)
else
  redis.call('HSET', KEYS[1], gateway, viewers .. ' ' .. string.format('%d', now + lifetime_ms))
end
redis.call('PEXPIRE', KEYS[1], lifetime_ms)
local sum, told, told_ms, longest = 0, -1, 0, now
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if fields[i] == '=told' then
    local count, at = string.match(fields[i + 1], '^(%d+) (%d+)$')
    told, told_ms = tonumber(count), tonumber(at)
  else
    local count, expiry = string.match(fields[i + 1], '^(%d+) (%d+)$')
    if count and tonumber(expiry) > now then
      sum, longest = sum + count, math.max(longest, tonumber(expiry))
    else
      redis.call('HDEL', KEYS[1], fields[i])
    end
  end
end
-- Let the key expire some time after its last count. It still holds `=told` when all counts are gone.
local ends_at = string.format('%d', longest + lifetime_ms)
redis.call('PEXPIREAT', KEYS[1], ends_at)
if sum == told then return { sum, 0 } end
if now - told_ms < tonumber(telling_ms) then return { sum, 1 } end
redis.call('HSET', KEYS[1], '=told', string.format('%d %d', sum, now))
redis.call('PEXPIREAT', KEYS[1], ends_at)
redis.call('PUBLISH', live, string.format('!\nviewers {"viewers":%d}', sum))
return { sum, 0 }
