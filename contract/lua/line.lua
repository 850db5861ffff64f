-- line: shared by the scripts that add runs to the line of a partition.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines a function.
-- Errors: those of Redis itself
-- Cost: O(1)

-- `line` has the keys `jobs` and `turns`, the channel `control`, and the message `bell` that tells workers of a new job; ''
-- if they wait at the only partition. Returns the run's entry.
local function join_line(line, id, account)
  local entry, control = redis.call('XADD', line.jobs, '*', 'id', id, 'caller', account), line.control
  if line.bell ~= '' then redis.call('PUBLISH', control, line.bell) end
  return entry
end

