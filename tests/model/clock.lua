-- Stands before a script under test: its clock is a key that the test sets, and so are all idle times.
--
-- The server's own clock decides nothing: what XREADGROUP, XCLAIM and XAUTOCLAIM touch is noted with the clock's time,
-- and before an XAUTOCLAIM each entry is made as idle as these notes say. Expiry is noted for `pass.lua`.
-- A script that calls without end is ended.
local redis = (function(real)
  local CLOCK, SIGNS, TIMES, calls = "test:clock", "test:signs", "test:times", 0

  local function at()
    return tonumber(real.call("GET", CLOCK))
  end

  local function hear(stream, entry)
    real.call("HSET", SIGNS, stream .. " " .. entry, string.format("%.0f", at()))
  end

  -- Only what XAUTOCLAIM compares matters: idle for long enough, or not.
  local function age(stream, group, _, least)
    local pending = real.pcall("XPENDING", stream, group, "-", "+", 10000)
    for _, row in ipairs(pending.err and {} or pending) do
      local idle = at() - (real.call("HGET", SIGNS, stream .. " " .. row[1]) or 0)
      idle = idle >= tonumber(least) and 1000000000 or 0
      real.call("XCLAIM", stream, group, row[2], 0, row[1], "IDLE", idle, "JUSTID")
    end
  end

  local function expire(key, milliseconds)
    real.call("HSET", TIMES, key, string.format("%.0f", at() + milliseconds))
  end

  local before = {
    XAUTOCLAIM = age,
    PEXPIRE = expire,
    UNLINK = function(...)
      real.call("HDEL", TIMES, ...)
    end,
    SET = function(key, _, px, milliseconds)
      if px == "PX" then
        expire(key, milliseconds)
      end
    end,
  }

  local after = {
    XREADGROUP = function(reply)
      for _, stream in ipairs(reply or {}) do
        for _, row in ipairs(stream[2]) do
          hear(stream[1], row[1])
        end
      end
    end,
    XCLAIM = function(reply, stream)
      for _, entry in ipairs(reply) do
        hear(stream, entry)
      end
    end,
    XAUTOCLAIM = function(reply, stream)
      for _, entry in ipairs(reply[2]) do
        hear(stream, entry)
      end
    end,
  }

  local function run(ask, name, ...)
    calls = calls + 1
    if calls > 20000 then
      error("this script does not end")
    elseif name == "TIME" then
      return { string.format("%.0f", math.floor(at() / 1000)), string.format("%.0f", at() % 1000 * 1000) }
    elseif before[name] then
      before[name](...)
    end
    local reply = ask(name, ...)
    if after[name] and not (reply and reply.err) then
      after[name](reply, ...)
    end
    return reply
  end

  return {
    call = function(...)
      return run(real.call, ...)
    end,
    pcall = function(...)
      return run(real.pcall, ...)
    end,
  }
end)(redis)
