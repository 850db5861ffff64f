-- settle: replaces a reservation by what is kept, when the run has ended or was not queued; or counts the messages of a
--   chat. May be repeated.
-- KEYS: 1 open runs of the caller, 2 bytes, 3 expiry
-- ARGV: 1 item: a stream id, or a chat, 2 bytes ('' if they are not counted), 3 lifetime in ms
-- Returns: nothing
-- Errors: those of Redis itself
-- Cost: O(log items)

if ARGV[2] ~= '' then set_item(KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2]), ARGV[3]) end
redis.call('ZREM', KEYS[1], ARGV[1])
