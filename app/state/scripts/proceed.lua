-- Gives an operation's next step to one process, if nobody else is at it. Who dies meanwhile loses it to another.
--
-- KEYS[1]  the operation         {ff}:operation:<id>
-- ARGV[1]  the process' token    ARGV[2]  ms that a step may take
--
-- Returns the operation's fields and values, or nil.
local at, op = now(), redis.call("HMGET", KEYS[1], "state", "token", "held")
if op[1] ~= "running" or (op[2] and op[2] ~= ARGV[1] and tonumber(op[3]) > at) then
  return nil
end
redis.call("HSET", KEYS[1], "token", ARGV[1], "held", text(at + ARGV[2]))
return redis.call("HGETALL", KEYS[1])
