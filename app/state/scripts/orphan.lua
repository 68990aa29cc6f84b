-- Cancels an attached job if its caller's time is over by now.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id
--
-- Returns what `cancel` does, or "alive".
local deadline = redis.call("ZSCORE", K.callers, ARGV[1])
if not deadline or tonumber(deadline) > now() then
  return "alive"
end
redis.call("ZREM", K.callers, ARGV[1])
return cancel(ARGV[1], "kill", "its caller is gone")
