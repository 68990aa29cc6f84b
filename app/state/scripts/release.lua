-- Hands a job back to its queue and charges nothing: a draining worker, or an entry delivered in excess.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  token, or "" for an entry that was delivered and not started
-- ARGV[3]  entry id, with an empty token
--
-- Returns "ok" or "lost".
local job = redis.call("HMGET", KEYS[1], "state", "token", "msg", "cancel")
if ARGV[2] ~= "" then
  if job[2] ~= ARGV[2] then
    return "lost"
  elseif job[4] then -- somebody has asked for its end meanwhile
    settle(ARGV[1], "cancel", { "cause", "cancelled" })
    return "ok"
  end
  return requeue(ARGV[1], "release", {}) and "ok" or "lost"
end
if job[1] ~= "queued" or job[3] ~= ARGV[3] then
  return "lost"
end
drop(queue_of(ARGV[1]), ARGV[3])
enqueue(ARGV[1])
return "ok"
