-- delete_run: removes a run and its log, whatever its state. May be repeated.
-- KEYS: 1 log, 2 meta, 3 live channel, 4 viewers, 5 jobs, 6 control channel
-- ARGV: 1 stream id
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(events of the log)

local entry = redis.call('HGET', KEYS[2], 'job')
redis.call('DEL', KEYS[1], KEYS[2], KEYS[4])
if entry then
  redis.call('XACK', KEYS[5], 'workers', entry)
  redis.call('XDEL', KEYS[5], entry)
end
-- A worker that has the run stops. Gateways read the log again, and find that there is none.
redis.call('PUBLISH', KEYS[6], 'cancel ' .. ARGV[1])
redis.call('PUBLISH', KEYS[3], '')
