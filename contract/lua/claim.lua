-- claim: starts a new epoch for a job that was delivered to this worker. Earlier epochs can no longer write.
-- KEYS: 1 log, 2 meta, 3 jobs, 4 turns
-- ARGV: 1 live channel, 2 control channel, 3 the doorbell's message, 4 worker, 5 entry of the job, 6 max lost workers, 7 max
--   epochs, 8 lifetime in ms, 9 random name of this call: if the reply was lost, the repeated call has the same name and
--   gets the same lease again, 10 how many more runs this worker has room for, 11 lease time in ms
-- Returns: {verdict, epoch, next seq, request, queued ms, endpoint}. run: generate the answer. cancelled: finish it as cancelled.
--   lost: no attempt is left; finish it as failed. {gone}: the job has ended or belongs to another worker
-- Errors: those of Redis itself
-- Cost: O(1), O(room + workers) if the caller's next runs join the line

-- The field `owner` holds the worker's name.
local live, control, bell, worker, delivered, max_lost, max_epochs, lifetime_ms, call_name, room, lease_ms = unpack(ARGV)
local line = { jobs = KEYS[3], turns = KEYS[4], control = control, bell = bell }
local status, epoch, last, cancel, owner, released, lost, on_lost,
  request, created_ms, entry, known_call, endpoint, model, account, bytes, wakes = unpack(redis.call('HMGET', KEYS[2],
  'status', 'epoch', 'last', 'cancel', 'owner', 'released', 'lost', 'on_lost',
  'request', 'created_ms', 'job', 'claim', 'endpoint', 'model', 'account', 'bytes', 'wakes'))
if not status or is_final(status) or entry ~= delivered then
  -- If the run has expired, only its entry knows the caller, whose turn is over.
  local found = redis.call('XRANGE', KEYS[3], delivered, delivered)[1]
  if found and found[2][4] then pass_turn(line, found[2][4], delivered, tonumber(room)) end
  retire_job(KEYS[3], delivered)
  return { 'gone' }
end
-- A worker that was frozen between delivery and claim must not take the job back from its new worker.
local pending = redis.call('XPENDING', KEYS[3], 'workers', entry, entry, 1)
if not pending[1] or pending[1][2] ~= worker then return { 'gone' } end

lost = tonumber(lost)
local is_repeated = known_call == call_name and status == 'running'
if not is_repeated then
  if owner and owner ~= worker and not released then lost = lost + 1 end
  epoch = string.format('%d', tonumber(epoch) + 1)
  redis.call('HSET', KEYS[2], 'status', 'running', 'epoch', epoch, 'owner', worker, 'claim', call_name,
    'lost', string.format('%d', lost), 'lease_ms', lease_ms)
  redis.call('HSETNX', KEYS[2], 'claimed_ms', string.format('%d', now_ms()))
  redis.call('HDEL', KEYS[2], 'released')
  redis.call('PEXPIRE', KEYS[2], lifetime_ms)
  redis.call('PEXPIRE', KEYS[1], lifetime_ms)
  if account then pass_turn(line, account, entry, tonumber(room)) end
end
local queued_ms = redis.call('HGET', KEYS[2], 'claimed_ms') - created_ms

if cancel then return { 'cancelled', epoch, 1, '', queued_ms, '' } end
-- If no worker was lost and no event was written, this counts as the first attempt. A run that waited for people goes on.
local is_second = lost > 0 or (last ~= '0-0' and not wakes)
if lost >= tonumber(max_lost) or tonumber(epoch) - (wakes or 0) > tonumber(max_epochs) or (is_second and on_lost == 'fail') then
  return { 'lost', epoch, 1, '', queued_ms, '' }
end
local next_seq = last_seq_of(epoch, last) + 1
-- The answer of a script goes on from what its log records. The worker says which step of it starts again.
local goes_on = string.sub(model or '', 1, 7) == 'script/'
if last ~= '0-0' and not is_repeated and not goes_on then
  local reason = released and 'worker_stopped' or 'worker_lost'
  local event = 'restart {"epoch":' .. epoch .. ',"reason":"' .. reason .. '"}'
  next_seq = write_events(KEYS[1], KEYS[2], live, last, epoch, 1, { event }, 1, lifetime_ms, bytes) + 1
end
redis.call('PUBLISH', live, '!\nping {"state":"waiting","lease_ms":' .. lease_ms .. '}')
return { 'run', epoch, next_seq, request, queued_ms, endpoint or '' }
