-- Says until when an attached job's caller counts as alive.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  ms from now
--
-- Returns the job's state, or nil when there is no such job.
local state = redis.call("HGET", KEYS[1], "state")
if state and not FINAL[state] then
  redis.call("ZADD", K.callers, now() + ARGV[2], ARGV[1])
end
return state
