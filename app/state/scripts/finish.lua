-- Ends a job, for the worker that holds its lease. Saying it twice with one token is harmless.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  token      ARGV[3]  event: succeed, fail or cancel
-- ARGV[4..]  field-value pairs: exit, signal, reason ...
--
-- Returns "ok", "same" (this token has ended it before) or "lost" (the lease is another's, or nobody's).
local job = redis.call("HMGET", KEYS[1], "token", "won")
if job[2] == ARGV[2] then
  return "same"
end
if job[1] ~= ARGV[2] or not settle(ARGV[1], ARGV[3], { unpack(ARGV, 4) }) then
  return "lost"
end
redis.call("HSET", KEYS[1], "won", ARGV[2])
redis.call("HDEL", KEYS[1], "token", "suspect")
return "ok"
