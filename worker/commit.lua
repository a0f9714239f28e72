-- One write, all or nothing: cases by version, what must hold, and whatever else goes with them.
--
-- KEYS: every key touched, all of one creditor's hash tag. ARGV[2] and on: values, which the plan names by their
-- place; snapshots and events of the history are packed (see pack.py), entries of the event stream are JSON. ARGV[1]: the plan, as JSON:
--   id      this commit's own id; a repeat of it answers as the first time
--   cases   [{key, expect, value, version}]: indexes into KEYS, the version expected (0: must not exist) and, where
--           `value` is given, the place of the snapshot to store under `version`
--   guards  [[name, key, ...]]: what must hold, else {"refused", name, detail}
--   ops     [[command, key, ...]]: plain commands, run in order
--   events  [[key of the history, place of the event]] and `stream` [[key, maximum, case, version, place]]
-- Answers {"ok"} | {"repeated"} | {"conflict"} | {"refused", name, detail}.
--
-- A stored case is "version|last commit ids|packed snapshot"; the ids let a client whose answer was lost ask again.

local plan = cjson.decode(ARGV[1])
local REMEMBERED = 4

local function split(stored)
    local version, ids, snapshot = string.match(stored, "^(%d+)|([^|]*)|(.*)$")
    return tonumber(version), ids, snapshot
end

local stored = {}
for i, case in ipairs(plan.cases) do
    local value = redis.call("GET", KEYS[case.key])
    local version, ids, snapshot = 0, "", nil
    if value then
        version, ids, snapshot = split(value)
    end
    stored[i] = {version = version, ids = ids, snapshot = snapshot}
    if string.find("," .. ids .. ",", "," .. plan.id .. ",", 1, true) then
        redis.call("SET", KEYS[case.key], value) -- WAITAOF speaks of this connection's writes alone
        return {"repeated"}
    end
end
for i, case in ipairs(plan.cases) do
    if stored[i].version ~= case.expect then
        return {"conflict"}
    end
end

local guards = {}

-- ["absent", key]: nothing is stored there.
function guards.absent(guard)
    return redis.call("EXISTS", KEYS[guard[2]]) == 0, KEYS[guard[2]]
end

-- ["free", key, field, ...]: none of these fields of the hash is set (what is paused).
function guards.free(guard)
    for i = 3, #guard do
        if redis.call("HEXISTS", KEYS[guard[2]], guard[i]) == 1 then
            return false, guard[i]
        end
    end
    return true
end

-- ["is", key, field, value]: the hash still says so ("": it has no such field).
function guards.is(guard)
    return (redis.call("HGET", KEYS[guard[2]], guard[3]) or "") == guard[4], guard[3]
end

-- ["length", key, n]: the list has that many entries, as when it was read.
function guards.length(guard)
    return redis.call("LLEN", KEYS[guard[2]]) == guard[3], KEYS[guard[2]]
end

-- ["quiet", key, since, prefix]: no member of the sorted set scored at or after `since` is of another prefix.
function guards.quiet(guard)
    for _, member in ipairs(redis.call("ZRANGEBYSCORE", KEYS[guard[2]], guard[3], "+inf")) do
        if string.sub(member, 1, #guard[4]) ~= guard[4] then
            return false, member
        end
    end
    return true
end

-- ["server", replication id]: this is the server that whoever asks has looked at (see continuity.py).
function guards.server(guard)
    return string.find(redis.call("INFO", "replication"), "master_replid:" .. guard[2], 1, true) ~= nil
end

for _, guard in ipairs(plan.guards) do
    local holds, detail = guards[guard[1]](guard)
    if not holds then
        return {"refused", guard[1], detail or ""}
    end
end

for i, case in ipairs(plan.cases) do
    local ids = {plan.id}
    for id in string.gmatch(stored[i].ids, "[^,]+") do
        if #ids < REMEMBERED then
            ids[#ids + 1] = id
        end
    end
    if case.value then
        redis.call("SET", KEYS[case.key], case.version .. "|" .. table.concat(ids, ",") .. "|" .. ARGV[case.value])
    end
end
for _, event in ipairs(plan.events) do
    redis.call("RPUSH", KEYS[event[1]], ARGV[event[2]])
end
for _, entry in ipairs(plan.stream) do
    redis.call("XADD", KEYS[entry[1]], "MAXLEN", "~", entry[2], "*", "case", entry[3], "version", entry[4], "event", ARGV[entry[5]])
end
for _, op in ipairs(plan.ops) do
    local command = {op[1], KEYS[op[2]]}
    for i = 3, #op do
        command[i] = op[i]
    end
    redis.call(unpack(command))
end
return {"ok"}
