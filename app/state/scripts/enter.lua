-- Begins a session, at Redis' own clock.
--
-- KEYS[1]  the session                 {ff}:session:<id>
-- ARGV[1]  ms that it may be idle
--
-- Returns nothing.
redis.call("SET", KEYS[1], text(now()), "PX", ARGV[1])
