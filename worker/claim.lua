-- Take up to `limit` cases whose time has come, with a lease; first put back those whose lease ran out.
--
-- KEYS: agenda, in flight, paused. ARGV: now (ladder time, ms), now (real time, ms), lease until (real time, ms), limit.
-- Answers {back, case, the time its entry bore, ...}: `back` counts the cases put back; then pairs.
-- Nothing is taken while the creditor as a whole is paused.

local agenda, in_flight, paused = KEYS[1], KEYS[2], KEYS[3]
local now, real, lease, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local expired = redis.call("ZRANGEBYSCORE", in_flight, "-inf", real, "LIMIT", 0, limit)
for _, case in ipairs(expired) do
    redis.call("ZREM", in_flight, case)
    redis.call("ZADD", agenda, "LT", now, case)
end

local answer = {#expired}
if redis.call("HEXISTS", paused, "all") == 1 or redis.call("HEXISTS", paused, "creditor") == 1 then
    return answer
end
local due = redis.call("ZRANGEBYSCORE", agenda, "-inf", now, "WITHSCORES", "LIMIT", 0, limit)
for i = 1, #due, 2 do
    redis.call("ZREM", agenda, due[i])
    redis.call("ZADD", in_flight, "GT", lease, due[i])
    answer[#answer + 1] = due[i]
    answer[#answer + 1] = due[i + 1]
end
return answer
