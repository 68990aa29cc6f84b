-- Says until when an attached job's caller counts as alive. A caller that has come back on another connection
-- is not gone because the old one ends: only the connection that came last is heard. A worker that waits for the
-- caller is told.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  ms from now
-- ARGV[3]  connection       ARGV[4]  "1" when it comes
--
-- Returns the job's state, or nil when there is no such job.
local job = redis.call("HMGET", KEYS[1], "state", "caller", "worker")
if job[1] and not FINAL[job[1]] and (ARGV[4] == "1" or job[2] == ARGV[3]) then
  redis.call("HSET", KEYS[1], "caller", ARGV[3])
  redis.call("ZADD", K.callers, now() + ARGV[2], ARGV[1])
  if ARGV[4] == "1" and HELD[job[1]] then
    redis.call("XADD", K.inbox .. job[3], "MAXLEN", "~", 1000, "*", "do", "call", "job", ARGV[1])
  end
end
return job[1]
