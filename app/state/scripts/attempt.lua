-- Lets somebody try a password, unless there were too many tries within the last while. What is refused does not count.
--
-- KEYS[1..]  the tries that count together, marks by ms     {ff}:tries:<what they have in common>
-- ARGV[1]    a mark of this try: a repetition is no second one      ARGV[2]  the while, in ms
-- ARGV[3..]  how many tries are allowed, one number for each key
--
-- Returns "0", or the ms until it may be tried again.
local at, patience = now(), 0
for i, tries in ipairs(KEYS) do
  redis.call("ZREMRANGEBYSCORE", tries, "-inf", at - ARGV[2])
  local over = redis.call("ZCARD", tries) - ARGV[i + 2]
  if over >= 0 and not redis.call("ZSCORE", tries, ARGV[1]) then
    local leaves = redis.call("ZRANGE", tries, over, over, "WITHSCORES")
    patience = math.max(patience, leaves[2] + ARGV[2] - at, 1)
  end
end
if patience > 0 then
  return text(patience)
end
for _, tries in ipairs(KEYS) do
  redis.call("ZADD", tries, at, ARGV[1])
  redis.call("PEXPIRE", tries, ARGV[2])
end
return "0"
