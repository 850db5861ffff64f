-- forget_worker: removes a worker from the group, unless jobs stand delivered to it, which would be lost with it; and
--   with it all others that have nothing either and were not heard of for long: those that were killed.
-- KEYS: 1 jobs
-- ARGV: 1 worker, 2 time in ms without a word after which others are removed
-- Returns: how many were removed
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
