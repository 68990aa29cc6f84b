-- Starts the job of an entry that a blocking read delivered to this worker.
--
-- KEYS[1]  class stream       {ff}:q:<class>:<lane>
-- ARGV[1]  entry id           ARGV[2]  job id
-- ARGV[3]  worker id          ARGV[4]  boot id        ARGV[5]  fresh token
--
-- Returns what `lease` gives, or nil when the entry was stale.
local job = begin(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if job then -- the lease begins now, however long ago the entry was delivered
  redis.pcall("XCLAIM", KEYS[1], K.group, ARGV[3], 0, ARGV[1], "FORCE", "JUSTID")
  redis.call("HDEL", K.job .. ARGV[2], "suspect") -- who asks is alive, as in a heartbeat
end
return job
