-- copy_record: begins the log of a run that is not submitted yet with what another run has done. May be repeated.
-- KEYS: 1 log
-- ARGV: 1 lifetime in ms, 2 seq of the first line, 3.. lines (`kind SP json`)
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(lines)

local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local seq = last and tonumber(string.match(last[1], '-(%d+)$')) or 0
for i = 3, #ARGV do
  local at = ARGV[2] + i - 3
  if at > seq then redis.call('XADD', KEYS[1], '1-' .. string.format('%d', at), 'e', ARGV[i]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
