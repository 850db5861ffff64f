-- submit: makes a stream and queues its job, once per idempotency key.
-- KEYS: 1 meta, 2 jobs, 3 idempotency key (optional)
-- ARGV: 1 stream id, 2 request JSON, 3 model, 4 policy on a lost worker, 5 lifetime in ms, 6 most jobs that may wait,
--   7 digest of the body, 8 how long it may go unwatched in ms (0: for ever)
-- Returns: {answer, stream id}: ok; known (this idempotency key made that stream before); mismatch (it did, with another
--   body); full (that many jobs wait)
-- Errors: those of Redis itself
-- Cost: O(1), and O(workers) for the count of waiting jobs

if KEYS[3] then
  local known = redis.call('HMGET', KEYS[3], 'id', 'body')
  if known[1] and known[1] ~= ARGV[1] then
    if known[2] ~= ARGV[7] then return { 'mismatch', known[1] } end
    return { 'known', known[1] }
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return { 'ok', ARGV[1] } end
local pending = redis.pcall('XPENDING', KEYS[2], 'workers')
if pending.err then
  -- The group comes before the job, so that no worker can miss it.
  redis.call('XGROUP', 'CREATE', KEYS[2], 'workers', '0', 'MKSTREAM')
  pending = { 0 }
end
local waiting = redis.call('XLEN', KEYS[2]) - pending[1]
if waiting >= tonumber(ARGV[6]) then return { 'full', '' } end
local entry = redis.call('XADD', KEYS[2], '*', 'id', ARGV[1])
redis.call('HSET', KEYS[1], 'status', 'queued', 'epoch', '0', 'last', '0-0', 'request', ARGV[2], 'model', ARGV[3],
  'on_lost', ARGV[4], 'lost', '0', 'job', entry, 'created_ms', string.format('%d', now_ms()))
if ARGV[8] ~= '0' then redis.call('HSET', KEYS[1], 'unwatched_ms', ARGV[8]) end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
if KEYS[3] then
  redis.call('HSET', KEYS[3], 'id', ARGV[1], 'body', ARGV[7])
  redis.call('PEXPIRE', KEYS[3], ARGV[5])
end
return { 'ok', ARGV[1] }
