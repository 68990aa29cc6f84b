-- Makes a worker known under its name. A name that another live process holds is refused.
--
-- KEYS[1]  the worker's hash   {ff}:worker:<id>
-- ARGV[1]  worker id           ARGV[2]  boot id           ARGV[3]  JSON: what it is and can do
-- ARGV[4]  ms since its last beat after which the holder of a name counts as dead
-- ARGV[5]  "1": the holder is known to be dead; what it held is given back at once
--
-- Returns "ok", or the ms since the holder's last beat as text.
local at = now()
local before = redis.call("HMGET", KEYS[1], "boot", "beat")
if before[1] and before[1] ~= ARGV[2] and ARGV[5] ~= "1" and at - (before[2] or 0) < tonumber(ARGV[4]) then
  return text(at - before[2])
end
if before[1] and before[1] ~= ARGV[2] and ARGV[5] == "1" then
  for state in pairs(HELD) do
    for _, id in ipairs(redis.call("ZRANGE", K.states .. state, 0, -1)) do
      local job = held(id)
      if job.worker == ARGV[1] and job.boot ~= ARGV[2] then
        lose(id, job)
      end
    end
  end
end
redis.call("HSET", KEYS[1], "boot", ARGV[2], "about", ARGV[3], "beat", text(at), "busy", "0")
if before[1] ~= ARGV[2] then -- another boot: what an earlier one was told is not for this one
  redis.call("HDEL", KEYS[1], "draining")
  redis.call("HSET", KEYS[1], "fenced", ARGV[5]) -- on another host the name alone proves no death
  redis.call("DEL", K.inbox .. ARGV[1])
end
redis.pcall("XGROUP", "CREATE", K.inbox .. ARGV[1], K.group, "0", "MKSTREAM")
redis.call("PEXPIRE", KEYS[1], 86400000)
redis.call("ZADD", K.workers, at, ARGV[1])
return "ok"
