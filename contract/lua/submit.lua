-- submit: creates a stream and queues its job, once per idempotency key.
-- KEYS: 1 meta, 2 jobs, 3 turns, 4 idempotency key (optional)
-- ARGV: 1 control channel, then what `Submit` in contract/job_queue.py names and explains, in the same order; further
--   fields of the run's record follow, each with its value
-- Returns: {result, stream id}. ok. known: this idempotency key created that stream before. mismatch: it did, with
--   another body. memory: Redis is nearly full. full: too many runs wait. share: this caller has its share of the waiting
--   runs. Or the refusal of the reservation
-- Errors: those of Redis itself
-- Cost: O(1), O(workers) for the count of waiting runs

local control, id, request, model, on_lost, lifetime_ms, max_waiting, body, unwatched_ms, caller, response, keep_ms, endpoint,
  question, account, refusal, reserved, kept_bytes, size_bytes, reserve_percent, once_use, once_ms, keeps_prompts,
  last, bell = unpack(ARGV)
local line = { jobs = KEYS[2], turns = KEYS[3], control = control, bell = bell }
-- Further fields of the run's record, each with its value.
local FIELDS = 26

-- A retry gets the answer of a run that goes on, has completed or has failed. It repeats a cancelled or expired one.
local function is_worth_joining(id)
  local status, cancel = unpack(redis.call('HMGET', beside(KEYS[2], id .. ':meta'), 'status', 'cancel'))
  return status and status ~= 'cancelled' and not cancel
end

-- Whether `bytes` fit into the memory that is free for new runs. Without a limit of Redis they do, and also where the
-- gateway may not ask for it.
local function has_room(bytes, reserve_percent)
  local info = redis.pcall('INFO', 'memory')
  if type(info) ~= 'string' then return true end
  local used, limit = string.match(info, 'used_memory:(%d+)'), tonumber(string.match(info, 'maxmemory:(%d+)') or 0)
  return limit == 0 or used + bytes <= limit * (100 - reserve_percent) / 100
end

if KEYS[4] and once_use ~= 'first' then
  local known, known_body = unpack(redis.call('HMGET', KEYS[4], 'id', 'body'))
  -- A run may expire before its key. The key then starts another.
  if known and known ~= id and redis.call('EXISTS', beside(KEYS[2], known .. ':meta')) == 1 then
    if known_body ~= body then return { 'mismatch', known } end
    if once_use == 'key' or is_worth_joining(known) then return { 'known', known } end
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return { 'ok', id } end
if reserve_percent ~= '0' and not has_room(size_bytes, reserve_percent) then return { 'memory', '' } end
local pending = redis.pcall('XPENDING', KEYS[2], 'workers')
if pending.err then
  -- Create the group before the job, so that no worker misses the job.
  redis.call('XGROUP', 'CREATE', KEYS[2], 'workers', '0', 'MKSTREAM')
  pending = { 0 }
end
local turn, waiting = unpack(redis.call('HMGET', KEYS[3], account, 'waiting'))
local free = max_waiting - (redis.call('XLEN', KEYS[2]) - pending[1] + (waiting or 0))
if free <= 0 then return { 'full', '' } end
-- A caller may have as many waiting runs as there is room left, so that none fills the queue. Without a name there is one.
if caller ~= '' and turn and redis.call('LLEN', backlog_of(KEYS[2], account)) + 1 >= free then return { 'share', '' } end
if refusal ~= '' then return { refusal, '' } end
local entry = ''
if turn then
  redis.call('RPUSH', backlog_of(KEYS[2], account), id)
  count_waiting(KEYS[3], 1)
else
  entry = join_line(line, id, account)
  redis.call('HSET', KEYS[3], account, entry)
end
redis.call('HSET', KEYS[1], 'status', 'queued', 'epoch', '0', 'last', '0-0', 'request', request, 'model', model,
  'on_lost', on_lost, 'lost', '0', 'job', entry, 'caller', caller, 'account', account,
  'created_ms', string.format('%d', now_ms()))
if unwatched_ms ~= '0' then redis.call('HSET', KEYS[1], 'unwatched_ms', unwatched_ms) end
if response ~= '' then redis.call('HSET', KEYS[1], 'response', response) end
if keep_ms ~= '0' then redis.call('HSET', KEYS[1], 'keep_ms', keep_ms) end
if endpoint ~= '' then redis.call('HSET', KEYS[1], 'endpoint', endpoint) end
if KEYS[4] then redis.call('HSET', KEYS[1], 'once', KEYS[4]) end
if question ~= '' then redis.call('HSET', KEYS[1], 'question', question) end
if keeps_prompts == '1' then redis.call('HSET', KEYS[1], 'prompts', '0') end
-- The first epoch is that of the copied events. What follows them is no further attempt.
if last ~= '0-0' then
  redis.call('HSET', KEYS[1], 'epoch', '1', 'last', last, 'wakes', '1')
  -- Until now, the log would have expired soon.
  redis.call('PEXPIRE', beside(KEYS[2], id .. ':log'), lifetime_ms)
end
for i = FIELDS, #ARGV - 1, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if reserved ~= '' then redis.call('HSET', KEYS[1], 'reserved', '1') end
if reserved == 'bytes' then redis.call('HSET', KEYS[1], 'bytes', kept_bytes) end
redis.call('PEXPIRE', KEYS[1], lifetime_ms)
if KEYS[4] then
  redis.call('HSET', KEYS[4], 'id', id, 'body', body)
  redis.call('PEXPIRE', KEYS[4], once_ms)
end
-- If the line has lost the run whose turn it is (somebody removed it by hand), no claim will pass the turn.
if turn and not redis.call('XRANGE', KEYS[2], turn, turn)[1] then pass_turn(line, account, turn, 0) end
return { 'ok', id }
