-- take_over: delivers to this worker the jobs whose leases were not renewed for the given time.
-- KEYS: 1 jobs
-- ARGV: 1 worker, 2 idle time in ms after which a lease is over, 3 max jobs to take
-- Returns: {entry, stream id (empty if the job has ended), entry, stream id, ...}
-- Errors: NOGROUP where the group is gone; those of Redis itself
-- Cost: O(pending jobs). XAUTOCLAIM is not enough: it checks only ten entries per job that it may take. With room for
--   one job it would miss lost runs behind the ten oldest entries.

local taken = {}
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], 'workers', 'IDLE', ARGV[2], '-', '+', ARGV[3])) do
  local entry = pending[1]
  -- If the job is already delivered to this worker, this renews it.
  redis.call('XCLAIM', KEYS[1], 'workers', ARGV[1], 0, entry, 'JUSTID')
  local found = redis.call('XRANGE', KEYS[1], entry, entry)
  taken[#taken + 1] = entry
  taken[#taken + 1] = found[1] and found[1][2][2] or ''
end
return taken
