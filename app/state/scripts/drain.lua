-- Tells a worker to take nothing new and to end when its jobs have ended.
--
-- KEYS[1]  the worker's hash   {ff}:worker:<id>
-- ARGV[1]  worker id
--
-- Returns "ok" or "unknown".
if redis.call("EXISTS", KEYS[1]) == 0 then
  return "unknown"
end
redis.call("HSET", KEYS[1], "draining", "1")
for _, cls in ipairs(redis.call("HKEYS", K.classes)) do -- it does not qualify for anything from now on
  redis.call("ZREM", K.capable .. cls, ARGV[1])
end
redis.call("XADD", K.inbox .. ARGV[1], "MAXLEN", "~", 1000, "*", "do", "drain")
return "ok"
