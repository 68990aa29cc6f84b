-- Takes up to n queued jobs for a worker, walking its streams in the order given.
--
-- KEYS[1..]  class streams, the most urgent first     {ff}:q:<class>:<lane>
-- ARGV[1]    worker id        ARGV[2]  boot id
-- ARGV[3..]  one fresh token for each job that may be taken
--
-- Returns a list of what `lease` gives, at most one a token.
local key, taken, ids = K.worker .. ARGV[1], {}, {}
local known = redis.call("HMGET", key, "boot", "claimed")
local first, given = string.match(known[2] or "", "^(%S+) (.*)$")
if first == ARGV[3] then -- asked again, as there was no answer: it gets what it got
  for id in string.gmatch(given, "%S+") do
    ids[#ids + 1] = id
    taken[#taken + 1] = lease(id, ARGV[2 + #ids])
  end
  return taken
end
for _, stream in ipairs(KEYS) do
  while #taken < #ARGV - 2 do
    local read = redis.pcall("XREADGROUP", "GROUP", K.group, ARGV[1], "COUNT", 1, "STREAMS", stream, ">")
    if read and read.err then -- the stream is gone with Redis' data: make it again
      redis.call("XGROUP", "CREATE", stream, K.group, "0", "MKSTREAM")
      read = false
    end
    if not read then
      break
    end
    local entry = read[1][2][1]
    local job = begin(stream, entry[1], entry[2][2], ARGV[1], ARGV[2], ARGV[3 + #taken])
    if job then
      taken[#taken + 1], ids[#ids + 1] = job, job[1]
    end
  end
end
if #taken > 0 and known[1] == ARGV[2] then
  redis.call("HSET", key, "claimed", ARGV[3] .. " " .. table.concat(ids, " "))
end
return taken
