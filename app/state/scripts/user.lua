-- Makes, changes or removes one user of the dashboard, if nobody has changed that user meanwhile and an admin is left.
-- A repetition of what has been done already does nothing. All processes that show pages to that user are told.
--
-- KEYS[1]  users                   {ff}:users
-- KEYS[2]  the first-run link, or nothing: then it is burnt, and there must be no user yet   {ff}:link:<id>
-- ARGV[1]  the user's name
-- ARGV[2]  the record as it was read, "" for none      ARGV[3]  the record as it shall be, "" for none
--
-- Returns "ok", "changed" (read it again), "last" (it is the last admin) or "burnt" (the link is good no more).
local users, name, before, after = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local current = redis.call("HGET", users, name) or ""

-- The role that a record names: JSON, a dot, a seal.
local function role(record)
  local ok, fields = pcall(cjson.decode, string.match(record, "^(.*)%.") or "")
  return ok and type(fields) == "table" and fields.role or ""
end

local function another_admin()
  local all = redis.call("HGETALL", users)
  for i = 1, #all, 2 do
    if all[i] ~= name and role(all[i + 1]) == "admin" then
      return true
    end
  end
  return false
end

if current == after then
  return "ok"
elseif current ~= before then
  return "changed"
elseif KEYS[2] and (redis.call("HLEN", users) > 0 or redis.call("DEL", KEYS[2]) == 0) then
  return "burnt"
elseif role(before) == "admin" and role(after) ~= "admin" and not another_admin() then
  return "last"
elseif after == "" then
  redis.call("HDEL", users, name)
else
  redis.call("HSET", users, name, after)
end
redis.call("XADD", K.access, "MAXLEN", "~", 1000, "*", "user", name)
return "ok"
