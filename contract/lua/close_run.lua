-- close_run: the end of a run. Shared by cancel and finish.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines functions.
-- Errors: those of Redis itself
-- Cost: O(1)

-- Appends to a reply what the account of the caller must know of a run that has ended (contract/accounts.py).
local function with_account(reply, meta)
  local reserved, account, bytes = unpack(redis.call('HMGET', meta, 'reserved', 'account', 'bytes'))
  if reserved then
    reply[#reply + 1] = account
    reply[#reply + 1] = bytes or ''
    reply[#reply + 1] = math.max(1, redis.call('PTTL', meta))
  end
  return reply
end

-- `line` is the `done` event.
local function close_run(log, meta, jobs, status, entry, line, retention_ms)
  local keep_ms, prompts = unpack(redis.call('HMGET', meta, 'keep_ms', 'prompts'))
  if keep_ms then retention_ms = math.min(retention_ms, keep_ms) end
  local now = now_ms()
  redis.call('HSET', meta, 'status', status, 'ended_ms', string.format('%d', now), 'done', string.sub(line, 6),
    'expires_ms', string.format('%d', now + retention_ms))
  redis.call('HDEL', meta, 'owner', 'cancel', 'claim', 'released')
  -- Only an attempt needs the request, and it may be large: a chat's request contains the whole conversation. A script
  -- whose prompts are kept may be run again from one of its steps.
  if not prompts then redis.call('HDEL', meta, 'request') end
  redis.call('PEXPIRE', meta, retention_ms)
  redis.call('PEXPIRE', log, retention_ms)
  retire_job(jobs, entry)
end

