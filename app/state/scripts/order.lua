-- Tells a worker to take nothing new, and to stay ("pause") or to end when its jobs have ended ("drain"); or to go on
-- as before ("resume"). The hash keeps it, so that a message that got lost is made up for by the next heartbeat.
--
-- KEYS[1]  the worker's hash   {ff}:worker:<id>
-- ARGV[1]  worker id           ARGV[2]  "pause", "drain" or "resume"
--
-- Returns "ok" or "unknown".
if redis.call("EXISTS", KEYS[1]) == 0 then
  return "unknown"
end
if ARGV[2] == "resume" then -- its next heartbeat says what it serves
  redis.call("HDEL", KEYS[1], "order")
else
  redis.call("HSET", KEYS[1], "order", ARGV[2])
  for _, cls in ipairs(redis.call("HKEYS", K.classes)) do -- it does not qualify for anything from now on
    redis.call("ZREM", K.capable .. cls, ARGV[1])
  end
end
redis.call("XADD", K.inbox .. ARGV[1], "MAXLEN", "~", 1000, "*", "do", ARGV[2])
return "ok"
