-- write_events: shared by append, claim, cancel and finish, which start with this file.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines functions.
-- Errors: none of its own. If Redis refuses writes (out of memory, read-only), its error passes through and nothing
--   is written, because Redis already refuses the first write of each script.
-- Cost: per event one XADD; per batch one EXISTS, one PUBLISH and one HSET.

local function is_final(status)
  return status == 'completed' or status == 'cancelled' or status == 'failed'
end

-- The last seq of this epoch in the log; 0 if it has none.
local function last_seq_of(epoch, last)
  local last_epoch, seq = string.match(last, '^(%d+)-(%d+)$')
  return last_epoch == epoch and tonumber(seq) or 0
end

-- Writes lines[from..] as the events epoch-first, epoch-(first+1), ... Events that the log already has are skipped, so
-- that the call may be repeated. `bytes` is what the run takes in Redis so far, false if nobody counts it. Returns the last
-- seq of this epoch, or false if `first` would leave a hole.
local function write_events(log, meta, live, last, epoch, first, lines, from, ttl_ms, bytes)
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
    local position, text = epoch .. '-' .. string.format('%d', seq), table.concat(payload, '\n')
    if bytes then
      redis.call('HSET', meta, 'last', position, 'bytes', string.format('%d', bytes + #text))
    else
      redis.call('HSET', meta, 'last', position)
    end
    if is_new then redis.call('PEXPIRE', log, ttl_ms) end
    redis.call('PUBLISH', live, text)
  end
  return seq
end

local function retire_job(jobs, entry)
  -- A run in its caller's backlog has no entry.
  if entry == '' then return end
  redis.call('XACK', jobs, 'workers', entry)
  redis.call('XDEL', jobs, entry)
end

