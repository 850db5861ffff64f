-- renew: extends a lease and the lifetime of its stream's keys.
-- KEYS: 1 log, 2 meta, 3 jobs, 4 viewers
-- ARGV: 1 epoch, 2 worker, 3 entry of the job, 4 lifetime in ms
-- Returns: ok; lost; gone; cancelled (a caller asked for it, or the run had no viewers for too long, or none after its
--   caller had left; extends the lease)
-- Errors: those of Redis itself
-- Cost: O(1), and O(gateways) if the run may not go on without viewers

local holder, worker, entry, lifetime_ms = unpack(ARGV)
local epoch, status, cancel, unwatched_ms, unwatched_since, abandon_ms = unpack(redis.call('HMGET', KEYS[2],
  'epoch', 'status', 'cancel', 'unwatched_ms', 'unwatched_since', 'abandon_ms'))
if not epoch then return 'gone' end
-- Check before XCLAIM: a worker that was frozen must not steal the job back.
if epoch ~= holder or status ~= 'running' then return 'lost' end
redis.call('XCLAIM', KEYS[3], 'workers', worker, 0, entry, 'JUSTID')
redis.call('PEXPIRE', KEYS[1], lifetime_ms)
redis.call('PEXPIRE', KEYS[2], lifetime_ms)
if cancel then return 'cancelled' end
if not unwatched_ms and not abandon_ms then return 'ok' end
local now = now_ms()
if abandon_ms and now >= tonumber(abandon_ms) then
  if sum_viewers(KEYS[4], now) == 0 then
    redis.call('HSET', KEYS[2], 'cancel', '1')
    return 'cancelled'
  end
  -- Somebody else cares for the answer. It goes on to its end, like that of a caller who does not wait.
  redis.call('HDEL', KEYS[2], 'abandon_ms')
end
if not unwatched_ms then return 'ok' end
if sum_viewers(KEYS[4], now) > 0 then
  redis.call('HDEL', KEYS[2], 'unwatched_since')
elseif not unwatched_since then
  redis.call('HSET', KEYS[2], 'unwatched_since', string.format('%d', now))
elseif now - unwatched_since >= tonumber(unwatched_ms) then
  redis.call('HSET', KEYS[2], 'cancel', '1')
  return 'cancelled'
end
return 'ok'
