-- release: releases a job before its lease ends. Another worker may claim it at once, ahead of the queue.
-- KEYS: 1 meta, 2 jobs
-- ARGV: 1 live channel, 2 control channel, 3 the message that a job was released, 4 epoch, 5 worker, 6 entry of the job
-- Returns: ok (also if this epoch has released it already), lost or gone
-- Errors: those of Redis itself
-- Cost: O(1)

local live, control, message, holder, worker, entry = unpack(ARGV)
local epoch, status, released = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'status', 'released'))
if not epoch then return 'gone' end
if epoch ~= holder then return 'lost' end
if released then return 'ok' end
if status ~= 'running' then return 'lost' end
redis.call('HSET', KEYS[1], 'status', 'queued', 'released', '1')
redis.call('XCLAIM', KEYS[2], 'workers', worker, 0, entry, 'IDLE', 86400000, 'JUSTID')
redis.call('PUBLISH', live, '!\nping {"state":"queued"}')
redis.call('PUBLISH', control, message)
return 'ok'
