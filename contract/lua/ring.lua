-- ring: queues the parked runs whose time to wait for an answer is over.
-- KEYS: 1 alarms, 2 jobs
-- ARGV: 1 control channel, 2 the doorbell's message, 3 max runs
-- Returns: how many alarms were due
-- Errors: those of Redis itself
-- Cost: O(max runs)

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now_ms()), 'LIMIT', 0, ARGV[3])
for _, id in ipairs(due) do
  local meta, live = beside(KEYS[2], id .. ':meta'), beside(KEYS[2], id .. ':live')
  -- A run that was answered meanwhile is not parked, or waits for something else: it then parks again.
  if redis.call('HGET', meta, 'status') == 'parked' then
    wake(meta, { jobs = KEYS[2], control = ARGV[1], bell = ARGV[2] }, live, id)
  end
  redis.call('ZREM', KEYS[1], id)
end
return #due
