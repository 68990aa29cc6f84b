-- A worker's heartbeat: it is alive, and so are the leases whose tokens match.
--
-- KEYS[1]  the worker's hash   {ff}:worker:<id>
-- ARGV[1]  worker id           ARGV[2]  boot id          ARGV[3]  busy slots
-- ARGV[4]  n, then n class ids it can serve, then id, token of each job it runs
--
-- Returns {"ok" | "unknown" | "replaced", lost job ids, {id, how} of jobs to cancel, what the worker is told: "pause",
-- "drain" or "", paused job ids, how many jobs' leftovers wait to be looked for}.
local boot = redis.call("HGET", KEYS[1], "boot")
if boot ~= ARGV[2] then
  return { boot and "replaced" or "unknown", {}, {}, "", {}, 0 }
end
local at = now()
redis.call("HSET", KEYS[1], "busy", ARGV[3], "beat", text(at))
redis.call("PEXPIRE", KEYS[1], 86400000)
redis.call("ZADD", K.workers, at, ARGV[1])
local last_class, order = 4 + ARGV[4], redis.call("HGET", KEYS[1], "order")
for i = 5, order and 0 or last_class do
  redis.call("ZADD", K.capable .. ARGV[i], at, ARGV[1])
end

-- The entry's idle time is the lease. If somebody has deleted the entry or its stream, it gets another.
local function refresh(id, entry)
  local stream = queue_of(id)
  local claimed = redis.pcall("XCLAIM", stream, K.group, ARGV[1], 0, entry, "JUSTID")
  if #claimed == 0 then -- of an error too
    redis.pcall("XGROUP", "CREATE", stream, K.group, "0", "MKSTREAM")
    enqueue(id)
    entry = redis.call("HGET", K.job .. id, "msg")
    redis.call("XCLAIM", stream, K.group, ARGV[1], 0, entry, "FORCE", "JUSTID")
  end
end

local lost, cancelled, paused = {}, {}, {}
for i = last_class + 1, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local job = redis.call("HMGET", K.job .. id, "state", "token", "msg", "cancel", "paused")
  if not HELD[job[1]] or job[2] ~= token then
    lost[#lost + 1] = id
  else
    refresh(id, job[3])
    redis.call("HDEL", K.job .. id, "suspect")
    if job[4] then
      cancelled[#cancelled + 1] = { id, job[4] }
    end
    if job[5] then
      paused[#paused + 1] = id
    end
  end
end
return { "ok", lost, cancelled, order or "", paused, redis.call("ZCOUNT", K.litter, "-inf", at) }
