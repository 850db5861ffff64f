-- forget_chat: removes a chat if this run is still its last answer. May be repeated.
-- KEYS: 1 chat
-- ARGV: 1 stream id
-- Returns: 1 if it was removed, else 0
-- Errors: those of Redis itself
-- Cost: O(1)

if redis.call('HGET', KEYS[1], 'stream') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
