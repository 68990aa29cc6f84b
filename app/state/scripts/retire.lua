-- Takes a worker that stops out of the lists, unless a later process holds its name.
--
-- KEYS[1]  the worker's hash   {ff}:worker:<id>
-- ARGV[1]  worker id           ARGV[2]  boot id
--
-- Returns "ok" or "replaced".
if redis.call("HGET", KEYS[1], "boot") ~= ARGV[2] then
  return "replaced"
end
forget_worker(ARGV[1])
return "ok"
