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
local replaces = before[1] and before[1] ~= ARGV[2]
local proven = replaces and ARGV[5] == "1"
if replaces and not proven and at - before[2] < tonumber(ARGV[4]) then
  if tonumber(before[2]) > at then -- the clock was set back: its silence counts from now
    redis.call("HSET", KEYS[1], "beat", text(at))
  end
  return text(math.max(at - before[2], 0))
end

-- Gives back what the process before held, or the reaper has taken from it. Nothing is known of still earlier
-- processes: they may have run elsewhere.
local function give_back(stream, consumer)
  local pending = redis.pcall("XPENDING", stream, K.group, "-", "+", 10000, consumer)
  for _, entry in ipairs(pending.err and {} or pending) do
    local row = redis.call("XRANGE", stream, entry[1], entry[1])[1]
    local job = row and held(row[2][2])
    if job and job.boot == before[1] then
      lose(row[2][2], job)
    end
  end
end

for _, stream in ipairs(proven and queues() or {}) do
  give_back(stream, ARGV[1])
  give_back(stream, K.reaper_name)
end
redis.call("HSET", KEYS[1], "boot", ARGV[2], "about", ARGV[3], "beat", text(at), "busy", "0")
if before[1] ~= ARGV[2] then -- another boot: what an earlier one was told is not for this one
  redis.call("HDEL", KEYS[1], "order")
  redis.call("DEL", K.inbox .. ARGV[1])
end
if proven then -- on another host the name alone proves no death
  redis.call("HSET", KEYS[1], "fenced", before[1])
end
redis.pcall("XGROUP", "CREATE", K.inbox .. ARGV[1], K.group, "0", "MKSTREAM")
redis.call("PEXPIRE", KEYS[1], 86400000)
redis.call("ZADD", K.workers, at, ARGV[1])
return "ok"
