-- take_over: has jobs delivered to this worker whose lease nobody has renewed for a while.
-- KEYS: 1 jobs
-- ARGV: 1 worker, 2 idle time in ms from which a lease counts as over, 3 most jobs to take
-- Returns: {entry, stream id (empty where the job was retired meanwhile), entry, stream id, ...}
-- Errors: NOGROUP where the group is gone; those of Redis itself
-- Cost: O(pending jobs). XAUTOCLAIM looks at ten entries per job it may take and then wants to be called again: with
--   room for one job it would see the ten oldest runs only, however many behind them are orphaned.

local taken = {}
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], 'workers', 'IDLE', ARGV[2], '-', '+', ARGV[3])) do
  local entry = pending[1]
  -- A job that is ours already is only renewed by this.
  redis.call('XCLAIM', KEYS[1], 'workers', ARGV[1], 0, entry, 'JUSTID')
  local found = redis.call('XRANGE', KEYS[1], entry, entry)
  taken[#taken + 1] = entry
  taken[#taken + 1] = found[1] and found[1][2][2] or ''
end
return taken
