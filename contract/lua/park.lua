-- park: takes a run that waits for people from its worker. It holds no lease and is in no queue until it is answered.
-- KEYS: 1 log, 2 meta, 3 jobs, 4 alarms
-- ARGV: 1 live channel, 2 control channel, 3 the doorbell's message, 4 epoch, 5 stream id, 6 entry of the job, 7 ms for which
--   the run is kept while it waits, 8 Unix ms at which it goes on without an answer (0: never), 9.. ids of the questions
--   that it waits for
-- Returns: ok (also if this epoch has parked it already); answered: there is an answer by now, and the run is queued
--   again; cancelled: a caller asked for it; lost (also if this epoch had parked a run that goes on); gone
-- Errors: those of Redis itself
-- Cost: O(questions)

local live, control, bell, holder, id, entry, kept_ms, alarm_ms = unpack(ARGV, 1, 8)
local epoch, status, cancel = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'status', 'cancel'))
if not epoch then return 'gone' end
if epoch ~= holder then return 'lost' end
if status == 'parked' then return 'ok' end
if status ~= 'running' then return 'lost' end
if cancel then return 'cancelled' end
local is_answered = false
for i = 9, #ARGV do
  local answer = redis.call('HGET', KEYS[2], 'input:' .. ARGV[i])
  is_answered = is_answered or (answer and answer ~= '')
end
redis.call('HSET', KEYS[2], 'status', 'parked')
redis.call('HDEL', KEYS[2], 'owner', 'claim', 'unwatched_since', 'abandon_ms')
redis.call('PEXPIRE', KEYS[2], kept_ms)
redis.call('PEXPIRE', KEYS[1], kept_ms)
retire_job(KEYS[3], entry)
if is_answered then
  -- The answer came between the worker's last look and this call: no lost attempt, so it counts as any other answer.
  wake(KEYS[2], { jobs = KEYS[3], control = control, bell = bell }, live, id)
  return 'answered'
end
if alarm_ms ~= '0' then redis.call('ZADD', KEYS[4], alarm_ms, id) end
redis.call('PUBLISH', live, '!\nping {"state":"parked"}')
return 'ok'
