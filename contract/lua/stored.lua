-- stored: how much Redis holds for a caller. Shared by cancel, delete_run, finish, remember_answer and submit.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines functions.
-- Errors: those of Redis itself
-- Cost: O(1) to count something, O(100) to sum up

-- The hash of a caller has the bytes that expire by a time in ms. A time is a multiple of a 24th of the lifetime, so there
-- are few, and what has expired needs no clean-up of its own.

local function stored_of(jobs, account)
  return beside(jobs, 'stored:' .. account)
end

-- Counts bytes for their lifetime. Returns the note by which `uncount` takes them back.
local function count_stored(stored, bytes, lifetime_ms)
  local step = math.ceil(lifetime_ms / 24)
  local ends = string.format('%d', (math.floor((now_ms() + lifetime_ms) / step) + 1) * step)
  redis.call('HINCRBY', stored, ends, bytes)
  -- The hash lives as long as the last of its bytes.
  if redis.call('PEXPIREAT', stored, ends, 'NX') == 0 then redis.call('PEXPIREAT', stored, ends, 'GT') end
  return string.format('%s %d', ends, bytes)
end

local function uncount_stored(stored, note)
  local ends, bytes = string.match(note, '^(%d+) (%d+)$')
  -- Nothing is left to take back if these bytes have expired meanwhile.
  if redis.call('HEXISTS', stored, ends) == 0 then return end
  if redis.call('HINCRBY', stored, ends, -bytes) <= 0 then redis.call('HDEL', stored, ends) end
end

local function sum_stored(stored)
  local now, sum = now_ms(), 0
  local fields = redis.call('HGETALL', stored)
  for i = 1, #fields, 2 do
    if tonumber(fields[i]) > now then sum = sum + fields[i + 1] else redis.call('HDEL', stored, fields[i]) end
  end
  return sum
end

