-- reserve: reserves what a new run of a caller takes, before it is submitted: a place among its current runs, and bytes.
--   May be repeated.
-- KEYS: 1 open runs of the caller, 2 bytes, 3 expiry
-- ARGV: 1 stream id, 2 bytes, 3 lifetime in ms, 4 max current runs (0: no limit), 5 max bytes (0: no limit)
-- Returns: ok; busy: the caller has too many current runs; bytes: Redis holds too much for it
-- Errors: those of Redis itself
-- Cost: O(log items)

local id, size, lifetime_ms, max_runs, max_bytes = unpack(ARGV)
size, max_runs, max_bytes = tonumber(size), tonumber(max_runs), tonumber(max_bytes)
if redis.call('ZSCORE', KEYS[1], id) then return 'ok' end
if max_runs > 0 and redis.call('ZCARD', KEYS[1]) >= max_runs then return 'busy' end
if max_bytes > 0 then
  trim_items(KEYS[2], KEYS[3])
  if (redis.call('HGET', KEYS[2], '=total') or 0) + size > max_bytes then return 'bytes' end
end
redis.call('ZADD', KEYS[1], string.format('%d', now_ms()), id)
-- A run may last longer than its answer is kept. Keep the set for a week at least, so that the run still counts.
redis.call('PEXPIRE', KEYS[1], math.max(lifetime_ms, 604800000))
if max_bytes > 0 then set_item(KEYS[2], KEYS[3], id, size, lifetime_ms) end
return 'ok'
