-- answer: stores the first answer to a question of a script, and queues the run if it was parked. May be repeated.
-- KEYS: 1 meta, 2 jobs, 3 live channel
-- ARGV: 1 stream id, 2 id of the question, 3 the answer as JSON
-- Returns: {result, answer}. ok: this answer counts. answered: an earlier one counts, and is returned. unknown: there is
--   no such question. closed: nobody has answered it in time. ended: the run has ended. gone: the stream has expired
-- Errors: those of Redis itself
-- Cost: O(1)

local state = redis.call('HMGET', KEYS[1], 'status', 'asked:' .. ARGV[2], 'input:' .. ARGV[2])
if not state[1] then return { 'gone', '' } end
if not state[2] then return { 'unknown', '' } end
if state[3] == '' then return { 'closed', '' } end
if state[3] then return { state[3] == ARGV[3] and 'ok' or 'answered', state[3] } end
if is_final(state[1]) then return { 'ended', '' } end
redis.call('HSET', KEYS[1], 'input:' .. ARGV[2], ARGV[3])
if state[1] == 'parked' then wake(KEYS[1], KEYS[2], KEYS[3], ARGV[1]) end
return { 'ok', ARGV[3] }
