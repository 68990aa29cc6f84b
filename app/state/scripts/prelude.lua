-- Put before every script by `scripts.py`, after two generated tables:
--   K      key names and prefixes, from keys.py
--   MOVES  event -> {from = {state = true}, to = state}; FINAL  state -> true; from lifecycle.py
-- Here is only what several scripts do in the same way.

-- Redis' own clock in ms. No other clock is ever compared.
local function now()
  local t = redis.call("TIME")
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function text(number)
  return string.format("%.0f", number)
end

local function queue_of(id)
  local at = redis.call("HMGET", K.job .. id, "cls", "lane")
  return K.queue .. at[1] .. ":" .. at[2]
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

-- Moves a job along the table and sets `fields` {name, value, ...} with it.
-- Returns the new state, or nil where the table has no such move.
local function move(id, event, fields)
  local key, rule = K.job .. id, MOVES[event]
  local job = redis.call("HMGET", key, "state", "worker", "attempt")
  if not rule.from[job[1]] then
    return nil
  end
  local at = now()
  redis.call("HSET", key, "state", rule.to, unpack(fields))
  redis.call("ZREM", K.states .. job[1], id)
  redis.call("ZADD", K.states .. rule.to, at, id)
  if FINAL[rule.to] then
    redis.call("HSET", key, "finished", text(at))
    redis.call("ZREM", K.callers, id)
  end
  redis.call("XADD", K.events, "MAXLEN", "~", 10000, "*", "job", id, "event", event, "state", rule.to,
    "worker", job[2] or "", "attempt", job[3] or "0")
  return rule.to
end

-- Starts the job that a delivered entry points at. A stale entry is dropped; an entry that holds somebody's
-- lease is not. Starting twice with one token is harmless: a client repeats what it had no answer to.
-- Returns {id, token, attempt, spec}, or nil.
local function begin(stream, entry, id, worker, boot, token)
  local job = redis.call("HMGET", K.job .. id, "state", "msg", "attempt", "spec", "token")
  if job[2] ~= entry or not (job[1] == "queued" or job[1] == "running") then
    drop(stream, entry)
    return nil
  elseif job[1] == "running" then
    return job[5] == token and { id, token, job[3], job[4] } or nil
  end
  local attempt = text(job[3] + 1)
  redis.call("HSET", K.job .. id, "worker", worker, "attempt", attempt)
  move(id, "start", { "boot", boot, "token", token, "started", text(now()) })
  return { id, token, attempt, job[4] }
end

-- Gives a job back to its queue under a new entry; the old entry goes. Returns nil where the table says no.
local function requeue(id, event, fields)
  local stream, entry = queue_of(id), redis.call("HGET", K.job .. id, "msg")
  if not move(id, event, fields) then
    return nil
  end
  redis.call("HDEL", K.job .. id, "token", "boot", "suspect", "progress")
  drop(stream, entry)
  enqueue(id)
  return "queued"
end

-- Ends a job and removes its entry. Returns nil where the table says no.
local function settle(id, event, fields)
  local stream, entry = queue_of(id), redis.call("HGET", K.job .. id, "msg")
  local state = move(id, event, fields)
  if state then
    drop(stream, entry)
  end
  return state
end

-- Cancels a queued job, or asks the worker of a running one. `how` is "cancel" or "kill".
-- Returns "cancelled", "cancelling", "ended" or "unknown".
local function cancel(id, how, reason)
  local job = redis.call("HMGET", K.job .. id, "state", "worker")
  if not job[1] then
    return "unknown"
  elseif FINAL[job[1]] then
    return "ended"
  elseif job[1] == "queued" then
    return settle(id, "cancel", { "reason", reason })
  end
  redis.call("HSET", K.job .. id, "cancel", how, "reason", reason)
  redis.call("XADD", K.inbox .. job[2], "MAXLEN", "~", 1000, "*", "do", how, "job", id)
  return "cancelling"
end

-- What a job's hash says about who holds it.
local function held(id)
  local job, names = {}, { "state", "msg", "kind", "worker", "boot", "losses", "max_attempts", "cancel" }
  for i, value in ipairs(redis.call("HMGET", K.job .. id, unpack(names))) do
    job[names[i]] = value
  end
  return job
end

-- The worker of a running job is dead: puts the job back, or ends it. Returns its new state.
local function lose(id, job)
  local losses = text(job.losses + 1)
  if job.cancel then
    return settle(id, "cancel", { "losses", losses })
  elseif job.losses + 1 >= tonumber(job.max_attempts) then
    local reason = "its worker was lost " .. losses .. " times"
    return settle(id, "fail", { "losses", losses, "reason", reason, "cause", "lost" })
  end
  return requeue(id, "lose", { "losses", losses })
end

-- Takes a worker out of every list that names it. A consumer that still holds entries stays: they would be lost.
local function forget_worker(worker)
  redis.call("ZREM", K.workers, worker)
  redis.call("UNLINK", K.worker .. worker, K.inbox .. worker)
  for _, cls in ipairs(redis.call("HKEYS", K.classes)) do
    redis.call("ZREM", K.capable .. cls, worker)
    for _, lane in ipairs(LANES) do
      local stream = K.queue .. cls .. ":" .. lane
      local pending = redis.pcall("XPENDING", stream, K.group, "-", "+", 1, worker)
      if not pending.err and #pending == 0 then
        redis.call("XGROUP", "DELCONSUMER", stream, K.group, worker)
      end
    end
  end
end

