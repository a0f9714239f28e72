-- Cases as they are at this moment, and what must agree with them.
--
-- KEYS: the creditor's agenda, whose slot all of its keys share. ARGV: what its keys' names begin with; the id of an
-- entry of the event stream, after which cases have changed (""); how many digits of a case's id stand for its debtor;
-- a JSON list of plain commands, [command, key, ...], whose keys lack that beginning; then the ids of cases.
-- Answers {now in ms, the stream's last id, cases, answers of the commands, early payments, the webhook's place}:
--   cases  {id, what is stored, history, agenda, in flight, contacts}, of those that changed too
--   early  {number, when it is forgotten in ms, payments}
--   place  {last id handed on, oldest that was not acknowledged}, or nothing

local root, after, digits = ARGV[1], ARGV[2], tonumber(ARGV[3])
local events = root .. "events"

local wanted, seen = {}, {}
local function want(id)
    if id ~= "" and not seen[id] then
        seen[id] = true
        wanted[#wanted + 1] = id
    end
end
for i = 5, #ARGV do
    want(ARGV[i])
end
if after ~= "" then
    for _, entry in ipairs(redis.call("XRANGE", events, "(" .. after, "+")) do
        want(entry[2][2]) -- the first field is the case
    end
end

local cases = {}
for i, id in ipairs(wanted) do
    local debtor = string.sub(string.match(id, "%-(.*)$") or "", 1, digits)
    cases[i] = {
        id,
        redis.call("GET", root .. "case:" .. id),
        redis.call("LRANGE", root .. "history:" .. id, 0, -1),
        redis.call("ZSCORE", root .. "agenda", id),
        redis.call("ZSCORE", root .. "inflight", id),
        redis.call("ZRANGE", root .. "contacts:" .. debtor, 0, -1, "WITHSCORES"),
    }
end

local answers = {}
for i, command in ipairs(cjson.decode(ARGV[4])) do
    command[2] = root .. command[2]
    answers[i] = redis.call(unpack(command))
end

local early = {}
for i, number in ipairs(redis.call("ZRANGE", root .. "early", 0, -1)) do
    local key = root .. "early:" .. number
    early[i] = {number, redis.call("PEXPIRETIME", key), redis.call("LRANGE", key, 0, -1)}
end

local place = false
local groups = redis.pcall("XINFO", "GROUPS", events)
for _, group in ipairs(groups.err and {} or groups) do
    local named = {}
    for i = 1, #group, 2 do
        named[group[i]] = group[i + 1]
    end
    if named.name == "webhook" then
        local oldest = named.pending > 0 and redis.call("XPENDING", events, "webhook")[2] or ""
        place = {named["last-delivered-id"], oldest}
    end
end

local now, last = redis.call("TIME"), redis.call("XREVRANGE", events, "+", "-", "COUNT", 1)
return {now[1] * 1000 + math.floor(now[2] / 1000), last[1] and last[1][1] or "0-0", cases, answers, early, place}
