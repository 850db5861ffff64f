-- delete_run: removes a run and everything that is kept of it, whatever its state, and tells its viewers: its log, its
-- prompt in the list of runs, and its idempotency key. May be repeated.
-- KEYS: 1 log, 2 meta, 3 viewers, 4 jobs, 5 recent runs, 6 turns
-- ARGV: 1 live channel, 2 control channel, 3 the doorbell's message, 4 stream id
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(events of the log + recent runs + waiting runs of the caller)

local live, control, bell, id = unpack(ARGV)
local line = { jobs = KEYS[4], turns = KEYS[6], control = control, bell = bell }
local entry, status, account, once = unpack(redis.call('HMGET', KEYS[2], 'job', 'status', 'account', 'once'))
if status == 'queued' and account then leave_queue(line, account, entry, id) end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
-- It may belong to a later run by now.
if once and redis.call('HGET', once, 'id') == id then redis.call('DEL', once) end
if entry and entry ~= '' then
  redis.call('XACK', KEYS[4], 'workers', entry)
  redis.call('XDEL', KEYS[4], entry)
end
for _, run in ipairs(redis.call('XRANGE', KEYS[5], '-', '+')) do
  if run[2][2] == id then redis.call('XDEL', KEYS[5], run[1]) end
end
-- A worker that has the run stops. Gateways end the responses to its viewers.
redis.call('PUBLISH', control, 'cancel ' .. id)
redis.call('PUBLISH', live, '!\ndeleted {}')
