-- rights: says what the user of Redis may not do with channels. Changes nothing.
-- KEYS: none
-- ARGV: pairs of a command and a channel
-- Returns: the pairs that are not permitted, each as one text. Empty also where Redis cannot check
-- Errors: those of Redis itself
-- Cost: O(pairs)

local missing = {}
for at = 1, #ARGV, 2 do
  local command = { ARGV[at], ARGV[at + 1] }
  if string.find(ARGV[at], 'PUBLISH', 1, true) then command[3] = '' end
  local can_check, may = pcall(redis.acl_check_cmd, unpack(command))
  if can_check and not may then missing[#missing + 1] = ARGV[at] .. ' ' .. ARGV[at + 1] end
end
return missing
