-- A stream of a tab is to be held open, or goes on being so. A session may hold only a few, each of another tab: a tab
-- that comes back takes its own place, from a stream of which nobody may have noticed yet that it has ended.
--
-- KEYS[1]  the session's streams, by the ms until which each counts     {ff}:streams:<session id>
-- ARGV[1]  stream, <tab>:<random>       ARGV[2]  "1": it begins, else it goes on
-- ARGV[3]  ms for which it counts       ARGV[4]  how many a session may hold
--
-- Returns 1 if it may, else 0.
local at, tab = now(), string.match(ARGV[1], "^[^:]*:")
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", at)
for _, stream in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do
  if stream ~= ARGV[1] and string.sub(stream, 1, #tab) == tab then
    if ARGV[2] ~= "1" then
      return 0
    end
    redis.call("ZREM", KEYS[1], stream)
  end
end
if not redis.call("ZSCORE", KEYS[1], ARGV[1]) and redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[4]) then
  return 0
end
redis.call("ZADD", KEYS[1], at + ARGV[3], ARGV[1])
redis.call("PEXPIRE", KEYS[1], ARGV[3])
return 1
