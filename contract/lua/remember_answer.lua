-- remember_answer: replaces what is known of a chat: its last answer, and the messages that the page sent for it.
-- KEYS: 1 chat
-- ARGV: 1 lifetime in ms, 2.. field, value
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(fields)

-- Redis refuses this when it is out of memory, before anything is removed.
redis.call('HSET', KEYS[1], 'stream', '')
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
