-- submit: creates a stream and queues its job, once per idempotency key.
-- KEYS: 1 meta, 2 jobs, 3 turns, 4 the caller's current runs, 5 idempotency key (optional)
-- ARGV: 1 stream id, 2 request JSON, 3 model, 4 policy on a lost worker, 5 lifetime in ms, 6 max waiting runs,
--   7 digest of the body, 8 max ms without viewers (0: no limit), 9 caller ("" if unknown), 10 max current runs of
--   this caller (0: no limit), 11 what the Responses API keeps of its request ('' for other runs), 12 ms for which the
--   run is kept after its end, if shorter than others (0: as others), 13 endpoint of a pass-through call ('' for other
--   runs), 14 question of the user ('': none), 15 digest of the caller, 16 max bytes that Redis may hold for this caller (0: no limit), 17 percent
--   of Redis's memory that new runs leave to the runs in progress (0: none), 18 how KEYS[5] is used: key (an idempotency
--   key), first or retry (it identifies a body of this caller; a first request replaces it, a retry finds the run of
--   the request before), 19 its lifetime in ms, 20 whether the run keeps its request and the prompts of its steps after
--   its end (1 or 0), 21 position of the last event in its log ('0-0' unless copy_record has begun it), 22 bytes of that
--   log, 23.. further fields of its record, each with its value
-- Returns: {result, stream id}. ok. known: this idempotency key created that stream before. mismatch: it did, with
--   another body. memory: Redis is nearly full. full: too many runs wait. share: this caller has its share of the waiting
--   runs. busy: this caller has too many current runs. bytes: Redis holds too much for this caller
-- Errors: those of Redis itself
-- Cost: O(1), O(workers) for the count of waiting runs, and O(max current runs) if that is limited

-- Removes ended runs before counting. Doing it here is cheaper than at the end of each run.
local function count_runs(runs)
  local count = 0
  for _, id in ipairs(redis.call('SMEMBERS', runs)) do
    local status = redis.call('HGET', 'mc:{' .. id .. '}:meta', 'status')
    if status == 'queued' or status == 'running' or status == 'parked' then count = count + 1 else redis.call('SREM', runs, id) end
  end
  return count
end

-- A retry gets the answer of a run that goes on, has completed or has failed. It repeats a cancelled or expired one.
local function is_worth_joining(id)
  local state = redis.call('HMGET', 'mc:{' .. id .. '}:meta', 'status', 'cancel')
  return state[1] and state[1] ~= 'cancelled' and not state[2]
end

-- What a run's record and its log take beside their text.
local OVERHEAD_BYTES = 2048

-- Whether `bytes` fit into the memory that is free for new runs. Without a limit of Redis they do, and also where the
-- gateway may not ask for it.
local function has_room(bytes, reserve_percent)
  local info = redis.pcall('INFO', 'memory')
  if type(info) ~= 'string' then return true end
  local used, limit = string.match(info, 'used_memory:(%d+)'), tonumber(string.match(info, 'maxmemory:(%d+)') or 0)
  return limit == 0 or used + bytes <= limit * (100 - reserve_percent) / 100
end

if KEYS[5] and ARGV[18] ~= 'first' then
  local known = redis.call('HMGET', KEYS[5], 'id', 'body')
  -- A run may expire before its key. The key then starts another.
  if known[1] and known[1] ~= ARGV[1] and redis.call('EXISTS', 'mc:{' .. known[1] .. '}:meta') == 1 then
    if known[2] ~= ARGV[7] then return { 'mismatch', known[1] } end
    if ARGV[18] == 'key' or is_worth_joining(known[1]) then return { 'known', known[1] } end
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return { 'ok', ARGV[1] } end
-- What stays after the end of the run, and what does not.
local kept, dropped = OVERHEAD_BYTES + #ARGV[11] + #ARGV[14] + ARGV[22], #ARGV[2]
for i = 24, #ARGV, 2 do kept = kept + #ARGV[i] end
if ARGV[20] == '1' then kept, dropped = kept + dropped, 0 end
if ARGV[17] ~= '0' and not has_room(kept + dropped, ARGV[17]) then return { 'memory', '' } end
local pending = redis.pcall('XPENDING', KEYS[2], 'workers')
if pending.err then
  -- Create the group before the job, so that no worker misses the job.
  redis.call('XGROUP', 'CREATE', KEYS[2], 'workers', '0', 'MKSTREAM')
  pending = { 0 }
