-- close_run: the end of a run. Shared by cancel and finish.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines a function.
-- Errors: those of Redis itself
-- Cost: O(1)

-- `line` is the `done` event.
local function close_run(log, meta, jobs, status, entry, line, retention_ms)
  local state = redis.call('HMGET', meta, 'keep_ms', 'stored', 'account', 'bytes', 'prompts')
  if state[1] then retention_ms = math.min(retention_ms, state[1]) end
  local now = now_ms()
  redis.call('HSET', meta, 'status', status, 'ended_ms', string.format('%d', now), 'done', string.sub(line, 6),
    'expires_ms', string.format('%d', now + retention_ms))
  redis.call('HDEL', meta, 'owner', 'cancel', 'claim', 'released')
  -- Only an attempt needs the request, and it may be large: a chat's request contains the whole conversation. A script
  -- whose prompts are kept may be run again from one of its steps.
  if not state[5] then redis.call('HDEL', meta, 'request') end
  if state[2] then
    local stored = stored_of(state[3])
    uncount_stored(stored, state[2])
    redis.call('HSET', meta, 'stored', count_stored(stored, tonumber(state[4]), tonumber(retention_ms)))
  end
  redis.call('PEXPIRE', meta, retention_ms)
  redis.call('PEXPIRE', log, retention_ms)
  retire_job(jobs, entry)
end

