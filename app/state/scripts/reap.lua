-- Finds jobs whose worker has been silent for a lease and puts them back, or fails them; cancels attached
-- jobs whose caller is gone. Run by every process, as often as it likes.
--
-- KEYS[1]  the reaper's clock   {ff}:reaper
-- ARGV[1]  lease ms             ARGV[2]  ms of silence that prove death
-- ARGV[3]  ms without a tick that count as an outage
-- ARGV[4]  ms of grace for callers after an outage
-- ARGV[5]  ms for which nobody else need tick
--
-- Returns a list of {job id, what was done}.
if not redis.call("SET", K.tick, "1", "NX", "PX", ARGV[5]) then
  return {}
end
local at, done = now(), {}
local clock = redis.call("HMGET", KEYS[1], "last", "grace", "grace_callers")
local last, grace, grace_callers = tonumber(clock[1]) or at, tonumber(clock[2]) or 0, tonumber(clock[3]) or 0
if at - last > tonumber(ARGV[3]) or at < last then -- idle time counts outages too: give everybody a lease
  grace, grace_callers = at + ARGV[1], at + ARGV[4]
end
redis.call("HSET", KEYS[1], "last", text(at), "grace", text(grace), "grace_callers", text(grace_callers))

-- Some jobs may be redone on suspicion. The others wait for proof: a later boot, or a long silence.
local function may_redo(id, job)
  if job.kind ~= "stream" then
    return true
  end
  local boot = redis.call("HGET", K.worker .. job.worker, "boot")
  if boot and boot ~= job.boot then
    return true
  end
  redis.call("HSETNX", K.job .. id, "suspect", text(at))
  return at - redis.call("HGET", K.job .. id, "suspect") >= ARGV[2] - ARGV[1]
end

local function look(stream, entry)
  local row = redis.call("XRANGE", stream, entry, entry)[1]
  local id = row and row[2][2]
  if not id then
    return drop(stream, entry)
  end
  local job = held(id)
  if job.msg ~= entry or not (job.state == "running" or job.state == "queued") then
    drop(stream, entry)
  elseif job.state == "queued" then -- delivered and never started: the reply was lost
    drop(stream, entry)
    enqueue(id)
    done[#done + 1] = { id, "requeued" }
  elseif may_redo(id, job) then
    done[#done + 1] = { id, lose(id, job) }
  end
end

if at >= grace then
  for _, cls in ipairs(redis.call("HKEYS", K.classes)) do
    for _, lane in ipairs(LANES) do
      local stream = K.queue .. cls .. ":" .. lane
      local cursor = redis.call("HGET", KEYS[1], stream) or "0-0"
      local silent = redis.pcall("XAUTOCLAIM", stream, K.group, K.reaper_name, ARGV[1], cursor, "COUNT", 100, "JUSTID")
      if not silent.err then
        if silent[1] ~= cursor then
          redis.call("HSET", KEYS[1], stream, silent[1])
        end
        for _, entry in ipairs(silent[2]) do
          look(stream, entry)
        end
      end
    end
  end
end
if at >= grace_callers then
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", K.callers, "-inf", at, "LIMIT", 0, 100)) do
    redis.call("ZREM", K.callers, id)
    done[#done + 1] = { id, cancel(id, "kill", "its caller is gone") }
  end
end
return done
