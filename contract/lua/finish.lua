-- finish: appends the last events of a run, `done` included; sets its status and expiry, and removes its job.
-- KEYS: 1 log, 2 meta, 3 jobs
-- ARGV: 1 live channel, 2 epoch, 3 seq of the first line, 4 retention in ms, 5 final status, 6 entry of the job, 7.. lines,
--   `done` last
-- Returns: {status, seq} as append; with ok, if the run has a reservation: account, bytes ('' if they are not counted),
--   lifetime in ms. ok also if this epoch has finished the run already. A run that was cancelled
--   meanwhile may still finish.
-- Errors: those of Redis itself
-- Cost: O(lines)

local live, holder, seq, retention_ms, final_status, entry = unpack(ARGV, 1, 6)
local epoch, last, status, bytes = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'last', 'status', 'bytes'))
if not epoch then
  retire_job(KEYS[3], entry)
  return { 'gone', 0 }
end
if epoch ~= holder then return { 'lost', 0 } end
local had = last_seq_of(epoch, last)
if is_final(status) then return with_account({ 'ok', had }, KEYS[2]) end
if status ~= 'running' then return { 'lost', 0 } end
local first, from = tonumber(seq), 7
-- The run has not ended, so the log has no `done`. Give `done` the next free seq: write_events skips seqs in the log.
if first + #ARGV - from <= had then first, from = had + 1, #ARGV end
local written = write_events(KEYS[1], KEYS[2], live, last, epoch, first, ARGV, from, retention_ms, bytes)
if not written then return { 'hole', had } end
close_run(KEYS[1], KEYS[2], KEYS[3], final_status, entry, ARGV[#ARGV], retention_ms)
return with_account({ 'ok', written }, KEYS[2])
