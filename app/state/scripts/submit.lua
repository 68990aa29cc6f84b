-- Creates a job once for each key a client makes, and queues it.
-- Refused whole when Redis is out of memory: it is the only script that may be.
--
-- KEYS[1]  the job's hash                 {ff}:job:<id>
-- ARGV[1]  job id                         ARGV[2]  owner, a key id
-- ARGV[3]  the client's key               ARGV[4]  digest of the submission
-- ARGV[5]  sealed spec                    ARGV[6]  class id
-- ARGV[7]  requirement JSON               ARGV[8]  lane
-- ARGV[9]  "1": refuse when no live worker qualifies
-- ARGV[10] ms since its last beat after which a worker is not live
-- ARGV[11] ms the caller has to attach, "0" for a job without one
-- ARGV[12] "1": who qualifies has been looked up; else a new class is only reported
-- ARGV[13] n, then n field-value pairs of the hash, then worker ids that qualify
--
-- Returns {"new" | "same" | "conflict" | "refused" | "classify", id, live workers that qualify}.
local id, owner, cls = ARGV[1], ARGV[2], ARGV[6]
local at = now()
local idem = K.idem .. owner .. ":" .. ARGV[3]

local function qualified()
  return redis.call("ZCOUNT", K.capable .. cls, at - ARGV[10], "+inf")
end

local seen = redis.call("GET", idem)
if seen then
  local old, digest = string.match(seen, "^(%S+) (%S+)$")
  cls = redis.call("HGET", K.job .. old, "cls") or cls
  return { digest == ARGV[4] and "same" or "conflict", old, qualified() }
end

local pairs_end = 13 + 2 * ARGV[13]
if redis.call("HEXISTS", K.classes, cls) == 0 then
  if ARGV[12] ~= "1" then
    return { "classify", id, 0 }
  end
  redis.call("HSET", K.classes, cls, ARGV[7])
  redis.call("ZADD", K.classes_used, at, cls)
  for _, lane in ipairs(LANES) do
    redis.pcall("XGROUP", "CREATE", K.queue .. cls .. ":" .. lane, K.group, "0", "MKSTREAM")
  end
  for _, worker in ipairs(redis.call("ZRANGEBYSCORE", K.workers, at - ARGV[10], "+inf")) do
    redis.call("XADD", K.inbox .. worker, "MAXLEN", "~", 1000, "*", "do", "class")
  end
end
for i = pairs_end + 1, #ARGV do
  redis.call("ZADD", K.capable .. cls, at, ARGV[i])
end
if ARGV[9] == "1" and qualified() == 0 then
  return { "refused", id, 0 }
end

redis.call("SET", idem, id .. " " .. ARGV[4], "PX", 86400000)
redis.call("ZADD", K.classes_used, at, cls)
redis.call("HSET", KEYS[1], "state", "queued", "spec", ARGV[5], "cls", cls, "lane", ARGV[8], "owner", owner,
  "created", text(at), "attempt", "0", "losses", "0", unpack(ARGV, 14, pairs_end))
local listed = { K.jobs, K.states .. "queued", K.made .. "queued" }
for _, index in ipairs(is_own(owner) and { K.own .. "queued" } or listed) do
  redis.call("ZADD", index, at, id)
end
redis.call("ZADD", K.owned .. owner, at, id)
if ARGV[11] ~= "0" then
  redis.call("ZADD", K.callers, at + ARGV[11], id)
end
redis.call("XADD", K.events, "MAXLEN", "~", 10000, "*", "job", id, "event", "submit", "state", "queued",
  "worker", "", "attempt", "0")
tally_submitted(ARGV[8], owner)
enqueue(id)
return { "new", id, qualified() }
