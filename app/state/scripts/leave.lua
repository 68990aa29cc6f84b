-- Ends a session, and tells all processes that show pages to its user.
--
-- KEYS[1]  the session            {ff}:session:<id>
-- ARGV[1]  its user's name
--
-- Returns nothing.
if redis.call("DEL", KEYS[1]) == 1 then
  redis.call("XADD", K.access, "MAXLEN", "~", 1000, "*", "user", ARGV[1])
end
