-- Notes what a step of an operation has done, and that the operation is over.
-- A step is counted once: by who has it, or not at all.
--
-- KEYS[1]  the operation         {ff}:operation:<id>
-- ARGV[1]  its id                ARGV[2]  the process' token, or "" for who stops it
-- ARGV[3]  the place reached     ARGV[4]  jobs done       ARGV[5]  left alone      ARGV[6]  not done for an error
-- ARGV[7]  a word about that     ARGV[8]  its state from now on: "running", "done" or "stopped"
-- ARGV[9]  ms that it is remembered after its end
--
-- Returns the state it is in, or nil for who has it not.
local at, op = now(), redis.call("HMGET", KEYS[1], "state", "token")
if not op[1] or (ARGV[2] ~= "" and ARGV[2] ~= op[2]) then
  return nil
end
if ARGV[2] ~= "" then
  redis.call("HSET", KEYS[1], "place", ARGV[3], "note", ARGV[7])
  redis.call("HDEL", KEYS[1], "token", "held")
  redis.call("HINCRBY", KEYS[1], "done", ARGV[4])
  redis.call("HINCRBY", KEYS[1], "skipped", ARGV[5])
  redis.call("HINCRBY", KEYS[1], "failed", ARGV[6])
end
if op[1] ~= "running" or ARGV[8] == "running" then
  return op[1]
end
redis.call("HSET", KEYS[1], "state", ARGV[8], "ended", text(at))
redis.call("PEXPIRE", KEYS[1], ARGV[9])
redis.call("ZADD", K.operations, text(at + ARGV[9]), ARGV[1])
return ARGV[8]
