"""The payments' feed: does the billing system still tell of payments? Where it does not, nothing is claimed.

Off unless a creditor's file has `payments_feed`. A payment taken, a failed one too, shows that the feed is alive,
however old what it tells; `payments_checked` shows that it was at its `as_of`. Whoever takes one notes it and lifts the
pause in the same commit; a scheduler finds the silence, and puts the pause where `begin` looks.
"""

from datetime import datetime, timedelta

import structlog

from worker.app import App
from worker.clock import Every
from worker.commit import Keys, millis, moment
from worker.dunning.decision import FEED
from worker.jobs import Job, PaymentFailed, PaymentReceived, PaymentsChecked
from worker.store import Script
from worker.taking import Taking

#: How often a scheduler looks, at most.
EVERY = timedelta(seconds=1)

#: KEYS: the feed (a sorted set: when it was last `heard`, and since when it is `stale`), what is paused. ARGV: now and
#: the longest silence, in milliseconds; now, for people. The first look at a creditor begins to count, so that nothing
#: stops where the guard is new. Answers what has become of the feed, if that is news, and when it was heard.
_LOOK = """
local heard = redis.call("ZSCORE", KEYS[1], "heard")
if not heard then
    heard = ARGV[1]
    redis.call("ZADD", KEYS[1], heard, "heard")
end
if ARGV[1] - heard > tonumber(ARGV[2]) then
    redis.call("HSETNX", KEYS[2], "feed", ARGV[3])
    return {redis.call("ZADD", KEYS[1], "NX", ARGV[1], "stale") == 1 and "stale" or "", heard}
end
redis.call("HDEL", KEYS[2], "feed")
return {redis.call("ZREM", KEYS[1], "stale") == 1 and "returned" or "", heard}
"""

_log = structlog.get_logger("relance.feed")


def note(taking: Taking, job: Job) -> None:
    """If the job shows that the feed is alive, let its commit say so, and lift the pause."""
    if not isinstance(job, PaymentReceived | PaymentFailed | PaymentsChecked):
        return
    now = taking.app.clock.real()
    heard = taking.as_of if isinstance(job, PaymentsChecked) else now
    keys, rules = taking.commit.keys, taking.app.config.creditors[taking.creditor].payments_feed
    taking.commit.op("ZADD", keys.feed, "GT", millis(heard), "heard")
    if rules and now - heard <= rules.max_age:
        taking.commit.op("HDEL", keys.paused, FEED)


class Feeds:
    """A scheduler's eye on the feeds of all creditors. Off in a rehearsal."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._look = Script(app.client, _LOOK)
        self._due = Every(EVERY)
        self._forgotten = False

    def watch(self) -> None:
        """Pause claims where a feed is silent for too long, let go of them where it is back. Raises redis errors."""
        now = self._app.clock.real()
        if self._app.clock.rehearsal or not self._due(now):
            return
        for name, creditor in self._app.config.creditors.items():
            if creditor.payments_feed:
                self._watch(name, now, creditor.payments_feed.max_age)
            elif not self._forgotten:
                self._let_go(name)
        self._forgotten = True

    def _watch(self, creditor: str, now: datetime, max_age: timedelta) -> None:
        keys = Keys(creditor)
        told = [millis(now), max_age // timedelta(milliseconds=1), now.isoformat()]
        news, heard = self._look([keys.feed, keys.paused], told)
        if news == "stale":
            _log.warning("feed.stale", creditor=creditor, since=moment(heard).isoformat())
        elif news == "returned":
            _log.info("feed.returned", creditor=creditor)

    def _let_go(self, creditor: str) -> None:
        """The guard was taken out of the creditor's file while it was shut."""
        keys = Keys(creditor)
        self._app.client.zrem(keys.feed, "stale")
        if self._app.client.hdel(keys.paused, FEED):
            _log.info("feed.returned", creditor=creditor)
