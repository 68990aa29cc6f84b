-- Ends a job, for the worker that holds its lease. Saying it twice with one token is harmless.
-- A failure is tried again after a while, as long as the job may fail.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  token      ARGV[3]  event: succeed, fail or cancel
-- ARGV[4]  "1": another try may end otherwise
-- ARGV[5..]  field-value pairs: exit, signal, reason ...
--
-- Returns "ok", "same" (this token has ended it before) or "lost" (the lease is another's, or nobody's).
local id, event, fields = ARGV[1], ARGV[3], { unpack(ARGV, 5) }
local names = { "token", "won", "cancel", "retries", "failures", "retry_delay", "cls" }
local job = redis.call("HMGET", KEYS[1], unpack(names))
if job[2] == ARGV[2] then
  return "same"
elseif job[1] ~= ARGV[2] then
  return "lost"
end

local failures = tonumber(job[5] or 0) + 1
if event == "fail" and job[3] then -- somebody has asked for its end, and was promised it
  event = "cancel"
elseif event == "fail" and ARGV[4] == "1" and failures <= tonumber(job[4] or 0) then
  event = "defer"
end
if event == "fail" or event == "defer" then
  fields[#fields + 1], fields[#fields + 2] = "failures", text(failures)
end
if not settle(id, event, fields) then
  return "lost"
end
redis.call("HSET", KEYS[1], "won", ARGV[2])
redis.call("HDEL", KEYS[1], "published")
if event == "defer" then -- twice as long each time, an hour at most; its class is needed until then
  local due = now() + math.min(job[6] * 2 ^ (failures - 1), 3600000)
  redis.call("HDEL", KEYS[1], "progress")
  redis.call("HSET", KEYS[1], "due", text(due))
  redis.call("ZADD", K.due, text(due), id)
  redis.call("ZADD", K.classes_used, text(due), job[7])
end
return "ok"
