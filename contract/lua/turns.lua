-- turns: the queue of runs, in which callers take turns. Shared by cancel, claim, delete_run and submit.
-- KEYS: none of its own. ARGV: none of its own.
-- Returns: nothing; defines functions.
-- Errors: those of Redis itself. Each function begins with a write that Redis refuses when it is out of memory, or it
--   only removes something.
-- Cost: O(1) per run that joins the line, O(workers) if any does

-- The line is the stream of jobs: what a worker takes next. A caller has one turn in it at a time. Its other runs wait in
-- its backlog, a list of stream ids. When a worker has taken the last run of the turn, the caller's next turn joins the
-- line at its end. A turn is one run, or as many as the worker has room for beyond what waits in the line: they delay
-- nobody. `turns` has the entry of the last run of each caller's turn, and in `waiting` the length of all backlogs.

local function backlog_of(jobs, account)
  return beside(jobs, 'backlog:' .. account)
end

local function count_waiting(turns, by)
  if redis.call('HINCRBY', turns, 'waiting', by) == 0 then redis.call('HDEL', turns, 'waiting') end
end

local function count_line(jobs)
  -- The group may be missing. Nothing is delivered then.
  local pending = redis.pcall('XPENDING', jobs, 'workers')
  return redis.call('XLEN', jobs) - (pending.err and 0 or pending[1])
end


-- Ends the caller's turn if `entry` is the last run of it, and begins the next one. A worker has room for `room` runs.
local function pass_turn(line, account, entry, room)
  local jobs, turns = line.jobs, line.turns
  if redis.call('HGET', turns, account) ~= entry then return end
  local backlog, last, size = backlog_of(jobs, account), nil, nil
  while size ~= 0 do
    local id = redis.call('LINDEX', backlog, 0)
    if not id then break end
    size = size or math.max(1, room - count_line(jobs))
    count_waiting(turns, -1)
    redis.call('LPOP', backlog)
    -- The run may have expired or been deleted.
    local meta = beside(jobs, id .. ':meta')
    if redis.call('HGET', meta, 'status') == 'queued' then
      last = join_line(line, id, account)
      redis.call('HSET', meta, 'job', last)
      size = size - 1
    end
  end
  if last then redis.call('HSET', turns, account, last) else redis.call('HDEL', turns, account) end
end

-- Takes a run that waits out of the queue. `entry` is its place in the line, '' in the backlog.
local function leave_queue(line, account, entry, id)
  if entry ~= '' then return pass_turn(line, account, entry, 0) end
  count_waiting(line.turns, -1)
  redis.call('LREM', backlog_of(line.jobs, account), 1, id)
end

