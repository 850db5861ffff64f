-- forget_questions: removes all questions and answers of a script that begins again from its first call. May be repeated.
-- KEYS: 1 meta
-- ARGV: 1 epoch
-- Returns: ok, lost or gone: as ask
-- Errors: those of Redis itself
-- Cost: O(fields of the run's record)

local epoch, status = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'status'))
if not epoch then return 'gone' end
if epoch ~= ARGV[1] or status ~= 'running' then return 'lost' end
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local kind = string.sub(fields[i], 1, 6)
  if kind == 'asked:' or kind == 'input:' then redis.call('HDEL', KEYS[1], fields[i]) end
end
return 'ok'
