-- Gives jobs that an older ffgrid has stored what this one keeps of each: its place in the lists by state, or in none
-- where it is ffgrid's own, and its labels as fields. What it has already stays as it is, so that this may come twice,
-- and while the jobs move.
--
-- KEYS[1]  the schema that is stored      {ff}:schema
-- ARGV[1]  the schema that all jobs have after these, or "0" while some may not
-- ARGV[2..] job id, n, then n pairs: a label's field and its value; of each job
--
-- Returns how many of the jobs are still there.
local found, i = 0, 2

-- A process of the older ffgrid moves jobs and leaves their places in `made`; it has no index for ffgrid's own.
local function place(id, job)
  local own = is_own(job[3])
  for state in pairs(STATES) do
    if own or state ~= job[1] then
      redis.call("ZREM", K.made .. state, id)
    end
    if own then
      redis.call("ZREM", K.states .. state, id)
    end
  end
  if own then
    redis.call("ZREM", K.jobs, id)
    redis.call("ZADD", K.own .. job[1], job[4] or job[2], id)
  else
    redis.call("ZADD", K.made .. job[1], job[2], id)
  end
end

while i <= #ARGV do
  local id, last = ARGV[i], i + 1 + 2 * ARGV[i + 1]
  local job = redis.call("HMGET", K.job .. id, "state", "created", "owner", "finished")
  if job[1] then
    found = found + 1
    place(id, job)
    if last > i + 1 then
      redis.call("HSET", K.job .. id, unpack(ARGV, i + 2, last))
    end
  end
  i = last + 1
end
if tonumber(ARGV[1]) > tonumber(redis.call("GET", KEYS[1]) or 0) then
  redis.call("SET", KEYS[1], ARGV[1])
end
return found
