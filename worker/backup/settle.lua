-- What was read in of a creditor becomes what is known of it, all at once; or nothing, if anything is known already.
--
-- KEYS: the creditor's agenda, whose slot all of its keys share. ARGV: what the names of its keys begin with; then the
-- names of keys that must not be there. Answers the name of one that is, or nothing.

local root = ARGV[1]
for i = 2, #ARGV do
    if redis.call("EXISTS", root .. ARGV[i]) == 1 then
        return ARGV[i]
    end
end
local paused = redis.call("HGETALL", root .. "paused") -- the stop button was pressed meanwhile
for i = 1, #paused, 2 do
    redis.call("HSET", root .. "import:paused", paused[i], paused[i + 1])
end
for _, name in ipairs(redis.call("SMEMBERS", root .. "import")) do
    if redis.call("EXISTS", root .. "import:" .. name) == 1 then
        redis.call("RENAME", root .. "import:" .. name, root .. name)
    end
end
redis.call("DEL", root .. "import")
return false
