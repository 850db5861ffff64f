-- append: adds a batch of events to a stream, if the worker still holds its lease.
-- KEYS: 1 log, 2 meta
-- ARGV: 1 live channel, 2 epoch, 3 seq of the first line, 4 lifetime of a new log in ms, 5.. lines (`kind SP json`)
-- Returns: {status, seq}. ok, cancelled (the batch was not written) and hole (the batch does not follow the log) come
--   with the last seq of this epoch in the log. lost: another epoch has begun, or the run was released or has ended.
--   gone: the stream has expired, or Redis lost its data
-- Errors: those of Redis itself
-- Cost: O(lines)

local epoch, last, cancel, status, bytes =
  unpack(redis.call('HMGET', KEYS[2], 'epoch', 'last', 'cancel', 'status', 'bytes'))
if not epoch then return { 'gone', 0 } end
if epoch ~= ARGV[2] or status ~= 'running' then return { 'lost', 0 } end
-- If Redis dropped the log, do not start a new one here: viewers would take the rest for the whole answer.
if last ~= '0-0' and redis.call('EXISTS', KEYS[1]) == 0 then return { 'gone', 0 } end
local had = last_seq_of(epoch, last)
if cancel then return { 'cancelled', had } end
local seq = write_events(KEYS[1], KEYS[2], ARGV[1], last, epoch, tonumber(ARGV[3]), ARGV, 5, ARGV[4], bytes)
if not seq then return { 'hole', had } end
return { 'ok', seq }
