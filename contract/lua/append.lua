-- append: adds a batch of events to a stream, if the worker still holds its lease.
-- KEYS: 1 log, 2 meta, 3 live channel
-- ARGV: 1 epoch, 2 seq of the first line, 3 lifetime of a new log in ms, 4.. lines (`kind SP json`)
-- Returns: {status, seq}. ok, cancelled (the batch was not written) and hole (the batch does not follow the log) come
--   with the last seq of this epoch in the log. lost: another epoch has begun, or the run was released or has ended.
--   gone: the stream has expired, or Redis lost its data
-- Errors: those of Redis itself
-- Cost: O(lines)

local state = redis.call('HMGET', KEYS[2], 'epoch', 'last', 'cancel', 'status', 'bytes')
if not state[1] then return { 'gone', 0 } end
if state[1] ~= ARGV[1] or state[4] ~= 'running' then return { 'lost', 0 } end
-- If Redis dropped the log, do not start a new one here: viewers would take the rest for the whole answer.
if state[2] ~= '0-0' and redis.call('EXISTS', KEYS[1]) == 0 then return { 'gone', 0 } end
local had = last_seq_of(ARGV[1], state[2])
if state[3] then return { 'cancelled', had } end
local seq = write_events(KEYS[1], KEYS[2], KEYS[3], state[2], ARGV[1], tonumber(ARGV[2]), ARGV, 4, ARGV[3],
  state[5])
if not seq then return { 'hole', had } end
return { 'ok', seq }
