-- Stores how far a job is, for the worker that holds its lease.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  token      ARGV[3]  progress JSON
--
-- Returns "ok" or "lost".
local job = redis.call("HMGET", KEYS[1], "state", "token", "worker", "attempt")
if not HELD[job[1]] or job[2] ~= ARGV[2] then
  return "lost"
end
redis.call("HSET", KEYS[1], "progress", ARGV[3])
redis.call("XADD", K.events, "MAXLEN", "~", 10000, "*", "job", ARGV[1], "event", "progress", "state", job[1],
  "worker", job[3], "attempt", job[4])
return "ok"
