-- claim: starts a new epoch for a job that was delivered to this worker. Earlier epochs can no longer write.
-- KEYS: 1 log, 2 meta, 3 live channel, 4 jobs, 5 turns
-- ARGV: 1 worker, 2 entry of the job, 3 max lost workers, 4 max epochs, 5 lifetime in ms, 6 random name of this call: if
--   the reply was lost, the repeated call has the same name and gets the same lease again, 7 how many more runs this
--   worker has room for
-- Returns: {verdict, epoch, next seq, request, queued ms, endpoint}. run: generate the answer. cancelled: finish it as cancelled.
--   lost: no attempt is left; finish it as failed. {gone}: the job has ended or belongs to another worker
-- Errors: those of Redis itself
-- Cost: O(1), O(room + workers) if the caller's next runs join the line

-- The field `owner` holds the worker's name.
local state = redis.call('HMGET', KEYS[2], 'status', 'epoch', 'last', 'cancel', 'owner', 'released', 'lost',
  'on_lost', 'request', 'created_ms', 'job', 'claim', 'endpoint', 'model', 'account', 'bytes', 'wakes')
if not state[1] or is_final(state[1]) or state[11] ~= ARGV[2] then
  -- If the run has expired, only its entry knows the caller, whose turn is over.
  local entry = redis.call('XRANGE', KEYS[4], ARGV[2], ARGV[2])[1]
  if entry and entry[2][4] then pass_turn(KEYS[4], KEYS[5], entry[2][4], ARGV[2], tonumber(ARGV[7])) end
  retire_job(KEYS[4], ARGV[2])
  return { 'gone' }
end
-- A worker that was frozen between delivery and claim must not take the job back from its new worker.
local pending = redis.call('XPENDING', KEYS[4], 'workers', ARGV[2], ARGV[2], 1)
if not pending[1] or pending[1][2] ~= ARGV[1] then return { 'gone' } end

local last, epoch, lost = state[3], state[2], tonumber(state[7])
local is_repeated = state[12] == ARGV[6] and state[1] == 'running'
if not is_repeated then
  if state[5] and state[5] ~= ARGV[1] and not state[6] then lost = lost + 1 end
  epoch = string.format('%d', tonumber(epoch) + 1)
  redis.call('HSET', KEYS[2], 'status', 'running', 'epoch', epoch, 'owner', ARGV[1], 'claim', ARGV[6],
    'lost', string.format('%d', lost))
  redis.call('HSETNX', KEYS[2], 'claimed_ms', string.format('%d', now_ms()))
  redis.call('HDEL', KEYS[2], 'released')
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  if state[15] then pass_turn(KEYS[4], KEYS[5], state[15], ARGV[2], tonumber(ARGV[7])) end
end
local queued_ms = redis.call('HGET', KEYS[2], 'claimed_ms') - state[10]

if state[4] then return { 'cancelled', epoch, 1, '', queued_ms, '' } end
-- If no worker was lost and no event was written, this counts as the first attempt. A run that waited for people goes on.
local is_second = lost > 0 or (last ~= '0-0' and not state[17])
if lost >= tonumber(ARGV[3]) or tonumber(epoch) - (state[17] or 0) > tonumber(ARGV[4]) or (is_second and state[8] == 'fail') then
  return { 'lost', epoch, 1, '', queued_ms, '' }
end
local next_seq = last_seq_of(epoch, last) + 1
-- The answer of a script goes on from what its log records. The worker says which step of it starts again.
local goes_on = string.sub(state[14] or '', 1, 7) == 'script/'
if last ~= '0-0' and not is_repeated and not goes_on then
  local reason = state[6] and 'worker_stopped' or 'worker_lost'
  local line = 'restart {"epoch":' .. epoch .. ',"reason":"' .. reason .. '"}'
  next_seq = write_events(KEYS[1], KEYS[2], KEYS[3], last, epoch, 1, { line }, 1, ARGV[5], state[16]) + 1
end
redis.call('PUBLISH', KEYS[3], '!\nping {"state":"waiting"}')
return { 'run', epoch, next_seq, state[9], queued_ms, state[13] or '' }
