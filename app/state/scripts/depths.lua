-- Says what the streams of all classes hold. Changes nothing.
--
-- KEYS[1]  the classes          {ff}:classes
--
-- Returns {class, lane, entries, how many of them somebody has, the first that nobody has or ""} of each stream that
-- holds any. A stream without its group has given nothing to anybody.
local found = {}
for _, cls in ipairs(redis.call("HKEYS", KEYS[1])) do
  for _, lane in ipairs(LANES) do
    local stream, held, last = K.queue .. cls .. ":" .. lane, 0, "0-0"
    local entries = redis.call("XLEN", stream)
    for _, group in ipairs(entries > 0 and redis.call("XINFO", "GROUPS", stream) or {}) do
      local is = {}
      for i = 1, #group, 2 do
        is[group[i]] = group[i + 1]
      end
      if is.name == K.group then
        held, last = is.pending, is["last-delivered-id"]
      end
    end
    if entries > 0 then
      local first = redis.call("XRANGE", stream, "(" .. last, "+", "COUNT", 1)[1]
      found[#found + 1] = { cls, lane, entries, held, first and first[1] or "" }
    end
  end
end
return found
