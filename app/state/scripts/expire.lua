-- Forgets jobs that ended long ago, workers long dead and classes long unused: a bounded handful a call.
--
-- KEYS[1]  all jobs        {ff}:jobs
-- ARGV[1]  ms that an ended job is kept
-- ARGV[2]  ms that a dead worker or an unused class is kept
-- ARGV[3]  how many jobs to forget at most
--
-- Returns the ids of the forgotten jobs.
local at, gone = now(), {}

local function forget(states, state)
  local old = redis.call("ZRANGEBYSCORE", states .. state, "-inf", at - ARGV[1], "LIMIT", 0, ARGV[3] - #gone)
  for _, id in ipairs(old) do
    redis.call("ZREM", K.owned .. (redis.call("HGET", K.job .. id, "owner") or ""), id)
    redis.call("ZREM", states .. state, id)
    redis.call("ZREM", K.made .. state, id)
    redis.call("ZREM", KEYS[1], id)
    redis.call("ZREM", K.litter, id)
    redis.call("UNLINK", K.job .. id)
    gone[#gone + 1] = id
  end
end

for state in pairs(FINAL) do
  forget(K.states, state)
  forget(K.own, state)
end
for _, worker in ipairs(redis.call("ZRANGEBYSCORE", K.workers, "-inf", at - ARGV[2])) do
  forget_worker(worker)
end
for _, cls in ipairs(redis.call("ZRANGEBYSCORE", K.classes_used, "-inf", at - ARGV[2])) do
  local entries = 0
  for _, lane in ipairs(LANES) do
    entries = entries + redis.call("XLEN", K.queue .. cls .. ":" .. lane)
  end
  if entries == 0 then
    for _, lane in ipairs(LANES) do
      redis.call("UNLINK", K.queue .. cls .. ":" .. lane)
    end
    redis.call("ZREM", K.classes_used, cls)
    redis.call("HDEL", K.classes, cls)
    redis.call("UNLINK", K.capable .. cls)
  end
end
return gone
