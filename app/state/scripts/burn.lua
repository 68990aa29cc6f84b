-- Burns a nonce on a server that is full, where the plain command is refused: every request has one, also those
-- by which what runs ends.
--
-- KEYS[1]  the nonce   {ff}:nonce:<key id>:<nonce>
-- ARGV[1]  a mark that only this request has      ARGV[2]  ms that it stays burnt
--
-- Returns the mark that was there already, or nil.
local before = redis.call("GET", KEYS[1])
if not before then
  redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
end
return before
