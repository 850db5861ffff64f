-- note_chat: notes the chat of a run, which is deleted together with the run.
-- KEYS: 1 meta
-- ARGV: 1 digest of the chat
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(1)

if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'chat', ARGV[1]) end
