-- Counts what happens to jobs, for charts and /metrics. Stands before the prelude, whose `move` calls it; the names
-- and the bounds of the histograms are those of totals.py.

local function text(number)
  return string.format("%.0f", number)
end

local function count(field, by)
  redis.call("HINCRBY", K.totals, field, text(by))
end

-- A job that ffgrid has made for itself: nobody has asked for it, so it is neither listed nor counted.
local function is_own(owner)
  return string.sub(owner or "", 1, #OWN) == OWN
end

-- Adds a time to its histogram: one to the bucket that holds it, and itself to the sum.
local function observe(name, ms)
  local bucket = "inf"
  for _, bound in ipairs(BOUNDS[name]) do
    if ms <= bound then
      bucket = text(bound)
      break
    end
  end
  count(name .. ":" .. bucket, 1)
  count(name .. ":sum", math.max(ms, 0))
end

-- How much was encoded, as far as the job has said.
local function count_media(progress)
  local known, said = pcall(cjson.decode, progress)
  local seconds = known and type(said) == "table" and said.out_time
  if type(seconds) == "number" and seconds > 0 and seconds < 1e9 then
    count("media", math.floor(seconds * 1000))
  end
end

-- A worker has ended a job: counted by the hour, and what is older than a day goes when an hour has its first.
local function count_ended(worker, outcome, at)
  local key, hour = K.ended .. worker, math.floor(at / 3600000)
  if redis.call("HINCRBY", key, text(hour) .. ":" .. outcome, 1) > 1 then
    return
  end
  redis.call("PEXPIRE", key, 90000000)
  for _, field in ipairs(redis.call("HKEYS", key)) do
    if tonumber(string.match(field, "%d+")) <= hour - 24 then
      redis.call("HDEL", key, field)
    end
  end
end

-- A job was submitted to this lane.
local function tally_submitted(lane, owner)
  if not is_own(owner) then
    count("submitted:" .. lane, 1)
  end
end

-- A job has moved along the table. `job` is {state, worker, attempt, started, lane, created, progress, owner} before
-- that.
local function tally(event, to, at, job)
  if is_own(job[8]) then
    return
  elseif event == "start" and job[3] == "1" then
    observe("wait", at - (tonumber(job[6]) or at))
  elseif event == "lose" then
    count("redeliveries", 1)
  elseif FINAL[to] then
    count("finished:" .. job[5] .. ":" .. to, 1)
    if HELD[job[1]] then
      observe("run", at - (tonumber(job[4]) or at))
      if to ~= "cancelled" then
        count_ended(job[2], to == "done" and "done" or "failed", at)
      end
    end
    if event == "succeed" and job[7] then
      count_media(job[7])
    end
  end
end
