-- write_events: the part that append, claim, cancel and finish share; it is put in front of each of them.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: functions only.
-- Errors: none of its own. A refusal of Redis (out of memory, read-only) passes through, and then nothing is written:
--   the first write of each script is of the kind that Redis refuses.
-- Cost: per event one XADD; per batch one EXISTS, one PUBLISH and one HSET.

local function is_final(status)
  return status == 'completed' or status == 'cancelled' or status == 'failed'
end

-- The last seq that the log has of this epoch; 0 where it has none of it.
local function last_seq_of(epoch, last)
  local last_epoch, seq = string.match(last, '^(%d+)-(%d+)$')
  return last_epoch == epoch and tonumber(seq) or 0
end

-- Writes lines[from..] as the events epoch-first, epoch-(first+1), ...; what the log has already is passed over, so that
-- a repeated call is harmless. Returns the last seq of this epoch, or false where first would leave a hole.
local function write_events(log, meta, live, last, epoch, first, lines, from, ttl_ms)
  local seq = last_seq_of(epoch, last)
  if first > seq + 1 then return false end
  local is_new = redis.call('EXISTS', log) == 0
  local payload = { last }
  for i = from, #lines do
    local at = first + i - from
    if at > seq then
      local id = epoch .. '-' .. string.format('%d', at)
      redis.call('XADD', log, id, 'e', lines[i])
      payload[#payload + 1] = id .. ' ' .. lines[i]
      seq = at
    end
  end
  if #payload > 1 then
    redis.call('HSET', meta, 'last', epoch .. '-' .. string.format('%d', seq))
    if is_new then redis.call('PEXPIRE', log, ttl_ms) end
    redis.call('PUBLISH', live, table.concat(payload, '\n'))
  end
  return seq
end

local function retire_job(jobs, entry)
  redis.call('XACK', jobs, 'workers', entry)
  redis.call('XDEL', jobs, entry)
end

-- Ends the run: the terminal event is the last of ARGV.
local function close_run(log, meta, jobs, status, entry, line, retention_ms)
  redis.call('HSET', meta, 'status', status, 'ended_ms', string.format('%d', now_ms()), 'done', string.sub(line, 6))
  redis.call('HDEL', meta, 'owner', 'cancel', 'claim', 'released')
  redis.call('PEXPIRE', meta, retention_ms)
  redis.call('PEXPIRE', log, retention_ms)
  retire_job(jobs, entry)
end

