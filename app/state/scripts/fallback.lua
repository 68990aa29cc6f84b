-- Notes calls that ran on their own host. What has been noted before, as a client repeats what it had no answer
-- to, is not noted again.
--
-- KEYS[1]  the calls        {ff}:fallbacks
-- ARGV[1]  client id        ARGV[2]  digest of the whole report
-- ARGV[3]  how many entries are kept, about          ARGV[4]  ms that they are kept
-- ARGV[5..]  at, binary, count, reason of each
--
-- Returns 1 if they are new, else 0.
for _, entry in ipairs(redis.call("XREVRANGE", KEYS[1], "+", "-", "COUNT", 300)) do
  if entry[2][2] == ARGV[2] then
    return 0
  end
end
for i = 5, #ARGV, 4 do
  redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[3], "*", "report", ARGV[2], "client", ARGV[1], "at", ARGV[i],
    "binary", ARGV[i + 1], "count", ARGV[i + 2], "reason", ARGV[i + 3])
end
redis.call("PEXPIRE", KEYS[1], ARGV[4])
return 1
