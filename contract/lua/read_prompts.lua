-- read_prompts: what the steps of a script have asked their models.
-- KEYS: 1 meta
-- ARGV: none
-- Returns: id of a step, its prompt as JSON, ...
-- Errors: those of Redis itself
-- Cost: O(fields of the run's record)

local found, fields = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 7) == 'prompt:' then
    found[#found + 1] = string.sub(fields[i], 8)
    found[#found + 1] = fields[i + 1]
  end
end
return found
