-- ask: opens a question of a script for answers, and looks for one. May be repeated.
-- KEYS: 1 meta
-- ARGV: 1 epoch, 2 id of the question, 3 the question as JSON, 4 an answer that did not fit, to be replaced ('' if none)
-- Returns: {status, answer}. ok: the answer as JSON, '' if there is none, or none in time. lost: another epoch has begun, or the run
--   has ended. gone: the stream has expired
-- Errors: those of Redis itself
-- Cost: O(1)

-- The fields `asked:ID` and `input:ID` hold the questions and answers of a run until it expires.
local epoch, status, answer = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'status', 'input:' .. ARGV[2]))
if not epoch then return { 'gone', '' } end
if epoch ~= ARGV[1] or status ~= 'running' then return { 'lost', '' } end
redis.call('HSET', KEYS[1], 'asked:' .. ARGV[2], ARGV[3])
if answer and answer == ARGV[4] and ARGV[4] ~= '' then
  redis.call('HDEL', KEYS[1], 'input:' .. ARGV[2])
  return { 'ok', '' }
end
return { 'ok', answer or '' }
