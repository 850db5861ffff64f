-- delete_run: removes a run and everything that is kept of it, whatever its state, and tells its viewers: its log, its
-- prompt in the list of runs, its idempotency key, and its chat of the AI SDK. May be repeated.
-- KEYS: 1 log, 2 meta, 3 live channel, 4 viewers, 5 jobs, 6 control channel, 7 recent runs, 8 turns
-- ARGV: 1 stream id
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(events of the log + recent runs + waiting runs of the caller)

local state = redis.call('HMGET', KEYS[2], 'job', 'status', 'account', 'stored', 'once', 'chat')
local entry = state[1]
if state[2] == 'queued' and state[3] then leave_queue(KEYS[5], KEYS[8], state[3], entry, ARGV[1]) end
-- Out of memory, Redis refuses to count. The bytes then stay counted until they would have expired.
if state[4] then pcall(uncount_stored, stored_of(state[3]), state[4]) end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[4])
-- Both may belong to a later run by now.
local once, chat = state[5], state[6]
if once and redis.call('HGET', once, 'id') == ARGV[1] then redis.call('DEL', once) end
if chat and redis.call('HGET', chat, 'stream') == ARGV[1] then
  local note = redis.call('HGET', chat, 'stored')
  if note and state[3] then pcall(uncount_stored, stored_of(state[3]), note) end
  redis.call('DEL', chat)
end
if entry and entry ~= '' then
  redis.call('XACK', KEYS[5], 'workers', entry)
  redis.call('XDEL', KEYS[5], entry)
end
for _, run in ipairs(redis.call('XRANGE', KEYS[7], '-', '+')) do
  if run[2][2] == ARGV[1] then redis.call('XDEL', KEYS[7], run[1]) end
end
-- A worker that has the run stops. Gateways end the responses to its viewers.
redis.call('PUBLISH', KEYS[6], 'cancel ' .. ARGV[1])
redis.call('PUBLISH', KEYS[3], '!\ndeleted {}')
