-- Sets the clock of `clock.lua`. What expires until then is gone.
--
-- ARGV[1]  ms of Unix time
redis.call("SET", "test:clock", ARGV[1])
local times = redis.call("HGETALL", "test:times")
for i = 1, #times, 2 do
  if tonumber(times[i + 1]) <= tonumber(ARGV[1]) then
    redis.call("DEL", times[i])
    redis.call("HDEL", "test:times", times[i])
  end
end
return 1
