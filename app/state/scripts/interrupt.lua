-- Cancels a job that nobody has taken yet; a running one gets its caller's signals by another way.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  reason, for people
--
-- Returns "cancelled", or the state it is in, or nil when there is no such job.
local state = redis.call("HGET", KEYS[1], "state")
if state == "queued" then
  return cancel(ARGV[1], "cancel", ARGV[2])
end
return state
