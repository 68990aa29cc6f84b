-- Walks jobs by their creation, from a place on, and picks those that match. A bounded handful a call.
--
-- KEYS[1]  an index of job ids by creation ms          {ff}:jobs, {ff}:made:<state>, {ff}:owned:<owner>
-- ARGV[1]  "older" or "newer"
-- ARGV[2]  the place, that of a job: its ms ...        ARGV[3]  ... and its id; this job is not among them
-- ARGV[4]  ms at which the walk ends: none is older; none is newer, or as new
-- ARGV[5]  how many jobs to look at, at most           ARGV[6]  how many to pick, at most
-- ARGV[7]  lower-case ASCII that must stand in the sealed specification, in whatever case, or ""
-- ARGV[8]  n, then n pairs: a field of the job's hash, and its value
--
-- Returns {ms and id of the last job looked at, or "" and "" at the walk's end, then id and ms of those picked}.
local older, at, id = ARGV[1] == "older", tonumber(ARGV[2]), ARGV[3]
local command = older and "ZREVRANGEBYSCORE" or "ZRANGEBYSCORE"
local fields, wanted = {}, {}
for i = 9, 8 + 2 * ARGV[8], 2 do
  fields[#fields + 1], wanted[#wanted + 1] = ARGV[i], ARGV[i + 1]
end
if ARGV[7] ~= "" then
  fields[#fields + 1] = "spec"
end

local function is_behind(other_at, other)
  if older then
    return other_at < at or (other_at == at and other < id)
  end
  return other_at > at or (other_at == at and other > id)
end

local function matches(other)
  local job = #fields > 0 and redis.call("HMGET", K.job .. other, unpack(fields)) or {}
  for i, value in ipairs(wanted) do
    if job[i] ~= value then
      return false
    end
  end
  local spec = job[#wanted + 1]
  return ARGV[7] == "" or (spec and string.find(string.lower(spec), ARGV[7], 1, true))
end

local picked, seen, offset, rows = { "", "" }, 0, 0, nil
repeat
  rows = redis.call(command, KEYS[1], ARGV[2], ARGV[4], "WITHSCORES", "LIMIT", offset, 100)
  offset = offset + 100
  for i = 1, #rows, 2 do
    if is_behind(tonumber(rows[i + 1]), rows[i]) then
      seen = seen + 1
      if matches(rows[i]) then
        picked[#picked + 1], picked[#picked + 2] = rows[i], rows[i + 1]
      end
      if seen == tonumber(ARGV[5]) or #picked == 2 + 2 * ARGV[6] then
        picked[1], picked[2] = rows[i + 1], rows[i]
        return picked
      end
    end
  end
until #rows < 200
return picked
