-- answer: stores the first answer to a question of a script, and queues the run if it was parked. May be repeated.
-- KEYS: 1 meta, 2 jobs
-- ARGV: 1 live channel, 2 control channel, 3 the doorbell's message, 4 stream id, 5 id of the question, 6 the answer as JSON
-- Returns: {result, answer}. ok: this answer counts. answered: an earlier one counts, and is returned. unknown: there is
--   no such question. closed: nobody has answered it in time. ended: the run has ended. gone: the stream has expired
-- Errors: those of Redis itself
-- Cost: O(1)

local live, control, bell, id, question, answer = unpack(ARGV)
local status, asked, known = unpack(redis.call('HMGET', KEYS[1], 'status', 'asked:' .. question, 'input:' .. question))
if not status then return { 'gone', '' } end
if not asked then return { 'unknown', '' } end
if known == '' then return { 'closed', '' } end
if known then return { known == answer and 'ok' or 'answered', known } end
if is_final(status) then return { 'ended', '' } end
redis.call('HSET', KEYS[1], 'input:' .. question, answer)
if status == 'parked' then wake(KEYS[1], { jobs = KEYS[2], control = control, bell = bell }, live, id) end
return { 'ok', answer }
