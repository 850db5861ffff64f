-- beside: shared by the scripts that make names of keys themselves.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines a function that returns the name of another key in the partition of the queue `jobs`.
-- Errors: none
-- Cost: O(1)

local function beside(jobs, name)
  return string.sub(jobs, 1, -5) .. name
end

