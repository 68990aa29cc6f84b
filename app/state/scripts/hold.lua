-- A tab wants to hold a stream open, or says again that it does. A session may hold only a few.
--
-- KEYS[1]  the session's streams: tab by the ms until which it counts     {ff}:streams:<session id>
-- ARGV[1]  tab       ARGV[2]  ms for which it counts       ARGV[3]  how many a session may hold
--
-- Returns 1 if it may, else 0.
local at = now()
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", at)
if not redis.call("ZSCORE", KEYS[1], ARGV[1]) and redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[3]) then
  return 0
end
redis.call("ZADD", KEYS[1], at + ARGV[2], ARGV[1])
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return 1
