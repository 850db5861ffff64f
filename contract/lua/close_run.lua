-- close_run: the end of a run. Shared by cancel and finish.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines a function.
-- Errors: those of Redis itself
-- Cost: O(1)

-- `line` is the `done` event.
local function close_run(log, meta, jobs, status, entry, line, retention_ms)
  local keep_ms, note, account, bytes, prompts =
    unpack(redis.call('HMGET', meta, 'keep_ms', 'stored', 'account', 'bytes', 'prompts'))
  if keep_ms then retention_ms = math.min(retention_ms, keep_ms) end
  local now = now_ms()
  redis.call('HSET', meta, 'status', status, 'ended_ms', string.format('%d', now), 'done', string.sub(line, 6),
    'expires_ms', string.format('%d', now + retention_ms))
  redis.call('HDEL', meta, 'owner', 'cancel', 'claim', 'released')
  -- Only an attempt needs the request, and it may be large: a chat's request contains the whole conversation. A script
  -- whose prompts are kept may be run again from one of its steps.
  if not prompts then redis.call('HDEL', meta, 'request') end
  if note then
    local stored = stored_of(jobs, account)
    uncount_stored(stored, note)
    redis.call('HSET', meta, 'stored', count_stored(stored, tonumber(bytes), tonumber(retention_ms)))
  end
  redis.call('PEXPIRE', meta, retention_ms)
  redis.call('PEXPIRE', log, retention_ms)
  retire_job(jobs, entry)
end

