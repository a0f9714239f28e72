-- Which server is this, and is it the one that was known? One that took over from another, or came back with an older
-- file, has forgotten what was written last. One that comes back on its append-only file has all that was waited for.
--
-- KEYS[1]: the hash of what is known of the server. ARGV: the replication id that who asks knew last ("": none); now;
-- how long nothing is sent after a failover; how long a doubt lasts; how far it reaches back at least. All times are
-- milliseconds of real time.
-- Answers {what, failover, replication id, since, pause_until, until}. `what`: "same" | "restarted" | "replaced".
--
-- The hash: replid, run_id (the process behind it), seen (when somebody last looked: what was written before that is
-- still there, since it is the end of what was written that is lost), since, pause_until, until.

local known, now = ARGV[1], tonumber(ARGV[2])
local pause, lasts, back = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local function said(section, field)
    return string.match(redis.call("INFO", section), "\n" .. field .. ":([^\r\n]*)") or ""
end

local replid, run = said("replication", "master_replid"), said("server", "run_id")
local promoted = string.find(said("replication", "master_replid2"), "[^0]") ~= nil -- a plain start leaves it empty
local appends = said("persistence", "aof_enabled") == "1"
local major, minor = string.match(said("server", "redis_version"), "(%d+)%.(%d+)")
local waited = appends and tonumber(major) * 100 + tonumber(minor) >= 702 -- it has WAITAOF, which `begin` waits for

local kept = {}
local pairs_of = redis.call("HGETALL", KEYS[1])
for i = 1, #pairs_of, 2 do
    kept[pairs_of[i]] = pairs_of[i + 1]
end
local since, pause_until = tonumber(kept.since or 0), tonumber(kept.pause_until or 0)
local over = tonumber(kept["until"] or 0)

local before = kept.replid or (known ~= "" and known) or replid
local what = "same"
-- A server that gets its first replica, or has had none for an hour, takes another id and forgets nothing.
if before ~= replid and (promoted or kept.run_id ~= run) then
    -- Without the hash it has come back without its file, or kept none.
    what = (promoted or not appends or not kept.replid) and "replaced" or "restarted"
    if what == "replaced" or not waited then
        local begun = math.min(now - back, tonumber(kept.seen or now))
        since = over > now and math.min(since, begun) or begun
        over = now + lasts
    end
    pause_until = math.max(pause_until, what == "replaced" and now + pause or 0)
end

local function whole(number)
    return string.format("%.0f", number)
end

redis.call("HSET", KEYS[1], "replid", replid, "run_id", run, "seen", whole(now),
    "since", whole(since), "pause_until", whole(pause_until), "until", whole(over))
return {what, promoted and 1 or 0, replid, whole(since), whole(pause_until), whole(over)}
