-- Compares jobs with what should point at them: a queued or held job has an entry in its stream, a held one's is
-- delivered, a waiting one has a time at which it is tried again. What was deleted by hand, or lost with a part of
-- Redis' data, is made anew.
-- A bounded handful a call, from where the call before has stopped.
--
-- KEYS[1]  the reaper's clock   {ff}:reaper
-- ARGV[1]  how many jobs of each state to look at
--
-- Returns the ids of the jobs that nothing pointed at.
local found = {}

local function has_entry(id, entry)
  local row = entry and redis.pcall("XRANGE", queue_of(id), entry, entry)[1]
  return row and row[2][2] == id
end

local function is_delivered(id, entry)
  local rows = redis.pcall("XPENDING", queue_of(id), K.group, entry, entry, 1)
  return not rows.err and #rows == 1
end

local function mend(id, state)
  local job = redis.call("HMGET", K.job .. id, "state", "msg", "worker", "due")
  if job[1] ~= state then
    return
  elseif state == "waiting" then
    if not redis.call("ZSCORE", K.due, id) then
      redis.call("ZADD", K.due, job[4] or text(now()), id)
      found[#found + 1] = id
    end
    return
  end
  local stream, is_gone = queue_of(id), not has_entry(id, job[2])
  local is_unwatched = HELD[state] and (is_gone or not is_delivered(id, job[2]))
  if is_gone or is_unwatched then
    redis.pcall("XGROUP", "CREATE", stream, K.group, "0", "MKSTREAM")
    found[#found + 1] = id
  end
  if is_gone then
    enqueue(id)
  end
  if is_unwatched then -- delivered again, so that silence is noticed
    local entry = redis.call("HGET", K.job .. id, "msg")
    redis.call("XCLAIM", stream, K.group, job[3], 0, entry, "FORCE", "JUSTID")
  end
end

local function look_through(index, state)
  local cursor = tonumber(redis.call("HGET", KEYS[1], "audit:" .. index) or 0)
  local ids = redis.call("ZRANGE", index, cursor, cursor + ARGV[1] - 1)
  for _, id in ipairs(ids) do
    mend(id, state)
  end
  redis.call("HSET", KEYS[1], "audit:" .. index, #ids < tonumber(ARGV[1]) and 0 or text(cursor + ARGV[1]))
end

for _, state in ipairs({ "queued", "waiting", "running", "publishing" }) do
  look_through(K.states .. state, state)
  look_through(K.own .. state, state)
end
return found
