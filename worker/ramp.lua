-- Of a backlog a share goes in each stretch of time: the rest stands in line, and is called up one by one.
--
-- KEYS: agenda, expected, line, turns, missed, gone, ramp. ARGV: what ("call" or "ask"), now, per (both ms), percent; to
-- ask: case, the time its agenda entry bore, 1 if it was just opened; and so on.
--   line    case -> its place, in the order of coming
--   turns   case -> when it was called up
--   missed  case -> when it was to go, and could not: a pause, a shut window
--   gone    case -> when it was let go: in the last stretch, or since the ramp began
--   ramp    `size`, the most that was ever seen of those who go, stand in line or are due; `last`, the latest call;
--           `joined`, the last place in line. There is one as long as there is a ramp.
-- "call" answers {"ended", how many went} or {}; "ask" {1 if a ramp begins, its size, then for each case 0, or until
-- when it waits}.
--
-- Who is called goes within GRACE or asks again, so in any stretch `per` go those called in `per + GRACE`; and calls are
-- so far apart that these are the share at most, whatever the schedulers' pace.

local agenda, expected, line, turns, missed, gone, ramp = unpack(KEYS)
local what, now, per, percent = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local FREE = 100                       -- so many in one stretch are no backlog
local LATE = 10 * 60 * 1000            -- what is later than this was kept back by an outage
local GRACE = 60 * 1000
local SLACK = 10 * 1000                -- calls that no scheduler made are made up for so far back, and no further
local KEPT = 7 * 24 * 3600 * 1000      -- what was called or missed and never came back is forgotten

local function score(key, case)
    return tonumber(redis.call("ZSCORE", key, case) or nil)
end

local function get(field)
    return tonumber(redis.call("HGET", ramp, field) or "0")
end

local function running()
    return redis.call("EXISTS", ramp) == 1
end

local function apart()
    return math.ceil((per + GRACE) / math.max(1, math.floor(get("size") * percent / 100)))
end

local function call()
    if not running() then
        return {}
    end
    local last, step = get("last"), apart()
    local turn = math.max(last + step, now - SLACK)
    while turn <= now do
        local first = redis.call("ZRANGE", line, 0, 0)[1]
        if not first then
            break
        end
        redis.call("ZREM", line, first)
        redis.call("ZADD", turns, turn, first)
        redis.call("ZADD", agenda, "LT", now, first)
        redis.call("HSET", ramp, "last", turn)
        last, turn = turn, turn + step
    end
    if redis.call("ZCARD", line) == 0 and now - last > per + GRACE then
        local went = redis.call("ZCARD", gone)
        redis.call("DEL", ramp, gone)
        return {"ended", went}
    end
    return {}
end

local function let_go(case)
    local before = redis.call("ZSCORE", gone, case)
    if before and not running() then -- it went before in this stretch, and that counts too
        redis.call("ZADD", gone, before, case .. "#" .. before)
    end
    redis.call("ZADD", gone, now, case)
    redis.call("ZREM", turns, case)
    redis.call("ZREM", missed, case)
    return true
end

local function may_go(case, at, fresh)
    local turn, went = score(turns, case), score(gone, case)
    if went and now - went <= GRACE then
        return true -- it asks again: others wrote to it meanwhile
    end
    if turn and now - turn <= GRACE and running() then
        return let_go(case)
    end
    local late = now - math.min(at, score(expected, case) or at, score(missed, case) or at) > LATE
    if not (fresh or late or turn or score(line, case)) then
        return true
    end
    return not running() and redis.call("ZCARD", gone) < FREE and let_go(case)
end

local function stand_in_line(case)
    if not running() then
        redis.call("HSET", ramp, "last", now)
    end
    redis.call("ZREM", gone, case)
    if not score(line, case) then
        redis.call("ZADD", line, redis.call("HINCRBY", ramp, "joined", 1), case)
    end
end

-- What is due is counted when a ramp begins; whoever comes later is counted in line, and nobody twice.
local function measure(begins)
    local due = begins and redis.call("ZCOUNT", agenda, "-inf", now) or 0
    local called = redis.call("ZCOUNT", turns, now - GRACE, "+inf")
    local size = math.max(get("size"), redis.call("ZCARD", gone) + redis.call("ZCARD", line) + called + due)
    redis.call("HSET", ramp, "size", size)
    return size
end

local function ask()
    if not running() then
        redis.call("ZREMRANGEBYSCORE", gone, "-inf", now - per - GRACE)
    end
    redis.call("ZREMRANGEBYSCORE", turns, "-inf", now - KEPT)
    redis.call("ZREMRANGEBYSCORE", missed, "-inf", now - KEPT)
    local was, waiting, answer = running(), {}, {0, 0}
    for i = 5, #ARGV, 3 do
        answer[#answer + 1] = 0
        if not may_go(ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2] == "1") then
            stand_in_line(ARGV[i])
            waiting[#answer] = ARGV[i]
        end
    end
    if next(waiting) then
        answer[1], answer[2] = was and 0 or 1, measure(not was)
        local last, step = math.max(get("last"), now - SLACK), apart()
        for place, case in pairs(waiting) do
            answer[place] = last + step * (redis.call("ZRANK", line, case) + 1) + SLACK
        end
    end
    return answer
end

return what == "call" and call() or ask()
