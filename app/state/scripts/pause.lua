-- Stops the processes of a running job, or lets them go on, through its worker's inbox. Once or many times: the
-- same. The hash keeps what was asked, so that a message that got lost is made up for by the next heartbeat, and
-- a job that another worker takes over waits there too.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  "pause" or "resume"
--
-- Returns the job's state ("running" means that its worker was told), or nil when there is no such job.
local job = redis.call("HMGET", KEYS[1], "state", "worker", "attempt")
if job[1] ~= "running" then
  return job[1]
end
if ARGV[2] == "pause" then
  redis.call("HSET", KEYS[1], "paused", "1")
else
  redis.call("HDEL", KEYS[1], "paused")
end
redis.call("XADD", K.inbox .. job[2], "MAXLEN", "~", 1000, "*", "do", ARGV[2], "job", ARGV[1])
redis.call("XADD", K.events, "MAXLEN", "~", 10000, "*", "job", ARGV[1], "event", ARGV[2], "state", job[1],
  "worker", job[2], "attempt", job[3])
return job[1]
