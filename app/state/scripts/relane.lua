-- Puts a job that nobody has taken into another lane, behind those that wait there.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  the lane
--
-- Returns "moved", "same", the state of a job that cannot be moved, or nil when there is no such job.
local job = redis.call("HMGET", KEYS[1], "state", "lane", "msg")
if job[1] ~= "queued" and job[1] ~= "waiting" then
  return job[1]
elseif job[2] == ARGV[2] then
  return "same"
end
if job[1] == "queued" then
  drop(queue_of(ARGV[1]), job[3])
end
redis.call("HSET", KEYS[1], "lane", ARGV[2])
if job[1] == "queued" then
  redis.pcall("XGROUP", "CREATE", queue_of(ARGV[1]), K.group, "0", "MKSTREAM")
  enqueue(ARGV[1])
end
redis.call("XADD", K.events, "MAXLEN", "~", 10000, "*", "job", ARGV[1], "event", "lane", "state", job[1],
  "worker", "", "attempt", "0")
return "moved"
