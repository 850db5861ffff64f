-- cancel: ends a queued run; asks the worker to end a running one. May be repeated.
-- KEYS: 1 log, 2 meta, 3 jobs, 4 turns
-- ARGV: 1 live channel, 2 control channel, 3 the doorbell's message, 4 stream id, 5 retention in ms, 6 the `done` line for a
--   queued run
-- Returns: {the final status, cancelling, or gone}; for a queued run with a reservation also account, bytes ('' if they
--   are not counted), lifetime in ms
-- Errors: those of Redis itself
-- Cost: O(1), O(waiting runs of the caller) for a run that waits

local live, control, bell, id, retention_ms, done_line = unpack(ARGV)
local status, epoch, last, entry, account, bytes =
  unpack(redis.call('HMGET', KEYS[2], 'status', 'epoch', 'last', 'job', 'account', 'bytes'))
if not status then return { 'gone' } end
if is_final(status) then return { status } end
if status == 'running' then
  redis.call('HSET', KEYS[2], 'cancel', '1')
  redis.call('PUBLISH', control, 'cancel ' .. id)
  return { 'cancelling' }
end
epoch = string.format('%d', tonumber(epoch) + 1)
redis.call('HSET', KEYS[2], 'epoch', epoch)
if account then leave_queue({ jobs = KEYS[3], turns = KEYS[4], control = control, bell = bell }, account, entry, id) end
write_events(KEYS[1], KEYS[2], live, last, epoch, 1, { done_line }, 1, retention_ms, bytes)
close_run(KEYS[1], KEYS[2], KEYS[3], 'cancelled', entry, done_line, retention_ms)
return with_account({ 'cancelled' }, KEYS[2])
