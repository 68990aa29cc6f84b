-- Everything that the server holds, as JSON: key -> what it holds.
--
-- ARGV[1]  the stream of events      ARGV[2]  the last one that is known      ARGV[3]  the group of the streams
local found = {}

local function stream(key)
  local groups, last = redis.call("XINFO", "GROUPS", key), false
  for _, group in ipairs(groups) do
    for i = 1, #group, 2 do
      if group[i] == "last-delivered-id" then
        last = group[i + 1]
      end
    end
  end
  local rows = redis.call("XRANGE", key, key == ARGV[1] and "(" .. ARGV[2] or "-", "+")
  return { "stream", rows, last, last and redis.call("XPENDING", key, ARGV[3], "-", "+", 1000) or {} }
end

for _, key in ipairs(redis.call("KEYS", "*")) do
  local kind = redis.call("TYPE", key).ok
  if kind == "hash" then
    local fields = redis.call("HGETALL", key)
    found[key] = { kind, fields }
  elseif kind == "zset" then
    found[key] = { kind, redis.call("ZRANGE", key, 0, -1, "WITHSCORES") }
  elseif kind == "stream" then
    found[key] = stream(key)
  else
    found[key] = { kind, redis.call("GET", key) }
  end
end
return cjson.encode(found)
