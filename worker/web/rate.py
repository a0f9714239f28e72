"""How often a creditor's billing system may ask: a token bucket in the store, one for all web processes together."""

import math

import redis

from worker.commit import Keys
from worker.config.grammar import Rate
from worker.store import Script

#: KEYS[1]: when the bucket is full again, in microseconds of the server's clock. ARGV: microseconds per request, how
#: many fit at once. Answers 0, or in how many microseconds there is room.
_TAKE = """
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call("GET", KEYS[1]) or "0"), now) + ARGV[1]
local wait = full - ARGV[1] * ARGV[2] - now
if wait > 0 then
    return math.ceil(wait)
end
redis.call("SET", KEYS[1], string.format("%.0f", full), "PX", math.ceil((full - now) / 1000))
return 0
"""


class Rates:
    """The buckets of all creditors."""

    def __init__(self, client: redis.Redis) -> None:
        self._take = Script(client, _TAKE)

    def wait(self, creditor: str, rate: Rate) -> int:
        """0 if there is room for one more request now, else in how many seconds, rounded up. Raises redis errors."""
        each = rate.per.total_seconds() * 1_000_000 / rate.most
        return math.ceil(int(self._take([Keys(creditor).rate], [each, rate.most])) / 1_000_000)
