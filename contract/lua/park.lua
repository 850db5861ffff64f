-- park: takes a run that waits for people from its worker. It holds no lease and is in no queue until it is answered.
-- KEYS: 1 log, 2 meta, 3 live channel, 4 jobs, 5 alarms
-- ARGV: 1 epoch, 2 stream id, 3 entry of the job, 4 ms for which the run is kept while it waits, 5 Unix ms at which it
--   goes on without an answer (0: never), 6.. ids of the questions that it waits for
-- Returns: ok (also if this epoch has parked it already); answered: there is an answer by now, and the run is queued
--   again; cancelled: a caller asked for it; lost (also if this epoch had parked a run that goes on); gone
-- Errors: those of Redis itself
-- Cost: O(questions)

local state = redis.call('HMGET', KEYS[2], 'epoch', 'status', 'cancel')
if not state[1] then return 'gone' end
if state[1] ~= ARGV[1] then return 'lost' end
if state[2] == 'parked' then return 'ok' end
if state[2] ~= 'running' then return 'lost' end
if state[3] then return 'cancelled' end
local is_answered = false
for i = 6, #ARGV do
  local answer = redis.call('HGET', KEYS[2], 'input:' .. ARGV[i])
  is_answered = is_answered or (answer and answer ~= '')
end
redis.call('HSET', KEYS[2], 'status', 'parked')
redis.call('HDEL', KEYS[2], 'owner', 'claim', 'unwatched_since', 'abandon_ms')
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
retire_job(KEYS[4], ARGV[3])
if is_answered then
  -- The answer came between the worker's last look and this call: no lost attempt, so it counts as any other answer.
  wake(KEYS[2], KEYS[4], KEYS[3], ARGV[2])
  return 'answered'
end
if ARGV[5] ~= '0' then redis.call('ZADD', KEYS[5], ARGV[5], ARGV[2]) end
redis.call('PUBLISH', KEYS[3], '!\nping {"state":"parked"}')
return 'ok'
