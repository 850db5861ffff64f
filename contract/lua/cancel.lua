-- cancel: ends a queued run; asks the worker to end a running one. May be repeated.
-- KEYS: 1 log, 2 meta, 3 live channel, 4 jobs, 5 control channel, 6 turns
-- ARGV: 1 stream id, 2 retention in ms, 3 the `done` line for a queued run
-- Returns: the final status, cancelling, or gone
-- Errors: those of Redis itself
-- Cost: O(1), O(waiting runs of the caller) for a run that waits

local state = redis.call('HMGET', KEYS[2], 'status', 'epoch', 'last', 'job', 'account', 'bytes')
local status = state[1]
if not status then return 'gone' end
if is_final(status) then return status end
if status == 'running' then
  redis.call('HSET', KEYS[2], 'cancel', '1')
  redis.call('PUBLISH', KEYS[5], 'cancel ' .. ARGV[1])
  return 'cancelling'
end
local epoch = string.format('%d', tonumber(state[2]) + 1)
redis.call('HSET', KEYS[2], 'epoch', epoch)
if state[5] then leave_queue(KEYS[4], KEYS[6], state[5], state[4], ARGV[1]) end
write_events(KEYS[1], KEYS[2], KEYS[3], state[3], epoch, 1, ARGV, 3, ARGV[2], state[6])
close_run(KEYS[1], KEYS[2], KEYS[4], 'cancelled', state[4], ARGV[3], ARGV[2])
return 'cancelled'
