-- Put before every script by `scripting.py`, after the generated tables and `tally.lua`:
--   K      key names and prefixes, from keys.py
--   MOVES  event -> {from = {state = true}, to = state}; STATES, FINAL, HELD  state -> true; from lifecycle.py
-- Here is only what several scripts do in the same way.

-- Redis' own clock in ms. No other clock is ever compared.
local function now()
  local t = redis.call("TIME")
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function queue_of(id)
  local at = redis.call("HMGET", K.job .. id, "cls", "lane")
  return K.queue .. at[1] .. ":" .. at[2]
end

-- All streams that workers read.
local function queues()
  local all = {}
  for _, cls in ipairs(redis.call("HKEYS", K.classes)) do
    for _, lane in ipairs(LANES) do
      all[#all + 1] = K.queue .. cls .. ":" .. lane
    end
  end
  return all
end

-- An entry is acknowledged and deleted, or it stays in the stream for ever.
local function drop(stream, entry)
  redis.call("XACK", stream, K.group, entry)
  redis.call("XDEL", stream, entry)
end

-- Puts a hint into the queue and remembers it as the job's only valid one.
local function enqueue(id)
  local entry = redis.call("XADD", queue_of(id), "*", "job", id)
  redis.call("HSET", K.job .. id, "msg", entry)
end

-- Keeps how an attempt has ended, under its number; the last 20 of a job.
local function record(id, event, job, fields)
  local ending = { event = event, worker = job[2], started = tonumber(job[4]), ended = now() }
  for i = 1, #fields, 2 do
    ending[fields[i]] = fields[i + 1]
  end
  redis.call("HSET", K.job .. id, "try:" .. job[3], cjson.encode(ending))
  redis.call("HDEL", K.job .. id, "try:" .. text(job[3] - 20))
end

-- Moves a job along the table and sets `fields` {name, value, ...} with it.
-- Returns the new state, or nil where the table has no such move.
local function move(id, event, fields)
  local key, rule = K.job .. id, MOVES[event]
  local job = redis.call("HMGET", key, "state", "worker", "attempt", "started", "lane", "created", "progress",
    "owner")
  if not rule.from[job[1]] then
    return nil
  end
  local at = now()
  redis.call("HSET", key, "state", rule.to, unpack(fields))
  local states = is_own(job[8]) and K.own or K.states
  redis.call("ZREM", states .. job[1], id)
  redis.call("ZADD", states .. rule.to, at, id)
  if states == K.states then
    redis.call("ZREM", K.made .. job[1], id)
    redis.call("ZADD", K.made .. rule.to, job[6] or at, id)
  end
  if HELD[job[1]] and not HELD[rule.to] then
    record(id, event, job, fields)
    redis.call("HDEL", key, "token", "boot", "suspect")
  end
  if FINAL[rule.to] then
    redis.call("HSET", key, "finished", text(at))
    redis.call("ZREM", K.callers, id)
    redis.call("ZREM", K.due, id)
    redis.call("ZADD", K.litter, "XX", text(at), id) -- no attempt comes that would look after what earlier ones left
  end
  redis.call("XADD", K.events, "MAXLEN", "~", 10000, "*", "job", id, "event", event, "state", rule.to,
    "worker", job[2] or "", "attempt", job[3] or "0")
  tally(event, rule.to, at, job)
  return rule.to
end

-- What a worker is told of a job that it holds with this token: {id, token, attempt, spec, published, "1" if its
-- caller has come, id of the request that submitted it}. Or nil.
local function lease(id, token)
  local job = redis.call("HMGET", K.job .. id, "token", "attempt", "spec", "published", "caller", "request")
  return job[1] == token and { id, token, job[2], job[3], job[4] or "", job[5] and "1" or "", job[6] or "" } or nil
end

-- Starts the job that a delivered entry points at. A stale entry is dropped; an entry that holds somebody's
-- lease is not. Starting twice with one token is harmless: a client repeats what it had no answer to.
-- Returns what `lease` does.
local function begin(stream, entry, id, worker, boot, token)
  local job = redis.call("HMGET", K.job .. id, "state", "msg", "attempt")
  if job[2] ~= entry or not (job[1] == "queued" or HELD[job[1]]) then
    drop(stream, entry)
  elseif job[1] == "queued" then
    redis.call("HSET", K.job .. id, "worker", worker, "attempt", text(job[3] + 1))
    redis.call("HDEL", K.job .. id, "exit", "signal", "reason", "cause") -- how an attempt before has ended
    move(id, "start", { "boot", boot, "token", token, "started", text(now()) })
  end
  return lease(id, token)
end

-- Takes a job off its worker, and its entry out of its stream. Returns the new state, or nil where the table says no.
local function settle(id, event, fields)
  local stream, entry = queue_of(id), redis.call("HGET", K.job .. id, "msg")
  local state = move(id, event, fields)
  if state then
    drop(stream, entry)
  end
  return state
end

-- Gives a job back to its queue under a new entry; the old entry goes. Returns nil where the table says no.
local function requeue(id, event, fields)
  local state = settle(id, event, fields)
  if state then
    redis.call("HDEL", K.job .. id, "progress")
    enqueue(id)
  end
  return state
end

-- Cancels a queued job, or asks the worker of a running one. `how` is "cancel" or "kill".
-- Returns "cancelled", "cancelling", "late" (its outputs are getting their names), "ended" or "unknown".
local function cancel(id, how, reason)
  local job = redis.call("HMGET", K.job .. id, "state", "worker")
  if not job[1] then
    return "unknown"
  elseif FINAL[job[1]] then
    return "ended"
  elseif not HELD[job[1]] then
    return settle(id, "cancel", { "reason", reason, "cause", "cancelled" })
  elseif job[1] == "publishing" then
    return "late"
  end
  redis.call("HSET", K.job .. id, "cancel", how, "reason", reason)
  redis.call("XADD", K.inbox .. job[2], "MAXLEN", "~", 1000, "*", "do", how, "job", id)
  return "cancelling"
end

-- What a job's hash says about who holds it.
local function held(id)
  local job, names = {}, { "state", "msg", "redo", "worker", "boot", "losses", "max_attempts", "cancel" }
  for i, value in ipairs(redis.call("HMGET", K.job .. id, unpack(names))) do
    job[names[i]] = value
  end
  return job
end

-- The worker of a job is dead: puts the job back, or ends it. Returns its new state.
local function lose(id, job)
  local losses = text(job.losses + 1)
  redis.call("ZADD", K.litter, now(), id)
  if job.cancel then
    return settle(id, "cancel", { "losses", losses, "cause", "cancelled" })
  end
  local lost = { "losses", losses, "cause", "lost", "reason", "its worker " .. job.worker .. " was lost" }
  if job.redo == "never" or job.losses + 1 >= tonumber(job.max_attempts) then
    if job.losses + 1 > 1 then
      lost[6] = "its worker was lost " .. losses .. " times, " .. job.worker .. " the last"
    end
    return settle(id, "bury", lost)
  end
  return requeue(id, "lose", lost)
end

-- Takes a worker out of every list that names it. A consumer that still holds entries stays: they would be lost.
local function forget_worker(worker)
  redis.call("ZREM", K.workers, worker)
  redis.call("UNLINK", K.worker .. worker, K.inbox .. worker)
  for _, cls in ipairs(redis.call("HKEYS", K.classes)) do
    redis.call("ZREM", K.capable .. cls, worker)
  end
  for _, stream in ipairs(queues()) do
    local pending = redis.pcall("XPENDING", stream, K.group, "-", "+", 1, worker)
    if not pending.err and #pending == 0 then
      redis.call("XGROUP", "DELCONSUMER", stream, K.group, worker)
    end
  end
end