end
local account = ARGV[15]
local state = redis.call('HMGET', KEYS[3], account, 'waiting')
local turn = state[1]
local free = ARGV[6] - (redis.call('XLEN', KEYS[2]) - pending[1] + (state[2] or 0))
if free <= 0 then return { 'full', '' } end
-- A caller may have as many waiting runs as there is room left, so that none fills the queue. Without a name there is one.
if ARGV[9] ~= '' and turn and redis.call('LLEN', backlog_of(account)) + 1 >= free then return { 'share', '' } end
local max_runs = tonumber(ARGV[10])
if max_runs > 0 and count_runs(KEYS[4]) >= max_runs then return { 'busy', '' } end
local stored = stored_of(account)
local max_bytes = tonumber(ARGV[16])
if max_bytes > 0 and sum_stored(stored) + kept + dropped > max_bytes then return { 'bytes', '' } end
local entry = ''
if turn then
  redis.call('RPUSH', backlog_of(account), ARGV[1])
  count_waiting(KEYS[3], 1)
else
  entry = join_line(KEYS[2], ARGV[1], account)
  redis.call('HSET', KEYS[3], account, entry)
end
redis.call('HSET', KEYS[1], 'status', 'queued', 'epoch', '0', 'last', '0-0', 'request', ARGV[2], 'model', ARGV[3],
  'on_lost', ARGV[4], 'lost', '0', 'job', entry, 'caller', ARGV[9], 'account', account,
  'created_ms', string.format('%d', now_ms()))
if ARGV[8] ~= '0' then redis.call('HSET', KEYS[1], 'unwatched_ms', ARGV[8]) end
if ARGV[11] ~= '' then redis.call('HSET', KEYS[1], 'response', ARGV[11]) end
if ARGV[12] ~= '0' then redis.call('HSET', KEYS[1], 'keep_ms', ARGV[12]) end
if ARGV[13] ~= '' then redis.call('HSET', KEYS[1], 'endpoint', ARGV[13]) end
if KEYS[5] then redis.call('HSET', KEYS[1], 'once', KEYS[5]) end
if ARGV[14] ~= '' then redis.call('HSET', KEYS[1], 'question', ARGV[14]) end
if ARGV[20] == '1' then redis.call('HSET', KEYS[1], 'prompts', '0') end
-- The first epoch is that of the copied events. What follows them is no further attempt.
if ARGV[21] ~= '0-0' then redis.call('HSET', KEYS[1], 'epoch', '1', 'last', ARGV[21], 'wakes', '1') end
for i = 23, #ARGV - 1, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if max_bytes > 0 then
  redis.call('HSET', KEYS[1], 'bytes', kept, 'stored', count_stored(stored, kept + dropped, tonumber(ARGV[5])))
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
if max_runs > 0 then
  redis.call('SADD', KEYS[4], ARGV[1])
  -- A run may last longer than its answer is kept. Keep the set for a week at least, so that the run still counts.
  redis.call('PEXPIRE', KEYS[4], math.max(ARGV[5], 604800000))
end
if KEYS[5] then
  redis.call('HSET', KEYS[5], 'id', ARGV[1], 'body', ARGV[7])
  redis.call('PEXPIRE', KEYS[5], ARGV[19])
end
-- If the line has lost the run whose turn it is (somebody removed it by hand), no claim will pass the turn.
if turn and not redis.call('XRANGE', KEYS[2], turn, turn)[1] then pass_turn(KEYS[2], KEYS[3], account, turn, 0) end
return { 'ok', ARGV[1] }
