-- Asks whether a job's outputs may get their names, for the worker that holds its lease. From the yes on the job
-- cannot be cancelled, and what is remembered lets another worker end what this one has begun. Twice is harmless.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  token      ARGV[3]  JSON: what the outputs are called until then, and their sizes
--
-- Returns "ok", "lost" or, where somebody has asked for the job's end, "cancel" or "kill".
local job = redis.call("HMGET", KEYS[1], "state", "token", "cancel")
if job[2] ~= ARGV[2] then
  return "lost"
elseif job[1] == "publishing" then
  return "ok"
elseif job[3] then
  return job[3]
end
return move(ARGV[1], "publish", { "published", ARGV[3] }) and "ok" or "lost"
