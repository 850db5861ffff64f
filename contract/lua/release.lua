-- release: releases a job before its lease ends. Another worker may claim it at once, ahead of the queue.
-- KEYS: 1 meta, 2 live channel, 3 jobs, 4 control channel
-- ARGV: 1 epoch, 2 worker, 3 entry of the job
-- Returns: ok (also if this epoch has released it already), lost or gone
-- Errors: those of Redis itself
-- Cost: O(1)

local state = redis.call('HMGET', KEYS[1], 'epoch', 'status', 'released')
if not state[1] then return 'gone' end
if state[1] ~= ARGV[1] then return 'lost' end
if state[3] then return 'ok' end
if state[2] ~= 'running' then return 'lost' end
redis.call('HSET', KEYS[1], 'status', 'queued', 'released', '1')
redis.call('XCLAIM', KEYS[3], 'workers', ARGV[2], 0, ARGV[3], 'IDLE', 86400000, 'JUSTID')
redis.call('PUBLISH', KEYS[2], '!\nping {"state":"queued"}')
redis.call('PUBLISH', KEYS[4], 'jobs')
return 'ok'
