-- The tick. Finds jobs whose worker has been silent for a lease and puts them back, or ends them; queues failed
-- jobs whose wait is over; cancels attached jobs whose caller is gone. Run by every process, as often as it likes.
--
-- KEYS[1]  the reaper's clock   {ff}:reaper
-- ARGV[1]  lease ms             ARGV[2]  ms of silence that prove death
-- ARGV[3]  ms without a tick that count as an outage
-- ARGV[4]  ms without a tick in which a heartbeat may have been missed        ARGV[5]  ms of grace after that
-- ARGV[6]  ms of grace for callers after an outage
-- ARGV[7]  ms for which nobody else need tick
--
-- Returns a list of {job id, what was done}, or nil where somebody has just ticked.
local at, done = now(), {}
local clock = redis.call("HMGET", KEYS[1], "last", "grace", "grace_callers", "since")
for i = 1, 4 do
  clock[i] = tonumber(clock[i] or 0)
end
local last, grace, grace_callers, since = unpack(clock)
local gap = at - last
if gap >= 0 and gap < tonumber(ARGV[7]) then
  return nil
end

-- Idle time counts outages too, and so does a clock that was set: silence before that proves nothing. Where it was
-- set back, what is touched at a time to come would count as idle only long after that.
if gap < 0 or gap > tonumber(ARGV[3]) then
  grace, grace_callers, since = at + ARGV[1], at + ARGV[6], at
  for _, stream in ipairs(gap < 0 and queues() or {}) do
    local pending = redis.pcall("XPENDING", stream, K.group, "-", "+", 100000)
    for _, row in ipairs(pending.err and {} or pending) do
      redis.call("XCLAIM", stream, K.group, row[2], 0, row[1], "JUSTID")
    end
  end
elseif gap > tonumber(ARGV[4]) then
  grace = math.max(grace, at + ARGV[5])
end
redis.call("HSET", KEYS[1], "last", text(at), "grace", text(grace), "grace_callers", text(grace_callers),
  "since", text(since))

-- Some jobs may be redone on suspicion, and one that is to be cancelled is not redone. The others wait for proof: a
-- later process on the same host that has seen this one dead, or a long silence without an outage in it.
local function may_redo(id, job)
  if job.redo == "suspected" or job.cancel then
    return true
  elseif redis.call("HGET", K.worker .. job.worker, "fenced") == job.boot then
    return true
  end
  local suspect = tonumber(redis.call("HGET", K.job .. id, "suspect"))
  if not suspect or suspect < since or suspect > at then
    suspect = at
    redis.call("HSET", K.job .. id, "suspect", text(at))
  end
  return at - suspect >= ARGV[2] - ARGV[1]
end

local function look(stream, entry)
  local id = redis.call("XRANGE", stream, entry, entry)[1][2][2]
  local job = held(id)
  if job.msg ~= entry or not (HELD[job.state] or job.state == "queued") then
    drop(stream, entry)
  elseif job.state == "queued" then -- delivered and never started: the reply was lost
    drop(stream, entry)
    enqueue(id)
    done[#done + 1] = { id, "requeued" }
  elseif may_redo(id, job) then
    done[#done + 1] = { id, lose(id, job) }
  end
end

local function look_through(stream)
  local cursor = redis.call("HGET", KEYS[1], stream) or "0-0"
  local silent = redis.pcall("XAUTOCLAIM", stream, K.group, K.reaper_name, ARGV[1], cursor, "COUNT", 100, "JUSTID")
  if silent.err then
    return
  elseif silent[1] ~= cursor then
    redis.call("HSET", KEYS[1], stream, silent[1])
  end
  for _, entry in ipairs(silent[2]) do
    look(stream, entry)
  end
end

if at >= grace then
  for _, stream in ipairs(queues()) do
    look_through(stream)
  end
end
for _, id in ipairs(redis.call("ZRANGEBYSCORE", K.due, "-inf", at, "LIMIT", 0, 100)) do
  redis.call("ZREM", K.due, id)
  if move(id, "due", {}) then
    enqueue(id)
    done[#done + 1] = { id, "queued" }
  end
end
if at >= grace_callers then
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", K.callers, "-inf", at, "LIMIT", 0, 100)) do
    redis.call("ZREM", K.callers, id)
    done[#done + 1] = { id, cancel(id, "kill", "its caller is gone") }
  end
end
return done
