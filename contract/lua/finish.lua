-- finish: appends the last events of a run, `done` included; sets its status and expiry, and removes its job.
-- KEYS: 1 log, 2 meta, 3 live channel, 4 jobs
-- ARGV: 1 epoch, 2 seq of the first line, 3 retention in ms, 4 final status, 5 entry of the job, 6.. lines, `done` last
-- Returns: {status, seq} as append. ok also if this epoch has finished the run already. A run that was cancelled
--   meanwhile may still finish.
-- Errors: those of Redis itself
-- Cost: O(lines)

local state = redis.call('HMGET', KEYS[2], 'epoch', 'last', 'status', 'bytes')
if not state[1] then
  retire_job(KEYS[4], ARGV[5])
  return { 'gone', 0 }
end
if state[1] ~= ARGV[1] then return { 'lost', 0 } end
local had = last_seq_of(ARGV[1], state[2])
if is_final(state[3]) then return { 'ok', had } end
if state[3] ~= 'running' then return { 'lost', 0 } end
local first, from = tonumber(ARGV[2]), 6
-- The run has not ended, so the log has no `done`. Give `done` the next free seq: write_events skips seqs in the log.
if first + #ARGV - from <= had then first, from = had + 1, #ARGV end
local seq = write_events(KEYS[1], KEYS[2], KEYS[3], state[2], ARGV[1], first, ARGV, from, ARGV[3], state[4])
if not seq then return { 'hole', had } end
close_run(KEYS[1], KEYS[2], KEYS[4], ARGV[4], ARGV[5], ARGV[#ARGV], ARGV[3])
return { 'ok', seq }
