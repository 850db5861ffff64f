-- close_question: ends a question of a script whose time is over, unless somebody has answered. May be repeated.
-- KEYS: 1 meta
-- ARGV: 1 epoch, 2 id of the question
-- Returns: {status, answer}. ok: the answer as JSON if one came in time; '' if none did, and none counts any more. lost
--   and gone: as ask
-- Errors: those of Redis itself
-- Cost: O(1)

local epoch, status, answer = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'status', 'input:' .. ARGV[2]))
if not epoch then return { 'gone', '' } end
if epoch ~= ARGV[1] or status ~= 'running' then return { 'lost', '' } end
-- An empty answer says that the question is closed.
if not answer then redis.call('HSET', KEYS[1], 'input:' .. ARGV[2], '') end
return { 'ok', answer or '' }
