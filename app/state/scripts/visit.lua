-- Somebody shows a session: it lives on, until it is idle for too long or too old, whichever comes first.
--
-- KEYS[1]  the session, ms at which it began        {ff}:session:<id>
-- KEYS[2]  users                                    {ff}:users
-- ARGV[1]  its user's name       ARGV[2]  ms that it may be idle       ARGV[3]  ms that it may be old
--
-- Returns the user's record; nil when there is no such session, or no such user any more.
local began = redis.call("GET", KEYS[1])
local left = began and began + ARGV[3] - now() or 0
if left <= 0 then
  return nil
end
redis.call("PEXPIRE", KEYS[1], text(math.min(ARGV[2], left)))
return redis.call("HGET", KEYS[2], ARGV[1])
