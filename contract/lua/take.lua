-- take: delivers jobs of a partition to this worker, without waiting for any.
-- KEYS: 1 jobs
-- ARGV: 1 worker, 2 max jobs, 3 `>` for new jobs, or 0 for all that were delivered to this worker before
-- Returns: {entry, stream id (empty if the job has ended), entry, stream id, ...}
-- Errors: NOGROUP where the group is gone; those of Redis itself
-- Cost: O(jobs)

-- The quotes tell contract/scripts.py that GROUP is no second word of the command.
local reply = redis.call('XREADGROUP', "GROUP", 'workers', ARGV[1], 'COUNT', ARGV[2], 'STREAMS', KEYS[1], ARGV[3])
local taken = {}
for _, entry in ipairs(reply and reply[1][2] or {}) do
  taken[#taken + 1] = entry[1]
  taken[#taken + 1] = entry[2] and entry[2][2] or ''
end
return taken
