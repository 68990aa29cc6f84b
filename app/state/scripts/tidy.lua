-- Finds jobs that have ended and whose lost attempts may have left files, for a worker that could reach them.
-- They are looked for at once and once more when no lost attempt can live any longer.
--
-- KEYS[1]  the litter           {ff}:litter
-- ARGV[1]  ms after which no lost attempt lives       ARGV[2]  ms that a look may take
-- ARGV[3]  n, then n ids of jobs that this worker has looked after, then the classes that it can serve
--
-- Returns a list of {id, spec}. What this worker does not come back with, another gets later. A job of another class
-- is left where it is, for those who can serve it; what none of them has taken for long goes behind the others.
local at, found, able = now(), {}, {}
for i = 4, 3 + ARGV[3] do
  local since = redis.call("HGET", K.job .. ARGV[i], "finished")
  local last = (tonumber(since) or 0) + ARGV[1]
  if last > at then
    redis.call("ZADD", KEYS[1], text(last), ARGV[i])
  else
    redis.call("ZREM", KEYS[1], ARGV[i])
  end
end
for i = 4 + ARGV[3], #ARGV do
  able[ARGV[i]] = true
end
local due = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", at, "WITHSCORES", "LIMIT", 0, 50)
for i = 1, #due, 2 do
  local id, wait = due[i], ARGV[2]
  local job = redis.call("HMGET", K.job .. id, "state", "cls", "spec")
  if not job[1] then
    redis.call("ZREM", KEYS[1], id)
  elseif not FINAL[job[1]] then -- its next attempt removes what the earlier ones have left
    wait = ARGV[1]
  elseif able[job[2]] then
    found[#found + 1] = { id, job[3] }
  elseif at - due[i + 1] < tonumber(ARGV[2]) then -- those who can serve it come first
    wait = nil
  else
    wait = 10 * ARGV[2]
  end
  if wait then
    redis.call("ZADD", KEYS[1], "XX", text(at + wait), id)
  end
end
return found
