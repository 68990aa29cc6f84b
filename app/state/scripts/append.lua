-- Appends to a bulk stream on a server that is full, where the plain command is refused. A window bounds what a
-- caller is sent; of a log, little is kept.
--
-- KEYS[1]  the stream   ff:out:{<job id>}, ff:in:{<job id>} or ff:log:{<job id>}
-- ARGV[1]  the entry's id, or "*"      ARGV[2]  how many entries stay, about, or "0" for all
-- ARGV[3..]  field-value pairs
--
-- Returns the entry's id.
local entry = { ARGV[1], unpack(ARGV, 3) }
if ARGV[2] ~= "0" then
  return redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[2], unpack(entry))
end
return redis.call("XADD", KEYS[1], unpack(entry))
