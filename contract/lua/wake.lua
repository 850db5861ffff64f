-- wake: shared by answer, park and ring, which start with this file.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines a function.
-- Errors: none of its own.
-- Cost: O(1)

-- Queues a parked run. `wakes` counts how often: these epochs are no new attempts.
local function wake(meta, line, live, stream_id)
  local wakes, account = unpack(redis.call('HMGET', meta, 'wakes', 'account'))
  -- It has had its turn in the line (turns.lua).
  local entry = join_line(line, stream_id, account or '')
  wakes = tonumber(wakes or 0) + 1
  redis.call('HSET', meta, 'status', 'queued', 'job', entry, 'wakes', string.format('%d', wakes))
  redis.call('PUBLISH', live, '!\nping {"state":"queued"}')
end

