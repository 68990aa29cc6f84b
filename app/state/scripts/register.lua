-- Makes a worker known under its name. A name that another live process holds is refused.
--
-- KEYS[1]  the worker's hash   {ff}:worker:<id>
-- ARGV[1]  worker id           ARGV[2]  boot id           ARGV[3]  JSON: what it is and can do
-- ARGV[4]  ms since its last beat after which the holder of a name counts as dead
-- ARGV[5]  "1": take the name whoever holds it
--
-- Returns "ok", or the ms since the holder's last beat as text.
local at = now()
local held = redis.call("HMGET", KEYS[1], "boot", "beat")
if held[1] and held[1] ~= ARGV[2] and ARGV[5] ~= "1" and at - (held[2] or 0) < tonumber(ARGV[4]) then
  return text(at - held[2])
end
redis.call("HSET", KEYS[1], "boot", ARGV[2], "about", ARGV[3], "beat", text(at), "busy", "0")
if held[1] ~= ARGV[2] then -- another boot: what an earlier one was told is not for this one
  redis.call("HDEL", KEYS[1], "draining")
  redis.call("DEL", K.inbox .. ARGV[1])
end
redis.pcall("XGROUP", "CREATE", K.inbox .. ARGV[1], K.group, "0", "MKSTREAM")
redis.call("PEXPIRE", KEYS[1], 86400000)
redis.call("ZADD", K.workers, at, ARGV[1])
return "ok"
