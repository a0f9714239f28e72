"""What was to go out, and has it? The alarm that nobody hears anything of.

For each case the store knows when its next message is to go (`expected`): set by whatever the rules decide to wait for,
kept while a message is only slow, taken away once a provider has answered or nothing is planned any more. An entry that
is an hour late is a silence. Whoever commits a look or an outcome keeps it in the same commit; a scheduler tells of
it, and where no scheduler is left, `relance status` and `/metrics` show it all the same.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
import structlog

from worker.app import App
from worker.beside import expect_nothing
from worker.clock import Every
from worker.commit import Commit, Keys, millis, moment
from worker.dunning.decision import Wait
from worker.dunning.model import Case
from worker.store import Script

#: How late a message must be, how often a scheduler looks, and how often it says so while it lasts.
LATE = timedelta(hours=1)
EVERY, AGAIN = timedelta(minutes=1), timedelta(hours=1)

#: Waits that are no plan: the message was to go by now, and something slows it down.
_SLOW = frozenset({"backoff", "queue_full", "ramp", "in_flight"})

#: Pauses under which no case is looked at.
STOPPED = ("all", "creditor")

#: KEYS: what is expected, what is paused, when the silence was told of. ARGV, in milliseconds: now; an hour ago; before
#: when it must have been told of to be told again. Answers "begun" or "lasts" (tell of it), "ended" or nothing; how
#: many are late; and when the first of them was to go.
_LOOK = """
local stopped = redis.call("HEXISTS", KEYS[2], "all") + redis.call("HEXISTS", KEYS[2], "creditor") > 0
local late = stopped and 0 or redis.call("ZCOUNT", KEYS[1], "-inf", ARGV[2])
if late == 0 then
    return {redis.call("DEL", KEYS[3]) == 1 and "ended" or "", 0, 0}
end
local first = redis.call("ZRANGE", KEYS[1], 0, 0, "WITHSCORES")[2]
local told = redis.call("GET", KEYS[3])
if told and tonumber(told) > tonumber(ARGV[3]) then
    return {"", late, first}
end
redis.call("SET", KEYS[3], ARGV[1])
return {told and "lasts" or "begun", late, first}
"""

_log = structlog.get_logger("relance.silence")


@dataclass(frozen=True, slots=True)
class Silence:
    """So many messages are an hour late or more; the first was to go at `since`, in ladder time."""

    messages: int
    since: datetime


# ---- kept with every commit


def plan(commit: Commit, case: Case, wait: Wait) -> None:
    """What the case waits for says when its next message is to go, if one is."""
    if wait.reason == "queue_full" and wait.until:
        expect_now(commit, case, wait.until)
    if wait.reason in _SLOW:
        return
    if wait.step and wait.until and not wait.reason.startswith(("held: ", "paused: ")):
        commit.op("ZADD", commit.keys.expected, millis(wait.until), case.id)
    else:
        expect_nothing(commit, case)


def expect_now(commit: Commit, case: Case, now: datetime) -> None:
    """A message was decided: it is to go now, if it was not to have gone before."""
    commit.op("ZADD", commit.keys.expected, "LT", millis(now), case.id)


def forgive(client: redis.Redis, creditor: str, now: datetime) -> None:
    """Everything was paused, on purpose: what was to go meanwhile is expected anew, once it is looked at."""
    client.zremrangebyscore(Keys(creditor).expected, "-inf", millis(now))


# ---- looked at


def silences(app: App) -> dict[str, Silence]:
    """Whose messages are late, in one round trip. None are in a rehearsal, nor where somebody pressed the button."""
    if app.clock.rehearsal:
        return {}
    names, before = list(app.config.creditors), millis(app.clock.now() - LATE)
    with app.client.pipeline(transaction=False) as pipe:
        for name in names:
            keys = Keys(name)
            pipe.zcount(keys.expected, "-inf", before)
            pipe.zrange(keys.expected, 0, 0, withscores=True)
            pipe.hmget(keys.paused, *STOPPED)
        answers = pipe.execute()
    found = zip(names, answers[::3], answers[1::3], answers[2::3], strict=True)
    return {
        name: Silence(messages, moment(entries[0][1]))
        for name, messages, entries, stopped in found
        if messages and not any(stopped)
    }


class Listener:
    """A scheduler's ear on all creditors. Off in a rehearsal."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._look = Script(app.client, _LOOK)
        self._due = Every(EVERY)

    def listen(self) -> None:
        """Tell of a silence when it begins, every hour while it lasts, and when it is over. Raises redis errors."""
        now = self._app.clock.now()
        if self._app.clock.rehearsal or not self._due(now):
            return
        for creditor in self._app.config.creditors:
            self._listen(creditor, now)

    def _listen(self, creditor: str, now: datetime) -> None:
        keys = Keys(creditor)
        times = [millis(now), millis(now - LATE), millis(now - AGAIN)]
        news, messages, first = self._look([keys.expected, keys.paused, keys.silence], times)
        if news in ("begun", "lasts"):
            _log.error("alarm.silence", creditor=creditor, messages=messages, since=moment(first).isoformat())
        elif news == "ended":
            _log.info("silence.ended", creditor=creditor)
