-- keep_prompt: keeps what a step of a script asks its model, if the run keeps prompts. May be repeated.
-- KEYS: 1 meta
-- ARGV: 1 epoch, 2 id of the step, 3 the prompt as JSON, 4 max bytes of all prompts of a run
-- Returns: ok; off: the run keeps none (any more: there is no room); lost: another epoch has begun, or the run has ended;
--   gone: the stream has expired
-- Errors: those of Redis itself
-- Cost: O(1)

local state = redis.call('HMGET', KEYS[1], 'epoch', 'status', 'prompts', 'bytes')
if not state[1] then return 'gone' end
if state[1] ~= ARGV[1] or state[2] ~= 'running' then return 'lost' end
if not state[3] then return 'off' end
local held = state[3] + #ARGV[3]
if held > tonumber(ARGV[4]) then return 'off' end
redis.call('HSET', KEYS[1], 'prompt:' .. ARGV[2], ARGV[3], 'prompts', string.format('%d', held))
if state[4] then redis.call('HSET', KEYS[1], 'bytes', string.format('%d', state[4] + #ARGV[3])) end
return 'ok'
