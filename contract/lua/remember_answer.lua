-- remember_answer: replaces what is known of a chat: its last answer, and the messages that the page sent for it.
-- KEYS: 1 chat, 2 meta of the answer's run, which then knows its chat, 3 what Redis holds for its caller (optional)
-- ARGV: 1 lifetime in ms, 2.. field, value
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(fields)

-- Redis refuses this when it is out of memory, before anything is removed.
redis.call('HSET', KEYS[1], 'stream', '')
if KEYS[3] then
  local note = redis.call('HGET', KEYS[1], 'stored')
  if note then uncount_stored(KEYS[3], note) end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
if KEYS[3] then
  local bytes = 0
  for i = 2, #ARGV do bytes = bytes + #ARGV[i] end
  redis.call('HSET', KEYS[1], 'stored', count_stored(KEYS[3], bytes, tonumber(ARGV[1])))
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'chat', KEYS[1]) end
