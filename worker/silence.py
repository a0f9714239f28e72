"""What was to go out, and has it? The alarm that nobody hears anything of.

For each case the store knows when its next message is to go (`expected`): set by whatever the rules decide to wait for,
kept while a message is only slow, taken away once a provider has answered or nothing is planned any more. While the
window is shut its lateness stands still. Whoever commits a look or an outcome keeps it in the same commit.

An entry that is an hour late is a silence. So is a case that nobody looks at, whatever a look would find: one that has
been due on the agenda for an hour, or whose lease ran out an hour ago. A scheduler tells of it, and where none is left,
`relance status` and `/metrics` show it all the same.
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

#: Waits that are no plan: the message was to go by now, and something slows it down. Those of the second kind have a
#: turn, by which a message is to go that was not to go before.
_SLOW, _IN_TURN = frozenset({"backoff", "queue_full", "ramp", "in_flight"}), frozenset({"queue_full", "ramp"})

#: Pauses under which no case is looked at.
STOPPED = ("all", "creditor")

#: KEYS: what is expected, the agenda, who is in flight, what is paused, when a pause of everything ended, when the
#: silence was told of. ARGV, in milliseconds: an hour ago; and, where it may be told of, now, and before when it must
#: have been to be told again. Answers how many cases are late, at least; when the first of them was to go; and "begun"
#: or "lasts" (tell of it), "ended" or nothing.
_LOOK = """
local expected, agenda, in_flight, paused, resumed, told = unpack(KEYS)
local before, MOST = tonumber(ARGV[1]), 10000 -- so many that nobody looks at are counted, and no more

local function waits()
    local stopped = redis.call("HEXISTS", paused, "all") + redis.call("HEXISTS", paused, "creditor") > 0
    return stopped or tonumber(redis.call("GET", resumed) or 0) > before
end

local function count()
    local late, first = redis.call("ZCOUNT", expected, "-inf", before), math.huge
    if late > 0 then
        first = tonumber(redis.call("ZRANGE", expected, 0, 0, "WITHSCORES")[2])
    end
    local known = {}
    for _, key in ipairs({agenda, in_flight}) do
        local overdue = redis.call("ZRANGEBYSCORE", key, "-inf", before, "WITHSCORES", "LIMIT", 0, MOST)
        for i = 1, #overdue, 2 do
            local case, planned = overdue[i], redis.call("ZSCORE", expected, overdue[i])
            if not (known[case] or planned and tonumber(planned) <= before) then
                known[case], late = true, late + 1
            end
            first = math.min(first, tonumber(overdue[i + 1]))
        end
    end
    return late, first
end

local late, first = 0, 0
if not waits() then
    late, first = count()
end
if late == 0 then
    return {0, 0, #ARGV > 1 and redis.call("DEL", told) == 1 and "ended" or ""}
end
if #ARGV == 1 then
    return {late, first, ""}
end
local last = redis.call("GET", told)
if last and tonumber(last) > tonumber(ARGV[3]) then
    return {late, first, ""}
end
redis.call("SET", told, ARGV[2])
return {late, first, last and "lasts" or "begun"}
"""

_log = structlog.get_logger("relance.silence")


@dataclass(frozen=True, slots=True)
class Silence:
    """So many cases have a message that is an hour late or more, or have not been looked at for as long; the first was
    to go, or to be looked at, at `since`, in ladder time.
    """

    messages: int
    since: datetime


# ---- kept with every commit


def plan(commit: Commit, case: Case, wait: Wait, now: datetime, expected: datetime | None = None) -> None:
    """What the case waits for says when its next message is to go, if one is. `expected`: when it was to, until now."""
    if wait.reason in _IN_TURN and wait.until:
        expect_now(commit, case, wait.until)
    if wait.reason in _SLOW:
        return
    if wait.step and wait.until and not wait.reason.startswith(("held: ", "paused: ")):
        until = _as_late_as_now(expected, now, wait.until) if wait.reason == "window" else wait.until
        commit.op("ZADD", commit.keys.expected, millis(until), case.id)
    else:
        expect_nothing(commit, case)


def _as_late_as_now(expected: datetime | None, now: datetime, opens: datetime) -> datetime:
    """What was late when the window shut is as late when it opens again, by an hour at most: it is told of then, and
    not all night; nor is a window that is shorter than an hour any excuse.
    """
    if expected is None or expected > opens:
        return opens
    if opens - expected <= LATE:  # a look in the night: it has been counted
        return expected
    return opens - min(max(now - expected, timedelta()), LATE)


def expect_now(commit: Commit, case: Case, now: datetime) -> None:
    """A message was decided: it is to go now, if it was not to have gone before."""
    commit.op("ZADD", commit.keys.expected, "LT", millis(now), case.id)


def forgive(client: redis.Redis, creditor: str, now: datetime) -> None:
    """Everything was paused, on purpose: what was to go meanwhile is expected anew, once it is looked at; until that
    is late there is an hour from now.
    """
    keys = Keys(creditor)
    client.zremrangebyscore(keys.expected, "-inf", millis(now))
    client.set(keys.forgiven, millis(now))


# ---- looked at


def silences(app: App) -> dict[str, Silence]:
    """Whose messages are late. None are in a rehearsal, nor where somebody pressed the button."""
    if app.clock.rehearsal:
        return {}
    look, before = Script(app.client, _LOOK), millis(app.clock.now() - LATE)
    answers = {name: look(_keys(name), [before]) for name in app.config.creditors}
    return {name: Silence(messages, moment(first)) for name, (messages, first, _) in answers.items() if messages}


def _keys(creditor: str) -> list[str]:
    keys = Keys(creditor)
    return [keys.expected, keys.agenda, keys.in_flight, keys.paused, keys.forgiven, keys.silence]


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
        times = [millis(now - LATE), millis(now), millis(now - AGAIN)]
        messages, first, news = self._look(_keys(creditor), times)
        if news in ("begun", "lasts"):
            _log.error("alarm.silence", creditor=creditor, messages=messages, since=moment(first).isoformat())
        elif news == "ended":
            _log.info("silence.ended", creditor=creditor)
