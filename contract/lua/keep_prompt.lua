-- keep_prompt: keeps what a step of a script asks its model, if the run keeps prompts. May be repeated.
-- KEYS: 1 meta
-- ARGV: 1 epoch, 2 id of the step, 3 the prompt as JSON, 4 max bytes of all prompts of a run
-- Returns: ok; off: the run keeps none (any more: there is no room); lost: another epoch has begun, or the run has ended;
--   gone: the stream has expired
-- Errors: those of Redis itself
-- Cost: O(1)

local epoch, status, prompts, bytes = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'status', 'prompts', 'bytes'))
if not epoch then return 'gone' end
if epoch ~= ARGV[1] or status ~= 'running' then return 'lost' end
if not prompts then return 'off' end
local held = prompts + #ARGV[3]
if held > tonumber(ARGV[4]) then return 'off' end
redis.call('HSET', KEYS[1], 'prompt:' .. ARGV[2], ARGV[3], 'prompts', string.format('%d', held))
if bytes then redis.call('HSET', KEYS[1], 'bytes', string.format('%d', bytes + #ARGV[3])) end
return 'ok'
