-- append: adds a batch of events to a stream, if the caller still holds its lease.
-- KEYS: 1 log, 2 meta, 3 live channel
-- ARGV: 1 epoch, 2 seq of the first line, 3 lifetime of a new log in ms, 4.. lines (`kind SP json`)
-- Returns: {answer, seq}: ok and the last seq; lost (another epoch, or the run was given back or has ended); cancelled;
--   gone (no such stream: expired, or Redis lost its data); hole and the last seq the log has
-- Errors: those of Redis itself
-- Cost: O(lines)

local state = redis.call('HMGET', KEYS[2], 'epoch', 'last', 'cancel', 'status')
if not state[1] then return { 'gone', 0 } end
if state[1] ~= ARGV[1] or state[4] ~= 'running' then return { 'lost', 0 } end
if state[3] then return { 'cancelled', 0 } end
local first = tonumber(ARGV[2])
local seq = write_events(KEYS[1], KEYS[2], KEYS[3], state[2], ARGV[1], first, ARGV, 4, ARGV[3])
if not seq then
  local last_epoch, last_seq = string.match(state[2], '^(%d+)-(%d+)$')
  return { 'hole', last_epoch == ARGV[1] and tonumber(last_seq) or 0 }
end
return { 'ok', seq }
