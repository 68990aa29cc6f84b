-- Begins an operation on many jobs, once for each id.
--
-- KEYS[1]  the operation         {ff}:operation:<id>
-- ARGV[1]  its id                ARGV[2]  digest of what is asked
-- ARGV[3]  how many may go on at a time
-- ARGV[4]  n, then n pairs: fields of the operation's hash
--
-- Returns "new", "same", "conflict", or "full" when too many go on.
local digest = redis.call("HGET", KEYS[1], "digest")
if digest then
  return digest == ARGV[2] and "same" or "conflict"
end
redis.call("ZREMRANGEBYSCORE", K.operations, "-inf", now())
if redis.call("ZCOUNT", K.operations, "+inf", "+inf") >= tonumber(ARGV[3]) then
  return "full"
end
redis.call("HSET", KEYS[1], "digest", ARGV[2], "state", "running", "done", "0", "skipped", "0", "failed", "0",
  unpack(ARGV, 5, 4 + 2 * ARGV[4]))
redis.call("ZADD", K.operations, "+inf", ARGV[1])
return "new"
