-- forget_worker: removes a leaving worker from the group, and other workers that were idle for long, because they
--   were killed.
--   A worker with pending jobs stays: removing it would lose the jobs.
-- KEYS: 1 jobs
-- ARGV: 1 worker, 2 idle time in ms after which other workers are removed
-- Returns: the number of removed workers
-- Errors: NOGROUP where the group is gone; those of Redis itself
-- Cost: O(workers)

local removed = 0
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], 'workers')) do
  local worker = {}
  for i = 1, #fields, 2 do worker[fields[i]] = fields[i + 1] end
  if worker.pending == 0 and (worker.name == ARGV[1] or worker.idle > tonumber(ARGV[2])) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'workers', worker.name)
    removed = removed + 1
  end
end
return removed
